"""The time of an image is that of its own file, as long as this holds it; what was told earlier stays."""

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from commands import SMALL, rows
from conftest import MakeImage

from anomaly_clustering.cli.main import main

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
    assert "05" not in days()


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
