"""Files come into a folder: each is assigned once, whatever becomes of it or of the command meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands import rows
from conftest import MakeImage
from test_update import make_other

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs import journal
from anomaly_clustering.runs.journal import read_journal
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.mark import Mark, strangers
from anomaly_clustering.runs.run_away import ChangingError
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.watched import Watcher

SMALL = ["--clusters", "3", "--image-size", "32", "--method", "paper"]
OFTEN = ["--every", "0.02", "--false-alarms", "0.1"]


@pytest.fixture
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--out", "run", *SMALL])
    Path("in").mkdir()
    return Path("run")


def once(capsys: pytest.CaptureFixture[str], *words: str, status: int | None = None) -> list[dict[str, object]]:
    """The lines that are printed for what is there."""
    capsys.readouterr()
    argv = ["watch", "in", "--run", "run", "--once", *OFTEN, *words]
    if status is None:
        main(argv)
    else:
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_file_is_assigned_once_as_assign_would_do_it(run: Path, make_image: MakeImage, capsys) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_image(Path("in/b.png"), 2, seed=31)
    found = once(capsys)
    assert [row["path"] for row in found] == ["in/a.png", "in/b.png"]
    watched = rows(run, "assigned.csv")
    assert once(capsys) == []
    # Moved it is the same, and a copy is told as one.
    Path("in/a.png").rename("in/moved.png")
    shutil.copy("in/b.png", "in/copy.png")
    (copy,) = once(capsys)
    assert (copy["path"], copy["same_as"], copy["cluster"]) == ("in/copy.png", "in/b.png", found[1]["cluster"])
    assert once(capsys) == []
    assert [row["path"] for row in rows(run, "assigned.csv")] == ["in/moved.png", "in/b.png", "in/copy.png"]
    # What was watched is known to all commands.
    assert [path.name for path in load_later(run, load_run(run)).paths] == ["a.png", "b.png"]
    main(["assign", "in", "--run", "run", "--false-alarms", "0.1"])
    after = {row["path"]: row for row in rows(run, "assigned.csv")}
    assert after["in/b.png"] == watched[1]
    assert after["in/moved.png"]["p_value"] == watched[0]["p_value"]
    assert once(capsys) == []


def test_the_table_is_the_same_whether_watch_or_assign_took_the_files(run: Path, make_image: MakeImage, capsys) -> None:
    shutil.copytree(run, "other")

    def both(*, lines: list[str]) -> list[tuple[str, str]]:
        """Which files the tables hold, each with the one that it is a copy of; and what is printed for them."""
        assert [row["path"] for row in once(capsys)] == lines
        main(["assign", "in", "--run", "other", *OFTEN[2:]])
        watched, assigned = (rows(folder, "assigned.csv") for folder in (run, Path("other")))
        may_differ = ("p_value", "unknown")  # More images may have come since.
        assert without(watched, may_differ) == without(assigned, may_differ)
        assert once(capsys) == []
        assert without(rows(run, "assigned.csv"), ()) == without(assigned, ())
        return sorted((row["path"], row["same_as"]) for row in assigned)

    for i, name in enumerate("ab"):
        make_image(Path(f"in/{name}.png"), 1 + i, seed=30 + i)
    shutil.copy("in/a.png", "in/twin.png")
    shutil.copy("flat/00.png", "in/of_run.png")
    new = [("in/a.png", ""), ("in/b.png", "")]
    of_run, twin = ("in/of_run.png", "flat/00.png"), ("in/twin.png", "in/a.png")
    assert both(lines=["in/a.png", "in/b.png", "in/of_run.png", "in/twin.png"]) == [*new, of_run, twin]
    # A second copy under another name, one of a copy, and one of a copy of an image of the run.
    for i, name in enumerate(("a", "twin", "of_run")):
        shutil.copy(f"in/{name}.png", f"in/z{i}.png")
    again = [("in/z0.png", "in/a.png"), ("in/z1.png", "in/a.png"), ("in/z2.png", "flat/00.png")]
    assert both(lines=[path for path, _ in again]) == [*new, of_run, twin, *again]
    # An image is moved, of which there is no copy, and a copy; then an image that has copies.
    Path("in/b.png").rename("in/moved.png")
    Path("in/z2.png").rename("in/z3.png")
    again[2] = ("in/z3.png", "flat/00.png")
    new[1] = ("in/moved.png", "")
    assert both(lines=["in/z3.png"]) == [*new, of_run, twin, *again]
    Path("in/a.png").rename("in/y.png")
    like = [(path, "in/twin.png") for path in ("in/y.png", "in/z0.png", "in/z1.png")]
    assert both(lines=["in/y.png"]) == [new[1], of_run, ("in/twin.png", ""), *like, again[2]]
    # Either command goes on where the other one was.
    before = without(rows(run, "assigned.csv"), ())
    main(["assign", "in", "--run", "run", *OFTEN[2:]])
    assert without(rows(run, "assigned.csv"), ()) == before
    assert once(capsys) == []
    assert without(rows(run, "assigned.csv"), ()) == before


def without(table: list[dict[str, str]], columns: tuple[str, ...]) -> list[list[tuple[str, str]]]:
    """The rows of a table in any order, but for some columns."""
    return sorted([(name, value) for name, value in row.items() if name not in columns] for row in table)


def test_a_copy_that_the_run_of_a_stranger_names_is_not_drawn(run: Path, make_image: MakeImage, capsys) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    private = make_image(Path("../private.png"), 2, seed=31)
    main(["assign", "in", "--run", "run"])
    later = load_later(run, load_run(run))
    (run / "run.json").unlink()
    replace(later, paths=[Path("gone.png")], copies={private: later.digests[0]}).save(run)
    with pytest.raises(SystemExit):
        main(["assign", "in", "--run", "run"])
    assert "1 of 16 images are not below the working directory" in capsys.readouterr().err


def test_what_watch_keeps_of_an_image_is_what_assign_keeps(run: Path, make_image: MakeImage, capsys) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    shutil.copytree(run, "other")
    once(capsys)
    main(["assign", "in", "--run", "other"])
    watched, assigned = (load_later(folder, load_run(folder)) for folder in (run, Path("other")))
    for name in ("weights", "scores", "embeddings", "mean_scores", "top_scores"):
        assert (getattr(watched, name) == getattr(assigned, name)).all(), name


def test_an_unknown_image_is_told_by_a_command_and_the_status(run: Path, make_image: MakeImage, capsys) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    make_other(Path("in/$(touch gone) b.png"), 1)
    script = "import os, sys; open('told', 'a').write(sys.argv[1] + os.environ['ANOMALY_CLUSTERING_IMAGE'])"
    Path("tell.py").write_text(script)
    found = once(capsys, "--on-unknown", f"{sys.executable} tell.py", status=3)
    (unknown,) = [row for row in found if row["unknown"]]
    assert Path("told").read_text() == unknown["path"] + json.dumps(unknown)
    assert not Path("gone").exists()
    once(capsys, "--on-unknown", f"{sys.executable} tell.py")
    assert Path("told").read_text() == unknown["path"] + json.dumps(unknown)
    # Ended before the command was told, it is so now.
    lines = (run / "watched.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "told" not in json.loads(line) and not json.loads(line)["row"]["unknown"]]
    last = [line for line in lines if json.loads(line).get("path") == unknown["path"]]
    (run / "watched.jsonl").write_text("".join([*kept, *last]))
    once(capsys, "--on-unknown", f"{sys.executable} tell.py")
    assert Path("told").read_text() == 2 * (unknown["path"] + json.dumps(unknown))


def test_a_file_that_stays_broken_is_named_and_taken_when_it_is_whole(run: Path, make_image: MakeImage, capsys) -> None:
    whole = make_image(Path("whole.png"), 1, seed=30).read_bytes()
    Path("in/a.png").write_bytes(whole[: len(whole) // 2])
    (line,) = once(capsys, status=2)
    assert line["path"] == "in/a.png"
    assert "in/a.png" in str(line["error"])
    Path("in/a.png").write_bytes(whole)
    assert [row["path"] for row in once(capsys)] == ["in/a.png"]


def test_a_file_that_is_written_while_it_is_read_is_taken_at_the_next_look(
    run: Path, make_image: MakeImage, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    take, tries = Watcher.take, []

    def first_written(watcher: Watcher, path: Path) -> object:
        tries.append(path)
        if len(tries) == 1:
            raise ChangingError("it grows")
        return take(watcher, path)

    monkeypatch.setattr(Watcher, "take", first_written)
    assert [row["path"] for row in once(capsys)] == ["in/a.png"]
    assert len(tries) == 2


def test_a_line_that_was_cut_off_and_a_row_that_was_not_written_are_made_good(
    run: Path, make_image: MakeImage, capsys
) -> None:
    for name in "ab":
        make_image(Path(f"in/{name}.png"), 1, seed=ord(name))
    first = once(capsys)
    table, kept = (run / "assigned.csv").read_text(), (run / "watched.jsonl").read_text()
    # Killed between the journal and the table, and in the middle of a line.
    (run / "assigned.csv").write_text(table[: table.index("in/b.png")])
    assert once(capsys) == []
    assert (run / "assigned.csv").read_text() == table
    (run / "watched.jsonl").write_text(kept[:-100])
    assert once(capsys) == first[1:]
    assert (run / "assigned.csv").read_text() == table
    assert [entry.path.name for entry in read_journal(run)] == ["a.png", "b.png"]


def test_a_full_disk_is_waited_for(
    run: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    write, full = os.write, [True, True]

    def some(descriptor: int, data: bytes) -> int:
        if b"digest" in data and full:
            full.pop()
            return write(descriptor, data[:10])
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", some)
    argv = ["watch", "in", "--run", "run", "--once", *OFTEN]
    main(argv)
    said = capsys.readouterr()
    assert said.err.count("waiting for room") == 1
    assert json.loads(said.out.splitlines()[-1])["path"] == "in/a.png"
    assert len(read_journal(run)) == 1
    assert not full


@pytest.mark.slow
def test_of_200_files_that_come_none_is_lost_and_none_taken_twice_through_two_kills(
    run: Path, make_image: MakeImage
) -> None:
    argv = [sys.executable, "-m", "anomaly_clustering", "watch", "in", "--run", "run", *OFTEN]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    Path("made").mkdir()
    for i in range(200):
        make_image(Path(f"made/{i:03}.png"), i % 3, seed=1000 + i)
    process, printed = start(), ""
    for i, file in enumerate(sorted(Path("made").iterdir())):
        content, target = file.read_bytes(), Path("in") / file.name
        if i % 5 == 0:
            # Half of it first.
            target.write_bytes(content[:300])
            time.sleep(0.05)
        target.write_bytes(content)
        if i % 7 == 0:
            # Under another name until it is whole.
            target.rename(target.with_suffix(".part"))
            target.with_suffix(".part").rename(target)
        passing = Path("in/passing.png")
        passing.write_bytes(content[:-1] + b"x")
        time.sleep(0.03)
        passing.unlink()
        if i in (70, 140):
            until(lambda count=i // 3: len(read_journal(run)) > count)
            process.send_signal(signal.SIGKILL)
            printed += process.communicate()[0]
            process = start()
    until(lambda: len(read_journal(run)) >= 200)
    process.send_signal(signal.SIGTERM)
    printed += process.communicate(timeout=30)[0]
    assert process.returncode == 143
    names = [f"in/{i:03}.png" for i in range(200)]
    taken = [str(entry.path) for entry in read_journal(run) if entry.path.name != "passing.png"]
    assert sorted(taken) == names
    table = [row["path"] for row in rows(run, "assigned.csv") if "passing" not in row["path"]]
    assert sorted(table) == names
    # A kill may fall between the journal and a line that is printed.
    assert len([line for line in printed.splitlines() if "passing" not in line]) >= 198


def until(law: object, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not law():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_journal_that_is_damaged_is_named(run: Path) -> None:
    for line in ("{", "[]", '{"path": 3}', '{"path": "a", "digest": "0", "row": 3, "finding": true, "arrays": {}}'):
        (run / journal.WATCHED).write_text(f"{line}\n")
        with pytest.raises(ValueError, match=r"watched.jsonl' is damaged"):
            read_journal(run)


def test_a_run_has_one_watcher_and_other_commands_work_beside_it(
    run: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    argv = ["watch", "in", "--run", "run", *OFTEN]
    first = subprocess.Popen([sys.executable, "-m", "anomaly_clustering", *argv], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout
        assert json.loads(first.stdout.readline())["path"] == "in/a.png"
        with pytest.raises(SystemExit) as end:
            main([*argv, "--once"])
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert f"'run' has a watcher already, process {first.pid} on " in said
        assert "; end that first, or have one command watch a folder above both" in said
        for i, command in enumerate(("assign", "update")):
            make_image(Path(f"{command}/0.png"), 2, seed=40 + i)
            main([command, command, "--run", "run"])
        Path("labels.csv").write_text("path,cluster,label,unsure\nflat/00.png,0,dent,0\n")
        main(["export", "--labels", "labels.csv", "--layout", "coco", "--run", "run"])
        main(["trends", "--run", "run"])
        # What they took is known to the watcher.
        shutil.copy("update/0.png", "in/copy.png")
        assert json.loads(first.stdout.readline())["same_as"] == "update/0.png"
    finally:
        first.kill()
        first.communicate()
    # It has died, and keeps nobody out.
    assert once(capsys) == []
    assert len(read_journal(run)) == 2
    assert not list(Path().glob(".*"))


def test_the_lock_of_a_watcher_is_the_only_file_of_its_name_that_is_no_stranger(tmp_path: Path) -> None:
    """It lies in the folder where nothing can be written beside it."""
    lock = tmp_path / ".watcher"
    for content, found in (("process 7 on a machine", []), ("a bird", [".watcher"])):
        lock.write_text(content)
        assert strangers(tmp_path, Mark("run", {})) == found
