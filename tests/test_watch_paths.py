"""An image that comes again under another path, as a copy or by another way to write it, is the same image."""

import json
import shutil
from pathlib import Path

import pytest
from commands import rows
from conftest import MakeImage
from test_watch import OFTEN, run  # noqa: F401

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.unknown import Ranking
from anomaly_clustering.runs.watched import watcher_of


def watched(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[list[dict[str, object]], str]:
    capsys.readouterr()
    main(["watch", str(folder), "--run", "run", "--once", *OFTEN])
    said = capsys.readouterr()
    return [json.loads(line) for line in said.out.splitlines()], said.err


@pytest.mark.usefixtures("run")
def test_a_file_that_was_overwritten_is_told_though_its_path_is_written_otherwise(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    watched(capsys, Path("in"))
    make_image(Path("in/a.png"), 2, seed=31)
    (row,), said = watched(capsys, Path("in").resolve())
    assert row["path"] == "in/a.png"
    assert "held another image before" in said
    names = [row["path"] for row in rows(Path("run"), "assigned.csv")]
    assert names[0].startswith("in/a.png#")
    assert names[1:] == ["in/a.png"]
    make_image(Path("in/b.png"), 3, seed=32)
    watched(capsys, Path("in").resolve())
    assert watched(capsys, Path("in"))[0] == []


@pytest.mark.usefixtures("run")
def test_an_image_of_the_run_that_was_overwritten_is_refused_whatever_its_path(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    of_run = sorted(Path("flat").rglob("*.png"))[0]
    make_image(of_run, 3, seed=33)
    with pytest.raises(SystemExit) as end:
        watched(capsys, Path("flat").resolve())
    assert end.value.code == 2
    assert "is not what it was when the run was made" in capsys.readouterr().err


@pytest.mark.usefixtures("run")
def test_of_a_copy_one_image_is_ranked_and_of_one_of_the_run_none(
    make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        make_image(Path(f"in/{i}.png"), i, seed=30 + i)
    shutil.copy("in/1.png", "copy.png")
    shutil.copy("flat/00.png", "of_run.png")
    ranked, p_values = [], Ranking.p_values
    monkeypatch.setattr(
        Ranking, "p_values", lambda self, new: (ranked.append(len(new.embeddings)), p_values(self, new))[1]
    )
    with watcher_of(Path("run"), None) as watcher:
        for i in range(3):
            watcher.take(Path(f"in/{i}.png"))
        for name in ("copy.png", "of_run.png"):
            watcher.take(Path(name))
    assert ranked == [1, 1, 1, 1]
    told = rows(Path("run"), "assigned.csv")[3:]
    assert [row["same_as"] for row in told] == ["in/1.png", "flat/00.png"]
    assert [bool(row["p_value"]) for row in told] == [True, False]
    # The whole table, made anew, has the same rows.
    main(["update", "in", "--run", "run"])
    assert rows(Path("run"), "assigned.csv")[3:] == told


@pytest.mark.usefixtures("run")
def test_a_copy_is_told_of_a_file_that_still_holds_its_image(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_image(Path("in/a.png"), 1, seed=30)
    copy = Path(shutil.copy(first, "in/b.png"))
    watched(capsys, Path("in"))
    first.unlink()
    with watcher_of(Path("run"), 0.1) as watcher:
        watcher.take(make_image(first, 2, seed=77))
        row = watcher.take(Path(shutil.copy(copy, "in/c.png")))
    assert row is not None
    assert row["same_as"] == str(copy)


@pytest.mark.usefixtures("run")
def test_an_image_that_the_journal_has_twice_counts_once(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    watched(capsys, Path("in"))
    journal = Path("run/watched.jsonl")
    journal.write_text(journal.read_text() * 2)
    main(["assign", "in", "--run", "run", "--false-alarms", "0.1"])
    assert [row["path"] for row in rows(Path("run"), "assigned.csv")] == ["in/a.png"]
