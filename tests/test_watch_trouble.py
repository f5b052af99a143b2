"""What the system refuses while a folder is watched: nothing is lost, and nobody is told that an image is broken."""

import errno
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import rows
from conftest import MakeImage
from open_elsewhere import opened_elsewhere
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


def test_a_long_look_is_followed_by_as_long_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    look = command.look

    def slow(folder: Path) -> Any:
        time.sleep(0.3)
        return look(folder)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        raise KeyboardInterrupt

    Path("in").mkdir(exist_ok=True)
    monkeypatch.setattr(command, "look", slow)
    monkeypatch.setattr(command, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    with pytest.raises(SystemExit):
        main(WATCH)
    assert 0.3 <= pauses[0] < 3


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


@pytest.mark.parametrize("name", ["assigned.csv", "watched.jsonl"])
def test_a_file_of_the_user_with_the_name_of_one_that_grows_stays(name: str, make_image: MakeImage, capsys) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    file = Path("run", name)
    file.write_text("my,own\nand no end")
    code, said = ended([*WATCH, "--once"], capsys)
    assert (code, said.count(f"{name}' is not the run's, so it was not replaced")) == (2, 1)
    assert file.read_text() == "my,own\nand no end"
    assert name not in Path("run/run.json").read_text()


def test_a_run_that_cannot_be_written_to_is_waited_for_however_long(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    record, refused = watched.record, iter(range(3 * command.MOST_LOOKS))

    def refusing(*arguments: Any) -> None:
        if next(refused, None) is not None:
            raise PermissionError(errno.EACCES, "Permission denied", "run/watched.jsonl")
        record(*arguments)

    monkeypatch.setattr(watched, "record", refusing)
    until_stopped(monkeypatch, 4 * command.MOST_LOOKS)
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


def test_a_table_that_is_open_in_a_spreadsheet_is_said_once_and_written_when_it_is_closed(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    once(capsys)
    make_image(Path("in/b.png"), 2, seed=31)
    table = Path("run/assigned.csv")
    with opened_elsewhere(lambda file: file == table, lets_write=False):
        main([*WATCH, "--once"])
        said = capsys.readouterr()
        assert [json.loads(line)["path"] for line in said.out.splitlines()] == ["in/b.png"]
        assert said.err.count("'run/assigned.csv' is open in another program: close it there") == 1
        assert [row["path"] for row in rows(Path("run"), "assigned.csv")] == ["in/a.png"]
        # A command that goes on, from whose start on it is open, until the spreadsheet is closed.
        make_image(Path("in/c.png"), 2, seed=32)
        with monkeypatch.context() as pauses:
            until_stopped(pauses, 10)
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                main(WATCH)
        said = capsys.readouterr()
        assert [json.loads(line)["path"] for line in said.out.splitlines()] == ["in/c.png"]
        assert said.err.count("'run/assigned.csv' is open in another program: close it there") == 1
        assert "cannot be read or written to" not in said.err
    assert once(capsys) == []
    assert len(rows(Path("run"), "assigned.csv")) == 3


def test_a_run_whose_permissions_a_backup_sets_is_the_same(make_image: MakeImage) -> None:
    with watched.watcher_of(Path("run"), 0.1) as watcher:
        Path("run/run.safetensors").chmod(0o600)
        assert watcher.take(make_image(Path("in/a.png"), 1, seed=30)) is not None


def test_a_run_that_was_replaced_while_the_users_command_was_called_gets_nothing_of_the_old_one(
    make_image: MakeImage, capsys: Said
) -> None:
    make_other(Path("in/b.png"), 1)
    Path("replace.sh").write_text("rm run/watched.jsonl; touch run/run.safetensors")
    _, said = ended([*WATCH, "--once", "--on-unknown", "sh replace.sh"], capsys)
    assert "the run in 'run' was replaced" in said
    assert not Path("run/watched.jsonl").exists()


def test_the_users_command_is_ended_where_its_group_may_not_be(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    make_other(Path("in/b.png"), 1)
    monkeypatch.setattr(command, "MOST_SECONDS", 0.2)
    monkeypatch.setattr(os, "killpg", refused)
    Path("alarm.sh").write_text("exec sleep 5")
    _, said = ended([*WATCH, "--once", "--on-unknown", "sh alarm.sh"], capsys)
    assert "'sh' took more than 0.2 seconds for 'in/b.png' and was ended" in said
    # As a command of another user, for whom it is root that works.
    monkeypatch.setattr(subprocess.Popen, "kill", refused)
    monkeypatch.setattr(command, "WORTH_A_WORD", 0.2)
    make_other(Path("in/c.png"), 2)
    _, said = ended([*WATCH, "--once", "--on-unknown", "sh alarm.sh"], capsys)
    assert "'sh' took more than 0.2 seconds for 'in/c.png' and may not be ended" in said


def test_the_users_command_is_ended_with_all_that_it_started(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_other(Path("in/b.png"), 1)
    # It ends for its reader when nobody holds it open for writing.
    os.mkfifo("alive")
    reading = os.open("alive", os.O_RDONLY | os.O_NONBLOCK)
    Path("alarm.sh").write_text("sleep 60 > alive & echo $! > started; sleep 60")
    monkeypatch.setattr(command, "MOST_SECONDS", 0.5)
    _, said = ended([*WATCH, "--once", "--on-unknown", "sh alarm.sh"], capsys)
    assert "'sh' took more than 0.5 seconds for 'in/b.png' and was ended" in said
    assert Path("started").exists()
    assert select.select([reading], [], [], 10)[0]
    os.close(reading)


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


def test_a_folder_that_may_not_be_read_is_told_once_and_in_the_status(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_image(Path("in/closed/b.png"), 1, seed=31)
    monkeypatch.setattr(os, "scandir", refusing(errno.EACCES, lambda path: path.name == "closed"))
    with pytest.raises(SystemExit) as end:
        main([*WATCH, "--once"])
    assert end.value.code == command.BROKEN
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


def test_a_folder_that_the_user_lacks_the_permission_to_read_is_refused(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    monkeypatch.setattr(os, "scandir", refusing(errno.EACCES, lambda path: path == Path("in")))
    status, said = ended([*WATCH, "--once"], capsys)
    assert status == command.BROKEN
    assert "'in' may not be read: you lack the permission" in said


def test_what_goes_away_while_it_is_looked_at_hides_no_image(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the folder of a day that a camera removes: it was listed, and is gone when it is looked into."""
    make_image(Path("in/a.png"), 1, seed=30)
    Path("in/passing").mkdir()
    monkeypatch.setattr(os, "scandir", refusing(errno.ENOENT, lambda path: path.name == "passing"))
    assert [row["path"] for row in once(capsys)] == ["in/a.png"]


@pytest.mark.parametrize("place", ["in", "in/drive"])
def test_a_drive_that_answers_after_a_while_is_waited_for(
    place: str, make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_image(Path("in/drive/b.png"), 1, seed=31)
    looks = iter(range(3))
    stale = refusing(errno.ESTALE, lambda path: path == Path(place) and next(looks, None) is not None)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", stale)
        main([*WATCH, "--once"])
    said = capsys.readouterr()
    assert {json.loads(line)["path"] for line in said.out.splitlines()} >= {"in/a.png", "in/drive/b.png"}
    assert said.err.count(f"'{place}' ") == 1
    assert "Stale file handle" in said.err


def test_a_folder_that_stays_unread_does_not_keep_the_command_and_gives_a_status(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_image(Path("in/drive/b.png"), 1, seed=31)
    monkeypatch.setattr(os, "scandir", refusing(errno.EIO, lambda path: path.name == "drive"))
    status, said = ended([*WATCH, "--once"], capsys)
    assert status in (command.BROKEN, command.UNKNOWN_CAME)
    assert said.count("'in/drive' is passed over as long as it cannot be read: Input/output error") == 1


def test_another_command_is_waited_for_with_a_word_and_the_image_is_embedded_once(
    make_image: MakeImage, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    monkeypatch.setattr(command, "WORTH_A_WORD", 0.1)
    embed, calls, held = watched.images_of, 0, ExitStack()

    def busy(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        with ThreadPoolExecutor(1) as other:
            other.submit(held.enter_context, working_on(Path("run"))).result()
        threading.Timer(0.5, held.close).start()
        return embed(*arguments)

    monkeypatch.setattr(watched, "images_of", busy)
    main([*WATCH, "--once"])
    said = capsys.readouterr()
    assert [json.loads(line)["path"] for line in said.out.splitlines()[-1:]] == ["in/a.png"]
    assert calls == 1
    assert said.err.count("'run' is in use by ") == 1


def refusing(reason: int, law: Callable[[Path], bool]) -> Callable[[Any], Any]:
    """In the place of `os.scandir`: what the system says of some folders."""
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if not isinstance(path, int) and law(Path(path)):
            raise OSError(reason, os.strerror(reason), str(path))
        return scan(path)

    return scandir
