import os
from pathlib import Path

import pytest
from conftest import MakeImage

from anomaly_clustering.data import Folder
from anomaly_clustering.data.anomalib import list_anomalib
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.layouts import recognise
from anomaly_clustering.data.walk import real_paths


def ready(*args: Path, **options: object) -> Folder:
    data = Folder(*args, **options)  # type: ignore[arg-type]
    data.setup()
    return data


def test_subfolders_are_defect_types(photos: Path) -> None:
    data = ready(photos)
    assert list(data.class_names) == ["bar", "bright", "good"]
    assert [record.label for record in data.records] == [0] * 5 + [1] * 5 + [2] * 5


def test_a_flat_folder_has_no_labels(flat_photos: Path) -> None:
    data = ready(flat_photos)
    assert data.num_classes == 0
    assert {record.label for record in data.records} == {None}


def test_images_beside_subfolders_are_unlabelled(photos: Path, make_image: MakeImage) -> None:
    make_image(photos / "x.png")
    assert [record.label for record in ready(photos).records].count(None) == 1


def test_normals_and_masks_inside_the_folder_are_not_clustered(photos: Path, make_image: MakeImage) -> None:
    for name in ("bar", "bright"):
        for i in range(5):
            make_image(photos / "masks" / name / f"{i}.png")
    data = ready(photos, normals=photos / "good", masks=photos / "masks")
    assert list(data.class_names) == ["bar", "bright"]
    assert len(data.records) == 10
    assert len(data.normal_records) == 5
    assert all(record.mask == photos / "masks" / record.image.relative_to(photos) for record in data.records)


def test_a_folder_under_another_name_is_the_same_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in other capitals on macOS, or by the letter of a network drive: no link is followed to the same path."""
    other = photos.parent / "PHOTOS"
    other.symlink_to(photos)
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    data = ready(photos, normals=other / "good")
    assert (len(data.records), len(data.normal_records)) == (10, 5)
    (photos / "train").mkdir()
    (photos / "good").rename(photos / "train" / "first_shift")
    (photos / "bar").rename(photos / "test")
    assert recognise(photos, [other / "train" / "first_shift"]).images == photos / "test"
    with pytest.raises(ValueError, match="are one folder; give one for each kind of image"):
        list_anomalib(photos.parent, normal_dir="photos/bright", abnormal_dirs=["PHOTOS/bright"])
    with pytest.raises(ValueError, match="lies in"):
        list_anomalib(photos.parent, normal_dir="photos", abnormal_dirs=["PHOTOS/bright"])


def test_masks_may_end_in_mask_and_have_another_extension(photos: Path, make_image: MakeImage) -> None:
    for name in ("bar", "bright"):
        for i in range(5):
            make_image(photos.parent / "masks" / name / f"{i}_mask.bmp")
    data = ready(photos, masks=photos.parent / "masks")
    assert [record.mask is None for record in data.records] == [False] * 10 + [True] * 5  # 'good' needs none


def test_the_ending_of_a_mask_may_be_in_capitals_and_that_of_its_image_comes_first(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("photos/crack/0.png", "masks/crack/0.PNG", "masks/crack/0_mask.png", "photos/1.TIF", "masks/1.bmp"):
        make_image(tmp_path / name)
    make_image(tmp_path / "masks/1.TIF")
    masks = [record.mask for record in list_folder(tmp_path / "photos", masks=tmp_path / "masks").records]
    assert [mask.name for mask in masks if mask] == ["1.TIF", "0.PNG"]
    listing = list_anomalib(tmp_path, normal_dir=None, abnormal_dirs=["photos"], mask_dir="masks")
    assert [record.mask for record in listing.records] == masks


def test_missing_mask_is_named(photos: Path, make_image: MakeImage) -> None:
    make_image(photos.parent / "masks" / "bar" / "0.png")
    with pytest.raises(FileNotFoundError, match=r"mask of .*bar/1\.png.* is missing"):
        ready(photos, masks=photos.parent / "masks")


def test_unreadable_files_are_listed_and_left_out_if_asked(photos: Path) -> None:
    (photos / "bar" / "text.png").write_text("no image")
    data = ready(photos, skip_unreadable=True)
    assert len(data.records) == 15
    assert len(data.notices) == 1
    assert "text.png" in data.notices[0]


def test_files_of_other_kinds_are_counted(photos: Path) -> None:
    for name in ("a.heic", "b.HEIC", "notes"):
        (photos / "bar" / name).write_text("x")
    (photos / "bar" / "0.png").rename(photos / "bar" / "0.PNG")
    (photos / "maps").mkdir()
    (photos / "maps" / "0.npy").write_text("x")
    listing = list_folder(photos, leave_out=[photos / "maps"])
    assert len(listing.records) == 15
    assert [notice.removeprefix("left out: ") for notice in listing.notices] == [
        f"3 files in {str(photos)!r} of kinds that are not read (1 without ending, 2 .heic)"
    ]


@pytest.mark.parametrize(
    ("name", "message"), [("absent", "does not exist"), ("file.txt", "is a file"), ("empty", "no images")]
)
def test_useless_folders_are_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, OSError), match=rf"{name}.*{message}"):
        ready(tmp_path / name)


def test_one_mask_for_images_of_two_folders_is_refused(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("crack/0.png", "hole/0.png", "masks/0.png"):
        make_image(tmp_path / name)
    with pytest.raises(ValueError, match=r"masks/0.png' is the mask of '.*crack/0.png' and of '.*hole/0.png'"):
        list_anomalib(tmp_path, normal_dir=None, abnormal_dirs=["crack", "hole"], mask_dir="masks")
    assert len(list_anomalib(tmp_path, normal_dir=None, abnormal_dirs=["crack"], mask_dir="masks").records) == 1


def test_good_images_among_those_with_defects_need_no_mask(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("test/good/0.png", "test/crack/0.png", "masks/crack/0.png"):
        make_image(tmp_path / name)
    listing = list_anomalib(tmp_path, normal_dir=None, abnormal_dirs=["test"], mask_dir="masks")
    assert [record.mask is None for record in sorted(listing.records)] == [False, True]


def test_good_images_to_cluster_may_lie_among_those_with_defects(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("test/fine/0.png", "test/crack/0.png", "masks/crack/0.png"):
        make_image(tmp_path / name)
    folders = {"abnormal_dirs": ["test"], "normal_test_dir": "test/fine", "mask_dir": "masks"}
    listing = list_anomalib(tmp_path, normal_dir=None, **folders)
    assert listing.class_names == ["good", "crack"]
    assert [(record.label, record.mask is None) for record in sorted(listing.records)] == [(1, False), (0, True)]


def test_normal_images_may_lie_among_those_with_defects_and_nothing_is_counted_twice(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("test/good/0.png", "test/fine/0.png", "test/crack/0.png"):
        make_image(tmp_path / name)
    for name in ("test/good", "test/fine"):
        (tmp_path / name / "notes.txt").touch()
        (tmp_path / name / "@eaDir").mkdir()
    listing = list_anomalib(tmp_path, normal_dir="test/good", abnormal_dirs=["test"], normal_test_dir="test/fine")
    assert listing.class_names == ["good", "crack"]
    assert [(record.image.parent.name, record.is_normal_train) for record in sorted(listing.records)] == [
        ("crack", False),
        ("fine", False),
        ("good", True),
    ]
    assert len(listing.notices) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"abnormal_dirs": ["bad"], "mask_dir": "bad/masks"}, "bad/masks', of masks, .*or one lies in the other"),
        ({"abnormal_dirs": ["bad/crack"], "mask_dir": "bad"}, "/bad', of masks, and '.*/bad/crack', of images"),
        ({"abnormal_dirs": ["bad"], "normal_dir": "good", "normal_test_dir": "."}, "bad' lies in"),
        ({"abnormal_dirs": ["bad"], "normal_test_dir": "good/../bad"}, "are one folder"),
        ({"abnormal_dirs": ["bad"], "normal_dir": "good", "normal_test_dir": "good"}, "are one folder"),
        ({"abnormal_dirs": ["bad/crack", "."]}, "bad/crack' lies in"),
    ],
)
def test_a_folder_of_anomalib_in_another_is_refused(
    given: dict[str, object], said: str, tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("bad/crack/0.png", "bad/masks/crack/0.png", "bad/good/0.png", "good/0.png"):
        make_image(tmp_path / name)
    with pytest.raises(ValueError, match=said):
        list_anomalib(tmp_path, **{"normal_dir": None} | given)  # type: ignore[arg-type]


def test_the_folder_itself_as_that_of_defects_gives_them_its_name(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "crack" / "0.png")
    assert list_anomalib(tmp_path / "crack", normal_dir=None, abnormal_dirs=["."]).class_names == ["crack"]


def test_of_many_files_links_are_followed_and_each_folder_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "real" / "latest.png").symlink_to("0.png")
    files = [tmp_path / "linked" / name for name in (*(f"{i}.png" for i in range(9)), "latest.png", "..")]
    real = [Path(os.path.realpath(file)) for file in files]
    looked, follow = list[object](), os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: looked.append(path) or follow(path))
    assert real_paths(files) == real
    assert len(looked) == 3
