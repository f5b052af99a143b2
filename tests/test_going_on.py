"""A run ends before it is complete: the next goes on where it ended, and what comes out is what always would have."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import SMALL
from conftest import MakeImage
from lightning import Callback, LightningModule, Trainer

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.sources import Folder
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import Preset, method_arguments
from anomaly_clustering.mic.trainer import plain_trainer
from anomaly_clustering.runs import going_on
from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.going_on import GoingOn
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.runs.unfinished_folder import CARD, UnfinishedFolder, remove_if_complete
from anomaly_clustering.system.results import nothing_placed, what_is_kept

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}


class Dies(Callback):
    """Ends a run without warning before a batch, and counts the images that were read before."""

    def __init__(self, before: int | None) -> None:
        self.before = before
        self.read: list[int] = []

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == self.before:
            raise MemoryError("died")
        self.read += batch["index"].tolist()


class Attempt:
    """One run over images in batches of 2, whose rows are kept by 4."""

    def __init__(
        self,
        photos: Path,
        out: Path,
        *,
        dies: int | None = None,
        method: Preset = "signed_residuals",
        **options: Any,
    ) -> None:
        # As a command begins, whatever this process has done before.
        nothing_placed()
        self.said: list[str] = []
        self.finished = FinishedRows(out)
        data = Folder(photos, image_size=32, batch_size=2, num_workers=0)
        arguments = {"num_clusters": 3, **options}
        mic = MIC("embedded", **method_arguments(method, normals=False, **arguments))
        death = Dies(dies)
        callbacks = [GoingOn(self.finished, say=self.said.append), death]
        trainer = plain_trainer(progress_bar=False, accelerator="cpu", callbacks=callbacks)
        if dies is None:
            trainer.validate(mic, data, verbose=False)
            self.grouping = mic.grouping
        else:
            with pytest.raises(MemoryError):
                trainer.validate(mic, data, verbose=False)
        self.read = death.read

    def equals(self, other: "Attempt") -> bool:
        one, two = self.grouping, other.grouping
        assert one.embeddings is not None
        assert two.embeddings is not None
        return (
            np.array_equal(one.index, two.index)
            and np.array_equal(one.labels, two.labels)
            and np.array_equal(one.embeddings, two.embeddings)
            and np.array_equal(one.weights, two.weights)
        )


@pytest.fixture
def shards_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_on, "SHARD", 4)


@pytest.mark.usefixtures("shards_of_four")
@pytest.mark.parametrize("method", ["signed_residuals", "paper"])
def test_a_run_that_dies_twice_reads_each_image_once_and_ends_as_if_it_had_not(
    method: Preset, flat_photos: Path, tmp_path: Path
) -> None:
    undisturbed = Attempt(flat_photos, tmp_path / "other", method=method)
    first = Attempt(flat_photos, tmp_path / "run", dies=5, method=method)
    assert first.read == list(range(10))
    assert what_is_kept().startswith("8 of 15 images are kept in ")
    second = Attempt(flat_photos, tmp_path / "run", dies=2, method=method)
    assert second.said == [f"Goes on with 8 of 15 images, which {str(tmp_path / 'run.unfinished')!r} holds"]
    assert second.read == [8, 9, 10, 11]
    third = Attempt(flat_photos, tmp_path / "run", method=method)
    assert third.read == [12, 13, 14]
    assert third.equals(undisturbed)
    # All is kept until the run is written, so that a death in the clustering costs nothing; a loop needs a batch.
    fourth = Attempt(flat_photos, tmp_path / "run", method=method)
    assert fourth.read == [14]
    assert fourth.equals(undisturbed)
    fourth.finished.remove()
    assert not (tmp_path / "run.unfinished").exists()


@pytest.mark.usefixtures("shards_of_four")
def test_what_changes_rows_begins_anew_and_what_comes_afterwards_does_not(flat_photos: Path, tmp_path: Path) -> None:
    Attempt(flat_photos, tmp_path / "run", dies=5)
    assert Attempt(flat_photos, tmp_path / "run", dies=1, num_clusters=2).read == [8, 9]
    changed = Attempt(flat_photos, tmp_path / "run", dies=5, views=2)
    assert changed.read == list(range(10))
    assert len(changed.said) == 1
    assert "was begun otherwise (views: 4, now 2): its 8 finished images will not be used" in changed.said[0]
    os.utime(sorted(flat_photos.iterdir())[14], ns=(0, 0))
    again = Attempt(flat_photos, tmp_path / "run", dies=1, views=2)
    assert again.read == [0, 1]
    assert "(images changed)" in again.said[0]


@pytest.mark.usefixtures("shards_of_four")
def test_a_damaged_part_costs_its_own_images(flat_photos: Path, tmp_path: Path) -> None:
    Attempt(flat_photos, tmp_path / "run", dies=5)
    part = next(Attempt(flat_photos, tmp_path / "run", dies=0).finished.folder.glob("4-images-*"))
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert len(Attempt(flat_photos, tmp_path / "run").read) == 15 - 4
    assert not part.exists()


@pytest.mark.usefixtures("shards_of_four")
def test_folders_of_strangers_are_neither_read_nor_touched(flat_photos: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "run.unfinished"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("mine")
    for content in (None, "{}", "[1]", '{"format": "other"}'):
        if content:
            (theirs / CARD).write_text(content)
        with pytest.raises(FileExistsError, match="is not of one; move it away"):
            Attempt(flat_photos, tmp_path / "run")
        FinishedRows(tmp_path / "run").remove()
        assert (theirs / "thesis.tex").read_text() == "mine"
    (theirs / CARD).unlink()
    (theirs / "thesis.tex").unlink()
    # An empty folder is what a process leaves that is killed as it removes its own.
    rows = Attempt(flat_photos, tmp_path / "run").finished
    (theirs / "notes.txt").write_text("mine")
    rows.remove()
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]


def test_small_runs_keep_nothing(flat_photos: Path, tmp_path: Path) -> None:
    Attempt(flat_photos, tmp_path / "run", dies=5)
    assert not (tmp_path / "run.unfinished").exists()


@pytest.mark.usefixtures("shards_of_four")
def test_what_a_complete_run_has_left_is_removed_and_what_a_new_one_keeps_is_not(
    clustered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["cluster", "photos", *SMALL, "--out", "run", "--overwrite"]
    rows = FinishedRows(clustered)
    with monkeypatch.context() as killed:
        killed.setattr(UnfinishedFolder, "remove", lambda self: None)
        main(argv)
    assert rows.count == 15
    # Other commands write the mark anew, and a copy has other times.
    main(["trends", "--run", "run"])
    remove_if_complete(clustered)
    assert not rows.folder.exists()
    with monkeypatch.context() as killed:
        killed.setattr(StoredRun, "save", interrupted)
        with pytest.raises(SystemExit):
            main(argv)
    assert rows.count == 15
    for later in (["trends", "--run", "run"], ["assign", "photos/bar", "--run", "run"]):
        main(later)
        remove_if_complete(clustered)
        assert rows.count == 15


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["cli.cluster.reserved", "cli.cluster.read_metadata", "cli.cluster.trainer_for"])
def test_an_interrupted_command_says_what_an_earlier_attempt_has_kept(
    where: str, flat_photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(flat_photos.parent)
    Path("made.csv").write_text("path\n00.png\n")
    argv = ["cluster", "flat", *SMALL, "--metadata", "made.csv"]
    monkeypatch.setattr(f"anomaly_clustering.{where}", interrupted)
    for kept in ("nothing unfinished is kept", "2 of 3 images are kept in 'flat-clusters.unfinished'"):
        with pytest.raises(SystemExit):
            main(argv)
        assert f"error: interrupted; {kept}: start the command again" in capsys.readouterr().err
        rows = FinishedRows(Path("flat-clusters"))
        rows.begin({}, images=3, say=print)
        rows.add({"index": torch.arange(2)})


@pytest.mark.usefixtures("shards_of_four")
def test_no_empty_folder_stays_of_a_run_that_ended_before_its_first_images(
    flat_photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(flat_photos.parent)
    monkeypatch.setattr(MIC, "validation_step", interrupted)
    with pytest.raises(SystemExit):
        main(["cluster", "flat", *SMALL])
    assert capsys.readouterr().err.endswith("nothing unfinished is kept: start the command again\n")
    assert not [path.name for path in Path().iterdir() if path.name.startswith("flat-")]


def start(argv: Iterable[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "anomaly_clustering", *argv],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def killed_with(count: int, argv: list[str], folder: Path, out: str) -> None:
    """Start a command, and kill it and its children when it has kept so many images more than before."""
    rows = FinishedRows(folder / out)
    wanted = rows.count + count
    process = start(argv, folder)
    while rows.count < wanted:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def same_run(one: StoredRun, two: StoredRun) -> bool:
    assert one.embeddings is not None
    assert two.embeddings is not None
    return (
        one.paths == two.paths
        and np.array_equal(one.labels, two.labels)
        and np.array_equal(one.embeddings, two.embeddings)
    )


@pytest.mark.slow
@pytest.mark.parametrize("images", [600, 5000])
def test_cluster_is_killed_and_goes_on(images: int, make_image: MakeImage, tmp_path: Path) -> None:
    times = 3 if images > 1000 else 1
    for i in range(images):
        make_image(tmp_path / "photos" / f"{i:05d}.png", i % 3, seed=i)
    size = "64" if images > 1000 else "32"
    argv = ["cluster", "photos", "--image-size", size, "--views", "1", "--accelerator", "cpu"]
    for _ in range(times):
        killed_with(images // 6, [*argv, "--out", "run"], tmp_path, "run")
    kept = FinishedRows(tmp_path / "run").count
    assert kept >= times * (images // 6)
    begun = time.monotonic()
    said = (last := start([*argv, "--out", "run"], tmp_path)).communicate()[0]
    assert last.returncode == 0, said
    assert f"Goes on with {kept} of {images} images" in said
    print(f"{kept} of {images} kept; the last start took {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    assert start([*argv, "--out", "undisturbed"], tmp_path).wait() == 0
    print(f"undisturbed: {time.monotonic() - begun:.0f} s")
    run = load_run(tmp_path / "run")
    assert len(set(run.paths)) == len(run.paths) == images
    assert same_run(run, load_run(tmp_path / "undisturbed"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "run", "undisturbed"]


@pytest.mark.parametrize(
    "method", [["--views", "1"], pytest.param(["--method", "paper"], marks=pytest.mark.slow)], ids=["default", "paper"]
)
def test_two_processes_find_what_one_finds(method: list[str], make_image: MakeImage, tmp_path: Path) -> None:
    for i in range(70):
        make_image(tmp_path / "photos" / f"{i}.png", i % 3, seed=i)
    argv = ["cluster", "photos", "--image-size", "32", "--accelerator", "cpu", *method]
    started = [start([*argv, "--out", f"run{n}", "--devices", str(n)], tmp_path) for n in (1, 2)]
    for process in started:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert said.count("Look at ") == 1
    assert same_run(load_run(tmp_path / "run1"), load_run(tmp_path / "run2"))


def test_an_error_of_one_process_ends_both(make_image: MakeImage, tmp_path: Path) -> None:
    for i in range(70):
        make_image(tmp_path / "photos" / f"{i}.png", i % 3, seed=i)
    # The header is whole, so that it is found when the second process, whose the second batch is, decodes it.
    broken = sorted((tmp_path / "photos").iterdir())[40]
    broken.write_bytes(broken.read_bytes()[:200])
    argv = ["cluster", "photos", "--image-size", "32", "--accelerator", "cpu", "--devices", "2", "--out", "run"]
    process = start(argv, tmp_path)
    said = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "--skip-unreadable lists such files" in said
    assert not (tmp_path / "run").exists()


def test_options_on_where_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for words, message in (
        (["--executor", "dask", "--devices", "2"], "two ways to use many devices"),
        (["--workers", "2"], "--workers is for --executor dask"),
        (["--executor", "dask", "--workers", "2", "--address", "tcp://x:1"], "give one"),
        (["--devices", "0"], "at least 1"),
    ):
        with pytest.raises(SystemExit):
            main(["cluster", str(tmp_path / "photos"), *words])
        assert message in capsys.readouterr().err


def test_the_folder_says_what_it_is(tmp_path: Path) -> None:
    rows = FinishedRows(tmp_path / "run")
    rows.begin({"tau": 0.5}, images=3, say=print)
    rows.add({"index": torch.arange(2)})
    card = json.loads((tmp_path / "run.unfinished" / CARD).read_text())
    assert "The same command goes on from here" in card["about"]
    assert (card["images"], card["settings"], rows.count) == (3, {"tau": 0.5}, 2)
