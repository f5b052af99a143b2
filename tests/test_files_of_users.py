"""Whatever a command does to a folder, files that are not on the list of its run are neither changed nor removed."""

import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from test_stored_run import stored

from anomaly_clustering.runs.checkpoints import WholeCheckpoints
from anomaly_clustering.runs.export import export
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.mark import files_into, read_mark
from anomaly_clustering.runs.output_folder import mark_of_run
from anomaly_clustering.runs.run_folder import new_run
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.training import TrainingFolder, reserved_to_train, write_training
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.tables import write_csv

# Where the user may have put something: names of a run's files among them.
NAMES = (
    *("assignments.csv", "metrics.json", "config.yaml", "report.html", "run.safetensors", "assigned.csv", "epochs.csv"),
    *("checkpoints/last.ckpt", "checkpoints/my_best_model.pt", "checkpoints", "thumbnails/0.jpg", "thumbnails/me.jpg"),
    *("thumbnails", "run.json", "thesis.tex", "notes/thesis.tex", ".hidden", ".epochs.csv", "labels.csv"),
)


def write_files(folder: Path) -> None:
    run = stored()
    run.save(folder)
    write_csv(folder / "assignments.csv", ["path", "cluster"], [(path, 0) for path in run.paths])
    (folder / "metrics.json").write_text(json.dumps({"num_images": len(run.paths)}))
    (folder / "config.yaml").write_text("tau: 0.02")
    (folder / "report.html").write_text("<html>")


def write_run(out: Path, *, overwrite: bool = False, meanwhile: Callable[[], None] = lambda: None) -> None:
    with new_run(out, overwrite=overwrite) as folder:
        write_files(folder)
        meanwhile()


def write_old_run(out: Path) -> None:
    """As before there were marks."""
    out.mkdir()
    write_files(out)


def train(
    out: Path, *, overwrite: bool = False, goes_on: bool = False, meanwhile: Callable[[], None] = lambda: None
) -> None:
    with reserved_to_train(out, ckpt_path="last" if goes_on else None, overwrite=overwrite):
        training = TrainingFolder(out, overwrite=overwrite)
        meanwhile()
        state = {"pytorch-lightning_version": "2.6", "state_dict": {}, "callbacks": {"LastAndBest": {"rows": []}}}
        checkpoints = WholeCheckpoints(out, training.begin)
        checkpoints.save_checkpoint(state, out / "checkpoints" / "last.ckpt")
        checkpoints.remove_checkpoint(out / "checkpoints" / "my_best_model.pt")
        write_csv(out / "epochs.csv", ["epoch"], [(0,)])
        write_training(out, [{"index": 0, "label": 1}], None, chosen={}, config="seed: 0")


def write_old_training(out: Path) -> None:
    train(out)
    (out / "run.json").unlink()


def assign(out: Path, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    mark = mark_of_run(out)
    if mark is None or mark.kind != "run":
        raise FileNotFoundError("no run")
    load_run(out)
    with files_into(out, mark, last=".html") as new:
        for name in ("assigned.csv", "assigned.safetensors", "report.html", "thumbnails/0.jpg", "thumbnails/1.jpg"):
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text("assigned")
        meanwhile()


def put(path: Path, kind: str, outside: Path) -> bool:
    """Something of the user's; whether it could be put there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            return False
        if kind == "link":
            path.symlink_to(outside / "precious.txt")
        elif kind == "link to a folder":
            path.symlink_to(outside, target_is_directory=True)
        elif kind == "folder":
            path.mkdir()
        else:
            path.write_text(f"the user's own {path.name}")
    except OSError:
        return False
    return True


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
    with files_into(tmp_path / "run", mark, last=".html") as new:
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


# What is hidden, and looks like what a process left that was killed while it wrote.

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
    write_run(tmp_path / "run")
    hidden = tmp_path / f".run.{HEX}.unfinished"
    hidden.mkdir()
    (hidden / ".lock").write_text("process 1")
    (tmp_path / "run").rename(hidden / "old")
    (hidden / "new").mkdir()
    assert load_run(tmp_path / "run").title == stored().title
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_lock_of_the_user_in_the_folder_of_a_run_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run" / ".lock").write_text("mine")
    with pytest.raises(FileExistsError, match=r"holds '\.lock', which is not of a run"):
        write_run(tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / ".lock").read_text() == "mine"


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


@pytest.mark.parametrize("name", ["metrics.json", "assignments.csv"])
def test_a_pipe_in_the_place_of_a_table_is_waited_for_by_nobody(tmp_path: Path, name: str) -> None:
    write_old_run(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(FileExistsError, match="which is not of a run"):
        write_run(tmp_path / "run", overwrite=True)
