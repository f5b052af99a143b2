"""Regions of defects -> COCO, YOLO, Label Studio and CVAT, and what is refused."""

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import yaml
from conftest import MakeImage
from PIL import ExifTags, Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.images import read_image
from anomaly_clustering.runs.annotations import Item, Region, area_of, coco, cvat
from anomaly_clustering.runs.export import LAYOUTS, export
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.regions import run_regions
from anomaly_clustering.runs.store import load_run

SQUARE = Region([(0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5)], 0.75)
TRIANGLE = Region([(0.0, 0.5), (0.25, 0.5), (0.0, 1.0)], 0.5)


@pytest.fixture
def labels(clustered: Path) -> list[Labelled]:
    return [Labelled(path, 0, path.parent.name, False) for path in load_run(clustered).paths]


def test_coco_loads_in_pycocotools_with_boxes_polygons_and_scores(clustered: Path, labels: list[Labelled]) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco", reason="COCO's own reader is not installed")
    regions = run_regions(clustered)
    assert export(labels, Path("out"), "coco", regions=regions) == 0
    loaded = pycocotools.COCO("out/annotations.json")
    assert len(loaded.imgs) == 15
    # Good is nowhere; its images are listed.
    assert [category["name"] for category in loaded.cats.values()] == ["bar", "bright"]
    by_content = {path.read_bytes(): path for path in regions}
    for image in loaded.imgs.values():
        copy = Path("out/images") / image["file_name"]
        original = by_content[copy.read_bytes()]
        assert (image["width"], image["height"]) == read_image(copy).size == (64, 64)
        annotations = loaded.imgToAnns[image["id"]]
        expected = [] if original.parent.name == "good" else regions[original]
        assert len(annotations) == len(expected)
        for annotation, region in zip(annotations, expected, strict=True):
            assert loaded.cats[annotation["category_id"]]["name"] == original.parent.name
            assert annotation["score"] == pytest.approx(region.score, abs=1e-4)
            mask = loaded.annToMask(annotation)
            assert mask.shape == (64, 64)
            assert mask.sum() == pytest.approx(annotation["area"], rel=0.2)
            assert annotation["area"] == pytest.approx(area_of(region.polygon) * 64 * 64, abs=1)
            x, y, width, height = annotation["bbox"]
            rows, columns = np.nonzero(mask)
            assert x - 1 <= columns.min() <= columns.max() <= x + width
            assert y - 1 <= rows.min() <= rows.max() <= y + height


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_lie_in_the_upright_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    item = Item(tmp_path / "a.jpg", "dent", "a.jpg", [SQUARE])
    width, height = read_image(tmp_path / "a.jpg").size
    (annotation,) = coco([item], ["dent"])["annotations"]
    assert annotation["bbox"] == [width / 2, 0, width / 2, height / 2]
    assert annotation["area"] == width * height / 4
    image = ET.fromstring(cvat([item], boxes=True)).find("image")
    assert (image.get("width"), image.get("height")) == (str(width), str(height))
    assert float(image.find("box").get("xtl")) == width / 2


@pytest.fixture
def two(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Labelled], dict[Path, list[Region]]]:
    """Two defects and a good image of 64 x 64 pixels, one name of them in two formats."""
    monkeypatch.chdir(tmp_path)
    images = [make_image(tmp_path / name) for name in ("a/ä #1.png", "b/ä #1.jpg", "c/fine.png")]
    names = ["tiefer Riß", "dent", "good"]
    labels = [Labelled(image, 0, name, False) for image, name in zip(images, names, strict=True)]
    return labels, {images[0]: [SQUARE, TRIANGLE], images[1]: [], images[2]: [SQUARE]}


@pytest.mark.parametrize("layout", ["yolo-det", "yolo-seg"])
def test_yolo_has_a_file_of_labels_for_each_image(two, tmp_path: Path, layout: str) -> None:
    labels, regions = two
    export(labels, tmp_path / "out", layout, regions=regions, val_fraction=0.0)
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    assert content == {"train": "images/train", "val": "images/val", "names": {0: "dent", 1: "tiefer Riß"}}
    images = sorted(path.name for path in (tmp_path / "out/images/train").iterdir())
    # Both would have had ä #1.txt.
    assert images == ["0-ä #1.png", "1-ä #1.jpg", "fine.png"]
    lines = {
        path.stem: [[float(value) for value in line.split()] for line in path.read_text().splitlines()]
        for path in (tmp_path / "out/labels/train").iterdir()
    }
    square = [1, 0.75, 0.25, 0.5, 0.5] if layout == "yolo-det" else [1, 0.5, 0, 1, 0, 1, 0.5, 0.5, 0.5]
    triangle = [1, 0.125, 0.75, 0.25, 0.5] if layout == "yolo-det" else [1, 0, 0.5, 0.25, 0.5, 0, 1]
    assert lines == {"0-ä #1": [square, triangle], "1-ä #1": [], "fine": []}


def test_yolo_has_each_image_once_whatever_the_share(tmp_path: Path, make_image: MakeImage) -> None:
    names = ["dent"] * 5 + ["scratch"] * 4 + ["alone"]
    labels = [Labelled(make_image(tmp_path / f"{i}.png"), 0, name, False) for i, name in enumerate(names)]
    regions = {image.path: [SQUARE] for image in labels}
    export(labels, tmp_path / "out", "yolo-det", regions=regions, val_fraction=0.4, folders=[tmp_path])
    parts = {part: {path.stem for path in (tmp_path / "out/images" / part).iterdir()} for part in ("train", "val")}
    assert parts["train"] | parts["val"] == {str(i) for i in range(10)}
    assert not parts["train"] & parts["val"]
    assert (len(parts["val"]), "9" in parts["train"]) == (4, True)
    assert {path.stem for path in (tmp_path / "out/labels/val").iterdir()} == parts["val"]


@pytest.mark.parametrize("boxes", [False, True])
def test_label_studio_has_class_and_regions_as_predictions(two, tmp_path: Path, boxes: bool) -> None:
    labels, regions = two
    export(labels, tmp_path / "out", "label-studio", regions=regions, boxes=boxes)
    config = ET.parse(tmp_path / "out/label_config.xml").getroot()
    controls = {tag.get("name"): {child.get("value") for child in tag} for tag in config if tag.get("toName")}
    assert controls == {"region": {"dent", "good", "tiefer Riß"}, "class": {"dent", "good", "tiefer Riß"}}
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    served = [parse_qs(urlparse(task["data"]["image"]).query)["d"][0] for task in tasks]
    assert served == ["images/0-ä #1.png", "images/1-ä #1.jpg", "images/fine.png"]
    assert all((tmp_path / "out" / path).is_file() for path in served)
    results = [task["predictions"][0]["result"] for task in tasks]
    assert [result[0]["value"]["choices"] for result in results] == [["tiefer Riß"], ["dent"], ["good"]]
    assert [len(result) for result in results] == [3, 1, 1]
    assert [task["predictions"][0]["score"] for task in tasks] == [0.75, 0, 0]
    kind = "rectanglelabels" if boxes else "polygonlabels"
    region = results[0][1]
    assert (region["type"], region["score"], region["value"][kind]) == (kind, 0.75, ["tiefer Riß"])
    assert (region["original_width"], region["original_height"]) == (64, 64)
    if boxes:
        assert [region["value"][name] for name in ("x", "y", "width", "height")] == [50, 0, 50, 50]
    else:
        assert region["value"]["points"] == [[50, 0], [100, 0], [100, 50], [50, 50]]


@pytest.mark.parametrize("boxes", [False, True])
def test_cvat_has_class_and_regions(two, tmp_path: Path, boxes: bool) -> None:
    labels, regions = two
    export(labels, tmp_path / "out", "cvat", regions=regions, boxes=boxes)
    root = ET.parse(tmp_path / "out/annotations.xml").getroot()
    images = root.findall("image")
    assert [image.get("name") for image in images] == ["0-ä #1.png", "1-ä #1.jpg", "fine.png"]
    assert {path.name for path in (tmp_path / "out/images").iterdir()} == {image.get("name") for image in images}
    assert [image.find("tag").get("label") for image in images] == ["tiefer Riß", "dent", "good"]
    shapes = images[0].findall("box" if boxes else "polygon")
    assert [shape.find("attribute").text for shape in shapes] == ["0.750", "0.500"]
    place = {name: shapes[0].get(name) for name in ("xtl", "ytl", "xbr", "ybr", "points") if shapes[0].get(name)}
    box = {"xtl": "32.00", "ytl": "0.00", "xbr": "64.00", "ybr": "32.00"}
    assert place == (box if boxes else {"points": "32.00,0.00;64.00,0.00;64.00,32.00;32.00,32.00"})
    assert not images[1].findall("polygon") + images[2].findall("polygon") + images[2].findall("box")
    known = {label["name"] for label in json.loads((tmp_path / "out/labels.json").read_text())}
    assert known == {label.find("name").text for label in root.iter("label")} == {"dent", "good", "tiefer Riß"}


@pytest.mark.parametrize("layout", ["label-studio", "cvat", "coco"])
def test_without_a_run_annotation_tools_have_the_class(two, tmp_path: Path, layout: str) -> None:
    export(two[0], tmp_path / "out", layout)
    text = "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.suffix in (".json", ".xml"))
    assert "polygon" not in text.replace("PolygonLabels", "")
    assert "dent" in text


def classes_in(folder: Path) -> list[str]:
    """As the files of a layout list them."""
    if (folder / "annotations.json").is_file():
        return [one["name"] for one in json.loads((folder / "annotations.json").read_text())["categories"]]
    if (folder / "data.yaml").is_file():
        return list(yaml.safe_load((folder / "data.yaml").read_text())["names"].values())
    if (folder / "label_config.xml").is_file():
        return [str(one.get("value")) for one in ET.parse(folder / "label_config.xml").iter("Choice")]
    return [one["name"] for one in json.loads((folder / "labels.json").read_text())]


def test_the_command_says_where_nothing_stands_out(
    clustered: Path, labels: list[Labelled], capsys: pytest.CaptureFixture[str]
) -> None:
    run = load_run(clustered)
    # What is changed here is not what the mark lists.
    (clustered / "run.json").unlink()
    assert run.scores is not None
    run.scores[0] = run.scores.min()  # Nothing stands out in it.
    run.save(clustered)
    lines = [f"{image.path},0,{image.label},0" for image in labels]
    assert labels[0].label == "bar"
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]) + "\n")
    for layout in ("coco", "yolo-det", "yolo-seg", "label-studio", "cvat"):
        main(["export", "--labels", "labels.csv", "--run", "run", "--layout", layout])
        said = capsys.readouterr().out
        assert "No region: 6 of 15 images (5 named good, normal or ok; in 1 nothing stands out)" in said
        listed = classes_in(Path(f"labelled-{layout}"))
        others = "" if "good" in listed else ", or named good, normal or ok"
        assert f"15 images of {len(listed)} classes{others}\n" in said
        assert len(list(Path(f"labelled-{layout}").rglob("*.png"))) == 15
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    assert all(layout in said for layout in LAYOUTS)


@pytest.mark.parametrize(
    ("layout", "with_run", "message"),
    [
        ("yolo-det", False, "layout 'yolo-det' needs regions of defects: give the folder of the run with --run"),
        ("yolo-seg", False, "layout 'yolo-seg' needs regions of defects"),
        ("folders", True, "layout 'folders' holds no regions of defects; leave --run out, or take one of"),
        ("yolo-cls", True, "layout 'yolo-cls' holds no regions of defects"),
    ],
)
def test_layouts_that_do_not_go_with_a_run_or_without(two, tmp_path, layout, with_run, message) -> None:
    with pytest.raises(ValueError, match=message):
        export(two[0], tmp_path / "out", layout, regions=two[1] if with_run else None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-score", "0.3"], "--min-score chooses among the regions of a run; give its folder with --run"),
        (["--boxes"], "--boxes is for label-studio and cvat"),
        (["--run", "photos"], "'photos' holds no run.safetensors"),
    ],
)
def test_words_that_do_not_go_together(clustered: Path, capsys, words: list[str], message: str) -> None:
    Path("labels.csv").write_text("path,cluster,label,unsure\n")
    with pytest.raises(SystemExit):
        main(["export", "--labels", "labels.csv", *words])
    assert message in capsys.readouterr().err


def test_labels_of_another_run(two, tmp_path: Path) -> None:
    labels, regions = two
    regions.pop(labels[1].path)
    with pytest.raises(ValueError, match=r"image '.*ä #1.jpg' is not of the run; give the run whose report"):
        export(labels, tmp_path / "out", "coco", regions=regions)


def test_names_that_are_not_unicode_are_in_tasks_of_label_studio_which_no_xml_holds(two, tmp_path: Path) -> None:
    image = two[0][0].path.rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    labels = [two[0][0]._replace(path=image)]
    export(labels, tmp_path / "out", "label-studio", folders=[tmp_path])
    (task,) = json.loads((tmp_path / "out/tasks.json").read_text())
    assert task["data"]["image"] == "/data/local-files/?d=images/caf%E9.png"
    assert (tmp_path / "out/images" / image.name).is_file()
    with pytest.raises(ValueError, match="has characters that XML cannot hold"):
        export(labels, tmp_path / "cvat", "cvat", folders=[tmp_path])


def test_what_xml_cannot_hold(two, tmp_path: Path) -> None:
    labels = [two[0][0]._replace(label="bell\x07")]
    with pytest.raises(ValueError, match=r"'bell\\x07' has characters that XML cannot hold"):
        export(labels, tmp_path / "out", "cvat")
    assert not (tmp_path / "out").exists()
