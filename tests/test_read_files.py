"""Files that are as they were are not read again by `assign`; those that may have changed are."""

import os
import shutil
from pathlib import Path

import pytest
from commands import rows
from conftest import MakeImage
from test_swapped_names import run  # noqa: F401

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs import read_files
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.read_files import ReadFiles, checked_signatures, signature
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest

LONG_AGO = 1_700_000_000


def aged(*places: Path) -> None:
    for path in (file for place in places for file in [place, *place.rglob("*.png")]):
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    paths: list[Path] = []

    def noted(path: Path) -> str:
        paths.append(path)
        return digest(path)

    monkeypatch.setattr(read_files, "digest", noted)
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
    new = make_image(Path("new/c.png"), 1, seed=40)
    main(["assign", "new", "--run", "run"])
    # They were read by the first call, and as those that came before by this one.
    assert {*own, a, b, copy} == set(read)
    read.clear()
    main(["update", "--run", "run"])
    # The new one may still be written to.
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
    signatures = load_later(Path("run"), load_run("run")).signatures
    assert {*own, b, new} <= signatures.keys()
    assert copy not in signatures
    # An image of the run that is another one is refused, whatever was known of it.
    make_image(own[0], 2, seed=51)
    with pytest.raises(SystemExit):
        main(["update", "--run", "run"])


def test_what_was_written_a_moment_ago_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"pixels")
    files = ReadFiles({}, {})
    content = files.digest(path)
    assert files.signatures_of({path: content}) == {}
    aged(path)
    assert files.digest(path) == content
    kept = files.signatures_of({path: content})
    assert kept == {path: signature(path)}
    assert files.signatures_of({path: "9f86"}) == {}
    read.clear()
    assert ReadFiles({path: content}, kept).digest(path) == content
    assert read == []
    # Of what it held nothing is known.
    assert ReadFiles({}, kept).digest(path) == content
    assert read == [path]


@pytest.mark.parametrize("told", [[], {"a.png": [1, 2]}, {"a.png": [1, 2, "3"]}, {"a.png": 1}, {"a.png": [1, 2, 3.5]}])
def test_a_stranger_s_signatures_are_checked(told: object) -> None:
    with pytest.raises(ValueError, match="does not tell how a file was"):
        checked_signatures(told)
