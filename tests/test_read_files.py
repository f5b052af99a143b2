"""Files that are as they were are not read again by `assign`; those that may have changed are."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import rows
from conftest import MakeImage
from test_swapped_names import run, swap, watched  # noqa: F401

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.changing_files import signature
from anomaly_clustering.runs.read_files import Read, ReadFiles, checked_read
from anomaly_clustering.system.files import digest

LONG_AGO = 1_700_000_000


def aged(*places: Path) -> None:
    for path in (file for place in places for file in [place, *place.rglob("*.png")]):
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The images that are read for their SHA-256, in whatever room."""
    paths: list[Path] = []
    whole = hashlib.file_digest

    def noted(file: Any, kind: str) -> Any:
        if (path := Path(file.name)).suffix == ".png":
            paths.append(path)
        return whole(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    return paths


def assigned() -> dict[str, str]:
    return {row["path"]: row["cluster"] + row["same_as"] for row in rows(Path("run"), "assigned.csv")}


@pytest.mark.usefixtures("run")
def test_assign_reads_what_has_changed_since_the_last_call(make_image: MakeImage, read: list[Path]) -> None:
    a, b = (make_image(Path(f"in/{name}.png"), kind, seed=30) for kind, name in ((1, "a"), (2, "b")))
    copy = Path(shutil.copy(a, "in/copy.png"))
    own = [path.relative_to(Path.cwd()) for path in Path.cwd().glob("flat/*.png")]
    aged(Path("flat"), Path("in"))
    main(["assign", "in", "--run", "run"])
    assert set(read) == {*own, a, b, copy}
    read.clear()
    new = make_image(Path("new/c.png"), 1, seed=40)
    main(["assign", "new", "--run", "run"])
    assert set(read) == {new}
    read.clear()
    main(["update", "--run", "run"])
    # It may still be written to.
    assert read == [new]
    # Under the same name, size and time.
    b.rename("away.png")
    shutil.copy("away.png", b)
    aged(b, new)
    os.utime(a)
    read.clear()
    main(["update", "--run", "run"])
    assert sorted(read) == sorted([a, b, new])
    make_image(copy, 2, seed=50)
    aged(copy)
    read.clear()
    main(["update", "--run", "run"])
    assert set(read) <= {a, copy}
    assert copy in read
    assert str(copy) not in assigned()
    # Whether they are given again or not.
    aged(a)
    main(["assign", "in", "--run", "run"])
    read.clear()
    main(["assign", "in", "--run", "run"])
    main(["update", "--run", "run"])
    assert read == []
    # An image of the run that is another one is refused, whatever was known of it.
    make_image(own[0], 2, seed=51)
    with pytest.raises(SystemExit):
        main(["update", "--run", "run"])


@pytest.mark.usefixtures("run")
def test_what_watch_has_seen_between_is_not_taken_for_what_was_read_before(make_image: MakeImage) -> None:
    a, b = (make_image(Path(f"in/{name}.png"), kind, seed=30 + kind) for kind, name in ((1, "a"), (2, "b")))
    aged(Path("in"))
    for command in ("assign in", "update"):
        main([*command.split(), "--run", "run"])
    before = assigned()
    swap(a, b)
    watched()
    assert assigned() != before
    swap(a, b)
    main(["update", "--run", "run"])
    assert assigned() == before


def test_what_was_written_a_moment_ago_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    files = ReadFiles({})
    content = files.digest(path)
    assert files.now == {}
    aged(path)
    assert files.digest(path) == content
    assert files.now == {path: Read(signature(path), path.stat().st_ctime_ns, content)}
    read.clear()
    assert ReadFiles(files.now).digest(path) == content
    assert read == []
    # Of the same size, under the same time.
    path.write_bytes(b"PIXELS")
    aged(path)
    if os.name != "nt":
        assert ReadFiles(files.now).digest(path) == digest(path) != content


@pytest.mark.parametrize(
    "told", [[], {"a.png": [1, "9f86"]}, {"a.png": [[1, 2, 3], "9f86"]}, {"a.png": [[1, 2, 3], 4, 5]}]
)
def test_what_a_stranger_says_of_files_is_checked(told: object) -> None:
    with pytest.raises(ValueError, match="does not tell how a file was"):
        checked_read(told)
