"""Labels and runs of strangers: whatever they name, nothing outside of the given folders gets into what is written."""

import os
import pickle
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from commands import scan
from conftest import MakeImage
from safetensors import safe_open
from safetensors.numpy import save_file

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.maps import read_map
from anomaly_clustering.report.content import Curve
from anomaly_clustering.runs.export import LAYOUTS, export
from anomaly_clustering.runs.export_layouts import BY_FOLDER, OF_REGIONS
from anomaly_clustering.runs.fiftyone import samples
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest
from baselines.features import read_features


@pytest.fixture
def place(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with photos, beside it private images, and links from the one to the other."""
    desk, private = tmp_path / "desk", tmp_path / "private"
    for seed in range(4):
        make_image(desk / f"photos/{seed}.png", seed=seed)
        make_image(private / f"deep/{seed}.png", 1, seed=seed)
        make_image(tmp_path / f"archive/{seed}.png", 2, seed=seed)
    (private / "key.png").write_text("-----BEGIN PRIVATE KEY-----")
    (desk / "photos/link.png").symlink_to(private / "deep/0.png")
    (desk / "photos/folder").symlink_to(private / "deep")
    (desk / "photos/up").symlink_to("../..")
    (desk / "inside.png").symlink_to("photos/0.png")
    monkeypatch.chdir(desk)
    return tmp_path


def anywhere(draw: random.Random, place: Path) -> Path:
    """A path to some image, absolute or not, through links and through folders above."""
    ways = {
        "photos": "photos",
        "desk/photos": f"{place}/desk/photos",
        "private": draw.choice(
            ["../private/deep", "photos/folder", "photos/up/private/deep", str(place / "private/deep")]
        ),
        "archive": draw.choice(["../archive", "photos/up/archive", str(place / "archive"), "photos/../../archive"]),
    }
    folder = ways[draw.choice(list(ways))]
    name = draw.choice(["0.png", "1.png", "2.png", "3.png"])
    lone = ["photos/link.png", "inside.png", "../private/key.png", str(place / "desk/../private/key.png")]
    return Path(draw.choice([*lone, *[f"{folder}/{name}"] * 12]))


@pytest.mark.parametrize("seed", range(40))
def test_nothing_outside_of_the_given_folders_is_exported(place: Path, seed: int) -> None:
    draw = random.Random(seed)
    given = draw.choice([None, [Path("../archive")], [Path("photos"), place / "archive"], [place / "desk/photos"]])
    allowed = [Path.cwd()] if given is None else [folder.resolve() for folder in given]
    images = list(dict.fromkeys(anywhere(draw, place) for _ in range(draw.randint(1, 3))))
    layout = draw.choice([name for name in LAYOUTS if name not in OF_REGIONS])
    labels = [Labelled(image, 0, draw.choice(["dent", "scratch"]), False) for image in images]
    meant = all(any(image.resolve().is_relative_to(folder) for folder in allowed) for image in images)
    before = everything(place)
    if meant:
        assert export(labels, Path("out"), layout, folders=given) == 0  # type: ignore[arg-type]
    else:
        with pytest.raises(PermissionError, match=rf"of {len(images)} images are not below .*--images"):
            export(labels, Path("out"), layout, folders=given)  # type: ignore[arg-type]
        assert not Path("out").exists()
    inside = {digest(path) for folder in allowed for path in folder.rglob("*.png")}
    assert {digest(path) for path in Path("out").rglob("*.png")} <= inside
    shutil.rmtree("out", ignore_errors=True)
    assert everything(place) == before


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", BY_FOLDER)
def test_only_images_are_exported(place: Path, layout: str) -> None:
    for name, content in {"key.png": b"secret", "page.png": b"%!PS\n(x) run", "empty.png": b""}.items():
        Path(name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            export([Labelled(Path(name), 0, "dent", False)], Path("out"), layout)  # type: ignore[arg-type]
        assert not Path("out").exists()


def test_the_command_names_the_first_few_and_how_many_there_are(place: Path, capsys) -> None:
    rows = [f"../archive/{i}.png,0,dent,0\n" for i in range(4)]
    Path("labels.csv").write_text("".join(["path,cluster,label,unsure\n", "photos/0.png,0,dent,0\n", *rows]))
    with pytest.raises(SystemExit):
        main(["export", "--labels", "labels.csv"])
    error = capsys.readouterr().err
    assert "4 of 5 images are not below the working directory" in error
    assert "'../archive/0.png', '../archive/1.png', '../archive/2.png' and 1 more" in error
    main(["export", "--labels", "labels.csv", "--images", "../archive", "--images", "."])
    assert len(list(Path("labelled-folders").rglob("*.png"))) == 5


def test_names_of_classes_are_neither_markup_nor_commands_of_the_terminal(place: Path, capsys) -> None:
    Path("labels.csv").write_text("path,cluster,label,unsure\nphotos/0.png,0,[/dent] \x1b]0;owned\x07,0\n")
    main(["export", "--labels", "labels.csv", "--layout", "coco"])
    said = capsys.readouterr().out
    assert r"[/dent] \x1b]0;owned\x07" in said


def test_so_are_those_of_folders(place: Path, capsys) -> None:
    for name in ("[/dent]", "\x1b[2Jgood"):
        shutil.copytree("../archive", Path("classes") / name)
    Path("classes/\x1b[2Jgood/\x1b[2J.png").write_text("no image")
    words = ["--clusters", "2", "--method", "paper", "--image-size", "64", "--copies", "once", "--skip-unreadable"]
    main(["cluster", "classes", *words])
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert r"\x1b[2J.png" in said


# Runs.


@pytest.fixture
def run(place: Path) -> Path:
    for link in ("link.png", "folder", "up"):
        Path("photos", link).unlink()
    words = ["--clusters", "2", "--method", "paper", "--image-size", "64"]
    main(["cluster", "photos", *words, "--out", "run"])
    return Path("run")


def listing(paths: Callable[[Sequence[Path]], list[Path]]) -> None:
    """Make the run one of a stranger, who lists other files, and leaves out the digests."""
    stored = load_run(Path("run"))
    Path("run/run.json").unlink()
    replace(stored, paths=paths(stored.paths)).save(Path("run"))


@pytest.mark.parametrize("secret", ["../private/deep/1.png", "photos/link.png", "photos/../../private/deep/2.png"])
def test_a_run_of_a_stranger_draws_no_image_from_elsewhere(run: Path, place: Path, capsys, secret: str) -> None:
    Path("photos/link.png").symlink_to(place / "private/deep/0.png")
    listing(lambda paths: [Path(secret), *paths[1:]])
    shutil.copytree("../archive", "new")
    before = everything(place)
    with pytest.raises(SystemExit):
        main(["assign", "new", "--run", "run"])
    assert "1 of 4 images are not below the working directory" in capsys.readouterr().err
    assert everything(place) == before
    with pytest.raises(PermissionError, match="not below the working directory"):
        samples(load_run(run))


def test_an_image_that_has_changed_is_no_sample_of_the_run(run: Path) -> None:
    first, other = load_run(run).paths[:2]
    shutil.copy(other, first)
    with pytest.raises(ValueError, match=f"are not what they were when the run saw them, '{first}'"):
        samples(load_run(run))


def test_whatever_files_a_run_lists_it_draws_those_of_given_folders_alone(run: Path, place: Path) -> None:
    Path("photos/link.png").symlink_to(place / "private/deep/0.png")
    Path("photos/folder").symlink_to(place / "private/deep")
    Path("photos/up").symlink_to("../..")
    shutil.copytree("photos", "new", ignore=lambda folder, names: {"link.png", "folder", "up"})
    original, drawn, refused = load_run(run), 0, 0
    for seed in range(24):
        draw = random.Random(seed)
        given = draw.choice([None, [Path("../archive"), Path("photos")], [place / "desk/photos"]])
        allowed = [Path.cwd()] if given is None else [folder.resolve() for folder in given]
        images = [path if draw.random() < 0.7 else anywhere(draw, place) for path in original.paths]
        meant = all(any(image.resolve().is_relative_to(folder) for folder in allowed) for image in images)
        # A run without its mark is of a version that kept no decisions.
        for name in ("run.json", "decisions.json"):
            (run / name).unlink(missing_ok=True)
        # A stranger does not know the digest of what is private.
        digests = [digest(path) for path in images] if meant else original.digests
        replace(original, paths=images, digests=digests).save(run)
        before = everything(place)
        words = [word for folder in given or [] for word in ("--images", str(folder))]
        if meant:
            main(["assign", "new", "--run", "run", *words])
            drawn += 1
        else:
            # An image that is what the run has seen may lie anywhere, and none of these is.
            with pytest.raises(SystemExit):
                main(["assign", "new", "--run", "run", *words])
            assert everything(place) == before
            refused += 1
    assert min(drawn, refused) >= 3


def test_later_images_are_drawn_from_files_that_hold_what_the_run_has_seen(run: Path, place: Path) -> None:
    shutil.copytree("../archive", "new")
    main(["assign", "new", "--run", "run"])
    later = load_later(run, load_run(run))
    for file in ("run.json", "decisions.json"):
        (run / file).unlink()
    private = place / "private/deep/1.png"
    replace(later, paths=[private, *later.paths[1:]]).save(run)
    # It is not what the run has seen, and that lies among the images that are given.
    main(["assign", "new", "--run", "run"])
    assert list(load_later(run, load_run(run)).paths) == list(later.paths)
    for file in ("assigned.csv", "report.html"):
        assert "private" not in (run / file).read_text()


def test_images_of_a_run_may_lie_anywhere_while_they_are_what_it_has_seen(run: Path, place: Path, capsys) -> None:
    shutil.copytree("../archive", "new")
    shutil.move("photos", place / "elsewhere")
    listing(lambda paths: [place / "elsewhere" / path.name for path in paths])
    main(["assign", "new", "--run", "run"])
    lines = [f"{place}/elsewhere/{i}.png,0,dent,0\n" for i in range(4)]
    Path("labels.csv").write_text("".join(["path,cluster,label,unsure\n", *lines]))
    main(["export", "--labels", "labels.csv", "--run", "run", "--layout", "coco"])
    assert len(list(Path("labelled-coco").rglob("*.png"))) == 4
    shutil.copy(place / "private/deep/0.png", place / "elsewhere/0.png")
    with pytest.raises(SystemExit):
        main(["assign", "new", "--run", "run"])
    assert "1 of 8 images are not below the working directory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["assign", "new", "--run", "run", "--images", ".", "--images", "../elsewhere"])
    assert "images are not what they were when the run saw them" in capsys.readouterr().err


def test_images_that_have_changed_since_are_not_drawn_as_those_of_the_run(run: Path, place: Path, capsys) -> None:
    shutil.copytree("../archive", "new")
    shutil.copy("photos/1.png", "photos/0.png")
    before = everything(place)
    Path("labels.csv").write_text("path,cluster,label,unsure\nphotos/0.png,0,dent,0\n")
    for words in (["assign", "new"], ["export", "--labels", "labels.csv", "--layout", "coco"]):
        with pytest.raises(SystemExit):
            main([*words, "--run", "run"])
        said = capsys.readouterr().err
        assert "images are not what they were when the run saw them, 'photos/0.png' for one" in said
    Path("labels.csv").unlink()
    assert everything(place) == before


@pytest.mark.parametrize("part", ["weights", "embeddings", "references", "image_size", "views", "curves"])
def test_a_run_whose_parts_do_not_fit_is_refused_by_name(run: Path, place: Path, capsys, part: str) -> None:
    shutil.copytree("../archive", "new")
    stored = load_run(run)
    assert stored.embeddings is not None
    assert stored.references is not None
    arrays = {
        "weights": stored.weights[:, :1],
        "embeddings": stored.embeddings[:, :7],
        "references": stored.references[:, :, :7],
    }
    told = {
        "image_size": {"recipe": replace(stored.recipe, image_size=4096, views=4)},
        "views": {"recipe": replace(stored.recipe, views=8)},
        "curves": {"curves": [Curve("t", {1: 10**400}, 1)]},
    }
    (run / "run.json").unlink()
    if part in told:
        replace(stored, **told[part]).save(run)
    else:
        with safe_open(run / "run.safetensors", "numpy") as file:
            written, all_arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        all_arrays[part] = np.ascontiguousarray(arrays[part])
        save_file(all_arrays, run / "run.safetensors", metadata=written)
    with pytest.raises(SystemExit):
        main(["assign", "new", "--run", "run"])
    assert re.match(r"error: ('run/run.safetensors' is|the run is) damaged", capsys.readouterr().err)


# What runs code, and what does not.


class Hostile:
    """Its pickle makes a file when it is read."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("downloaded", [False, True])
def test_a_checkpoint_runs_no_code_also_if_it_is_downloaded(photos: Path, monkeypatch, downloaded: bool) -> None:
    monkeypatch.chdir(photos.parent)
    torch.save({"state_dict": Hostile()}, "hostile.ckpt")
    monkeypatch.setenv("TORCH_HOME", str(photos.parent / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Path.cwd()) as address:
        place = f"{address}/hostile.ckpt" if downloaded else "hostile.ckpt"
        words = scan(photos, "--trainer.max_epochs", "1", "--ckpt_path", place)
        with pytest.raises((SystemExit, pickle.UnpicklingError)):
            main(words)
    assert not Path("ran").exists()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["map.npy", "features.npy"])
def test_an_array_that_claims_to_be_huge_takes_no_memory(tmp_path: Path, name: str) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000, 900000), }\n"
    (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    read = {"map.npy": read_map, "features.npy": partial(read_features, num_images=900_000)}[name]
    with pytest.raises(ValueError, match=name):
        read(tmp_path / name)
