"""A file comes under a name that another one had: each image stays what it is, by what is in it."""

import io
import json
import os
import re
import shutil
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from commands import SMALL, rows
from conftest import MakeImage
from labelling_page import galleries, saved
from PIL import Image
from planted import one_more, planted

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.file_names import PICTURES
from anomaly_clustering.runs.later_images import load_later
from anomaly_clustering.runs.names_apart import apart
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.files import digest

RUN, CAMERA = Path("run"), Path("in/latest.png")


@pytest.fixture(autouse=True)
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", "--out", "run", *SMALL])


def watched(folder: str = "in", *, status: int = 0) -> None:
    argv = ["watch", folder, "--run", "run", "--once", "--every", "0.02", "--false-alarms", "0.1"]
    if status:
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == status
    else:
        main(argv)


def three_under_one_name(make_image: MakeImage) -> list[str]:
    """Their SHA-256."""
    found = []
    for i in range(3):
        make_image(CAMERA, 1 + i % 2, seed=30 + i)
        os.utime(CAMERA, (1_772_000_000 + i * 86_400,) * 2)
        found.append(digest(CAMERA))
        watched()
    return found


def shown(page: str, name: str) -> np.ndarray:
    """The photograph of an image in a page."""
    (data,) = re.findall(f'alt="{re.escape(name)}" src="data:image/jpeg;base64,([^"]+)"', page)
    return np.asarray(Image.open(io.BytesIO(b64decode(data)))).astype(float)


def closest(picture: np.ndarray, make_image: MakeImage) -> int:
    """Which of those under one name a photograph shows."""
    paths = [make_image(Path(f"like{i}.png"), 1 + i % 2, seed=30 + i) for i in range(3)]
    return int(np.argmin([np.abs(picture - np.asarray(Image.open(path))).mean() for path in paths]))


def known() -> dict[str, Path]:
    """The path of each later image by its SHA-256."""
    later = load_later(RUN, load_run(RUN))
    return dict(zip(later.digests, later.paths, strict=True))


def test_a_camera_that_writes_one_file_has_a_row_for_each_image(make_image: MakeImage, capsys) -> None:
    contents = three_under_one_name(make_image)
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines() if line.startswith("{")]
    assert [line["path"] for line in lines] == [str(CAMERA)] * 3
    assert said.err.count("held another image before") == 2  # Of two commands, once each.
    paths = [apart(CAMERA, contents[0]), apart(CAMERA, contents[1]), CAMERA]
    assert known() == dict(zip(contents, paths, strict=True))
    assert [row["path"] for row in rows(RUN, "assigned.csv")] == [str(path) for path in paths]
    assert [row["cluster"] for row in rows(RUN, "assigned.csv")] == [str(line["cluster"]) for line in lines]
    # They stay what they are when the report is drawn, and as more come.
    main(["update", "--run", "run"])
    assert known() == dict(zip(contents, paths, strict=True))
    page = (RUN / "report.html").read_text()
    assert "shown as small as they were kept, since their files are gone: 2 of the images that came later" in page
    looked = [shown(page, apart(CAMERA, content).name) for content in contents[:2]] + [shown(page, CAMERA.name)]
    assert [closest(picture, make_image) for picture in looked] == [0, 1, 2]
    make_image(CAMERA, 1, seed=40)
    watched()
    assert known() == {**dict(zip(contents, map(apart, [CAMERA] * 3, contents), strict=True)), digest(CAMERA): CAMERA}
    # The days of those whose files are gone are known.
    main(["trends", "--run", "run", "--by", "day"])
    counted = [int(row["images"]) for row in rows(RUN, "trends.csv") if row["defect"] == "All images"]
    assert sum(counted) == 15 + 4


def test_an_image_that_was_kept_elsewhere_before_it_was_overwritten_is_there(make_image: MakeImage, capsys) -> None:
    make_image(CAMERA, 1, seed=30)
    first = digest(CAMERA)
    main(["assign", "in", "--run", "run"])
    Path("kept").mkdir()
    CAMERA.rename("kept/first.png")
    make_image(CAMERA, 2, seed=31)
    # Of another folder, and of the one where it was overwritten.
    main(["assign", "kept", "--run", "run"])
    assert known() == {first: Path("kept/first.png")}
    main(["assign", "in", "--run", "run"])
    second = digest(CAMERA)
    assert known() == {first: Path("kept/first.png"), second: CAMERA}
    make_image(CAMERA, 1, seed=32)
    capsys.readouterr()
    main(["assign", "in", "--run", "run"])
    assert known()[second] == apart(CAMERA, second)
    assert "the files of 1 of the images that came before hold others by now" in capsys.readouterr().out


def test_an_image_of_which_a_copy_is_left_goes_by_the_copy(make_image: MakeImage, capsys) -> None:
    make_image(CAMERA, 1, seed=30)
    watched()
    shutil.copy(CAMERA, CAMERA.with_name("copy.png"))
    watched()
    make_image(CAMERA, 2, seed=31)
    capsys.readouterr()
    watched()
    assert "held another image before" not in capsys.readouterr().err
    found = [row["path"] for row in rows(RUN, "assigned.csv")]
    assert found == [str(CAMERA.with_name("copy.png")), str(CAMERA)]


def test_labels_are_of_what_was_seen_whatever_a_path_holds_by_now(make_image: MakeImage) -> None:
    contents = three_under_one_name(make_image)
    main(["update", "--run", "run"])
    header = "path,cluster,label,unsure,not_in,content"
    own = [f"{row['path']},{row['cluster']},,0,," for row in rows(RUN, "assignments.csv")]
    paths = [apart(CAMERA, contents[0]), apart(CAMERA, contents[1]), CAMERA]
    later = [f"{path},{7 + i},named{i},0,,sha256:{contents[i][:16]}" for i, path in enumerate(paths)]
    Path("labels.csv").write_text("\n".join([header, *own, *later]))
    make_image(CAMERA, 1, seed=40)
    watched()
    main(["update", "--run", "run", "--labels", "labels.csv"])
    told = {row["path"]: row["label"] for row in rows(RUN, "assigned.csv")}
    assert [told[str(apart(CAMERA, content))] for content in contents] == ["named0", "named1", "named2"]
    assert json.loads((RUN / "decisions.json").read_text())["later"] == dict(zip(contents, [7, 8, 9], strict=True))
    # What is exported as one of them is that one.
    argv = ["export", "--labels", "labels.csv", "--layout", "coco", "--run", "run"]
    with pytest.raises(SystemExit):
        main(argv)
    Path("labels.csv").write_text("\n".join([header, *own, later[2]]))
    with pytest.raises(SystemExit):
        main(argv)
    assert not Path("labelled-coco").exists()


def test_regions_are_of_the_image_that_was_labelled_though_the_run_saw_another_one_last(make_image: MakeImage) -> None:
    first = digest(make_image(CAMERA, 1, seed=30))
    kept = CAMERA.read_bytes()
    watched()
    header, label = "path,cluster,label,unsure,not_in,content", f"{CAMERA},7,dent,0,,sha256:{first[:16]}"
    Path("labels.csv").write_text(f"{header}\n{label}\n")
    argv = ["export", "--labels", "labels.csv", "--layout", "coco", "--run", "run", "--out"]
    main([*argv, "before"])
    make_image(CAMERA, 2, seed=31)
    watched()
    CAMERA.write_bytes(kept)
    main([*argv, "after"])
    drawn = [Path(f"{out}/annotations.json").read_text() for out in ("before", "after")]
    assert drawn[0] == drawn[1]


def test_metadata_are_of_the_image_that_they_were_given_for(make_image: MakeImage) -> None:
    first = digest(make_image(CAMERA, 1, seed=30))
    Path("made.csv").write_text(f"path,time,batch\n{CAMERA},2026-03-01 08:00,17\n")
    main(["assign", "in", "--run", "run", "--metadata", "made.csv"])
    second = digest(make_image(CAMERA, 2, seed=31))
    watched()
    main(["trends", "--run", "run", "--by", "batch"])
    counted = {row["period"]: row["images"] for row in rows(RUN, "trends.csv") if row["defect"] == "All images"}
    assert counted == {"17": "1"}
    make_image(CAMERA, 1, seed=32)
    watched()
    main(["update", "--run", "run"])
    told = {row["path"]: row["batch"] for row in rows(RUN, "metadata.csv")}
    assert {path for path, batch in told.items() if batch} == {str(apart(CAMERA, first))}
    assert str(apart(CAMERA, second)) in told


def test_the_name_of_an_image_of_the_run_is_refused_and_another_spelling_is_no_copy(
    make_image: MakeImage, capsys
) -> None:
    make_image(Path("in/a.png"), 1, seed=30)
    watched()
    capsys.readouterr()
    watched(str(Path("in").resolve()))
    Path("linked").symlink_to("in")
    watched("linked")
    assert capsys.readouterr().out == ""
    main(["assign", "linked", "--run", "run"])
    assert [row["path"] for row in rows(RUN, "assigned.csv")] == ["in/a.png"]
    make_image(Path("flat/00.png"), 1, seed=31)
    capsys.readouterr()
    watched("flat", status=2)
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line["path"] == "flat/00.png"
    assert "give new images names of their own" in line["error"]
    with pytest.raises(SystemExit):
        main(["assign", "flat", "--run", "run"])
    assert "image 'flat/00.png' is not what it was when the run was made" in capsys.readouterr().err


def test_a_run_whose_photos_are_gone_goes_on_as_it_was(make_image: MakeImage, capsys) -> None:
    """It may be carried to another machine without them."""
    before = (RUN / "report.html").read_text()
    Path("flat/00.png").unlink()
    make_image(Path("in/a.png"), 1, seed=30)
    main(["assign", "in", "--run", "run"])
    assert [row["path"] for row in rows(RUN, "assigned.csv")] == ["in/a.png"]
    page = (RUN / "report.html").read_text()
    assert "shown as small as they were kept, since their files are gone: 1 of the images of the run" in page
    assert 'href="../flat/00.png"' in before
    assert 'href="../flat/00.png"' not in page
    assert 'href="../flat/01.png"' in page
    Path("flat").rename("away")
    make_image(Path("in/b.png"), 2, seed=31)
    capsys.readouterr()
    main(["assign", "in", "--run", "run", "--images", ".", "--images", "away"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "none of the 15 images of the run, which the report shows, is there, 'flat/00.png' for one: it shows them "
        in said
    )
    assert "if they were moved, put them, or a link to their folder, where they were: --images names folders" in said
    page = (RUN / "report.html").read_text()
    assert "since their files are gone: 15 of the images of the run" in page
    for name in ("00.png", "14.png", "22.png"):
        assert np.abs(shown(page, name) - shown(before, name)).mean() < 1
    # A picture that is damaged is as good as none.
    kept = bytearray((RUN / PICTURES).read_bytes())
    kept[512:1024] = bytes(512)
    (RUN / PICTURES).write_bytes(kept)
    main(["assign", "in", "--run", "run"])
    page = (RUN / "report.html").read_text()
    assert "shown as small as they were kept, since their files are gone: 14 of the images of the run" in page
    assert "shown grey, since their files are gone: 1 of the images of the run" in page
    # A link in the old place leads to them again; the archive goes on to grow, which is no damage.
    Path("flat").symlink_to("away")
    main(["assign", "in", "--run", "run"])
    assert 'href="../flat/01.png"' in (RUN / "report.html").read_text()
    Path("flat").unlink()
    Path("away").rename("flat")
    main(["assign", "in", "--run", "run"])
    assert [row["path"] for row in rows(RUN, "assigned.csv")] == ["in/a.png", "in/b.png"]


def test_photos_of_an_earlier_version_that_are_gone_are_grey_and_hold_up_nothing(make_image: MakeImage, capsys) -> None:
    (RUN / PICTURES).unlink()
    make_image(Path("in/a.png"), 1, seed=30)
    Path("flat/00.png").unlink()
    main(["assign", "in", "--run", "run"])
    assert [row["path"] for row in rows(RUN, "assigned.csv")] == ["in/a.png"]
    page = (RUN / "report.html").read_text()
    assert "shown grey, since their files are gone: 1 of the images of the run" in page
    assert len(np.unique(shown(page, "00.png"))) == 1
    (RUN / PICTURES).unlink()
    Path("flat").rename("away")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["assign", "in", "--run", "run"])
    assert "none of the 15 images of the run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_tells_later_images_by_their_content_too(open_report, tmp_path) -> None:
    content, read = "9f86d081884c7d65", planted().read
    later = one_more(CAMERA) | {"contents": [content], "read": lambda path: read(Path("1.png"))}
    tab = open_report(planted(**later))
    assert 7 not in galleries(tab)[2]
    *own, last = saved(tab, "#save-csv", tmp_path).read_text().splitlines()
    assert last == f"in/latest.png,0,,0,,sha256:{content}"
    file = tmp_path / "labels.csv"
    file.write_text("\n".join([*own, f"in/latest.png#{content},2,,0,,sha256:{content}"]))
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("Labels loaded").wait_for()
    assert 7 in galleries(tab)[2]
    file.write_text("\n".join([*own, "in/latest.png,0,,0,,sha256:0000000000000000"]))
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("'in/latest.png', in line 9, is not an image of this page").wait_for(timeout=5000)
