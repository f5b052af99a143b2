from pathlib import Path

import pytest
from conftest import MakeImage

from anomaly_clustering.data import MVTecAD
from anomaly_clustering.data.mvtec import CATEGORIES, OBJECTS, TEXTURES, list_mvtec


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    for kind in ("good", "crack", "combined", "stain"):
        for i in range(2):
            make_image(tmp_path / "hazelnut" / "test" / kind / f"00{i}.png")
            if kind != "good":
                make_image(tmp_path / "hazelnut" / "ground_truth" / kind / f"00{i}_mask.png")
    for i in range(3):
        make_image(tmp_path / "hazelnut" / "train" / "good" / f"00{i}.png")
    return tmp_path


def test_fifteen_categories() -> None:
    assert (len(OBJECTS), len(TEXTURES), len(set(CATEGORIES))) == (10, 5, 15)


def test_good_comes_first_and_combined_is_left_out(root: Path) -> None:
    data = MVTecAD(root, "hazelnut")
    data.prepare_data()
    data.setup()
    assert list(data.class_names) == ["good", "crack", "stain"]
    assert [record.label for record in data.records] == [0, 0, 1, 1, 2, 2]
    assert [record.mask is None for record in data.records] == [True, True, False, False, False, False]
    assert len(data.normal_records) == 3


def test_combined_if_asked_for(root: Path) -> None:
    data = MVTecAD(root, "hazelnut", include_combined=True)
    data.setup()
    assert list(data.class_names) == ["good", "combined", "crack", "stain"]


def test_data_set_one_folder_below_is_found(root: Path) -> None:
    data = MVTecAD(root.parent, "hazelnut")
    data.setup()
    assert len(data.records) == 6


def test_missing_mask_is_named(root: Path) -> None:
    (root / "hazelnut" / "ground_truth" / "crack" / "001_mask.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"mask of .*crack/001\.png.* is missing"):
        MVTecAD(root, "hazelnut").setup()


def test_unknown_category_lists_those_there(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no category 'bottle'.*hazelnut"):
        MVTecAD(root, "bottle").setup()


def test_a_category_in_the_place_of_the_root_is_said_to_be_one(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"give '{root}' as data\.root, and 'hazelnut' as data\.category"):
        MVTecAD(root / "hazelnut", "hazelnut").setup()


def test_images_of_several_types_that_are_left_out_are_counted(tmp_path: Path) -> None:
    for name in ("crack", "combined"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "0.png").touch()
    assert list_mvtec(tmp_path).notices == [
        "left out: 1 image of type 'combined', with several types of defects at once, as in the paper "
        "(--data.include_combined)"
    ]
    assert list_mvtec(tmp_path, include_combined=True).notices == []


def test_what_is_no_type_and_no_image_that_is_read_is_told(root: Path, make_image: MakeImage) -> None:
    category = root / "hazelnut"
    make_image(category / "test" / "loose.png")
    (category / "train" / "good" / "0.heic").touch()
    test, other = list_mvtec(category, include_combined=True).notices
    assert test == (f"left out: 1 image directly in '{category / 'test'}', 'loose.png' for one: no folder gives a type")
    assert "kinds that are not read (1 .heic)" in other


def test_folders_without_images_to_cluster_are_no_types(root: Path, make_image: MakeImage) -> None:
    test = root / "hazelnut" / "test"
    for name in ("empty", ".ipynb_checkpoints", "@eaDir"):
        (test / name).mkdir()
    make_image(test / ".ipynb_checkpoints" / "000-checkpoint.png")
    make_image(test / "@eaDir" / "000.png")
    listing = list_mvtec(root / "hazelnut")
    assert (listing.class_names, len(listing.records)) == (["good", "crack", "stain"], 9)
