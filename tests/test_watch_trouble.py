"""What the system refuses while a folder is watched: nothing is lost, and nobody is told that an image is broken."""

import errno
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from commands import rows
from conftest import MakeImage
from test_update import make_other
from test_watch import OFTEN, once, run  # noqa: F401

from anomaly_clustering.cli import watch as command
from anomaly_clustering.cli.main import main
from anomaly_clustering.runs import watched
from anomaly_clustering.runs.journal import read_journal
from anomaly_clustering.runs.watched import Watcher
from anomaly_clustering.system.locks import working_on

Said = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("run")
WATCH = ["watch", "in", "--run", "run", *OFTEN]


def ended(argv: list[str], capsys: Said) -> tuple[object, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(argv)
    return end.value.code, " ".join(capsys.readouterr().err.split())


def until_stopped(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """End a command that goes on for ever at one of its pauses, as Ctrl-C does."""
    pauses = iter(range(looks))

    def pause(seconds: float) -> None:
        if next(pauses, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", pause)


def test_a_run_that_is_away_is_said_and_no_image_is_passed_over(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    take = Watcher.take

    def gone(watcher: Watcher, path: Path) -> Any:
        if Path("run").exists():
            Path("run").rename("away")
        return take(watcher, path)

    with monkeypatch.context() as away:
        away.setattr(Watcher, "take", gone)
        status, said = ended([*WATCH, "--once"], capsys)
    assert status not in (0, None)
    assert "the run in 'run' cannot be read or written to" in said
    Path("away").rename("run")
    assert [row["path"] for row in once(capsys)] == ["in/a.png"]


def test_a_run_that_cannot_be_written_to_is_waited_for_however_long(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    record, refused = watched.record, iter(range(3 * command.PATIENCE))

    def refusing(*arguments: Any) -> None:
        if next(refused, None) is not None:
            raise PermissionError(errno.EACCES, "Permission denied", "run/watched.jsonl")
        record(*arguments)

    monkeypatch.setattr(watched, "record", refusing)
    until_stopped(monkeypatch, 4 * command.PATIENCE)
    capsys.readouterr()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(WATCH)
    said = capsys.readouterr()
    assert said.err.count("cannot be read or written to") == 1
    assert [json.loads(line)["path"] for line in said.out.splitlines()] == ["in/a.png"]


def test_an_image_that_the_disk_has_no_room_for_in_the_table_is_entered_once(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    append, full = watched.append_assignment, [True]

    def first_full(path: Path, row: Any) -> None:
        if full:
            full.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(path, row)

    monkeypatch.setattr(watched, "append_assignment", first_full)
    assert [row["path"] for row in once(capsys)] == ["in/a.png"]
    assert not full
    assert len(read_journal(Path("run"))) == 1
    assert [row["path"] for row in rows(Path("run"), "assigned.csv")] == ["in/a.png"]


def test_an_image_that_an_earlier_version_entered_twice_counts_once(make_image: MakeImage, capsys: Said) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    once(capsys)
    journal = Path("run/watched.jsonl")
    journal.write_text(journal.read_text() * 2)
    main(["assign", "in", "--run", "run", "--false-alarms", "0.1"])
    assert [row["path"] for row in rows(Path("run"), "assigned.csv")] == ["in/a.png"]


def test_a_run_that_was_replaced_while_the_users_command_was_called_gets_nothing_of_the_old_one(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_other(Path("in/b.png"), 1)

    def replaced(*_: Any, **__: Any) -> Any:
        Path("run/watched.jsonl").unlink()
        Path("run/run.safetensors").touch()
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(command.subprocess, "run", replaced)
    _, said = ended([*WATCH, "--once", "--on-unknown", "true"], capsys)
    assert "the run in 'run' was replaced" in said
    assert not Path("run/watched.jsonl").exists()


def test_a_watched_folder_that_is_away_is_waited_for(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    pauses = iter(["away", "away", "in"])

    def pause(seconds: float) -> None:
        place = next(pauses, "in")
        if not Path(place).exists():
            (Path("in") if place == "away" else Path("away")).rename(place)

    monkeypatch.setattr(command.time, "sleep", pause)
    main([*WATCH, "--once"])
    said = capsys.readouterr()
    assert [json.loads(line)["path"] for line in said.out.splitlines()[-1:]] == ["in/a.png"]
    assert said.err.count("'in' is away; waiting for it") == 1


def test_a_folder_that_may_not_be_read_is_told_once(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_image(Path("in/closed/b.png"), 1, seed=31)
    scan = os.scandir

    def closed(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    main([*WATCH, "--once"])
    said = capsys.readouterr()
    assert said.out.count("in/a.png") == 1
    assert "b.png" not in said.out
    assert said.err.count("'in/closed' is passed over as long as it may not be read") == 1


def test_who_works_on_a_folder_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    taken, moment = threading.Event(), 0.3

    def hold() -> None:
        with working_on(tmp_path / "other"):
            taken.set()
            time.sleep(moment)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    begun = time.monotonic()
    with pytest.raises(BlockingIOError, match="is in use by"), working_on(tmp_path / "other"):
        pass
    with working_on(tmp_path / "other", patience=10.0):
        waited = time.monotonic() - begun
    assert moment / 2 < waited < 5
    thread.join()
