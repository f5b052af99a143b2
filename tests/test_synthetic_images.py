"""The synthetic plates: what decides an image, where a defect shows, and what lies on the disk."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from anomaly_clustering.data.synthetic import write_once
from anomaly_clustering.data.synthetic_images import DEFECTS, product_image, write_dataset

SIZE = 128


def draw(defect: str | None, seed: int = 0, size: int = SIZE, difficulty: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    return product_image(np.random.default_rng(seed), defect, size=size, difficulty=difficulty)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}


def test_there_are_at_least_five_types_of_defects() -> None:
    assert len(set(DEFECTS)) == len(DEFECTS) >= 5
    assert "good" not in DEFECTS


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_the_seed_decides_the_image(defect: str | None) -> None:
    image, mask = draw(defect)
    again, mask_again = draw(defect)
    assert np.array_equal(image, again)
    assert np.array_equal(mask, mask_again)
    assert not np.array_equal(image, draw(defect, seed=1)[0])


@pytest.mark.parametrize("size", [64, 100, 256])
def test_a_good_plate_has_an_empty_mask(size: int) -> None:
    image, mask = draw(None, size=size)
    assert image.shape == (size, size, 3)
    assert mask.shape == (size, size)
    assert not mask.any()


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_never_missing_and_small(defect: str, difficulty: float) -> None:
    areas = [draw(defect, seed, 64, difficulty)[1].mean() for seed in range(20)]
    assert min(areas) > 0
    assert max(areas) < (0.05 if difficulty >= 0.5 else 0.1)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_changes_its_mask_and_nothing_far_from_it(defect: str) -> None:
    for seed in range(4):
        image, mask = draw(defect, seed)
        change = np.abs(image.astype(int) - draw(None, seed)[0]).mean(-1)
        assert not change[~binary_dilation(mask, iterations=8)].any()
        assert change[mask].mean() > 5


@pytest.mark.parametrize("defect", DEFECTS)
def test_difficulty_makes_defects_smaller_and_fainter(defect: str) -> None:
    def strength_and_area(difficulty: float) -> tuple[float, float]:
        changes, areas = [], []
        for seed in range(6):
            image, mask = draw(defect, seed, difficulty=difficulty)
            clean = draw(None, seed, difficulty=difficulty)[0].astype(int)
            # Relative to the plate, whose exposure differs with the difficulty, too.
            changes.append(np.abs(image - clean)[mask].mean() / clean.mean())
            areas.append(mask.mean())
        return float(np.mean(changes)), float(np.mean(areas))

    easy, default, hard = (strength_and_area(difficulty) for difficulty in (0.0, 0.5, 1.0))
    assert easy[0] > default[0] > hard[0]
    assert easy[1] > default[1] > hard[1]


def test_difficulty_makes_good_plates_differ_more() -> None:
    def spread(difficulty: float) -> float:
        return float(np.std([draw(None, seed, 64, difficulty)[0].mean((0, 1)) for seed in range(12)], axis=0).mean())

    assert spread(0.0) < spread(0.5) < spread(1.0)


def test_the_layout_on_disk_is_that_of_mvtec_ad(tmp_path: Path) -> None:
    write_dataset(tmp_path, per_class=2, normals=3, size=64)
    expected = {f"train/good/{n:03d}.png" for n in range(3)} | {f"test/good/{n:03d}.png" for n in range(2)}
    for defect in DEFECTS:
        expected |= {f"test/{defect}/{n:03d}.png" for n in range(2)}
        expected |= {f"ground_truth/{defect}/{n:03d}_mask.png" for n in range(2)}
    files = contents(tmp_path)
    assert set(files) == expected
    assert len(set(files.values())) == len(files)
    with Image.open(tmp_path / "test" / DEFECTS[0] / "000.png") as image:
        assert (image.mode, image.size) == ("RGB", (64, 64))
    with Image.open(tmp_path / "ground_truth" / DEFECTS[0] / "000_mask.png") as mask:
        assert mask.mode == "L"
        assert set(np.unique(np.asarray(mask))) == {0, 255}


def test_a_file_does_not_depend_on_how_many_others_are_written(tmp_path: Path) -> None:
    write_dataset(tmp_path / "few", per_class=1, normals=0, size=64)
    write_dataset(tmp_path / "more", per_class=2, normals=1, size=64)
    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    assert few == {name: more[name] for name in few}
    assert not (tmp_path / "few" / "train").exists()


def test_another_seed_writes_other_images(tmp_path: Path) -> None:
    write_dataset(tmp_path / "0", per_class=1, normals=1, size=64, seed=0)
    write_dataset(tmp_path / "1", per_class=1, normals=1, size=64, seed=1)
    one, other = contents(tmp_path / "0"), contents(tmp_path / "1")
    assert all(one[name] != other[name] for name in one)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: draw("dragon"), "None or one of crack, .*'dragon'"),
        (lambda root: draw(None, size=63), "at least 64, got 63"),
        (lambda root: draw(None, difficulty=1.5), r"between 0 .* and 1 .*, got 1\.5"),
        (lambda root: draw(None, difficulty=float("nan")), "got nan"),
        (lambda root: write_dataset(root, per_class=0), "per_class must be at least 1, got 0"),
        (lambda root: write_dataset(root, normals=-1), "normals must be at least 0, got -1"),
        (lambda root: write_dataset(root, seed=-1), "seed must be at least 0, got -1"),
        (lambda root: write_dataset(root, size=8), "size must be at least 64, got 8"),
        (lambda root: write_dataset(root, difficulty=-0.1), r"got -0\.1"),
    ],
)
def test_wrong_arguments_fail_and_write_nothing(call: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
    assert not any(tmp_path.iterdir())


def test_processes_that_draw_the_same_folder_at_once_all_end_well(tmp_path: Path) -> None:
    def draw_once(_: int) -> dict[str, bytes]:
        write_once(tmp_path / "plates", per_class=1, normals=1, size=64, difficulty=0.5, seed=0)
        return contents(tmp_path / "plates")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(draw_once, range(4)))
    assert len(found[0]) == 7 + 6 + 1
    assert all(files == found[0] for files in found)
    assert [path.name for path in tmp_path.iterdir()] == ["plates"]


def test_a_folder_that_has_lost_files_is_drawn_anew(tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    write_once(plates, per_class=2, normals=1, size=64, difficulty=0.5, seed=0)
    whole = contents(plates)
    for lost in ("test/crack/001.png", "ground_truth/hole/000_mask.png"):
        (plates / lost).unlink()
    (plates / "train" / "good" / "000.png").write_bytes(b"of the user")
    write_once(plates, per_class=2, normals=1, size=64, difficulty=0.5, seed=0)
    assert contents(plates) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["plates"]


def test_a_folder_that_has_lost_files_is_drawn_anew_once_by_whoever_asks_for_it_at_once(tmp_path: Path) -> None:
    plates = tmp_path / "plates"
    write_once(plates, per_class=1, normals=1, size=64, difficulty=0.5, seed=0)
    (plates / "test" / "crack" / "000.png").unlink()

    def drawn(_: int) -> int:
        write_once(plates, per_class=1, normals=1, size=64, difficulty=0.5, seed=0)
        return plates.stat().st_ino

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(drawn, range(4)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["plates"]
