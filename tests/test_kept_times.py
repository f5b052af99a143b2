"""The time of an image is that of its own file, as long as this holds it; what was told earlier stays."""

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from commands import SMALL, rows
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.journal import checked_times

RUN, CAMERA = Path("run"), Path("lat/latest.png")


@pytest.fixture(autouse=True)
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The photos of the run are of 1 March."""
    monkeypatch.chdir(flat_photos.parent)
    for photo in flat_photos.iterdir():
        on(1, photo)
    main(["cluster", "flat", "--clusters", "3", "--out", "run", "--method", "paper", *SMALL])


def on(day: int, image: Path) -> Path:
    """The file, last changed on a day of March."""
    os.utime(image, (datetime(2026, 3, day, 8).timestamp(),) * 2)
    return image


def days() -> dict[str, int]:
    main(["trends", "--run", "run", "--by", "day"])
    found = rows(RUN, "trends.csv")
    return {row["period"][-2:]: int(row["images"]) for row in found if row["defect"] == "All images"}


def test_an_image_that_was_overwritten_does_not_get_the_time_of_the_other(make_image: MakeImage, capsys) -> None:
    on(2, make_image(CAMERA, 1, seed=20))
    main(["assign", "lat", "--run", "run"])
    on(5, make_image(CAMERA, 2, seed=21))
    capsys.readouterr()
    # It came on the 2nd, which `assign` has kept, also when it is called again.
    assert days() == {"01": 15, "02": 1}
    main(["assign", "flat", "--run", "run"])
    assert days() == {"01": 15, "02": 1}


def test_files_of_another_folder_that_have_the_paths_of_the_run_do_not_date_it(
    make_image: MakeImage, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    shutil.copytree("run", "elsewhere/run")
    monkeypatch.chdir("elsewhere")
    for i, photo in enumerate(sorted((here / "flat").iterdir())):
        if i:
            on(7, make_image(Path("flat", photo.name), 1, seed=90 + i))
        else:
            Path("flat").mkdir()
            on(6, Path(shutil.copy(photo, Path("flat", photo.name))))
    capsys.readouterr()
    assert days() == {"06": 1}
    said = " ".join(capsys.readouterr().out.split())
    assert "14 of 15 images are left out: nothing tells their day, and their files are gone" in said
    assert "or hold others by now, 'flat/01.png' for one" in said


def kept(image: Path) -> tuple[str, str]:
    (row,) = [row for row in rows(RUN, "metadata.csv") if row["path"] == str(image)]
    return row["time"][:10], row["time_from"]


def with_batches() -> None:
    Path("made.csv").write_text("path,batch\n00.png,17\n")
    main(["assign", "flat", "--run", "run", "--metadata", "made.csv"])


def test_the_times_that_watch_kept_stay_where_files_were_copied_or_removed_since(make_image: MakeImage) -> None:
    with_batches()
    copied, gone = (on(3, make_image(Path(f"in/{i}.png"), 1 + i, seed=30 + i)) for i in range(2))
    main(["watch", "in", "--run", "run", "--once", "--every", "0.02"])
    on(9, copied)
    gone.unlink()
    main(["update", "--run", "run"])
    assert kept(copied) == kept(gone) == ("2026-03-03", "file")


def test_the_report_shows_the_times_that_the_same_call_writes(make_image: MakeImage) -> None:
    with_batches()
    images = [on(3, make_image(Path(f"new/{i}.png"), 1 + i, seed=30 + i)) for i in range(2)]
    main(["assign", "new", "--run", "run"])
    assert {kept(image) for image in images} == {("2026-03-03", "file")}
    # The page holds each text once.
    assert "2026-03-03T08:00:00" in (RUN / "report.html").read_text()


def batches() -> dict[str, str]:
    return {row["path"]: row["batch"] for row in rows(RUN, "metadata.csv") if row["batch"]}


def test_photos_that_were_moved_keep_what_is_told_of_them_where_they_are_now(capsys) -> None:
    Path("disk2").mkdir()
    Path("flat").rename("disk2/flat")
    # The copies tell when they were taken, though nothing is told of them.
    main(["assign", "disk2/flat", "--run", "run"])
    assert days() == {"01": 15}
    Path("made.csv").write_text("path,time,batch\n00.png,2026-03-04 08:00,17\n")
    main(["update", "disk2/flat", "--run", "run", "--metadata", "made.csv"])
    assert batches() == {"flat/00.png": "17"}
    assert kept(Path("flat/00.png")) == ("2026-03-04", "metadata")
    assert days() == {"01": 14, "04": 1}


def test_what_is_told_of_a_copy_is_of_the_image_unless_that_is_told_otherwise(capsys) -> None:
    Path("new").mkdir()
    for name in ("00", "01"):
        shutil.copy(f"flat/{name}.png", f"new/copy{name}.png")
    with_batches()
    Path("made.csv").write_text("path,time,batch\ncopy00.png,2026-03-04 08:00,18\ncopy01.png,,19\n")
    capsys.readouterr()
    main(["assign", "new", "--run", "run", "--metadata", "made.csv"])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 row of the metadata is of a copy and tells otherwise than is known of the image, 'new/copy00.png'" in said
    assert batches() == {"flat/00.png": "17", "flat/01.png": "19"}
    assert kept(Path("flat/00.png")) == ("2026-03-04", "metadata")


@pytest.mark.parametrize("told", [5, {"9f86": ["yesterday", "file"]}, {"9f86": ["2026-03-01", "hearsay"]}])
def test_times_that_a_stranger_made_up_are_refused(told: object) -> None:
    with pytest.raises(ValueError, match=r"does not tell when|Invalid isoformat"):
        checked_times(told)
