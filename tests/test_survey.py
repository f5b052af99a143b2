"""What one look at the files tells: copies, pages that are not read, masks among photographs."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import configured
from conftest import MakeImage
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import Folder
from anomaly_clustering.data.images import read_image
from anomaly_clustering.data.opening import MOST_PAGES, read_header
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.data.survey import levels_of, surveyed
from anomaly_clustering.system.tables import read_csv

SMALL = ["--image-size", "64", "--method", "paper"]
pytestmark = pytest.mark.usefixtures("in_tmp")


def test_copies_are_counted_and_can_be_left_out(
    flat_photos: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x.png", "y.png"):
        (flat_photos / name).write_bytes((flat_photos / "00.png").read_bytes())
    main(["cluster", "flat", "--clusters", "3", *SMALL])
    said = "exact copies among the images: 2, such as 'flat/x.png' of 'flat/00.png'; each is clustered and counted"
    assert said in capsys.readouterr().out
    assert len(read_csv(Path("flat-clusters/assignments.csv"))) == 17
    main(["cluster", "flat", "--clusters", "3", "--copies", "once", "--out", "once", *SMALL])
    assert "left out: 2 exact copies of other images" in capsys.readouterr().out
    assert [Path(row["path"]).name for row in read_csv(Path("once/assignments.csv"))] == [
        f"{kind}{seed}.png" for kind in range(3) for seed in range(5)
    ]
    make_image(Path("new/0.png"), 1, seed=30)
    Path("new/1.png").write_bytes(Path("new/0.png").read_bytes())
    main(["assign", "new", "--run", "once"])
    assert "2 images, 0 of the run itself, 1 copy of others that came later" in capsys.readouterr().out


def test_a_class_of_copies_alone_is_gone_with_them(make_image: MakeImage) -> None:
    for kind in range(3):
        make_image(Path(f"kinds/{'abc'[kind]}/0.png"), kind)
    Path("kinds/b/0.png").write_bytes(Path("kinds/a/0.png").read_bytes())
    data = Folder("kinds", copies="once", num_workers=0)
    data.setup()
    assert (data.class_names, [record.label for record in data.records]) == (["a", "c"], [0, 1])


def test_of_an_image_that_is_listed_twice_one_stays(make_image: MakeImage) -> None:
    make_image(Path("a.png"))
    twice = Listing([Record(Path("a.png"))] * 2, [])
    assert len(surveyed(twice, copies="once").records) == 1
    assert len(surveyed(twice).records) == 2


def test_images_to_cluster_that_are_normal_ones_too_are_counted(photos: Path, make_image: MakeImage) -> None:
    make_image(Path("fine/0.png"), 0, seed=40)
    (photos / "good" / "x.png").write_bytes(Path("fine/0.png").read_bytes())
    data = Folder(photos, normals="fine", image_size=32, copies="once")
    data.setup()
    assert [notice for notice in data.notices if "normal" in notice] == [
        "1 image to cluster is an exact copy of images that are known to be normal"
    ]
    assert (len(data.records), len(data.normal_records)) == (16, 1)


@pytest.mark.parametrize(("copies", "said"), [("all", "3 images to cluster are"), ("once", "1 image to cluster is")])
def test_images_to_cluster_that_are_one_normal_one_are_counted_each(
    copies: Any, said: str, make_image: MakeImage
) -> None:
    for name in ("fine", "x", "y", "z"):
        make_image(Path(f"{name}.png"), 0, seed=40)
    records = [Record(Path(f"{name}.png"), is_normal_train=name == "fine") for name in ("fine", "x", "y", "z")]
    notices = surveyed(Listing(records, []), copies=copies).notices
    assert [notice for notice in notices if said in notice]


def test_pages_that_are_not_read_are_counted_on_the_screen_in_the_metrics_and_in_the_report(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, ending in enumerate(("tif", "png", "webp")):
        pages = [Image.effect_noise((64, 64), 20 + 10 * i).convert("RGB") for _ in range(6)]
        pages[0].save(photos / "bar" / f"pages.{ending}", save_all=True, append_images=pages[1:])
    said = "left out: 15 pages after the first, of 3 files with several"
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    assert said in capsys.readouterr().out
    assert any(said in notice for notice in json.loads(Path("photos-clusters/metrics.json").read_text())["notices"])
    assert said in Path("photos-clusters/report.html").read_text()
    main(["assign", str(photos), "--run", "photos-clusters"])
    assert said in capsys.readouterr().out


def test_a_training_says_what_it_left_out(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bar" / "x.png").write_bytes((photos / "bar" / "0.png").read_bytes())
    argv = ["fit", "--model", "baselines.SCAN", *configured("fit")[3:5]]
    argv += ["--model.backbone", "embedded", "--model.crop", "64", "--model.neighbours", "auto"]
    argv += ["--model.selflabel_epochs", "0", "--model.cached_views", "2", "--data.image_size", "64"]
    argv += ["--data.root", str(photos), "--data.num_workers", "0", "--trainer.max_epochs", "1"]
    main([*argv, "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--data.copies", "once"])
    assert "left out: 1 exact copy" in capsys.readouterr().out
    assert "left out: 1 exact copy" in json.loads(Path("runs/fit/metrics.json").read_text())["notices"][0]
    assert len(read_csv(Path("runs/fit/assignments.csv"))) == 15


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("1", "png"), ("RGB", "bmp"), ("I;16", "tif"), ("P", "png")]
)
def test_black_and_white_images_among_photographs_are_reported(
    mode: str, ending: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[4:9, 4:9] = 1
    image = Image.fromarray(mask.astype(np.uint16)) if mode == "I;16" else Image.fromarray(255 * mask).convert(mode)
    for name in ("x", "y"):
        image.save(photos / f"{name}.{ending}")
        mask[20, 20] = 1
        image = Image.fromarray(mask.astype(np.uint16)) if mode == "I;16" else Image.fromarray(255 * mask).convert(mode)
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    said = f"2 of 17 images have one or two levels of brightness, as masks have, '{photos / f'x.{ending}'}' for one"
    assert said in capsys.readouterr().out
    main(["assign", str(photos), "--run", "photos-clusters"])
    assert said in capsys.readouterr().out
    # Where all are so, they are what the user has.
    for path in photos.glob("*/*.png"):
        path.unlink()
    data = Folder(photos, image_size=32)
    data.setup()
    assert not any("levels of brightness" in notice for notice in data.notices)


def test_masks_with_soft_edges_and_empty_ones_are_reported_and_dark_photographs_are_not(
    photos: Path, tmp_path: Path
) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (10, 10, 30, 30))
    for name in ("soft.png", "soft.jpg", "soft.webp"):
        mask.resize((100, 100), Image.Resampling.BILINEAR).save(photos / name)
    Image.new("L", (64, 64), 0).save(photos / "empty.png")
    data = Folder(photos, image_size=32)
    data.setup()
    assert "4 of 19 images have one or two levels" in data.notices[-1]
    # Dark field: a bright defect before a dark ground that has its noise.
    dark = np.random.default_rng(0).normal(20, 6, (64, 64))
    dark[10:20, 10:20] = 250
    Image.fromarray(dark.clip(0, 255).astype(np.uint8)).save(tmp_path / "dark.png")
    assert levels_of(tmp_path / "dark.png") == 3
    Image.new("L", (64, 64), 9).save(tmp_path / "grey.png")
    assert levels_of(tmp_path / "grey.png") == 1


def test_many_pages_and_many_pixels_take_neither_time_nor_memory(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8)) for _ in range(1200)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert read_header(tmp_path / "pages.tif").pages == MOST_PAGES + 1
    Image.new("1", (6000, 6000)).save(tmp_path / "mask.png")
    tracemalloc.start()
    listing = surveyed(Listing([Record(tmp_path / name) for name in ("pages.tif", "mask.png")], ()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any("1000 or more pages after the first, of 1 file" in notice for notice in listing.notices)
    assert peak < 2**20


@pytest.mark.parametrize("pixels", [5000, 7000])
def test_levels_of_many_pixels_are_counted_row_by_row(tmp_path: Path, pixels: int) -> None:
    mask = np.zeros((pixels, 5000), np.uint8)
    mask[: pixels // 2] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    tracemalloc.start()
    assert levels_of(tmp_path / "mask.png") == 2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * mask.nbytes


def test_the_colours_of_lab_are_named_and_skipped(tmp_path: Path, make_image: MakeImage) -> None:
    for seed in range(4):
        make_image(tmp_path / f"photos/{seed}.png", seed=seed)
    Image.new("LAB", (64, 64)).save(tmp_path / "photos/lab.tif")
    with pytest.raises(ValueError, match=r"lab\.tif' has the colours of LAB, which are not read; save it as RGB"):
        read_image(tmp_path / "photos/lab.tif")
    words = ["--clusters", "2", *SMALL, "--skip-unreadable", "--out", "run"]
    main(["cluster", "photos", *words])
    assert len(read_csv(Path("run/assignments.csv"))) == 4
