"""Files that another program has open, which Windows then neither replaces, moves nor removes: no work is lost."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import SMALL, refused
from open_elsewhere import NotOpened, Refused, opened_elsewhere

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.earlier_sheets import remove_sheets
from anomaly_clustering.runs.mark import Mark, files_into, read_mark, write_mark
from anomaly_clustering.runs.run_folder import new_run
from anomaly_clustering.system.files import NotPlacedError, leftovers, remove_leftovers, whole_file
from anomaly_clustering.system.folders import whole_folder
from anomaly_clustering.system.lock_files import PROCESS, held
from anomaly_clustering.system.locks import LOCK
from anomaly_clustering.system.messages import sentence_of
from anomaly_clustering.system.replacing import OpenElsewhereError, check_closed, once_closed


def write(out: Path, text: str, *, overwrite: bool = False) -> None:
    with new_run(out, overwrite=overwrite) as folder:
        (folder / "assignments.csv").write_text(text)


def test_what_is_open_for_a_moment_is_replaced_as_soon_as_it_is_closed(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    (tmp_path / "a.csv").touch()
    with opened_elsewhere(lambda file: file.name == "a.csv", lets_go_after=3) as refused:
        with whole_file(tmp_path / "a.csv") as part:
            part.write_text("new")
        assert refused == ["replace a.csv"] * 3
    for blocked in ("rename old", "rename run"):
        with opened_elsewhere(lambda file: file.name == "assignments.csv", lets_go_after=2) as refused:
            write(tmp_path / "run", blocked, overwrite=blocked == "rename old")
            assert refused[:1] == [blocked]
        assert (tmp_path / "run" / "assignments.csv").read_text() == blocked
        for file in (tmp_path / "run").iterdir():
            file.unlink()
    assert (tmp_path / "a.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "run"]


def test_what_the_rights_do_not_allow_is_refused_at_once() -> None:
    tries = []

    def refused() -> None:
        tries.append(1)
        raise PermissionError(errno.EACCES, "Permission denied", "a.csv")

    with pytest.raises(PermissionError):
        once_closed(refused)
    assert len(tries) == 1


def test_a_file_that_stays_open_is_named_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with (
        opened_elsewhere(lambda file: file == tmp_path / "a.csv"),
        pytest.raises(OpenElsewhereError, match=r"^'.*a\.csv' is open in another program: close it there$"),
        whole_file(tmp_path / "a.csv") as part,
    ):
        part.write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_run_beside_an_old_one_that_is_open_is_kept_and_its_place_told(tmp_path: Path) -> None:
    run, kept = tmp_path / "run", tmp_path / "run.finished"
    write(run, "first")
    with (
        opened_elsewhere(lambda file: file == run / "assignments.csv"),
        pytest.raises(NotPlacedError, match=f"'{run}', or a file in it, is open.*close it there, remove '{run}', and"),
    ):
        write(run, "second", overwrite=True)
    assert (run / "assignments.csv").read_text() == "first"
    assert (kept / "assignments.csv").read_text() == "second"
    with opened_elsewhere(lambda file: file == run / "assignments.csv"), pytest.raises(NotPlacedError, match="-2' to"):
        write(run, "third", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.finished", "run.finished-2"]


@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_cannot_be_moved_at_all_is_kept_where_it_is(tmp_path: Path, before: bool) -> None:
    run = tmp_path / "run"
    if before:
        write(run, "first")
    with (
        opened_elsewhere(lambda file: "new" in file.parts and file.name == "assignments.csv"),
        pytest.raises(NotPlacedError, match=r"'.*unfinished/new', or a file in it, is open in another") as told,
    ):
        write(run, "second", overwrite=before)
    remove_leftovers(tmp_path, "run")
    assert (told.value.kept / "assignments.csv").read_text() == "second"
    assert run.exists() == before
    assert leftovers(tmp_path) == []
    # As the message has it.
    if before:
        assert (run / "assignments.csv").read_text() == "first"
        assert f"remove '{run}'" in str(told.value)
    else:
        told.value.kept.rename(run)


def test_a_folder_that_the_system_refuses_to_move_is_kept_whatever_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run", "first")
    rename = os.rename

    def busy(source: Path, target: Path) -> None:
        if Path(source).name == "run":
            raise OSError(errno.EBUSY, "Device or resource busy", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", busy)
    with pytest.raises(NotPlacedError, match=r"'.*run': device or resource busy; nothing is lost, all of it is in"):
        write(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run.finished" / "assignments.csv").read_text() == "second"


def test_neither_run_is_lost_where_the_old_one_cannot_be_moved_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    write(run, "first")
    rename = os.rename

    def busy(source: Path, target: Path) -> None:
        if Path(target) == run:
            raise OSError(errno.EBUSY, "Device or resource busy", str(source))
        rename(source, target)

    with monkeypatch.context() as moment:
        moment.setattr(os, "rename", busy)
        with pytest.raises(NotPlacedError, match=r"all of it is in '.*run\.finished'"):
            write(run, "second", overwrite=True)
    remove_leftovers(tmp_path, "run")
    assert (run / "assignments.csv").read_text() == "first"
    assert (tmp_path / "run.finished" / "assignments.csv").read_text() == "second"


def test_what_another_process_has_finished_serves_though_it_is_open(tmp_path: Path) -> None:
    place = tmp_path / "cut-outs"
    with whole_folder(place, keep=True) as new:
        (new / "0.png").write_text("second")
        with whole_folder(place, keep=True) as first:
            (first / "0.png").write_text("first")
        blocked = opened_elsewhere(lambda file: file.parent == new)
        blocked.__enter__()
    blocked.__exit__(None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["cut-outs"]
    assert (place / "0.png").read_text() == "first"


def test_of_a_leftover_all_is_removed_but_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # By names, as Windows does it.
    monkeypatch.setattr(shutil, "_use_fd_functions", False)
    leftover = tmp_path / f".run.{'0' * 32}.unfinished"
    (leftover / "new").mkdir(parents=True)
    for name in "abc":
        (leftover / "new" / f"{name}.png").touch()
    (leftover / LOCK).write_bytes(PROCESS)
    with opened_elsewhere(lambda file: file.name == "b.png"):
        remove_leftovers(tmp_path, "run")
    assert [path.name for path in (leftover / "new").iterdir()] == ["b.png"]


def test_an_old_run_of_which_a_file_is_opened_too_late_is_removed_by_the_next_command(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    with opened_elsewhere(lambda file: file.name == "assignments.csv" and "old" in file.parts):
        write(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run" / "assignments.csv").read_text() == "second"
    write(tmp_path / "run", "third", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_files_are_added_to_a_run_together_or_not_at_all_though_one_is_open(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write(run, "first")
    mark = read_mark(run)
    assert mark is not None

    def add() -> None:
        with files_into(run, mark) as new:
            (new / "added.csv").write_text("second")
            (new / "assignments.csv").write_text("second")

    with (
        opened_elsewhere(lambda file: file == run / "assignments.csv", lets_write=False),
        pytest.raises(
            OpenElsewhereError, match=r"^'.*run/assignments\.csv' is open in another program: close it there"
        ),
    ):
        add()
    assert sorted(path.name for path in run.iterdir()) == ["assignments.csv", "run.json"]
    assert (run / "assignments.csv").read_text() == "first"
    assert read_mark(run) == mark
    add()
    assert (run / "assignments.csv").read_text() == "second"


def test_a_table_that_is_open_is_told_before_the_work(
    flat_photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--out", "run", *SMALL])
    main(["assign", "flat", "--run", "run"])
    main(["trends", "--run", "run"])
    monkeypatch.setattr(torch.nn.Module, "__call__", None)
    for table, words in {
        "assigned.csv": ["assign", "flat", "--run", "run"],
        "trends.csv": ["trends", "--run", "run"],
        "assignments.csv": ["cluster", "flat", "--out", "run", *SMALL, "--overwrite"],
    }.items():
        with opened_elsewhere(Path("run", table).__eq__, lets_write=False):
            said = refused(words, capsys)
        assert said == f"error: 'run/{table}' is open in another program: close it there"


def test_a_file_without_the_right_to_write_to_it_is_replaced_where_the_system_lets_it_be(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch(mode=0o444)
    check_closed([tmp_path / "a.csv", tmp_path])
    with whole_file(tmp_path / "a.csv") as part:
        part.write_text("new")
    assert (tmp_path / "a.csv").read_text() == "new"


def test_what_windows_says_of_a_file_is_a_sentence() -> None:
    said = sentence_of(Refused(errno.EACCES, "The process cannot access the file", "a", None, "b"))
    assert said.startswith("'a' to 'b': the process cannot access the file; if it is open in another program, close it")
    said = sentence_of(NotOpened(errno.EACCES, "Permission denied", "a"))
    assert said.startswith("'a': permission denied; if it is open in another program, close it there")
    assert sentence_of(PermissionError(errno.EACCES, "Permission denied", "a")) == "'a': permission denied"


@pytest.mark.parametrize("enter", [whole_file, whole_folder])
def test_a_failure_is_told_though_what_was_begun_is_open(
    tmp_path: Path, enter: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def fail() -> None:
        with enter(tmp_path / "new") as part:
            (part / "new" if part.is_dir() else part).touch()
            raise RuntimeError("power cut")

    with opened_elsewhere(lambda file: file.name == "new" and file.is_file()), pytest.raises(RuntimeError):
        fail()


def test_an_earlier_sheet_that_is_looked_at_is_removed_by_the_next_command(tmp_path: Path) -> None:
    (tmp_path / "thumbnails").mkdir()
    sheets = ["thumbnails/0.jpg", "thumbnails/1.jpg"]
    for name in sheets:
        (tmp_path / name).touch()
    write_mark(tmp_path, Mark("run", dict.fromkeys(sheets)))
    with opened_elsewhere((tmp_path / sheets[0]).__eq__):
        remove_sheets(tmp_path, keep=set())
    assert read_mark(tmp_path) == Mark("run", {sheets[0]: None})
    remove_sheets(tmp_path, keep=set())
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_lock_that_is_open_for_a_moment_is_taken_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, scans = os.open, iter(range(3))

    def scanned(path: Any, *options: Any, **named: Any) -> int:
        if path == tmp_path / ".lock" and next(scans, None) is not None:
            raise NotOpened(errno.EACCES, "Permission denied", str(path))
        return opened(path, *options, **named)

    monkeypatch.setattr(os, "open", scanned)
    with held(tmp_path / ".lock") as state:
        assert state == "taken"
    assert next(scans, None) is None


def test_copies_of_read_only_photographs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "run", "first")
    (tmp_path / "run" / "assignments.csv").chmod(0o444)
    unlink = os.unlink

    def of_windows(path: Any, *, dir_fd: int | None = None) -> None:
        if not os.lstat(path, dir_fd=dir_fd).st_mode & stat.S_IWRITE:
            raise Refused(errno.EACCES, "Access is denied", str(path))
        unlink(path, dir_fd=dir_fd)

    def fail() -> None:
        with whole_folder(tmp_path / "export") as new:
            for name in ("a.png", "b.png"):
                (new / name).touch(mode=0o444)
            raise RuntimeError("power cut")

    monkeypatch.setattr(os, "unlink", of_windows)
    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    write(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run" / "assignments.csv").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_read_only_file_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch(mode=0o444)
    with (
        opened_elsewhere((tmp_path / "a.csv").__eq__),
        pytest.raises(OpenElsewhereError, match=r"a\.csv' is read-only: change that"),
        whole_file(tmp_path / "a.csv"),
    ):
        pass
