"""A command is interrupted before each of its file operations: it says whether its result is there, as it is.

The slow tests try every place, the fast ones the last few, around the moment in which the result takes its place.
"""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import SMALL, Zygote, done
from test_kills import fit

from anomaly_clustering.runs.store import load_run

INTERRUPTED = 130


def interrupt_each_place(
    zygote: Zygote,
    here: Path,
    argv: list[str],
    result: str,
    is_there: Callable[[Path], bool],
    last: int | None,
    *,
    before: str = "nothing unfinished is kept: start the command again",
) -> None:
    """Interrupt a command before its n-th file operation, for each n or the last of them."""
    work, found = here.with_name("work"), set()

    def attempt(at: int | None) -> tuple[int, str, int]:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(here, work, symlinks=True)
        ended = zygote.run(argv, work, kill_at=at, interrupt=True)
        return ended.status, ended.said, len(ended.operations)

    *_, count = attempt(None)
    places = range(1, count + 1) if last is None else range(count - last + 1, count + 1, max(1, last // 6))
    for place in places:
        status, said, _ = attempt(place)
        there = is_there(work)
        found.add(there)
        kept = f"all of the result is in {result!r} already" if there else before
        assert said.rstrip().endswith(f"error: interrupted; {kept}"), (place, said)
        assert status == INTERRUPTED
    assert found == {True, False}
    print(f"{argv[0]}: {len(places)} of {count} places")


def last_or_all(last: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("last", [last, pytest.param(None, marks=pytest.mark.slow)])


@last_or_all(18)
def test_cluster_that_replaces_a_run(zygote: Zygote, here: Path, last: int | None) -> None:
    argv = ["cluster", "photos", "--out", "run", *SMALL]
    done(zygote.run([*argv, "--tau", "0.5"], here))
    interrupt_each_place(
        zygote, here, [*argv, "--overwrite"], "run", lambda work: load_run(work / "run").recipe.tau < 0.1, last
    )


@last_or_all(42)
def test_assign(zygote: Zygote, here: Path, last: int | None) -> None:
    done(zygote.run(["cluster", "photos", "--out", "run", *SMALL], here))
    page = (here / "run" / "report.html").read_bytes()
    interrupt_each_place(
        zygote,
        here,
        ["assign", "new7", "--run", "run"],
        "run",
        lambda work: (work / "run" / "report.html").read_bytes() != page,
        last,
    )


@last_or_all(12)
def test_export(zygote: Zygote, here: Path, last: int | None) -> None:
    images = sorted(path.relative_to(here) for path in here.glob("photos/*/*.png"))
    rows = "".join(f"{path},{number % 2},{'ab'[number % 2]},0\n" for number, path in enumerate(images))
    (here / "labels.csv").write_text(f"path,cluster,label,unsure\n{rows}")
    argv = ["export", "--labels", "labels.csv", "--out", "out"]
    interrupt_each_place(zygote, here, argv, "out", lambda work: (work / "out").exists(), last)


@last_or_all(60)
def test_fit(zygote: Zygote, here: Path, last: int | None) -> None:
    def is_there(work: Path) -> bool:
        table = work / "out" / "assignments.csv"
        return table.exists() and len(list(csv.reader(table.read_text().splitlines()))) == 7

    interrupt_each_place(
        zygote,
        here,
        fit("--trainer.max_epochs", "1", "--out", "out"),
        "out",
        is_there,
        last,
        before="epochs that have ended are kept: go on with --ckpt_path last, if there are any",
    )
