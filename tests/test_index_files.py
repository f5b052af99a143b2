"""Indices of images that come from somebody else: sizes, forms and paths are looked at before anything is believed."""

import json
from pathlib import Path

import pytest
from tiny_copies import mask, photograph

from anomaly_clustering.data import CocoFolder, MetadataFolder
from anomaly_clustering.data.sets import index_files
from anomaly_clustering.data.sets.coco import list_coco
from anomaly_clustering.data.sets.index_files import below, read_boxes, read_json, read_json_lines, read_rows
from anomaly_clustering.data.sets.metadata_folder import list_metadata_folder
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of
from anomaly_clustering.runs.annotations import Item, Region, coco


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_files, "LARGEST", 1000)
    monkeypatch.setattr(index_files, "LARGEST_OF_ONE", 1000)


@pytest.mark.usefixtures("small_limits")
def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "index"
    file.write_bytes(bytes(1001))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(index_files, "read_numbered_csv", lambda *_: pytest.fail("it was read"))
    for read in (
        lambda: read_json(file, "the index"),
        lambda: read_json_lines(file, "the index"),
        lambda: read_rows(file, "the index", ["image"]),
        lambda: read_boxes(file),
    ):
        with pytest.raises(ValueError, match=r"index', has 0 MB, more than the 0 MB that are read"):
            read()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "1" * 10_000, "{", "\ufffe"])
def test_json_that_is_none_or_too_deep_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"the index, '.*a\.json', is no JSON"):
        read_json(tmp_path / "a.json", "the index")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"image,label\n\xff\xfe\x00,crack\n")
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_json(tmp_path / "a", "the index")
    with pytest.raises(ValueError, match="is no CSV in UTF-8"):
        read_rows(tmp_path / "a", "the index", ["image"])


def test_entities_of_xml_are_refused(tmp_path: Path) -> None:
    lines = [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    bomb = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "x">{"".join(lines)}]><annotation>&a11;</annotation>'
    (tmp_path / "a.xml").write_text(bomb)
    with pytest.raises(ValueError, match=r"a\.xml', defines a type of document"):
        read_boxes(tmp_path / "a.xml")
    # Comments define nothing.
    (tmp_path / "a.xml").write_text("<annotation><!-- by hand --><object><name>dent</name></object></annotation>")
    assert read_boxes(tmp_path / "a.xml") == ["dent"]


@pytest.mark.parametrize(
    "text", ["a/b.png", "a\\b.png", "./a/b.png", "a//b.png", "a b.png", "é.png", "..a/b..png", "2026-03-01T06:30.png"]
)
def test_paths_below_are_found_however_they_are_written(text: str) -> None:
    path = below(Path("root"), text, Path("index"))
    assert path.is_relative_to("root")
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "text",
    ["", ".", "/a.png", "../a.png", "a/../../b.png", "a\\..\\..\\b.png", "C:/a.png", "C:a.png", "a\0.png", 3, None, []],
)
def test_paths_elsewhere_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no path below 'root'"):
        below(Path("root"), text, Path("index"))


# Tables as Hugging Face has them.

ROWS = [
    {"file_name": "a/0.png", "label": "dent", "mask": ""},
    {"file_name": "a/1.png", "label": "scratch", "mask": "m/1.png"},
    {"file_name": "2.png", "label": "good", "mask": ""},
]


def write_table(folder: Path, kind: str, rows: list[dict[str, object]]) -> Path:
    for row in rows:
        photograph(folder / str(row["file_name"]))
    file = folder / f"metadata.{kind}"
    if kind == "csv":
        text = "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])
        file.write_text(text + "\n")
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        write_table(pyarrow.Table.from_pylist(rows), file)
    return file


KINDS = ("csv", "jsonl", "parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_beside_the_images_tells_their_types(kind: str, tmp_path: Path) -> None:
    write_table(tmp_path, kind, ROWS)
    mask(tmp_path / "m/1.png", 255)
    photograph(tmp_path / "not_in_the_table.png")
    data = MetadataFolder(tmp_path, mask="mask", image_size=64, num_workers=0)
    data.setup()
    assert list(data.class_names) == ["good", "dent", "scratch"]
    assert [record.image.name for record in data.records] == ["0.png", "1.png", "2.png"]
    assert [record.label for record in data.records] == [1, 2, 0]
    (batch,) = data.test_dataloader()
    assert (batch["mask"].flatten(1).sum(1) > 0).tolist() == [False, True, False]
    # Without a column of types there are no classes.
    data = MetadataFolder(tmp_path, label=None)
    data.setup()
    assert data.num_classes == 0
    assert {record.label for record in data.records} == {None}


def test_characters_that_end_lines_elsewhere_may_stand_in_json(tmp_path: Path) -> None:
    photograph(tmp_path / "0.png")
    rows = '{"file_name": "0.png", "label": "dent", "text": "a\u2028b\x85c"}\r\n\n'
    (tmp_path / "metadata.jsonl").write_bytes(rows.encode())
    assert list_metadata_folder(tmp_path).class_names == ["dent"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_list_of_types_is_an_image_of_several(kind: str, tmp_path: Path) -> None:
    labels = [["dent"], ["scratch", "dent"], [], ["scratch"]]
    write_table(tmp_path, kind, [{"file_name": f"{i}.png", "defects": names} for i, names in enumerate(labels)])
    data = MetadataFolder(tmp_path, label="defects")
    data.setup()
    assert list(data.class_names) == ["good", "dent", "scratch"]
    assert len(data.records) == 3
    assert "left out: 1 image with several types" in data.notices[0]
    data = MetadataFolder(tmp_path, label="defects", several="keep")
    data.setup()
    assert list(data.class_names) == ["good", "dent", "dent + scratch", "scratch"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_without_what_is_needed_says_what_it_has(kind: str, tmp_path: Path) -> None:
    file = write_table(tmp_path, kind, ROWS)
    with pytest.raises(ValueError, match=rf"{file.name}', has no column 'defect'; it has 'file_name', 'label', 'mask'"):
        MetadataFolder(tmp_path, label="defect").setup()
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 3 files that '.*' names is missing, '.*a/1\.png' for one"):
        MetadataFolder(tmp_path).setup()
    write_table(tmp_path, kind, [{"file_name": "a/../0.png", "label": "dent"}])
    with pytest.raises(ValueError, match=r"names 'a/\.\./0\.png', which is no path below"):
        MetadataFolder(tmp_path).setup()


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_is_cut_off_is_named(kind: str, tmp_path: Path) -> None:
    file = write_table(tmp_path, kind, ROWS)
    file.write_bytes(file.read_bytes()[: -len(",good,\n") if kind == "csv" else -9])
    if kind == "csv":
        with pytest.raises(ValueError, match=r"has the label None"):
            MetadataFolder(tmp_path).setup()
    else:
        with pytest.raises(ValueError, match=r"metadata\..*', is no (JSON|Parquet)"):
            MetadataFolder(tmp_path).setup()


@pytest.mark.parametrize("label", [None, {}, "", [""], [["dent"]], float("nan")])
def test_a_label_that_is_none_is_shown(label: object, tmp_path: Path) -> None:
    write_table(tmp_path, "jsonl", [{"file_name": "0.png", "label": label}])
    with pytest.raises(ValueError, match=r"has the label .*, no text, number or list of texts"):
        MetadataFolder(tmp_path).setup()


def test_parts_with_a_table_each_are_told(tmp_path: Path) -> None:
    for part in ("test", "train"):
        write_table(tmp_path / part, "csv", ROWS)
    with pytest.raises(FileNotFoundError, match=r"has no metadata\.csv, .*; give one of its folders 'test', 'train'"):
        MetadataFolder(tmp_path).setup()


def test_without_pyarrow_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path, "parquet", ROWS)
    monkeypatch.setattr("anomaly_clustering.data.sets.metadata_folder.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anomaly-clustering\[parquet\]'"):
        MetadataFolder(tmp_path).setup()


# Parquet files that hold the images.


def write_parquet(path: Path, rows: list[dict[str, object]], names: list[str] | None = None, in_list: str = "") -> Path:
    """As Hugging Face writes it; its versions tell the names in a list of types in several ways."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = pyarrow.Table.from_pylist(rows)
    if names:
        label: object = {"names": names, "_type": "ClassLabel"}
        label = [label] if in_list == "[]" else {"feature": label, "_type": in_list} if in_list else label
        told = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path)
    return path


def held(path: Path, name: str | None = "a/../b.png") -> dict[str, object]:
    return {"bytes": photograph(path).read_bytes(), "path": name}


def prepared(root: Path, **options: object) -> MetadataFolder:
    data = MetadataFolder(root, image_size=64, num_workers=0, **options)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def test_images_within_parquet_files_are_read_with_the_names_of_their_classes(tmp_path: Path, own_cache: Path) -> None:
    images = [held(tmp_path / "from" / name) for name in ("0.png", "1.jpg", "2.png", "3.png")]
    rows = [{"image": image, "label": label} for image, label in zip(images, [1, 0, 2, 1], strict=True)]
    names = ["dent", "scratch", "ok"]
    write_parquet(tmp_path / "data/test-00000-of-00002.parquet", rows[:3], names)
    write_parquet(tmp_path / "data/test-00001-of-00002.parquet", rows[3:], names)
    data = prepared(tmp_path / "data")
    assert list(data.class_names) == ["ok", "dent", "scratch"]
    assert [data.class_names[record.label or 0] for record in data.records] == ["scratch", "dent", "ok", "scratch"]
    assert [record.image.read_bytes() for record in data.records] == [image["bytes"] for image in images]
    assert all(record.image.is_relative_to(own_cache) for record in data.records)
    (batch,) = data.test_dataloader()
    assert len(batch["image"]) == 4
    # One file of them, and again, which writes nothing.
    for _ in range(2):
        assert len(prepared(tmp_path / "data/test-00001-of-00002.parquet").records) == 1
    assert len(prepared(tmp_path / "data", label=None).records) == 4
    with pytest.raises(ValueError, match=r"masks within '.*' are not read; leave data\.mask 'mask' out"):
        prepared(tmp_path / "data", mask="mask")


@pytest.mark.parametrize("in_list", ["Sequence", "List", "[]"])
def test_numbers_in_a_list_of_types_have_names(in_list: str, tmp_path: Path, own_cache: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": held(tmp_path / f"{i}.png"), "label": types} for i, types in enumerate([[0], [1], [], [0, 1]])
    ]
    data = prepared(write_parquet(tmp_path / "a.parquet", rows, ["dent", "scratch"], in_list), several="keep")
    assert list(data.class_names) == ["good", "dent", "dent + scratch", "scratch"]


def test_of_several_columns_of_images_the_one_called_so_is_taken(tmp_path: Path, own_cache: Path) -> None:
    kept, other = held(tmp_path / "0.bmp"), held(tmp_path / "1.png")
    data = prepared(write_parquet(tmp_path / "a.parquet", [{"mask": other, "image": kept, "label": "dent"}]))
    assert [record.image.read_bytes() for record in data.records] == [kept["bytes"]]
    with pytest.raises(ValueError, match=r"b.parquet' has several columns of images, 'mask', 'photo'; call the one to"):
        prepared(write_parquet(tmp_path / "b.parquet", [{"mask": other, "photo": kept, "label": "dent"}]))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"text": "a", "label": 1}], r"has no column of images with 'bytes' and 'path'; it has \['text', 'label'\]"),
        ([{"image": {"bytes": b"x", "path": "a"}}], r"has no column 'label'; it has 'image'"),
        ([{"image": {"bytes": b"%!PS", "path": "a.png"}, "label": 1}], r"image 0 of '.*' is none that can be read"),
        ([{"image": {"bytes": None, "path": "/etc/passwd"}, "label": 1}], r"has a row without an image"),
    ],
)
def test_parquet_without_images_says_what_it_has(
    rows: list[dict[str, object]], told: str, tmp_path: Path, own_cache: Path
) -> None:
    if "without an image" in told:
        rows = [{"image": held(tmp_path / "0.png"), "label": 1}, *rows]
    write_parquet(tmp_path / "data.parquet", rows)
    with pytest.raises(ValueError, match=told):
        prepared(tmp_path / "data.parquet")
    assert not list(own_cache.glob("**/*.png"))


def test_parquet_that_is_cut_off_is_named(tmp_path: Path, own_cache: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", [{"image": held(tmp_path / "0.png"), "label": 1}])
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a\.parquet' is no Parquet"):
        prepared(file)


# COCO.


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
    with pytest.raises(FileNotFoundError, match=r"there is no '.*instances\.json', the annotation file"):
        CocoFolder(tmp_path, annotations="instances.json").setup()


def test_an_image_that_is_named_twice_counts_once_with_all_its_types(tmp_path: Path) -> None:
    labels = [("0.png", "dent"), ("0.png", "dent"), ("1.png", "dent"), ("1.png", "hole"), ("2.png", "hole")]
    write_table(tmp_path, "csv", [{"file_name": name, "label": label} for name, label in labels])
    listing = list_metadata_folder(tmp_path)
    assert [(record.image.name, record.label) for record in listing.records] == [("0.png", 0), ("2.png", 1)]
    assert listing.notices[0] == "2 entries name an image that was named before; it counts once, with all its types"
    told = {
        "images": [{"id": i, "file_name": name} for i, (name, _) in enumerate(labels)],
        "categories": [{"id": "dent", "name": "dent"}, {"id": "hole", "name": "hole"}],
        "annotations": [{"image_id": i, "category_id": label} for i, (_, label) in enumerate(labels) if i != 1],
    }
    save(tmp_path, told)
    listing = list_coco(tmp_path)
    assert [record.image.name for record in listing.records] == ["0.png", "2.png"]
    assert not any("count as good" in notice for notice in listing.notices)


def test_two_masks_of_one_image_are_refused() -> None:
    entries = [TypedImage(Path("0.png"), ["dent"], Path(f"mask{i}.png")) for i in range(2)]
    with pytest.raises(ValueError, match=r"'0.png' has two masks, 'mask0.png' and 'mask1.png'"):
        listing_of(entries)
