"""Hidden files that look like what a killed process left: those of the user stay, and a run moved away is put back."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from runs_by_hand import write_run
from test_stored_run import stored

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.mark import read_mark
from anomaly_clustering.runs.store import load_run

HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "name", [".projects.unfinished", ".assigning-homework", ".run-december.unfinished", f".run.{HEX}.unfinished"]
)
def test_hidden_files_of_the_user_stay(tmp_path: Path, name: str) -> None:
    for place in (tmp_path, tmp_path / "run"):
        (place / name).mkdir(parents=True)
        (place / name / "thesis.txt").write_text("mine")
    with suppress(FileExistsError):
        write_run(tmp_path / "run")
    assert [(place / name / "thesis.txt").read_text() for place in (tmp_path, tmp_path / "run")] == ["mine"] * 2
    shutil.rmtree(tmp_path / "run")
    write_run(tmp_path / "run")
    assert (tmp_path / name / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("links", [["old"], ["old", "new"], ["new"], [".lock"]])
@pytest.mark.parametrize("locked", [True, False])
def test_a_hidden_folder_of_a_stranger_leads_nowhere(tmp_path: Path, links: list[str], locked: bool) -> None:
    precious = tmp_path / "precious"
    write_run(precious)
    (precious / "thesis.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in precious.iterdir()}
    archive = tmp_path / "archive"
    hidden = archive / f".run.{HEX}.unfinished"
    for name in ("old", "new"):
        (hidden / name).mkdir(parents=True)
    if locked and ".lock" not in links:
        (hidden / ".lock").write_text("process 1")
    for name in links:
        if (hidden / name).is_dir():
            (hidden / name).rmdir()
        (hidden / name).symlink_to("../../precious")
    write_run(archive / "run")
    assert {path.name: path.read_bytes() for path in precious.iterdir()} == before
    assert not (archive / "run").is_symlink()
    assert read_mark(archive / "run")


def test_a_run_that_was_moved_away_is_there_for_all_who_read_it(tmp_path: Path) -> None:
    move_away(tmp_path / "run")
    assert load_run(tmp_path / "run").title == stored().title
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_was_moved_away_is_there_for_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move_away(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    Path("batches.csv").write_text("path,batch\na.png,17\n")
    main(["trends", "--run", "run", "--by", "batch", "--metadata", "batches.csv"])
    assert Path("run/trends.csv").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["batches.csv", "run"]


def move_away(run: Path) -> None:
    """As `cluster --overwrite` leaves a run that is killed between its last two steps."""
    write_run(run)
    hidden = run.with_name(f".{run.name}.{HEX}.unfinished")
    hidden.mkdir()
    (hidden / ".lock").write_text("process 1")
    run.rename(hidden / "old")
    (hidden / "new").mkdir()
