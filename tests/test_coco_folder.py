"""Annotations of COCO in; images by the types of what is marked in them, or what is wrong, out."""

import json
from pathlib import Path

import pytest
from tiny_copies import photograph

from anomaly_clustering.data import CocoFolder
from anomaly_clustering.data.sets.coco import list_coco
from anomaly_clustering.runs.annotations import Item, Region, coco

TWICE = [("0.png", "dent"), ("0.png", "dent"), ("1.png", "dent"), ("1.png", "hole"), ("2.png", "hole")]


@pytest.fixture
def told(tmp_path: Path) -> dict[str, list[dict[str, object]]]:
    names = ["0.png", "part/1.png", "2.png", "3.png"]
    for name in names:
        photograph(tmp_path / "images" / name)
    return {
        "images": [{"id": 10 + i, "file_name": name, "width": 48, "height": 48} for i, name in enumerate(names)],
        "categories": [{"id": 5, "name": "scratch"}, {"id": 3, "name": "dent"}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": [0, 0, 9, 9], "iscrowd": 0}
            for i, (image, category) in enumerate([(10, 5), (10, 5), (11, 3), (12, 3), (12, 5)])
        ],
    }


def save(folder: Path, told: object) -> None:
    (folder / "annotations.json").write_text(json.dumps(told))


def test_categories_of_coco_are_types(told: dict[str, list[dict[str, object]]], tmp_path: Path) -> None:
    save(tmp_path, told)
    data = CocoFolder(tmp_path)
    data.setup()
    assert list(data.class_names) == ["good", "dent", "scratch"]
    assert {record.image.name: data.class_names[record.label or 0] for record in data.records} == {
        "0.png": "scratch",
        "1.png": "dent",
        "3.png": "good",
    }
    assert "images in which nothing is marked count as good: 1" in data.notices
    data = CocoFolder(tmp_path, images="images", several="keep")
    data.setup()
    assert list(data.class_names) == ["good", "dent", "dent + scratch", "scratch"]


def test_what_export_writes_is_read_again(tmp_path: Path) -> None:
    labels = ["dent", "scratch", "dent"]
    region = Region([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)], 0.9)
    items = [
        Item(photograph(tmp_path / "images" / f"{i}.png"), name, f"{i}.png", [region]) for i, name in enumerate(labels)
    ]
    save(tmp_path, coco(items, ["dent", "scratch"]))
    data = CocoFolder(tmp_path)
    data.setup()
    assert [data.class_names[record.label or 0] for record in data.records] == labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "is not COCO's: it has 'images' with 'id'"),
        ({"categories": []}, "is not COCO's.*KeyError"),
        ({"annotations": [{"image_id": 99, "category_id": 3}]}, "marks image 99, which it does not list"),
        ({"annotations": [{"category_id": 3}]}, "is not COCO's.*'image_id'"),
        ({"annotations": [{"image_id": [], "category_id": 3}]}, "is not COCO's"),
        (
            {"images": [{"id": 10, "file_name": "0.png"}] * 2, "annotations": []},
            "lists 2 images by 1 ids; give each its own",
        ),
        (
            {"images": [{"id": 10, "file_name": "../0.png"}], "annotations": []},
            r"names '\.\./0\.png', which is no path",
        ),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"categories": [{"id": 3, "name": "dent"}, {"id": 3, "name": "hole"}, {"id": 5, "name": "x"}]}, "by 2 ids"),
        (
            {"categories": [{"id": 3, "name": ""}, {"id": 5, "name": "x"}]},
            "of 2 images, '.*1.png' for one, has no name",
        ),
    ],
)
def test_annotations_that_are_none_say_what_was_expected(
    change: dict[str, object], message: str, told: dict[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    save(tmp_path, told | change)
    with pytest.raises(ValueError, match=message):
        CocoFolder(tmp_path).setup()


def test_images_that_coco_names_and_are_missing_are_told(
    told: dict[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    save(tmp_path, told)
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 of the 4 files that '.*annotations\.json' names is missing.*2\.png"
    ):
        CocoFolder(tmp_path).setup()
    with pytest.raises(
        FileNotFoundError, match=r"there is no '.*instances\.json', the annotation file; '.*' has 'annotations\.json'"
    ):
        CocoFolder(tmp_path, annotations="instances.json").setup()


def test_images_that_coco_does_not_name_are_counted(told: dict[str, list[dict[str, object]]], tmp_path: Path) -> None:
    save(tmp_path, told)
    photograph(tmp_path / "images" / "part" / "4.png")
    photograph(tmp_path / "elsewhere" / "5.png")
    (tmp_path / "images" / "linked.png").symlink_to("0.png")
    assert list_coco(tmp_path).notices[1] == (
        f"left out: 1 image in '{tmp_path / 'images'}' that '{tmp_path / 'annotations.json'}' does not name, "
        "'part/4.png' for one"
    )


def test_an_image_that_coco_names_twice_counts_once_with_all_its_types(tmp_path: Path) -> None:
    for name, _ in TWICE:
        photograph(tmp_path / name)
    told = {
        "images": [{"id": i, "file_name": name} for i, (name, _) in enumerate(TWICE)],
        "categories": [{"id": "dent", "name": "dent"}, {"id": "hole", "name": "hole"}],
        "annotations": [{"image_id": i, "category_id": label} for i, (_, label) in enumerate(TWICE) if i != 1],
    }
    save(tmp_path, told)
    listing = list_coco(tmp_path)
    assert [record.image.name for record in listing.records] == ["0.png", "2.png"]
    assert not any("count as good" in notice for notice in listing.notices)


def test_a_category_that_is_listed_twice_by_one_name_is_one(
    told: dict[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    save(tmp_path, told | {"categories": told["categories"] * 2})
    assert list_coco(tmp_path).class_names == ["good", "dent", "scratch"]
