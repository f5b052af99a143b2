"""Labels from the report -> folders by class, COCO and YOLO classification; and what is refused."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from conftest import MakeImage
from PIL import ExifTags, Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.images import read_image
from anomaly_clustering.runs.export import export
from anomaly_clustering.runs.export_names import names_of_copies
from anomaly_clustering.runs.labels import Labelled, read_labels
from anomaly_clustering.system.files import OURS, digest


@pytest.fixture
def labels(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten scratches, two dents of one name in two folders, one unsure and one unnamed image."""
    monkeypatch.chdir(tmp_path)
    rows = [(make_image(Path(f"a/{i}.png")), 0, "scratch", 0) for i in range(10)]
    rows += [(make_image(Path(f"{folder}/same.png")), 1, "dent", 0) for folder in ("a", "b")]
    rows += [(make_image(Path("a/unsure.png")), 1, "dent", 1), (make_image(Path("a/none.png")), 2, "", 0)]
    lines = [",".join(map(str, row)) for row in [("path", "cluster", "label", "unsure"), *rows]]
    Path("labels.csv").write_text("\n".join(lines) + "\n")
    return Path("labels.csv")


def files(folder: str) -> list[str]:
    found = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != OURS]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_folders_hold_what_is_labelled_and_sure(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", "--labels", str(labels)])
    scratches = [f"scratch/{i}.png" for i in range(10)]
    assert files("labelled-folders") == sorted(["dent/10-same.png", "dent/11-same.png", *scratches])
    assert Path("labelled-folders/scratch/3.png").read_bytes() == Path("a/3.png").read_bytes()
    assert "2 of 14 images" in capsys.readouterr().out


@pytest.mark.parametrize("layout", ["folders", "yolo-cls", "coco"])
def test_an_image_is_exported_under_the_label_of_another_one_by_no_layout(
    labels: Path, make_image: MakeImage, capsys, layout: str
) -> None:
    head, first, *others = labels.read_text().splitlines()
    content = f"sha256:{digest(Path('a/0.png'))[:16]}"
    labels.write_text("\n".join([f"{head},content", f"{first},{content}", *(f"{row}," for row in others)]))
    kept = Path("a/0.png").read_bytes()
    make_image(Path("a/0.png"), seed=1)
    argv = ["export", "--labels", str(labels), "--layout", layout, "--out", "out"]
    with pytest.raises(SystemExit):
        main(argv)
    assert "1 of 12 images are not what they were when the run saw them, 'a/0.png'" in capsys.readouterr().err
    assert not Path("out").exists()
    Path("a/0.png").write_bytes(kept)
    main(argv)
    (copy,) = Path("out").rglob("0.png")
    assert copy.read_bytes() == kept


def test_coco_has_one_box_around_each_image(labels: Path) -> None:
    main(["export", "--labels", str(labels), "--layout", "coco", "--out", "coco"])
    content = json.loads(Path("coco/annotations.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    images = {image["id"]: image for image in content["images"]}
    assert len(content["annotations"]) == len(images) == 12
    for box in content["annotations"]:
        image = images[box["image_id"]]
        assert Image.open(Path("coco/images") / image["file_name"]).size == (image["width"], image["height"])
        assert box["bbox"] == [0, 0, image["width"], image["height"]]
        assert names[box["category_id"]] == ("dent" if "same" in image["file_name"] else "scratch")


def test_yolo_splits_each_class(labels: Path) -> None:
    main(["export", "--labels", str(labels), "--layout", "yolo-cls", "--out", "yolo", "--val", "0.3"])
    counts = {
        part: len(list(Path("yolo").glob(f"{part}/*.png")))
        for part in ("train/scratch", "val/scratch", "train/dent", "val/dent")
    }
    assert counts == {"train/scratch": 7, "val/scratch": 3, "train/dent": 1, "val/dent": 1}
    assert not {p.name for p in Path("yolo/train").rglob("*.png")} & {p.name for p in Path("yolo/val").rglob("*.png")}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_yolo_holds_each_image_once_also_the_only_one_of_its_class(labels: Path, share: float) -> None:
    rows = [row for row in read_labels(str(labels)) if row.path.name != "same.png" or row.path.parent.name == "a"]
    export(rows, "out", "yolo-cls", val_fraction=share)
    images = [name for name in files("out") if name.endswith(".png")]
    assert len(images) == 11
    assert len({Path(name).name for name in images}) == 11
    assert any(name.startswith("train/dent/") for name in images)


def test_of_each_class_an_image_validates_however_high_the_share(labels: Path) -> None:
    export(read_labels(labels), Path("out"), "yolo-cls", val_fraction=0.96)
    parts = ("train/scratch", "val/scratch", "train/dent", "val/dent")
    assert [len(list(Path("out").glob(f"{part}/*.png"))) for part in parts] == [1, 9, 1, 1]


@pytest.mark.parametrize("layout", ["folders", "coco", "yolo-cls"])
def test_there_are_as_many_files_as_rows_whatever_the_images_are_called(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # The numbered names that the first two would get belong to others; one name differs in capitals alone.
    names = ["a/img.png", "b/img.png", "c/0-img.png", "c/1-img.png", "d/IMG.png", "d/2-Img.png"]
    images = [make_image(Path(name), seed=i) for i, name in enumerate(names)]
    labels = [Labelled(image, 0, "dent" if i % 2 else "scratch", False) for i, image in enumerate(images)]
    assert export(labels, Path("out"), layout, val_fraction=0.0) == 0  # type: ignore[arg-type]
    found = [path for path in Path("out").rglob("*.png")]
    assert len(found) == len({path.name.casefold() for path in found}) == len(images)
    # Each image once, under one class.
    assert sorted(path.read_bytes() for path in found) == sorted(path.read_bytes() for path in images)
    if layout == "coco":
        content = json.loads(Path("out/annotations.json").read_text())
        assert len({image["file_name"] for image in content["images"]}) == len(images)
    else:
        content_of = {image.read_bytes(): label.label for image, label in zip(images, labels, strict=True)}
        assert all(path.parent.name == content_of[path.read_bytes()] for path in found)


@pytest.mark.parametrize("name", ["CON", "nul", "com1.old", "dent.", "dent ", ".dent", "a:b", "a/b"])
def test_names_that_windows_cannot_have_are_refused(labels: Path, name: str) -> None:
    rows = [image._replace(label=name) if image.label == "dent" else image for image in read_labels(labels)]
    with pytest.raises(ValueError, match=rf"{re.escape(repr(name))} cannot be the name of a folder"):
        export(rows, Path("out"), "folders")
    assert not Path("out").exists()
    assert export(rows, Path("out"), "coco") == 2


@pytest.mark.parametrize("layout", ["folders", "coco", "yolo-cls", "label-studio", "cvat", "yolo-det"])
def test_copies_have_names_that_windows_can_have(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.chdir(tmp_path)
    long = "x" * 251
    names = [
        "CON.png",
        "b/aux.old.png",
        "3:00.png",
        "c/3_00.png",
        "a?b|c\n.png",
        f"{long}.png",
        f"c/{long}.png",
        "b.png",
    ]
    images = [make_image(Path(name), seed=i) for i, name in enumerate(names)]
    labels = [Labelled(image, 0, "dent", False) for image in images]
    regions = {image: [] for image in images} if layout == "yolo-det" else None
    export(labels, Path("out"), layout, val_fraction=0.0, regions=regions)  # type: ignore[arg-type]
    found = sorted(path.name for path in Path("out").rglob("*.png"))
    long = long[:-12]
    named = ["2-3_00.png", "3-3_00.png", "_CON.png", "_aux.old.png", "a_b_c_.png", "b.png"]
    assert found == sorted([*named, f"5-{long}.png", f"6-{long}.png"])
    assert Path(next(Path("out").rglob("a_b_c_.png"))).read_bytes() == images[4].read_bytes()


def test_a_name_that_is_an_ending_alone_is_cut_too() -> None:
    (name,) = names_of_copies([f"a.{'x' * 250}"], by_stem=True)
    assert 200 < len(name) < 255


def test_classes_that_differ_in_capitals_alone_are_refused(labels: Path) -> None:
    rows = [image._replace(label="Scratch") if image.path.name == "3.png" else image for image in read_labels(labels)]
    with pytest.raises(ValueError, match=r"'Scratch' and 'scratch' are one folder on Windows and macOS"):
        export(rows, Path("out"), "yolo-cls")
    assert not Path("out").exists()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_labels_that_a_spreadsheet_saved_are_read(labels: Path, separator: str) -> None:
    expected = read_labels(labels)
    head, *lines = labels.read_text().replace(",", separator).splitlines()
    labels.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([head.title(), *lines]).encode())
    assert read_labels(labels) == expected


def test_an_image_in_two_rows_is_refused(labels: Path) -> None:
    labels.write_text(labels.read_text() + "a/3.png,1,dent,0\n")
    with pytest.raises(ValueError, match=r"'labels.csv' lists 'a/3.png' more than once, in line 5 and in line 16"):
        read_labels(labels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_of_coco_are_those_of_the_upright_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    export([Labelled(tmp_path / "a.jpg", 0, "dent", False)], tmp_path / "out", "coco", folders=[tmp_path])
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    expected = read_image(tmp_path / "a.jpg").size
    assert (content["images"][0]["width"], content["images"][0]["height"]) == expected
    assert content["annotations"][0]["bbox"] == [0, 0, *expected]


def test_names_that_are_not_unicode_are_found_by_their_escapes(tmp_path: Path, make_image: MakeImage) -> None:
    image = make_image(tmp_path / "caf\udce9.png")
    file = tmp_path / "labels.csv"
    file.write_text(f"path,cluster,label,unsure\n{tmp_path}/caf\\udce9.png,3,dent,1\n")
    assert read_labels(file) == [Labelled(image, 3, "dent", True)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("dent", "../dent").replace("scratch", "a:b"),
            "'../dent', 'a:b' cannot be the name of a folder",
        ),
        (lambda text: text.replace("cluster", "group"), "'labels.csv' is not a file of labels"),
        (lambda text: text.replace("cluster", "group"), "there is no 'cluster'"),
        (lambda text: text.replace("a/3.png,0", "a/3.png,x"), "cluster in line 5 must be a whole number"),
        (lambda text: text.replace("unsure", "unsure,Cluster"), "several columns are called 'cluster', capitals aside"),
        (lambda text: text.replace("dent,1", "dent,maybe"), "unsure in line 14 must be a whole number"),
        (
            lambda text: text.replace("a/3.png", "a/2.png"),
            "lists 'a/2.png' more than once, in line 4 and in line 5; keep one row",
        ),
        (lambda text: text.replace("scratch", "").replace("dent", ""), "none of the 14 images has a label"),
        (lambda text: text.replace("a/3.png", "a/absent.png"), "image 'a/absent.png' is not there"),
        (lambda text: text.splitlines()[0], "'labels.csv' holds no images"),
    ],
)
def test_wrong_labels_are_refused_and_nothing_is_written(labels, change, message, capsys) -> None:
    labels.write_text(change(labels.read_text()))
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit):
        main(["export", "--labels", str(labels)])
    assert message in capsys.readouterr().err
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", f"path,cluster,label,unsure\na.png,0,{'x' * 10_000_000},0\n", "field larger than field limit"),
        ("a.csv", f"{'x' * 10_000_000},path,cluster,label,unsure\na.png,0,,0\n", "field larger than field limit"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "maximum recursion depth"),
        *(
            ("a.json", f'{{"images": [{{"path": "a.png", "cluster": {value}, "label": "", "unsure": 0}}]}}', message)
            for value, message in [
                ("1e400", "cluster of image 1 must be a whole number from -1 to 999999, got inf"),
                ("1.5", "cluster of image 1 must be a whole number from -1 to 999999, got 1.5"),
                ("4294967294", "cluster of image 1 must be a whole number from -1 to 999999, got 4294967294"),
                (f'"{"9" * 5000}"', "cluster of image 1 must be a whole number"),
            ]
        ),
    ],
    ids=range(7),
)
def test_labels_of_any_content_are_refused_in_a_short_line(
    name: str, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["export", "--labels", name])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert len(error) < 400


def test_names_that_no_folder_can_have_go_to_coco(labels: Path) -> None:
    labels.write_text(labels.read_text().replace("dent", "dent / bump"))
    main(["export", "--labels", str(labels), "--layout", "coco", "--out", "coco"])
    categories = json.loads(Path("coco/annotations.json").read_text())["categories"]
    assert "dent / bump" in {category["name"] for category in categories}


def test_labels_in_another_encoding_are_refused_in_a_line(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels.write_bytes(labels.read_text().replace("dent", "Riß").encode("cp1252"))
    with pytest.raises(SystemExit):
        main(["export", "--labels", str(labels)])
    error = capsys.readouterr().err
    assert error == "error: 'labels.csv' is not UTF-8; save it from the report, or as 'CSV UTF-8'\n"


def test_a_folder_that_holds_something_is_kept(labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years")
    with pytest.raises(SystemExit):
        main(["export", "--labels", str(labels), "--out", "mine"])
    assert "'mine' exists" in capsys.readouterr().err
    assert files("mine") == ["thesis.tex"]


def named(labels: Path, label: str) -> Path:
    images = [{"path": str(image.path), "cluster": 0, "label": label, "unsure": 0} for image in read_labels(labels)]
    Path("labels.json").write_text(json.dumps({"images": images}))
    return Path("labels.json")


@pytest.mark.parametrize("layout", ["label-studio", "cvat"])
@pytest.mark.parametrize("label", ["a\0b", "a\x01b", "a\uffffb", "a\ud800b"])
def test_what_xml_cannot_hold_is_refused(labels: Path, capsys, layout: str, label: str) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--labels", str(named(labels, label)), "--layout", layout])
    assert "has characters that XML cannot hold; rename" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["d\u00e9faut\u00a0!", "3.00\u202fPM", "\U0001f469\u200d\U0001f52c", "x\u3000y"])
def test_spaces_and_signs_of_any_language_are_names(labels: Path, label: str) -> None:
    for layout in ("folders", "label-studio", "cvat"):
        main(["export", "--labels", str(named(labels, label)), "--layout", layout])
    assert {path.name for path in Path("labelled-folders").iterdir() if path.is_dir()} == {label}
    for file in ("labelled-label-studio/label_config.xml", "labelled-cvat/annotations.xml"):
        root = ElementTree.parse(file).getroot()
        assert label in {*(node.text for node in root.iter()), *(node.get("value") for node in root.iter())}


def test_a_name_that_is_too_long_for_a_folder_is_said_to_be(labels: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--labels", str(named(labels, "x" * 300))])
    error = capsys.readouterr().err
    assert f"{'x' * 65}...{'x' * 65}' (300 characters) cannot be the name of a folder" in error
    assert len(error) < 300


@pytest.mark.parametrize("label", ["a\x85b", "a\u2028b", "d\u00e9faut"])
def test_yolo_keeps_the_names_of_classes(labels: Path, label: str) -> None:
    chosen = [image for image in read_labels(named(labels, label)) if image.label]
    export(chosen, Path("out"), "yolo-det", regions={image.path: [] for image in chosen})
    assert yaml.safe_load(Path("out/data.yaml").read_text(encoding="utf-8"))["names"] == {0: label}


def test_accents_that_stand_apart_make_no_other_name(labels: Path, make_image: MakeImage, capsys) -> None:
    one, two = "\u00e9", "e\u0301"
    images = [make_image(Path(f"{folder}/{name}.png")) for folder, name in (("c", one), ("d", two))]
    chosen = [Labelled(image, i, "dent", False) for i, image in enumerate(images)]
    export(chosen, Path("out"), "coco")
    assert files("out") == sorted(["annotations.json", f"images/0-{one}.png", f"images/1-{two}.png"])
    chosen = [Labelled(image, i, name, False) for i, (image, name) in enumerate(zip(images, (one, two), strict=True))]
    with pytest.raises(ValueError, match="are one folder on Windows and macOS"):
        export(chosen, Path("classes"), "folders")
