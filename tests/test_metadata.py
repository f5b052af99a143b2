"""What a CSV file tells of images: matched by path or name, with the times that are known, and kept with the run."""

import os
import posixpath
import shutil
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import process_time
from types import SimpleNamespace

import pytest
from conftest import MakeImage
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import common_folders
from anomaly_clustering.data.metadata import read_metadata, times_of
from anomaly_clustering.data.named_images import finder
from anomaly_clustering.data.times import DATE_TIME_ORIGINAL, EXIF_BLOCK, as_time
from anomaly_clustering.runs.journal import checked_times, read_times
from anomaly_clustering.runs.kept_metadata import load_metadata, told_times
from anomaly_clustering.runs.names_apart import apart
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.tables import read_csv

SMALL = ["--method", "paper", "--clusters", "3", "--image-size", "64"]
IMAGES = [Path(f"photos/{name}") for name in ("dent/a.png", "dent/b.png", "good/a.png", "good/c.png")]


def write(text: str, file: str = "made.csv") -> Path:
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(text, encoding="utf-8")
    return Path(file)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "photos/dent/b.png",
        "{here}/photos/dent/b.png",
        "dent/b.png",
        "../photos/dent/b.png",
        r"D:\old\dent\b.png",
        "b.png",
    ],
)
def test_a_row_is_of_the_image_that_its_path_or_its_name_tells(path: str) -> None:
    file = write(f"Path;Batch\n{path.format(here=Path.cwd())};17\n", "tables/made.csv")
    found = read_metadata(file, IMAGES, folder=Path("photos"))
    assert {image: known.values for image, known in found.of.items()} == {IMAGES[1]: {"batch": "17"}}
    assert found.notices == [
        "'tables/made.csv' does not tell of 'photos/dent/a.png', 'photos/good/a.png', 'photos/good/c.png', of 4 images"
    ]


def test_of_several_images_of_one_name_that_is_meant_whose_path_ends_alike() -> None:
    # Another computer has the folder elsewhere, and another one still.
    file = write("path,batch\nD:\\line 2\\good\\a.png,1\n/mnt/x/dent/a.png,2\n")
    found = read_metadata(file, IMAGES).of
    assert {image: known.values["batch"] for image, known in found.items()} == {IMAGES[2]: "1", IMAGES[0]: "2"}


def test_a_row_whose_folder_is_not_that_of_the_image_is_not_of_it() -> None:
    images = [Path("day1/03-01/000.png"), Path("day1/03-01/001.png")]
    for folder in (Path("day1"), Path("day1/03-01"), None):
        file = write("path,batch\n03-02/000.png,2\n001.png,1\n")
        found = read_metadata(file, images, folder=folder)
        assert {image: known.values["batch"] for image, known in found.of.items()} == {images[1]: "1"}
        assert found.notices[0] == "of '03-02/000.png' (line 2) in 'made.csv' there is no image"


def test_images_whose_names_differ_by_their_folders_alone_are_not_compared_with_every_path() -> None:
    images = [Path(f"photos/part_{i:04}/cam1.png") for i in range(6000)]
    start = process_time()
    find = finder(images, [])
    assert [find(f"part_{i:04}/cam1.png").images for i in range(6000)] == [[image] for image in images]
    # 36 million comparisons would take 5 s.
    assert process_time() - start < 2


def test_an_image_may_be_listed_twice() -> None:
    image = Path("photos/dent/0.png")
    assert {*finder([image, image], [])("dent/0.png").images} == {image}


def test_photos_may_lie_on_two_drives(monkeypatch: pytest.MonkeyPatch) -> None:
    def common(folders: Sequence[Path]) -> str:
        if len({drive(folder) for folder in folders}) > 1:
            raise ValueError("Paths don't have the same drive")
        return posixpath.commonpath(folders)

    def drive(path: Path) -> str:
        return path.parts[1]

    monkeypatch.setattr(common_folders, "os", SimpleNamespace(path=SimpleNamespace(commonpath=common)))
    monkeypatch.setattr(common_folders, "_drive", drive)
    own, later = Path("/c/photos/dent/0.png"), Path("/d/line/new/1.png")
    find = finder([own, later], [])
    assert [find(text).images for text in ("dent/0.png", "new/1.png", str(later))] == [[own], [later], [later]]


def test_a_name_that_a_mac_wrote_is_the_same_in_the_table_and_on_the_disk() -> None:
    for written, on_disk in (("NFC", "NFD"), ("NFD", "NFC")):
        images = [Path(unicodedata.normalize(on_disk, f"Lärm/{i}ß.png")) for i in (0, 1)]
        rows = [unicodedata.normalize(written, f"Lärm/{i}ß.png") + f",{i}" for i in (0, 1)]
        found = read_metadata(write("\n".join(["path,batch", *rows])), images, folder=images[0].parent)
        assert {image: known.values["batch"] for image, known in found.of.items()} == {images[0]: "0", images[1]: "1"}
        assert found.notices == []


@pytest.mark.parametrize("above", ["", "/mnt/", "D:\\plant\\"])
def test_of_a_table_of_the_whole_plant_the_rows_of_the_image_folder_count(above: str) -> None:
    images = [Path(f"day1/{part}/{i}.png") for part in ("03-01", "03-02") for i in (0, 1)]
    rows = [f"{above}day{day}/{part}/{i}.png,{day}" for day in (2, 1, 3) for part in ("03-01", "03-02") for i in (0, 1)]
    # An image that the table leaves out does not get the row of its name from another folder.
    rows.remove(f"{above}day1/03-01/0.png,1")
    found = read_metadata(write("\n".join(["path,day", *rows])), images, folder=Path("day1")).of
    assert {image: known.values["day"] for image, known in found.items()} == dict.fromkeys(images[1:], "1")


def test_a_table_of_photos_that_were_moved_is_still_theirs() -> None:
    images = [Path("photos/a.png"), Path("photos/dent/b.png")]
    for above in ("/old/place/photos/", "D:\\photos\\", "photos/", "place/photos/"):
        file = write(f"path,batch\n{above}a.png,1\n{above}dent/b.png,2\n")
        for folder in (Path("photos"), None):
            found = read_metadata(file, images, folder=folder).of
            assert {image: known.values["batch"] for image, known in found.items()} == dict(
                zip(images, "12", strict=True)
            )
    # Of two folders that are equally far from it nobody knows which one was moved.
    with pytest.raises(ValueError, match=r"lines 2 and 3 of 'made\.csv' are both of image"):
        read_metadata(write("path\n/x/dent/b.png\n/y/dent/b.png\n"), images, folder=Path("photos"))


def test_what_is_wrong_is_named_by_its_line() -> None:
    for text, message in [
        (
            "path,batch\nc.png,1\na.png,2\n",
            "line 3 of 'made.csv': 'a.png' is the name of 2 images, 'photos/dent/a.png'",
        ),
        ("path,batch\nc.png,1\nphotos/good/c.png,2\n", "lines 2 and 3 of 'made.csv' are both of image"),
        ("path,time\nc.png,01/02/2026\n", "line 2 of 'made.csv': '01/02/2026' is no time"),
        ("path,time\nc.png,0001-01-01T00:00\n", "line 2 of 'made.csv': '0001-01-01T00:00' is no time from 1900 on"),
        ("path,time\nc.png,2026-01-01,noon\n", "line 2 of 'made.csv' has more cells than there are columns"),
        ("path,Batch,line,batch\nc.png,1,2,3\n", "in 'made.csv' several columns are called 'batch', capitals aside"),
        ("file,time\nc.png,2026-01-01\n", "must have a column 'path'.* it has 'file', 'time'"),
        ("sep=;\n;\npath;time\n;;\nc.png;noon\n;;\n", "line 5 of 'made.csv': 'noon' is no time"),
        ("path,time\n", "it has no rows"),
        ("path\nd.png\n", "no row of 'made.csv' is of any of the 4 images; its first path is 'd.png'"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_metadata(write(text), IMAGES)
    left_empty = read_metadata(write("path;time\nc.png;2026-01-01\n;;;\n;;;\n"), IMAGES)
    assert not [notice for notice in left_empty.notices if "there is no image" in notice]
    rows = "".join(f"{name}.png\n" for name in "cdefgh")
    assert read_metadata(write(f"path\n{rows}"), IMAGES).notices[0] == (
        "of 'd.png' (line 3), 'e.png' (line 4), 'f.png' (line 5) and 2 more in 'made.csv' there is no image"
    )


def test_times_come_from_the_metadata_else_from_exif_else_from_the_file() -> None:
    exif = Image.Exif()
    exif[EXIF_BLOCK] = {DATE_TIME_ORIGINAL: "2026:03:02 08:00:00"}
    for name in ("told", "camera"):
        Image.new("L", (16, 16)).save(f"{name}.jpg", exif=exif)
    Image.new("L", (16, 16)).save("bare.png")
    os.utime("bare.png", (0, datetime(2026, 3, 3, 9).timestamp()))
    images = [Path("told.jpg"), Path("camera.jpg"), Path("bare.png"), Path("gone.png")]
    known = read_metadata(write("path,time\ntold.jpg,2026-03-01 07:00\ncamera.jpg,\n"), images).of
    found = times_of(images, known)
    assert [str(found.of[image]) for image in images[:3]] == [
        "2026-03-01 07:00:00",
        "2026-03-02 08:00:00",
        "2026-03-03 09:00:00",
    ]
    assert images[3] not in found.of
    assert told_times(found) == "times of 3 images: 1 by the metadata, 1 by EXIF, 1 by the time of the file"


def test_the_time_of_a_file_that_lost_its_own_is_none() -> None:
    Image.new("L", (16, 16)).save("lost.png")
    # 1601, where Windows begins to count.
    os.utime("lost.png", (0, -11_644_473_600))
    assert times_of([Path("lost.png")], {}).of == {}


def test_a_time_that_was_never_set_is_none(photos: Path, make_image: MakeImage) -> None:
    assert [as_time(text) for text in ("0001-01-01T00:00:00", "01.01.0001", "1899-12-31")] == [None] * 3
    assert as_time("1900-01-01") == datetime(1900, 1, 1)
    exif = Image.Exif()
    exif[EXIF_BLOCK] = {DATE_TIME_ORIGINAL: "0001:01:01 00:00:00"}
    Path("new").mkdir()
    for kind, name in enumerate(("camera", "kept")):
        Image.open(make_image(Path("new.png"), kind, seed=20)).save(f"new/{name}.jpg", exif=exif)
        os.utime(f"new/{name}.jpg", (0, datetime(2026, 3, 3, 9).timestamp()))
    assert times_of([Path("new/camera.jpg")], {}).source == {Path("new/camera.jpg"): "file"}
    # As earlier versions kept them.
    main(["cluster", "photos", *SMALL])
    run = Path("photos-clusters")
    main(["watch", "new", "--run", str(run), "--once", "--every", "0.02"])
    journal = (run / "watched.jsonl").read_text()
    never = journal.replace("2026-03-03T09:00:00", "0001-01-01T00:00:00")
    assert never != journal
    (run / "watched.jsonl").write_text(never)
    assert read_times(run) == {}
    assert checked_times({"9f86": ["0001-01-01 00:00:00", "EXIF"]}) == {}
    main(["trends", "--run", str(run), "--by", "shift"])


def test_it_is_kept_with_the_run_and_grows_with_later_images(
    photos: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{path.relative_to(photos)},2026-03-0{1 + i % 3}T06:00,=1+{i}" for i, path in enumerate(photos.rglob("*.png"))
    ]
    write("\n".join(["path,time,batch", *rows]))
    argv = ["cluster", "photos", "--method", "paper", "--clusters", "3", "--image-size", "64", "--metadata", "made.csv"]
    main(argv)
    run = Path("photos-clusters")
    kept = load_metadata(run)
    assert len(kept) == 15
    assert {known.time.month for known in kept.values()} == {3}
    assert all("'=1+" in line for line in (run / "metadata.csv").read_text().splitlines()[1:])
    make_image(Path("new/a.png"), 1, seed=20)
    make_image(Path("new/b.png"), 2, seed=20)
    write("path,time,station\na.png,2026-03-05,north\nz.png,2026-03-05,south\n")
    capsys.readouterr()
    main(["assign", "new", "--run", str(run), "--metadata", "made.csv"])
    said = capsys.readouterr().out
    assert "Notice: of 'z.png' (line 3) in 'made.csv' there is no image" in said
    assert "Notice: 'made.csv' does not tell of 'new/b.png', of 2 images" in said
    last = read_csv(run / "metadata.csv")[-2:]
    assert [(row["path"], row["station"], row["batch"], row["time_from"]) for row in last] == [
        ("new/a.png", "north", "", "metadata"),
        ("new/b.png", "", "", "file"),
    ]
    assert load_metadata(run)[Path("new/b.png")].source == "file"
    # It is the run's: what replaces the run replaces it.
    main([*argv[:-2], "--overwrite"])
    assert not (run / "metadata.csv").exists()


def test_update_without_new_images_keeps_what_a_table_tells_of_those_before(
    photos: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    write("path,batch\nbar/0.png,17\nbar/1.png,18\n")
    main(["cluster", "photos", *SMALL, "--metadata", "made.csv"])
    run = Path("photos-clusters")
    make_image(Path("new/a.png"), 1, seed=20)
    first = digest(make_image(Path("new/latest.png"), 2, seed=21))
    write("path,batch\na.png,19\nlatest.png,20\n")
    main(["assign", "new", "--run", str(run), "--metadata", "made.csv"])
    # The run has not seen yet that it was overwritten.
    make_image(Path("new/latest.png"), 1, seed=22)
    write("path,time,batch,line\nbar/0.png,2026-03-01,,2\nnew/a.png,2026-03-02,21,\nnew/latest.png,2026-03-03,,\n")
    capsys.readouterr()
    main(["update", "--run", str(run), "--metadata", "made.csv"])
    assert "Notice: 'made.csv' does not tell of" in capsys.readouterr().out
    kept = {path: (known.time, dict(known.values)) for path, known in load_metadata(run).items() if any(known.values)}
    assert kept[Path("photos/bar/0.png")] == (datetime(2026, 3, 1), {"batch": "17", "line": "2"})
    assert kept[Path("photos/bar/1.png")][1]["batch"] == "18"
    assert kept[Path("new/a.png")] == (datetime(2026, 3, 2), {"batch": "21", "line": ""})
    assert kept[apart(Path("new/latest.png"), first)] == (datetime(2026, 3, 3), {"batch": "20", "line": ""})
    main(["trends", "--run", str(run), "--by", "day"])
    assert "3 by the metadata" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"is of any of the 0 images; its first path is 'bar/0\.png'$"):
        read_metadata(Path("made.csv"), [])


def test_metadata_that_do_not_fit_stop_the_command_before_the_work(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("path,time\n0.png,2026-03-01\n")
    shutil.copytree(photos, "copies")
    for argv in (["cluster", "photos"], ["cluster", "photos", "--metadata", "none.csv"]):
        with pytest.raises(SystemExit):
            main([*argv, "--metadata", "made.csv"] if len(argv) == 2 else argv)
    errors = capsys.readouterr().err
    assert "line 2 of 'made.csv': '0.png' is the name of 3 images" in errors
    assert "metadata 'none.csv' does not exist" in errors
    assert not Path("photos-clusters").exists()


def test_a_column_without_a_name_as_pandas_writes_it_is_left_out(
    photos: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted(Path("photos").rglob("*.png"))
    write("\n".join([",path,batch", *(f"{i},{image},{i % 2}" for i, image in enumerate(images))]))
    assert {tuple(known.values) for known in read_metadata(Path("made.csv"), images).of.values()} == {("batch",)}
    main(["cluster", "photos", *SMALL, "--metadata", "made.csv"])
    run = Path("photos-clusters")
    make_image(Path("new/a.png"), 1, seed=20)
    # Runs of earlier versions hold it, wherever it came to stand.
    first, *others = (run / "metadata.csv").read_text().splitlines()
    for heads, cell in ((f"{first},", "{},0"), (f"{first},,line", "{},0,2")):
        (run / "metadata.csv").write_text("\n".join([heads, *map(cell.format, others), ""]))
        assert None not in load_metadata(run)[images[0]].values
        assert "" not in load_metadata(run)[images[0]].values
        main(["assign", "new", "--run", str(run)])
        main(["trends", "--run", str(run), "--by", "batch"])
    with pytest.raises(SystemExit):
        main(["trends", "--run", str(run), "--by", "station"])
    assert "there are ['batch', 'line']" in capsys.readouterr().err


def test_a_run_whose_metadata_tell_of_a_file_name_that_is_not_utf_8_goes_on(
    photos: Path, make_image: MakeImage
) -> None:
    odd = Path("photos/bar") / os.fsdecode(b"caf\xe9.png")
    Path("photos/bar/0.png").rename(odd)
    write("path,batch\nbar/1.png,17\n")
    main(["cluster", "photos", *SMALL, "--metadata", "made.csv"])
    make_image(Path("new/a.png"), 1, seed=20)
    main(["assign", "new", "--run", "photos-clusters"])
    kept = load_metadata(Path("photos-clusters"))
    assert (kept[odd].source, kept[Path("photos/bar/1.png")].values) == ("file", {"batch": "17"})
    Path("photos-clusters/metadata.csv").write_bytes(b"\xff\xd8\nno table\n")
    with pytest.raises(ValueError, match=r"metadata\.csv' is damaged: 'path'; delete it"):
        load_metadata(Path("photos-clusters"))
