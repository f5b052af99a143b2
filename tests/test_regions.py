"""Weights of a run -> regions of defects on one scale -> COCO, YOLO, Label Studio and CVAT, and what is refused."""

import json
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import yaml
from conftest import MakeImage
from PIL import ExifTags, Image
from test_stored_run import stored

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.images import read_image
from anomaly_clustering.runs.annotations import Item, Region, coco, cvat
from anomaly_clustering.runs.export import LAYOUTS, export
from anomaly_clustering.runs.labels import Labelled
from anomaly_clustering.runs.regions import outline, run_regions
from anomaly_clustering.runs.store import load_run

SQUARE = Region([(0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5)], 0.75)
TRIANGLE = Region([(0.0, 0.5), (0.25, 0.5), (0.0, 1.0)], 0.5)


@pytest.fixture
def clustered(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run on 15 images: five good ones, five with a bright square, five with a dark bar."""
    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--clusters", "3", "--method", "paper", "--image-size", "128", "--out", "run"])
    return Path("run")


@pytest.fixture
def labels(clustered: Path) -> list[Labelled]:
    return [Labelled(path, 0, path.parent.name, False) for path in load_run(clustered).paths]


def defect_of(path: Path) -> tuple[float, float]:
    """The middle of the defect, in shares of width and height; noise is far from its grey."""
    grey = np.asarray(Image.open(path).convert("L")).astype(int)
    y, x = np.nonzero(grey > 220 if path.parent.name == "bright" else grey < 30)
    return x.mean() / grey.shape[1], y.mean() / grey.shape[0]


# What stands out.


def test_a_region_is_drawn_between_the_centres_of_patches_and_up_to_the_edge() -> None:
    scores = np.zeros((4, 8))
    scores[1, 2:4] = 2.0
    (region,) = outline(scores, threshold=1.0, top=4.0)
    assert region.box == (2 / 8, 1 / 4, 4 / 8, 2 / 4)
    assert region.score == pytest.approx(1 / 3)  # 2 is a third of the way from 1 to 4.
    at_edge = np.zeros((4, 8))
    at_edge[0, 6:] = 2.0
    assert outline(at_edge, threshold=1.0, top=4.0)[0].box == (6 / 8, 0, 1, 1 / 4)
    (whole,) = outline(np.full((4, 8), 2.0), threshold=1.0, top=2.0)
    assert (whole.box, whole.area, whole.score) == ((0, 0, 1, 1), 1.0, 1.0)
    assert outline(np.full((4, 8), 2.0), threshold=2.0, top=2.0) == []


def test_regions_come_by_score_holes_are_filled_and_specks_left_out() -> None:
    scores = np.zeros((16, 16))
    scores[1:6, 1:6], scores[3, 3] = 2.0, 0.0
    scores[9:12, 9:12] = 3.0
    scores[14, 2] = 1.1  # Just above the threshold at one place.
    first, second = outline(scores, threshold=1.0, top=3.0)
    # From 0 to 3 the threshold of 1 is passed a third of the way, from 0 to 2 halfway.
    assert np.array(first.box) * 16 == pytest.approx([8.5 + 1 / 3, 8.5 + 1 / 3, 12.5 - 1 / 3, 12.5 - 1 / 3])
    assert second.box == (1 / 16, 1 / 16, 6 / 16, 6 / 16)
    assert (first.score, second.score) == (1.0, 0.5)
    # A square of 5 x 5 patches whose corners are cut; a hole would take two more.
    assert second.area * 256 == pytest.approx(24.5)


def test_the_score_of_a_region_is_the_highest_of_the_patches_inside() -> None:
    rng = np.random.default_rng(0)
    scores = np.zeros((40, 40))
    for row in range(2, 38, 6):
        for column in range(2, 38, 6):
            scores[row : row + 3, column : column + 4] = rng.uniform(1.1, 4.0, (3, 4))
    found = outline(scores, threshold=1.0, top=4.0)
    assert len(found) == 36
    for region in found:
        left, top, right, bottom = (round(side * 40) for side in region.box)
        assert region.score == pytest.approx((scores[top:bottom, left:right].max() - 1) / 3)


STRIPES = np.tile(np.arange(2048)[:, None] % 2, (1, 2048))
SPOTS = np.kron(np.indices((512, 512)).prod(0) % 2, np.ones((2, 2)))


@pytest.mark.parametrize("pattern", [STRIPES, SPOTS, STRIPES.T])
def test_a_heat_map_of_a_stranger_that_falls_into_pieces_is_refused_soon(tmp_path: Path, pattern: np.ndarray) -> None:
    scores = np.zeros((3, *pattern.shape), np.float16)
    scores[0] += pattern
    replace(stored(), weights=scores + 1, scores=scores).save(tmp_path)
    asked = time.monotonic()
    with pytest.raises(
        ValueError, match=r"run.safetensors' holds a heat map of 'a.png' that shows no defe.*, more than"
    ):
        run_regions(tmp_path)
    assert time.monotonic() - asked < 30


def test_one_region_of_a_hundred_thousand_corners_takes_no_time() -> None:
    comb = np.zeros((512, 512))
    comb[::2], comb[:, 0] = 1.0, 2.0
    asked = time.monotonic()
    (region,) = outline(comb, threshold=0.5, top=2.0)
    assert len(region.polygon) > 100_000
    assert region.score == 1.0
    assert time.monotonic() - asked < 20


def test_regions_of_a_run_lie_on_the_defects(clustered: Path) -> None:
    found = run_regions(clustered)
    assert found.keys() == set(load_run(clustered).paths)
    for path, regions in found.items():
        if path.parent.name != "good":
            (x, y), (left, top, right, bottom) = defect_of(path), regions[0].box
            assert left < x < right, path
            assert top < y < bottom, path
            assert regions[0].area < 0.35
    scores = {path: max((region.score for region in regions), default=0.0) for path, regions in found.items()}
    assert max(scores.values()) == 1.0
    assert max(scores[path] for path in scores if path.parent.name == "good") < min(
        scores[path] for path in scores if path.parent.name == "bright"
    )


def test_images_that_were_assigned_later_have_regions_on_the_same_scale(
    clustered: Path, tmp_path: Path, make_image: MakeImage
) -> None:
    before = run_regions(clustered)
    new = make_image(tmp_path / "new" / "bright" / "9.png", 1, seed=9)
    main(["assign", "new", "--run", "run"])
    after = run_regions(clustered)
    assert {path: after[path] for path in before} == before
    (x, y), (left, top, right, bottom) = defect_of(new), after[Path("new/bright/9.png")][0].box
    assert left < x < right
    assert top < y < bottom


def test_regions_of_low_score_are_left_out_if_asked(clustered: Path) -> None:
    found, kept = run_regions(clustered), run_regions(clustered, min_score=0.95)
    for path, regions in found.items():
        assert kept[path] == [region for region in regions if region.score >= 0.95]
    assert 0 < sum(map(len, kept.values())) < sum(map(len, found.values()))
    with pytest.raises(ValueError, match=r"min_score must be between 0 and 1, got 30.0"):
        run_regions(clustered, min_score=30.0)


# What is written.


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
            assert annotation["area"] == pytest.approx(region.area * 64 * 64, abs=1)
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
        assert "Nothing stands out, so no region is marked: 1 of 15 images" in said
        assert len(list(Path(f"labelled-{layout}").rglob("*.png"))) == 15
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    assert all(layout in said for layout in LAYOUTS)


# What is refused.


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


def test_what_xml_cannot_hold(two, tmp_path: Path) -> None:
    labels = [two[0][0]._replace(label="bell\x07")]
    with pytest.raises(ValueError, match=r"'bell\\x07' has characters that XML cannot hold"):
        export(labels, tmp_path / "out", "cvat")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"weights": "uniform"}, {"weights": "mask"}, {"distance": "chamfer"}])
def test_runs_without_heat_maps(clustered: Path, change: dict[str, str]) -> None:
    run = load_run(clustered)
    # What is changed here is not what the mark lists.
    (clustered / "run.json").unlink()
    replace(run, recipe=replace(run.recipe, **change)).save(clustered)
    with pytest.raises(ValueError, match=r"run 'run' has no heat maps that show defects: it compared images by"):
        run_regions(clustered)


def test_where_mean_scores_are_unknown_patches_are_compared_within_their_image(clustered: Path) -> None:
    # So it is with scores that are a maximum over images.
    run = load_run(clustered)
    # What is changed here is not what the mark lists.
    (clustered / "run.json").unlink()
    replace(run, mean_scores=np.full(15, np.nan), scores=None).save(clustered)
    for path, regions in run_regions(clustered).items():
        if path.parent.name == "bright":
            (x, y), (left, top, right, bottom) = defect_of(path), regions[0].box
            assert left < x < right
            assert top < y < bottom
