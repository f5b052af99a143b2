"""Tables beside images, or that hold them, in; images by their types, or what is wrong, out."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from tiny_copies import mask, photograph

from anomaly_clustering.data import MetadataFolder
from anomaly_clustering.data.sets.cache_place import place_of
from anomaly_clustering.data.sets.metadata_folder import list_metadata_folder

TWICE = [("0.png", "dent"), ("0.png", "dent"), ("1.png", "dent"), ("1.png", "hole"), ("2.png", "hole")]


ROWS = [
    {"file_name": "a/0.png", "label": "dent", "mask": "m/0.png"},
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
    for name in ("m/0.png", "m/1.png"):
        mask(tmp_path / name, 255)
    photograph(tmp_path / "not_in_the_table.png")
    data = MetadataFolder(tmp_path, mask="mask", image_size=64, num_workers=0)
    data.setup()
    assert list(data.class_names) == ["good", "dent", "scratch"]
    assert [record.image.name for record in data.records] == ["0.png", "1.png", "2.png"]
    assert [record.label for record in data.records] == [1, 2, 0]
    (notice,) = (notice for notice in data.notices if "does not name" in notice)
    assert notice.startswith(f"left out: 1 image in '{tmp_path}' that")
    assert notice.endswith("'not_in_the_table.png' for one")
    (batch,) = data.test_dataloader()
    assert (batch["mask"].flatten(1).sum(1) > 0).tolist() == [True, True, False]
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


def test_a_row_of_json_lines_may_leave_out_what_is_empty(tmp_path: Path) -> None:
    write_table(tmp_path, "jsonl", [{"file_name": "0.png", "label": "good"}, ROWS[1]])
    mask(tmp_path / "m/1.png", 255)
    masks = [record.mask for record in list_metadata_folder(tmp_path, mask="mask").records]
    assert masks == [None, tmp_path / "m/1.png"]
    with pytest.raises(ValueError, match="has no column 'defect'; it has 'file_name', 'label', 'mask'"):
        list_metadata_folder(tmp_path, label="defect")


def test_parts_with_a_table_each_are_told(tmp_path: Path) -> None:
    for part in ("test", "train"):
        write_table(tmp_path / part, "csv", ROWS)
    with pytest.raises(FileNotFoundError, match=r"has no metadata\.csv, .*; give one of its folders 'test', 'train'"):
        MetadataFolder(tmp_path).setup()


def test_without_pyarrow_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path, "parquet", ROWS)
    monkeypatch.setattr("anomaly_clustering.data.sets.metadata_folder.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "anomaly-clustering\[parquet\]"'):
        MetadataFolder(tmp_path).setup()


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


@pytest.mark.parametrize("label", [date(2026, 3, 1), b"dent", Decimal(1), None, ""])
def test_a_label_within_parquet_that_is_none_is_shown(label: object, tmp_path: Path, own_cache: Path) -> None:
    rows = [{"image": held(tmp_path / "0.png"), "label": label}]
    with pytest.raises(ValueError, match=r"a\.parquet' has the label .* for 'row 0', no text, number or list of texts"):
        prepared(write_parquet(tmp_path / "a.parquet", rows))


def test_the_number_that_stands_for_no_class_is_an_unknown_one(tmp_path: Path, own_cache: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": held(tmp_path / f"{i}.png"), "label": label} for i, label in enumerate([1, -1, 0, -1])
    ]
    data = prepared(write_parquet(tmp_path / "a.parquet", rows, ["good", "dent"]))
    assert list(data.class_names) == ["good", "dent"]
    assert [record.label for record in data.records] == [1, None, 0, None]
    assert "images of unknown type, which are clustered and not scored: 2" in data.notices
    # Without names it is a number like others.
    assert "-1" in prepared(write_parquet(tmp_path / "b.parquet", rows)).class_names


def test_what_an_earlier_version_made_of_parquet_is_made_anew(tmp_path: Path, own_cache: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": held(tmp_path / f"{i}.png"), "label": label} for i, label in enumerate([1, -1, 0])
    ]
    file = write_parquet(tmp_path / "a.parquet", rows, ["good", "dent"])
    earlier = place_of(f"parquet-{repr('label').encode().hex()}", [file])
    write_table(earlier, "jsonl", [{"file_name": "0.png", "label": -1}])
    assert list(prepared(file).class_names) == ["good", "dent"]


def test_parquet_is_found_below_as_it_was_downloaded_and_what_macos_lays_beside_it_is_none(
    tmp_path: Path, own_cache: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"image": held(tmp_path / f"{i}.png"), "label": label} for i, label in enumerate(["dent", "hole"])
    ]
    write_parquet(tmp_path / "set/data/test-00000-of-00001.parquet", rows)
    (tmp_path / "set/data/._test-00000-of-00001.parquet").write_bytes(b"\0\5\x16\7Mac OS X")
    with pytest.raises(FileNotFoundError, match="give one of its folders 'data', which have a table"):
        prepared(tmp_path / "set")
    with pytest.raises(FileNotFoundError, match=r"are not written yet: call prepare_data\(\) first"):
        MetadataFolder(tmp_path / "set/data").setup()
    assert len(prepared(tmp_path / "set/data").records) == 2


def test_parquet_that_is_cut_off_is_named(tmp_path: Path, own_cache: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", [{"image": held(tmp_path / "0.png"), "label": 1}])
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"a\.parquet' is no Parquet"):
        prepared(file)


def test_an_image_that_a_table_names_twice_counts_once_with_all_its_types(tmp_path: Path) -> None:
    write_table(tmp_path, "csv", [{"file_name": name, "label": label} for name, label in TWICE])
    listing = list_metadata_folder(tmp_path)
    assert [(record.image.name, record.label) for record in listing.records] == [("0.png", 0), ("2.png", 1)]
    assert listing.notices[0] == "2 entries name an image that was named before; it counts once, with all its types"
