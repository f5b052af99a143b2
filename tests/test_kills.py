"""A command is killed before each of its file operations: the next goes on, and only what was in flight is lost.

The slow tests try every place, the fast ones some of them.
"""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import MakeImage
from forked import SMALL, Ended, Zygote, done

from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.mark import mark_of_all, read_mark, strangers
from anomaly_clustering.runs.store import load_run
from experiments.cells import Store

if sys.platform == "win32":
    pytest.skip("processes are forked", allow_module_level=True)

KILLED = -9


def try_each_place(
    zygote: Zygote,
    here: Path,
    argv: list[str],
    law: Callable[[Path, Ended], None],
    *,
    tried: int | None,
    program: str = "cluster",
) -> None:
    """Kill a command before its n-th file operation, for each n, or for so many of them that lie evenly."""
    work = here.with_name("work")

    def attempt(kill_at: int | None) -> Ended:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(here, work, symlinks=True)
        return zygote.run(argv, work, program=program, kill_at=kill_at)

    whole = attempt(None)
    done(whole)
    law(work, whole)
    count = len(whole.operations)
    places = [1 + count * (2 * k + 1) // (2 * tried) for k in range(tried)] if tried else range(1, count + 1)
    for kill_at in places:
        ended = attempt(kill_at)
        assert ended.status == KILLED, (kill_at, ended)
        try:
            law(work, ended)
        except BaseException as error:
            error.add_note(f"killed before operation {kill_at}, {whole.operations[kill_at - 1]}")
            raise
    print(f"{argv[0]}: {len(places)} of {count} places")


def check_whole(run: Path) -> None:
    """All files of a run are there, as its mark lists them, and no others."""
    mark = read_mark(run)
    assert mark is not None
    assert strangers(run, mark) == []
    found = mark_of_all(run, mark.kind).files
    assert {name: known for name, known in found.items() if name != "run.json"} == mark.files


def check_no_leftovers(folder: Path) -> None:
    """Nothing hidden; what Python's own modules leave among temporary files is not ours."""
    assert list(folder.rglob(".*")) == []


every_place = pytest.mark.parametrize("tried", [pytest.param(None, marks=pytest.mark.slow)])
some_and_every_place = pytest.mark.parametrize("tried", [3, pytest.param(None, marks=pytest.mark.slow)])


@every_place
def test_cluster(zygote: Zygote, here: Path, tried: int | None) -> None:
    argv = ["cluster", "photos", "--out", "run", *SMALL]

    def law(work: Path, ended: Ended) -> None:
        whole = (work / "run").exists()
        if whole:
            check_whole(work / "run")
        again = zygote.run(argv, work)
        assert (again.status, "already holds a run" in again.said) == ((2, True) if whole else (0, False)), again.said
        check_whole(work / "run")
        load_run(work / "run")
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


@some_and_every_place
def test_cluster_that_replaces_a_run(zygote: Zygote, here: Path, tried: int | None) -> None:
    done(zygote.run(["cluster", "photos", "--out", "run", *SMALL, "--tau", "0.5"], here))
    argv = ["cluster", "photos", "--out", "run", *SMALL]

    def law(work: Path, ended: Ended) -> None:
        # Whatever comes next, there is the old run or the new one.
        refused = zygote.run(argv, work)
        assert "already holds a run" in refused.said
        check_whole(work / "run")
        assert f"{load_run(work / 'run').recipe.tau:.2f}" in ("0.50", "0.02")
        done(zygote.run([*argv, "--overwrite"], work))
        check_whole(work / "run")
        assert load_run(work / "run").recipe.tau == pytest.approx(0.02)
        check_no_leftovers(work)

    try_each_place(zygote, here, [*argv, "--overwrite"], law, tried=tried)


@some_and_every_place
def test_assign(zygote: Zygote, here: Path, tried: int | None) -> None:
    done(zygote.run(["cluster", "photos", "--out", "run", *SMALL], here))
    done(zygote.run(["assign", "new7", "--run", "run"], here))
    argv = ["assign", "new8", "--run", "run"]

    def law(work: Path, ended: Ended) -> None:
        run = load_run(work / "run")
        assert Path("new7/7.png") in load_later(work / "run", run).paths
        done(zygote.run(argv, work))
        check_whole(work / "run")
        with (work / "run" / "assigned.csv").open(newline="") as file:
            assert [row["path"] for row in csv.DictReader(file)] == ["new7/7.png", "new8/8.png"]
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


@some_and_every_place
def test_export(zygote: Zygote, here: Path, tried: int | None) -> None:
    images = sorted(path.relative_to(here) for path in here.glob("photos/*/*.png"))
    rows = "".join(f"{path},{number % 2},{'ab'[number % 2]},0\n" for number, path in enumerate(images))
    (here / "labels.csv").write_text(f"path,cluster,label,unsure\n{rows}")
    argv = ["export", "--labels", "labels.csv", "--out", "out", "--layout", "coco"]

    def law(work: Path, ended: Ended) -> None:
        whole = (work / "out").exists()
        again = zygote.run(argv, work)
        assert (again.status, "'out' exists" in again.said) == ((2, True) if whole else (0, False)), again.said
        assert len(list((work / "out" / "images").iterdir())) == 6
        assert json.loads((work / "out" / "annotations.json").read_text())
        (work / "out" / ".anomaly-clustering").unlink()
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


def fit(*flags: str) -> list[str]:
    return [
        *("fit", "--model", "tests.baseline.Brightness", "--data", "anomaly_clustering.data.Folder"),
        *("--data.root", "photos", "--data.image_size", "32", "--data.num_workers", "0", "--data.batch_size", "6"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", *flags),
    ]


def check_checkpoint(file: Path) -> int:
    return int(torch.load(file, weights_only=True)["epoch"])


def go_on(zygote: Zygote, work: Path, argv: list[str]) -> None:
    """The same command; where it says what to do, that."""
    again = zygote.run(argv, work)
    if again.status:
        assert "already holds a training" in again.said
        offered = ["--ckpt_path", "last"] if "--ckpt_path last" in again.said else ["--overwrite"]
        assert offered[0] in again.said
        done(zygote.run([*argv, *offered], work))


@every_place
def test_fit(zygote: Zygote, here: Path, tried: int | None) -> None:
    argv = fit("--trainer.max_epochs", "2")

    def law(work: Path, ended: Ended) -> None:
        last = work / "runs" / "fit" / "checkpoints" / "last.ckpt"
        if last.exists():
            check_checkpoint(last)
        go_on(zygote, work, argv)
        assert check_checkpoint(last) == 1
        check_whole(work / "runs" / "fit")
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


@every_place
def test_fit_that_goes_on(zygote: Zygote, here: Path, tried: int | None) -> None:
    done(zygote.run(fit("--trainer.max_epochs", "1"), here))
    argv = fit("--trainer.max_epochs", "3", "--ckpt_path", "last")

    def law(work: Path, ended: Ended) -> None:
        last = work / "runs" / "fit" / "checkpoints" / "last.ckpt"
        check_checkpoint(last)
        done(zygote.run(argv, work))
        assert check_checkpoint(last) == 2
        check_whole(work / "runs" / "fit")
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


@some_and_every_place
def test_fit_that_replaces_a_training(zygote: Zygote, here: Path, tried: int | None) -> None:
    done(zygote.run(fit("--trainer.max_epochs", "2"), here))
    argv = fit("--trainer.max_epochs", "1", "--overwrite")

    def law(work: Path, ended: Ended) -> None:
        done(zygote.run(argv, work))
        assert check_checkpoint(work / "runs" / "fit" / "checkpoints" / "last.ckpt") == 0
        check_whole(work / "runs" / "fit")
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried)


@every_place
def test_experiments(zygote: Zygote, here: Path, make_image: MakeImage, tried: int | None) -> None:
    for seed in range(2):
        make_image(here / "data/mvtec/bottle/train/good" / f"{seed}.png", seed=100 + seed)
        for kind, name in enumerate(("good", "bright", "bar")):
            make_image(here / "data/mvtec/bottle/test" / name / f"{seed}.png", kind, seed=seed)
    argv = [
        *("table1", "--data-root", "data", "--out", "out", "--backbone", "embedded", "--image-size", "32"),
        *("--only", "average", "maximum", "--artefacts", "--cache", "cache"),
    ]
    cells = Store(Path("out/cells"))

    def law(work: Path, ended: Ended) -> None:
        finished = {path.name: path.stat().st_mtime_ns for path in (work / cells.folder).glob("*.json")}
        done(zygote.run(argv, work, program="experiments"))
        after = {path.name: path.stat().st_mtime_ns for path in (work / cells.folder).glob("*.json")}
        assert len(after) >= 1
        # What was finished is not computed again.
        assert finished.items() <= after.items()
        check_no_leftovers(work)

    try_each_place(zygote, here, argv, law, tried=tried, program="experiments")
