"""Indices of images that come from somebody else: sizes, forms and paths are looked at before anything is believed."""

from pathlib import Path

import pytest

from anomaly_clustering.data.sets import index_files
from anomaly_clustering.data.sets.index_files import below, read_boxes, read_json, read_json_lines, read_rows
from anomaly_clustering.data.sets.one_type import TypedImage, listing_of


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


def test_an_image_whose_type_has_no_name_is_not_taken_for_a_good_one() -> None:
    with pytest.raises(ValueError, match=r"the type of defect of 1 image, '1\.png' for one, has no name"):
        listing_of([TypedImage(Path("0.png")), TypedImage(Path("1.png"), [" "])])


def test_of_masks_only_images_free_of_defects_may_have_none() -> None:
    entries = [TypedImage(Path("0.png"), ["dent"], Path("mask.png")), *map(TypedImage, [Path("1.png"), Path("2.png")])]
    entries += [TypedImage(Path(f"{name}.png"), [name]) for name in ("good", "OK", "normal")]
    assert [record.mask for record in listing_of(entries).records if record.mask] == [Path("mask.png")]
    entries += [TypedImage(Path(f"{i}.png"), ["dent"]) for i in (7, 8)]
    with pytest.raises(
        ValueError, match=r"masks are missing: those of 2 images with a type of defect, '7\.png' for one"
    ):
        listing_of(entries)
    assert len(listing_of([entry._replace(mask=None) for entry in entries]).records) == len(entries)


def test_two_masks_of_one_image_are_refused() -> None:
    entries = [TypedImage(Path("0.png"), ["dent"], Path(f"mask{i}.png")) for i in range(2)]
    with pytest.raises(ValueError, match=r"'0.png' has two masks, 'mask0.png' and 'mask1.png'"):
        listing_of(entries)
