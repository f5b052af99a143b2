"""The mark of a run lists its files: what it replaces, what it is added to by, and what tells damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from runs_by_hand import assign, put, train, write_old_run, write_old_training, write_run

from anomaly_clustering.runs.checkpoints import WholeCheckpoints
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.mark import files_into, read_mark
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest


@pytest.mark.parametrize("write", [write_run, write_old_run])
def test_a_run_is_replaced_with_a_mark_or_as_earlier_versions_wrote_it(tmp_path: Path, write) -> None:
    write(tmp_path / "run")
    with pytest.raises(FileExistsError, match="already holds a run"):
        write_run(tmp_path / "run")
    write_run(tmp_path / "run", overwrite=True)
    mark = read_mark(tmp_path / "run")
    assert mark is not None
    assert mark.files == {name: digest(tmp_path / "run" / name) for name in mark.files}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("write", [train, write_old_training])
def test_a_training_is_replaced_or_gone_on_with_also_of_earlier_versions(tmp_path: Path, write) -> None:
    write(tmp_path / "run")
    with pytest.raises(FileExistsError, match="already holds a training; go on with it with --ckpt_path last"):
        train(tmp_path / "run")
    train(tmp_path / "run", goes_on=True)
    assert read_mark(tmp_path / "run") is not None
    train(tmp_path / "run", overwrite=True)


def test_a_mark_that_names_files_elsewhere_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "thesis.tex", "file", tmp_path)
    for name in ("../thesis.tex", str(tmp_path / "thesis.tex"), "a/../../thesis.tex", "..\\thesis.tex"):
        write_run(tmp_path / "run")
        mark = json.loads((tmp_path / "run" / "run.json").read_text())
        mark["files"][name] = None
        (tmp_path / "run" / "run.json").write_text(json.dumps(mark))
        with pytest.raises(ValueError, match=r"run.json' is damaged, or is not the mark of a run"):
            write_run(tmp_path / "run", overwrite=True)
        shutil.rmtree(tmp_path / "run")
    assert (tmp_path / "thesis.tex").exists()


def test_a_flipped_bit_is_told_and_the_file_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    run = load_run(tmp_path / "run")
    store = tmp_path / "run" / "run.safetensors"
    content = bytearray(store.read_bytes())
    # In the last array: the file is still one that can be read.
    content[-3] ^= 1
    store.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"run.safetensors' is damaged: its SHA-256 is not the one that run.json lists"
    ):
        load_run(tmp_path / "run")
    mark = read_mark(tmp_path / "run")
    assert mark is not None
    with files_into(tmp_path / "run", mark) as new:
        (new / "assigned.safetensors").write_text("as it was")
    (tmp_path / "run" / "assigned.safetensors").write_text("as it is")
    with pytest.raises(ValueError, match=r"assigned.safetensors' is damaged: .* delete it to assign images anew"):
        load_later(tmp_path / "run", run)


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before = last.read_bytes()

    class Full:
        def __reduce__(self) -> tuple[object, ...]:
            raise OSError(28, "No space left on device")

    checkpoints = WholeCheckpoints(tmp_path / "run", lambda: None)
    with pytest.raises(OSError, match=r"the disk of '.*checkpoints' is full"):
        checkpoints.save_checkpoint({"state_dict": {"a": torch.zeros(1000), "b": Full()}}, last)
    assert last.read_bytes() == before
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: b"cut", lambda whole: whole[:-200]])
def test_a_damaged_checkpoint_is_named_with_the_way_out(
    tmp_path: Path, damage: Callable[[bytes], bytes], marked: bool
) -> None:
    train(tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    WholeCheckpoints(tmp_path / "run", lambda: None).load_checkpoint(last)
    last.write_bytes(damage(last.read_bytes()))
    if not marked:
        (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(
        ValueError, match=r"last.ckpt' is damaged, or is not of a training; give another one with --ckpt"
    ):
        WholeCheckpoints(tmp_path / "run", lambda: None).load_checkpoint(last)


def test_a_run_is_added_to_by_a_link_to_its_folder(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "latest").symlink_to("run")
    assign(tmp_path / "latest")
    mark = read_mark(tmp_path / "run")
    assert mark
    assert "assigned.csv" in mark.files
    train(tmp_path / "trained")
    (tmp_path / "link").symlink_to("trained")
    train(tmp_path / "link", goes_on=True)


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "a/" + "x" * 300])
def test_a_mark_that_lists_what_no_file_can_be_called_is_refused(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "run")
    mark = json.loads((tmp_path / "run" / "run.json").read_text())
    mark["files"][name] = None
    (tmp_path / "run" / "run.json").write_text(json.dumps(mark))
    with pytest.raises(ValueError, match="is damaged, or is not the mark of a run"):
        write_run(tmp_path / "run", overwrite=True)
