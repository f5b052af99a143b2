import shutil
from pathlib import Path

import pytest
from conftest import SHARED, MakeImage

from anomaly_clustering.data import MTD
from anomaly_clustering.data.mtd import DIGEST, TYPES, content_digest

REAL = SHARED / "data" / "mtd"
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the Magnetic Tile Defect data is not at {REAL}")


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    """The layout with 5 images of each type, one folder below as in the authors' archive."""
    for name in TYPES:
        for i in range(5):
            for extension in (".jpg", ".png"):
                make_image(tmp_path / "archive" / f"MT_{name}" / "Imgs" / f"exp{i}{extension}")
    return tmp_path


@real
def test_differnet_split_of_the_real_data() -> None:
    data = MTD(REAL)
    data.prepare_data()
    data.setup()
    targets = [record.label for record in data.records]
    assert [targets.count(label) for label in range(6)] == [191, 115, 85, 57, 32, 103]
    assert len(data.normal_records) == 761
    assert list(data.class_names) == ["free", "blowhole", "break", "crack", "fray", "uneven"]


@real
def test_without_good_images_the_392_defective_ones_of_five_classes_remain() -> None:
    data = MTD(REAL, include_good=False)
    data.setup()
    targets = [record.label for record in data.records]
    assert [targets.count(label) for label in range(5)] == [115, 85, 57, 32, 103]
    assert len(data.normal_records) == 761
    assert list(data.class_names) == ["blowhole", "break", "crack", "fray", "uneven"]


@real
def test_digest_is_that_of_the_real_data() -> None:
    assert content_digest(REAL) == DIGEST


def test_random_split_is_drawn_by_seed(root: Path) -> None:
    def normals(seed: int) -> list[str]:
        data = MTD(root, split="random", normal_fraction=0.6, seed=seed)
        data.setup()
        assert len(data.records) == 27
        return [record.image.name for record in data.normal_records]

    assert len(normals(0)) == 3
    assert normals(0) == normals(0)
    assert len({tuple(normals(seed)) for seed in range(8)}) > 1


def test_files_that_macos_lays_beside_images_are_none(root: Path) -> None:
    for name in ("._exp0.jpg", "._exp0.png"):
        (root / "archive/MT_Crack/Imgs" / name).write_bytes(b"\0\5\x16\7Mac OS X")
    data = MTD(root, split="random")
    data.setup()
    assert len(data.records) == 26


def test_fraction_out_of_range(root: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 0 and below 1, got 1\.0"):
        MTD(root, split="random", normal_fraction=1.0).setup()


def test_incomplete_data_for_the_fixed_split(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"761 of the 761 normal images are missing.*data\.split=random"):
        MTD(root).setup()


def test_other_folder_says_how_to_get_the_data(root: Path) -> None:
    shutil.rmtree(root / "archive" / "MT_Fray")
    with pytest.raises(FileNotFoundError, match=r"no \['MT_Fray'\].*Get the data"):
        MTD(root).setup()


def test_missing_mask_is_named(root: Path) -> None:
    (root / "archive" / "MT_Crack" / "Imgs" / "exp3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"mask of .*exp3\.jpg.* is missing"):
        MTD(root, split="random").setup()
