"""What is written is there whole or not at all; what a run leaves is replaced only if the user says so."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from timeit import timeit

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from anomaly_clustering.runs.mark import Mark, files_into, read_mark
from anomaly_clustering.runs.output_folder import check_file, reserved
from anomaly_clustering.runs.run_folder import new_run
from anomaly_clustering.system.files import digest, leftovers, whole_file
from anomaly_clustering.system.folders import whole_folder


def write(out: Path, text: str, *, overwrite: bool = False, fail: bool = False) -> None:
    with new_run(out, overwrite=overwrite) as folder:
        (folder / "assignments.csv").write_text(text)
        if fail:
            raise RuntimeError("power cut")


def test_a_run_appears_whole(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "run", "first")
    assert (tmp_path / "deep" / "run" / "assignments.csv").read_text() == "first"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]


def test_a_failure_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        write(tmp_path / "run", "half", fail=True)
    assert not list(tmp_path.iterdir())


def test_a_run_is_replaced_only_if_asked(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    with pytest.raises(FileExistsError, match=r"already holds a run.*--overwrite"):
        write(tmp_path / "run", "second")
    write(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run" / "assignments.csv").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failed_replacement_keeps_the_old_run(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    with pytest.raises(RuntimeError, match="power cut"):
        write(tmp_path / "run", "half", overwrite=True, fail=True)
    assert (tmp_path / "run" / "assignments.csv").read_text() == "first"


def test_a_folder_of_anything_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="which is not of a run"):
        write(tmp_path, "run", overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_with_something_beside_it_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    (tmp_path / "run" / "photo.png").write_text("mine")
    with pytest.raises(FileExistsError, match="which is not of a run"):
        write(tmp_path / "run", "second", overwrite=True)
    assert (tmp_path / "run" / "photo.png").read_text() == "mine"


@pytest.mark.parametrize("before", [True, False])
def test_what_a_logger_puts_there_during_the_work_moves_into_the_new_run(tmp_path: Path, before: bool) -> None:
    out, log = tmp_path / "run", tmp_path / "run" / "lightning_logs" / "version_0" / "hparams.yaml"
    if before:
        write(out, "first")
    with reserved(out, overwrite=before, say=str):
        log.parent.mkdir(parents=True)
        log.write_text("tau: 0.02")
        write(out, "second", overwrite=before)
    assert (out / "assignments.csv").read_text() == "second"
    assert log.read_text() == "tau: 0.02"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(FileExistsError, match="which is not of a run"):
        write(out, "third", overwrite=True)


def test_a_file_that_has_taken_the_place_of_a_run_to_come_stays(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="has appeared"), new_run(tmp_path / "run", overwrite=False):
        (tmp_path / "run").write_text("years of work")
    assert (tmp_path / "run").read_text() == "years of work"


def test_places_that_cannot_be_written_to_are_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PermissionError, match="not a folder that can be written to"):
        write(tmp_path / "file" / "run", "first")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(FileExistsError, match="is the working directory"):
        write(Path("."), "first", overwrite=True)


def test_a_place_is_known_by_the_letter_of_its_drive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a drive is mapped, Windows follows its letter to the server, but keeps it in the working directory."""
    (tmp_path / "server" / "here").mkdir(parents=True)
    (tmp_path / "drive").symlink_to("server")
    (tmp_path / "server" / "weights.pt").touch()
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    monkeypatch.chdir(tmp_path / "server" / "here")
    with pytest.raises(FileExistsError, match="is the working directory"):
        write(tmp_path / "drive" / "here", "first")
    with pytest.raises(FileExistsError, match="is read here, and would be lost"):
        check_file(tmp_path / "drive" / "weights.pt", read=[tmp_path / "server" / "weights.pt"])


def test_windows_knows_no_mounts_of_pathlib_before_python_3_12(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_mount(path: Path) -> bool:
        raise NotImplementedError("Path.is_mount() is unsupported on this system")

    monkeypatch.setattr(Path, "is_mount", is_mount)
    write(tmp_path / "run", "first")
    with pytest.raises(FileExistsError, match="is where a disk is mounted"):
        write(Path(tmp_path.anchor), "first")


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", "first")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "assignments.csv").is_file()


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", "first")
    assert (tmp_path / "run" / "assignments.csv").read_text() == "first"


def test_a_folder_that_is_closed_is_named_and_no_hidden_one_in_it(tmp_path: Path, monkeypatch) -> None:
    def closed(path: str, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "mkdir", closed)
    with (
        pytest.raises(
            PermissionError, match=rf"^'{tmp_path}' cannot be written to: permission denied; change its rights"
        ),
        whole_file(tmp_path / "a.csv"),
    ):
        pass


def test_a_file_appears_whole_with_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with whole_file(tmp_path / "deep" / "file") as part:
        part.write_text("half")
        assert not (tmp_path / "deep" / "file").exists()
        part.write_text("whole")
    assert (tmp_path / "deep" / "file").read_text() == "whole"
    assert (tmp_path / "deep" / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_tensors_have_the_rights_of_any_other_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with whole_file(tmp_path / "run.safetensors") as part:
        save_file({"labels": np.zeros(3)}, part)
    assert (tmp_path / "run.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_files_are_added_to_a_run_together_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path / "run", "first")
    run, mark = tmp_path / "run", read_mark(tmp_path / "run")
    assert mark is not None

    def killed() -> None:
        with files_into(run, mark) as new:
            (new / "assignments.csv").write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        killed()
    assert sorted(path.name for path in run.iterdir()) == ["assignments.csv", "run.json"]
    assert (run / "assignments.csv").read_text() == "first"
    with files_into(run, mark) as new:
        (new / "thumbnails").mkdir()
        (new / "thumbnails" / "0.jpg").write_text("new")
        (new / "assignments.csv").write_text("second")
    assert (run / "thumbnails" / "0.jpg").read_text() == "new"
    assert (run / "assignments.csv").read_text() == "second"
    after = read_mark(run)
    assert after is not None
    assert after.files == {name: digest(run / name) for name in ("assignments.csv", "thumbnails/0.jpg")}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_file_that_is_not_finished_leaves_the_old_one_and_no_trace(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "file").write_text("old")

    def interrupted() -> None:
        with whole_file(tmp_path / "file") as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_a_disk_without_room_for_a_lock_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="is full, so that nothing was written"), whole_file(tmp_path / "a.csv"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "a.csv"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_names_the_folder(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "run").mkdir()
    for enter in (
        lambda: whole_file(tmp_path / "run" / "a.csv"),
        lambda: whole_folder(tmp_path / "run"),
        lambda: files_into(tmp_path / "run", Mark("run", {})),
    ):
        with pytest.raises(OSError, match=r"the disk of '.*run' is full, so that nothing was"), enter():
            raise error
    # Of a file in a folder that is made, the folder is named that the user knows.
    with (
        pytest.raises(OSError, match=r"the disk of '.*run' is full"),
        whole_folder(tmp_path / "run") as new,
        whole_file(new / "inner" / "b.safetensors"),
    ):
        raise error
    # What else goes wrong is left as it was.
    with pytest.raises(FileNotFoundError, match="No such file"), whole_file(tmp_path / "run" / "a.csv"):
        (tmp_path / "nowhere").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_many_may_write_one_file_at_once(tmp_path: Path) -> None:
    def write_often(number: int) -> None:
        for _ in range(40):
            with whole_file(tmp_path / "file", durable=False) as part:
                part.write_text(str(number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_often, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() in "0123"


def test_a_file_is_written_beside_many_without_a_path_for_each(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(3000)]
    for name in names:
        (tmp_path / name).touch()
    leftover = tmp_path / f".a.csv.{32 * '0'}.unfinished"
    leftover.mkdir()

    def seconds(what: Callable[[], object]) -> float:
        return min(timeit(what, number=1) for _ in range(5))

    assert leftovers(tmp_path, "a.csv") == [leftover]
    assert seconds(lambda: leftovers(tmp_path, "a.csv")) < seconds(lambda: [tmp_path / name for name in names])
