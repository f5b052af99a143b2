"""Labels of a run whose images were moved or overwritten since -> each image where it lies, told by its content."""

import shutil
from pathlib import Path

import pytest
from commands import SMALL, refused, rows
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.exported_run import labels_and_run
from anomaly_clustering.runs.labels import read_labels
from anomaly_clustering.system.files import digest

RUN, FIRST, SECOND, THIRD = Path("run"), *(Path(f"cam/img{i}.png") for i in (1, 2, 3))
EXPORT = ["export", "--labels", "labels.csv", "--run", "run", "--layout", "coco"]


@pytest.fixture
def seen(flat_photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """SHA-256 of two images of a camera, which came after a run, and which labels.csv lists after those of the run."""
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", "--out", "run", *SMALL])
    contents = [digest(make_image(path, kind, seed=30)) for path, kind in ((FIRST, 1), (SECOND, 2))]
    update()
    lines = [f"{row['path']},{row['cluster']},ok,0," for row in rows(RUN)]
    named = zip((FIRST, SECOND), ("bright", "bar"), contents, strict=True)
    lines += [f"{path},0,{name},0,sha256:{content[:16]}" for path, name, content in named]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure,content", *lines]))
    return contents


def update() -> None:
    main(["update", "cam", "--run", "run"])


def rotate(make_image: MakeImage) -> None:
    """The camera gives each of its images the next name, and writes a new one under the first."""
    SECOND.rename(THIRD)
    FIRST.rename(SECOND)
    make_image(FIRST, 0, seed=31)


def exported(folder: str) -> dict[str, str]:
    """Names of images by their SHA-256."""
    return {digest(path): path.name for path in Path(folder, "images").iterdir()}


def test_images_whose_names_rotated_are_where_the_run_has_seen_them_since(
    seen: list[str], make_image: MakeImage
) -> None:
    before = labels_and_run(RUN, read_labels("labels.csv"))
    rotate(make_image)
    update()
    after = labels_and_run(RUN, read_labels("labels.csv"))
    assert [image.path for image in after.labels[-2:]] == [SECOND, THIRD]
    assert [image.content for image in after.labels[-2:]] == [after.contents[path] for path in (SECOND, THIRD)] == seen
    assert [after.regions[path] for path in (SECOND, THIRD)] == [before.regions[path] for path in (FIRST, SECOND)]
    assert before.regions[FIRST] != before.regions[SECOND]
    main([*EXPORT, "--out", "out"])
    names = exported("out")
    assert len(names) == 17
    assert [names[content] for content in seen] == [SECOND.name, THIRD.name]


def test_an_image_that_was_overwritten_is_found_by_its_content_or_left_out_when_asked(
    seen: list[str], make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("kept").mkdir()
    shutil.copy(FIRST, "kept/copy.png")
    make_image(FIRST, 0, seed=31)
    capsys.readouterr()
    said = refused(EXPORT, capsys)
    assert "1 of 17 images are not what they were when the run saw them, 'cam/img1.png' for one: another image" in said
    assert "to with --images, and the run with --run, or leave out what has changed with --skip-missing" in said
    main([*EXPORT, "--out", "found", *(word for folder in ("flat", "cam", "kept") for word in ("--images", folder))])
    assert exported("found")[seen[0]] == "copy.png"
    assert len(exported("found")) == 17
    capsys.readouterr()
    left_out = "Left out, since their files hold another image by now: 1 image, first 'cam/img1.png'"
    main([*EXPORT, "--out", "some", "--skip-missing"])
    assert left_out in capsys.readouterr().out
    assert exported("some") == {content: name for content, name in exported("found").items() if content != seen[0]}
    # Of later images the labels tell it alone.
    main(["export", "--labels", "labels.csv", "--layout", "coco", "--out", "plain", "--skip-missing"])
    assert left_out in capsys.readouterr().out
    assert exported("plain") == exported("some")


def test_where_no_labelled_image_is_left_the_way_out_is_told(
    seen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("flat", "cam"):
        Path(folder).rename(f"moved_{folder}")
    capsys.readouterr()
    said = refused([*EXPORT, "--out", "some", "--skip-missing"], capsys)
    assert "no image is left to export" in said
    assert "with --images, and the run with --run" in said


def test_of_two_labelled_images_that_had_one_path_the_one_that_is_there_is_exported(
    seen: list[str], make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    SECOND.unlink()
    FIRST.rename(SECOND)
    make_image(FIRST, 0, seed=31)
    update()
    capsys.readouterr()
    assert "1 of 17 images are not what they were when the run saw them, 'cam/img2.png'" in refused(EXPORT, capsys)
    main([*EXPORT, "--out", "some", "--skip-missing"])
    assert "hold another image by now: 1 image, first 'cam/img2.png'" in capsys.readouterr().out
    assert exported("some")[seen[0]] == SECOND.name
    assert len(exported("some")) == 16
