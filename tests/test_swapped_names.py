"""Files swap their names, or an image is put back where another one was: each row goes where its image is."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from commands import SMALL, rows
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.file_names import WATCHED
from anomaly_clustering.runs.names_apart import apart
from anomaly_clustering.system.files import digest

RUN, CAMERA = Path("run"), Path("in/latest.png")


@pytest.fixture(autouse=True)
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", "--out", "run", *SMALL])


def watched() -> None:
    main(["watch", "in", "--run", "run", "--once", "--every", "0.02", "--false-alarms", "0.1"])


def table() -> dict[str, str]:
    """The cluster of each file in the table, with the one that it is a copy of."""
    return {row["path"]: row["cluster"] + row["same_as"] for row in rows(RUN, "assigned.csv")}


def swap(one: Path, other: Path) -> None:
    one.rename("between.png")
    other.rename(one)
    Path("between.png").rename(other)


def three_copies_of_one(make_image: MakeImage, folder: str) -> list[Path]:
    first = make_image(Path(folder, "a.png"), 1, seed=30)
    return [first, *(Path(shutil.copy(first, first.with_name(name))) for name in ("c.png", "d.png"))]


@pytest.mark.parametrize("gone", [False, True])
def test_a_copy_that_was_overwritten_has_no_row_and_takes_none(make_image: MakeImage, *, gone: bool) -> None:
    first, overwritten, copy = three_copies_of_one(make_image, "cam")
    main(["assign", "cam", "--run", "run"])
    before = table()
    make_image(overwritten, 2, seed=31)
    other = make_image(Path("other/b.png"), 1, seed=32)
    if gone:
        first.unlink()
    main(["assign", "other", "--run", "run"])
    after = table()
    assert after.pop(str(other))
    cluster = before[str(first)]
    assert after == ({str(copy): cluster} if gone else {str(first): cluster, str(copy): cluster + str(first)})
    # The file that was overwritten is an image of its own.
    main(["assign", "cam", "--run", "run"])
    assert table()[str(overwritten)].isdecimal()


@pytest.mark.parametrize("left", [False, True])
def test_watch_names_an_image_of_which_a_copy_was_overwritten_as_the_table_does(
    make_image: MakeImage, capsys: pytest.CaptureFixture[str], *, left: bool
) -> None:
    first, overwritten, copy = three_copies_of_one(make_image, "in")
    watched()
    first.unlink()
    if not left:
        copy.unlink()
    make_image(overwritten, 2, seed=31)
    capsys.readouterr()
    watched()
    assert "held another image before" not in capsys.readouterr().err
    assert set(table()) == {str(overwritten), str(copy if left else first)}
    # What holds the image alone is its own.
    content = digest(overwritten)
    make_image(overwritten, 1, seed=33)
    watched()
    assert f"goes by '{apart(overwritten, content)}' now" in capsys.readouterr().err
    assert str(apart(overwritten, content)) in table()


def test_watch_puts_no_row_on_a_copy_elsewhere_that_was_overwritten(make_image: MakeImage) -> None:
    first = make_image(Path("in/a.png"), 1, seed=30)
    Path("elsewhere").mkdir()
    copy = Path(shutil.copy(first, "elsewhere/c.png"))
    main(["assign", "in", "--run", "run"])
    main(["assign", "elsewhere", "--run", "run"])
    first.unlink()
    make_image(copy, 2, seed=31)
    watched()
    assert [row["path"] for row in rows(RUN, "assigned.csv") if not row["same_as"]] == [str(first)]


def test_rows_follow_files_that_swap_their_names(make_image: MakeImage, capsys) -> None:
    one, other = (make_image(Path(f"in/{i}.png"), 1 + i, seed=30 + i) for i in range(2))
    watched()
    before = table()
    assert before[str(one)] != before[str(other)]
    swapped = {str(one): before[str(other)], str(other): before[str(one)]}
    # After watch, after a command that stored what watch took, with a new journal.
    for i, between in enumerate((None, "update", None, "update", "moved away", None)):
        if between in ("update", "moved away"):
            main(["update", "--run", "run"])
        if between == "moved away":
            (RUN / WATCHED).unlink()
        swap(one, other)
        capsys.readouterr()
        watched()
        assert capsys.readouterr().out == ""
        expected = before if i % 2 else swapped
        assert table() == expected
        # It is known from then on.
        journal = (RUN / WATCHED).read_text()
        watched()
        assert (RUN / WATCHED).read_text() == journal
    # Where a command is given other files, it looks into these too.
    swap(one, other)
    main(["assign", "flat", "--run", "run"])
    assert {path: told for path, told in table().items() if path in before} == swapped


def test_the_place_of_an_image_that_holds_another_one_by_now_is_no_original_of_a_copy(
    make_image: MakeImage, capsys
) -> None:
    one, other = (make_image(Path(f"in/{i}.png"), 1 + i, seed=30 + i) for i in range(2))
    Path("in/2.png").write_bytes(other.read_bytes())
    watched()
    cluster = table()
    swap(one, other)
    capsys.readouterr()
    watched()
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["path"], line["same_as"]) == (str(one), "in/2.png")
    found = table()
    assert found.keys() == cluster.keys()
    assert found[str(other)] == cluster[str(one)]
    assert sorted([found[str(one)], found["in/2.png"]]) == sorted([cluster[str(other)], f"{cluster[str(other)]}{one}"])


def test_an_image_that_is_put_back_has_its_file_again(make_image: MakeImage) -> None:
    first = make_image(CAMERA, 1, seed=30).read_bytes()
    Path("made.csv").write_text(f"path,batch\n{CAMERA},17\n")
    main(["assign", "in", "--run", "run", "--metadata", "made.csv"])
    before = table()
    second = digest(make_image(CAMERA, 2, seed=31))
    watched()
    other = table()[str(CAMERA)]
    CAMERA.write_bytes(first)
    watched()
    expected = {str(CAMERA): before[str(CAMERA)], str(apart(CAMERA, second)): other}
    assert table() == expected
    # What was kept with it is its own.
    main(["update", "--run", "run"])
    assert table() == expected
    told = {row["path"]: row["batch"] for row in rows(RUN, "metadata.csv")}
    assert (told[str(CAMERA)], told[str(apart(CAMERA, second))]) == ("17", "")
    make_image(CAMERA, 2, seed=31)
    watched()
    first_apart = str(apart(CAMERA, hashlib.sha256(first).hexdigest()))
    assert table() == {first_apart: before[str(CAMERA)], str(CAMERA): other}
