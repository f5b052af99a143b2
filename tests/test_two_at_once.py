"""Two processes of each kind write to one folder: one of them succeeds, or both results are there, and none is lost."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs import output_folder
from anomaly_clustering.runs.mark import read_mark, strangers
from anomaly_clustering.runs.output_folder import check_file, reserved
from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.lock_files import held
from anomaly_clustering.system.locks import watching, working_on

SMALL = ["--clusters", "3", "--image-size", "32", "--method", "paper"]
# Holds a folder until it is told to go on, as a command does that computes.
HOLDS = """
import sys
from pathlib import Path
from anomaly_clustering.system.locks import working_on
with working_on(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Holder:
    """Another process that works on a folder."""

    def __init__(self, folder: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def here(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(photos.parent)
    return photos.parent


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_whoever_comes_second_is_told_who_is_at_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cluster", "photos", "--out", "run", *SMALL])
    Path("labels.csv").write_text("path,cluster,label,unsure\nphotos/good/0.png,0,dent,0\n")
    fit = ["fit", "--model", "tests.baseline.Brightness", "--data", "anomaly_clustering.data.Folder"]
    for folder, argv in (
        ("new", ["cluster", "photos", "--out", "new", *SMALL]),
        ("run", ["cluster", "photos", "--out", "run", "--overwrite", *SMALL]),
        ("run", ["assign", "photos", "--run", "run"]),
        ("new", ["export", "--labels", "labels.csv", "--out", "new"]),
        ("new", [*fit, "--data.root", "photos", "--out", "new"]),
    ):
        other = Holder(Path(folder))
        before = sorted(here.rglob("*"))
        said = refused(argv, capsys)
        assert f"'{folder}' is in use by process {other.process.pid} on " in said
        assert ", since 20" in said
        assert sorted(here.rglob("*")) == before
        # It dies, and leaves nothing that keeps others out.
        other.kill()
    main(["cluster", "photos", "--out", "new", *SMALL])
    main(["assign", "photos", "--run", "run"])
    assert not list(here.glob(".*"))


def test_two_that_assign_to_one_run_lose_no_image(here: Path, make_image: MakeImage) -> None:
    main(["cluster", "photos", "--out", "run", *SMALL])
    for name in ("a", "b"):
        make_image(here / name / f"{name}.png", 1, seed=30 + ord(name))
    ended = started_together(*(["assign", name, "--run", "run"] for name in ("a", "b")))
    with Path("run/assigned.csv").open(newline="") as file:
        assigned = {row["path"] for row in csv.DictReader(file)}
    assert assigned == {f"{name}/{name}.png" for name, (status, _) in zip("ab", ended, strict=True) if status == 0}
    check_one_of(ended)


@pytest.mark.slow
def test_two_that_cluster_into_one_folder(here: Path) -> None:
    ended = started_together(*(["cluster", "photos", "--out", "run", *SMALL, "--tau", tau] for tau in ("0.1", "0.2")))
    check_one_of(ended)
    mark = read_mark(here / "run")
    assert mark is not None
    assert strangers(here / "run", mark) == []


@pytest.mark.slow
def test_two_trainings_in_one_folder(here: Path) -> None:
    shutil.copy(Path(__file__).with_name("baseline.py"), "my_baseline.py")
    argv = [
        *("fit", "--model", "my_baseline.Brightness", "--data", "anomaly_clustering.data.Folder"),
        *("--data.root", "photos", "--data.image_size", "32", "--data.num_workers", "0", "--trainer.max_epochs", "2"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--out", "run"),
    ]
    check_one_of(started_together(argv, argv))
    assert torch.load("run/checkpoints/last.ckpt", weights_only=True)["epoch"] == 1


def started_together(*commands: list[str]) -> list[tuple[int, str]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "anomaly_clustering", *argv],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for argv in commands
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def check_one_of(ended: list[tuple[int, str]]) -> None:
    """One succeeds at least; the other one says who was in its way, or, if it came later, that the folder is taken."""
    assert any(status == 0 for status, _ in ended), ended
    for status, said in ended:
        assert status == 0 or "is in use by process" in said or "already holds a" in said, said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_lock_is_not_kept_by_processes_that_were_forked_off(tmp_path: Path) -> None:
    # Killed, so that it does not remove the file, on which the child may have the lock still.
    script = """
import os, sys, time
from pathlib import Path
from anomaly_clustering.system.locks import working_on

with working_on(Path(sys.argv[1])):
    if not os.fork():
        print(os.getpid(), flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        child = int(holder.stdout.readline())
        try:
            holder.kill()
            holder.wait(60)
            assert (tmp_path / ".run.lock").exists()
            with held(tmp_path / ".run.lock") as state:
                assert state == "taken"
        finally:
            os.kill(child, signal.SIGKILL)


def test_what_is_in_the_place_of_a_lock_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / ".a.lock").symlink_to(tmp_path / "thesis.tex")
    (tmp_path / ".b.lock").write_text("of another program")

    def work(name: str) -> None:
        with working_on(tmp_path / name):
            pass

    with pytest.raises(OSError, match=r"\.a\.lock"):
        work("a")
    with pytest.raises(FileExistsError, match=r"\.b\.lock' is in the place of a lock and is none"):
        work("b")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / ".b.lock").read_text() == "of another program"


def test_what_another_process_is_writing_is_no_leftover(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.csv") as first:
        first.write_text("first")
        with whole_file(tmp_path / "a.csv") as second:
            second.write_text("second")
    assert (tmp_path / "a.csv").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_what_has_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def write() -> None:
        with whole_folder(tmp_path / "run") as new:
            (new / "ours").touch()
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "thesis.tex").write_text("years of work")

    with pytest.raises(FileExistsError, match="has appeared while this was computed"):
        write()
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.tex")] == [Path("run/thesis.tex")]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(("enter", "name"), [(working_on, ".lock"), (watching, ".watcher")])
def test_a_user_who_may_write_in_the_folder_alone_and_one_who_may_beside_it_keep_each_other_out(
    tmp_path: Path, enter: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with held(run / name), pytest.raises(BlockingIOError, match=r"'.*run' (is in use by|has a watcher)"), enter(run):
        pass
    with held(tmp_path / f".run{name}"), monkeypatch.context() as rights:
        rights.setattr(os, "access", lambda path, mode: path != tmp_path)
        with pytest.raises(BlockingIOError, match="process"), enter(run):
            pass
    with enter(run):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]


def test_what_lies_where_only_folders_can_be_made_is_worked_on_and_nothing_new_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the root of a disk on Windows, which says that it may be written to."""
    opened = os.open

    def takes_folders_alone(path: Any, flags: int, *mode: int) -> int:
        if Path(path).parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *mode)

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "open", takes_folders_alone)
    monkeypatch.setattr(output_folder, "ON_WINDOWS", True)
    with working_on(tmp_path / "run"), watching(tmp_path / "run"):
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", ".watcher"]
    for folder in (tmp_path / "run", tmp_path / "new"):
        with (
            pytest.raises(PermissionError, match="is not a folder that can be written to"),
            reserved(folder, overwrite=True),
        ):
            pass
    with pytest.raises(PermissionError, match="is not a folder that can be written to"):
        check_file(tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.rglob("*")] == ["run"]


def test_the_lock_of_another_user_is_no_folder_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, opened = tmp_path / ".run.lock", os.open

    def of_another(path: Any, flags: int, *mode: int) -> int:
        if path == lock and flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *mode)

    with held(lock):
        monkeypatch.setattr(os, "open", of_another)
        with pytest.raises(BlockingIOError, match="is in use by process"), working_on(tmp_path / "run"):
            pass
    lock.write_bytes(b"process 7 on another machine")
    with pytest.raises(PermissionError, match="is the lock of another user"), working_on(tmp_path / "run"):
        pass


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_drive_without_locks_is_worked_on_and_what_is_no_lock_stays(
    tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with working_on(tmp_path / "run"):
        assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
    (tmp_path / ".run.lock").write_text("my thesis", encoding="utf-8")
    with pytest.raises(FileExistsError, match="is none; move it away"), working_on(tmp_path / "run"):
        pass
    assert (tmp_path / ".run.lock").read_text(encoding="utf-8") == "my thesis"


@pytest.mark.parametrize("kind", ["pipe", "link", "link to itself", "folder"])
def test_what_cannot_be_a_lock_is_named_and_waited_for_by_nobody(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / ".run.lock"
    make = {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("thesis.tex"), "folder": os.mkdir}
    make.get(kind, lambda path: path.symlink_to(path.name))(lock)
    with (
        pytest.raises(FileExistsError, match=r"run\.lock' is in the place of a lock and is none; move it away"),
        working_on(tmp_path / "run"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]


def test_a_folder_with_a_name_that_is_too_long_is_refused_in_a_short_line(here: Path, capsys) -> None:
    error = refused(["cluster", "photos", *SMALL, "--out", "x" * 245], capsys)
    assert error == f"error: '{'x' * 245}' is a name of more than 200 bytes; choose a shorter one for the folder\n"


def test_a_link_that_leads_to_itself_is_no_folder(here: Path, capsys) -> None:
    Path("loop").symlink_to("loop")
    assert "'loop' is a link that leads nowhere" in refused(["cluster", "photos", *SMALL, "--out", "loop"], capsys)
    assert "loop' is a link that leads nowhere" in refused(["cluster", "photos", *SMALL, "--out", "loop/x"], capsys)
    main(["cluster", "photos", *SMALL, "--out", "run"])
    for words in (
        ["assign", "photos", "--run", "loop"],
        ["assign", "loop", "--run", "run"],
        ["cluster", "loop", *SMALL],
    ):
        assert refused(words, capsys).startswith("error: ")


def test_an_error_that_a_file_is_called_is_no_error(here: Path, capsys) -> None:
    Path("photos/UnreadableImageError: all is well.png").write_text("x")
    error = refused(["cluster", "photos", *SMALL], capsys)
    assert "error: 'photos/UnreadableImageError: all is well.png' is not an image that can be read" in error
