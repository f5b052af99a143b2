"""Whatever a command does to a folder, files that are not on the list of its run are neither changed nor removed."""

import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from runs_by_hand import assign, put, train, write_old_run, write_old_training, write_run

from anomaly_clustering.runs.export import export
from anomaly_clustering.runs.labels import Labelled

# Where the user may have put something: names of a run's files among them.
NAMES = (
    *("assignments.csv", "metrics.json", "config.yaml", "report.html", "run.safetensors", "assigned.csv", "epochs.csv"),
    *("checkpoints/last.ckpt", "checkpoints/my_best_model.pt", "checkpoints", "thumbnails/0.jpg", "thumbnails/me.jpg"),
    *("thumbnails", "run.json", "thesis.tex", "notes/thesis.tex", ".hidden", ".epochs.csv", "labels.csv"),
)


def seen(path: Path) -> object:
    """What tells whether something of the user's is as it was."""
    if path.is_symlink():
        return os.readlink(path)
    return "folder" if path.is_dir() else path.read_bytes()


STATES = (lambda out: None, lambda out: out.mkdir(), write_run, write_old_run, train, write_old_training)


def users_own(out: Path, of_the_run: set[Path]) -> list[Path]:
    """Files, links and empty folders that the run did not write."""
    found = [path for path in out.rglob("*") if path not in of_the_run]
    return [path for path in found if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]


def play(place: Path, rng: random.Random) -> bool:
    """A folder with a run or none, files of the user's in it, a command, and one more file while it is at work.

    Returns:
        Whether the command succeeded.
    """
    outside, out = place / "outside", place / "out"
    outside.mkdir(parents=True)
    (outside / "precious.txt").write_text("years of work")
    (outside / "0.jpg").write_text("a photograph")
    rng.choice(STATES)(out)
    of_the_run = {path for path in out.rglob("*") if path.is_file()}
    kinds = ("file", "file", "file", "link", "link to a folder", "folder")
    if of_the_run and rng.random() < 0.2:
        # Something else is where a file of the run was.
        path = rng.choice(sorted(of_the_run))
        path.unlink()
        of_the_run.discard(path)
        put(path, rng.choice(kinds[3:]), outside)
    for name in rng.sample(NAMES, rng.choice((0, 0, 1, 2))):
        put(out / name, rng.choice(kinds), outside)
    before = {path: seen(path) for path in (*users_own(out, of_the_run), *outside.iterdir())}

    def meanwhile() -> None:
        late = out / rng.choice(("late.txt", "thumbnails/late.txt", "checkpoints/late.ckpt", "epochs.csv"))
        if rng.random() < 0.3 and put(late, "file", out):
            before[late] = seen(late)

    labels = [Labelled(outside / "0.jpg", 0, "dent", False)]
    commands: list[Callable[[], object]] = [
        lambda: write_run(out, overwrite=rng.random() < 0.8, meanwhile=meanwhile),
        lambda: train(out, overwrite=rng.random() < 0.6, goes_on=rng.random() < 0.3, meanwhile=meanwhile),
        lambda: assign(out, meanwhile=meanwhile),
        lambda: export(labels, out, "folders"),
    ]
    succeeded = False
    # What is refused is refused with one of these.
    with suppress(OSError, ValueError):
        rng.choice(commands)()
        succeeded = True
    assert {path: seen(path) if os.path.lexists(path) else None for path in before} == before
    assert not [path for path in place.rglob(".*") if path.name.endswith((".unfinished", ".lock"))]
    return succeeded


@pytest.mark.parametrize("cases", [range(150), pytest.param(range(150, 4000), marks=pytest.mark.slow)])
def test_what_is_not_on_the_list_stays(tmp_path: Path, cases: range) -> None:
    succeeded = 0
    for seed in cases:
        try:
            succeeded += play(tmp_path / str(seed), random.Random(seed))
        except BaseException as error:
            error.add_note(f"case {seed}")
            raise
        shutil.rmtree(tmp_path / str(seed))
    # Neither are all refused nor none.
    assert len(cases) / 8 < succeeded < len(cases) / 2


def test_a_folder_of_the_user_is_no_run(tmp_path: Path) -> None:
    for names in (["checkpoints/my_best_model.pt"], ["config.yaml", "epochs.csv"], ["assignments.csv"]):
        folder = tmp_path / names[0].replace("/", "-")
        for name in names:
            put(folder / name, "file", tmp_path)
        for attempt in (write_run, train):
            with pytest.raises(FileExistsError, match=r"exists and holds '.*', which is not of a run"):
                attempt(folder, overwrite=True)
        assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == names


def test_what_lies_beside_a_run_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    put(tmp_path / "run" / "thumbnails" / "12.jpg", "file", tmp_path)
    with pytest.raises(FileExistsError, match=r"run' exists and holds 'thumbnails/12.jpg', which is not of a run"):
        write_run(tmp_path / "run", overwrite=True)


def test_a_lock_of_the_user_in_the_folder_of_a_run_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / ".lock").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds '\.lock', which is not of a run"):
        write_run(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / ".lock").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics.json", "assignments.csv"])
def test_a_pipe_in_the_place_of_a_table_is_waited_for_by_nobody(tmp_path: Path, name: str) -> None:
    write_old_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(FileExistsError, match="which is not of a run"):
        write_run(tmp_path / "run", overwrite=True)
