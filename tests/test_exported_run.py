"""Labels of a run whose images were moved or overwritten since -> each image where it lies, told by its content."""

from pathlib import Path

import pytest
from commands import SMALL, rows
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
