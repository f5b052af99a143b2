from pathlib import Path

import pytest

from anomaly_clustering.run_folder import check_free, whole_or_nothing


def write(out: Path, text: str, *, overwrite: bool = False, fail: bool = False) -> None:
    with whole_or_nothing(out, overwrite=overwrite) as folder:
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
    with pytest.raises(FileExistsError, match="not the folder of a run"):
        write(tmp_path, "run", overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    check_free(tmp_path, overwrite=False)
    write(tmp_path / "run", "first")
