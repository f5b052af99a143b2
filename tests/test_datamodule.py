import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from anomaly_clustering.data import DefectDataModule, DefectImages, Listing, PublicDataset, Record
from anomaly_clustering.data.decoding import needed_for
from anomaly_clustering.data.defect_images import evaluation_transform
from anomaly_clustering.data.mtd import list_mtd
from anomaly_clustering.data.records import without_empty_classes
from anomaly_clustering.data.sets.one_type import listing_of
from anomaly_clustering.data.survey import surveyed
from anomaly_clustering.metrics import localisation_auroc
from anomaly_clustering.system.loaders import patience


def listing(folder: Path) -> Listing:
    for i in range(7):
        Image.new("RGB", (10, 20), (30 * i, 0, 0)).save(folder / f"{i}.png")
    Image.new("L", (10, 20), 255).save(folder / "mask.tif")
    records = [Record(folder / f"{i}.png", i % 2, folder / "mask.tif" if i % 2 else None, i > 4) for i in range(7)]
    return Listing(records, ["good", "bad"])


@pytest.fixture
def datamodule(tmp_path: Path) -> DefectDataModule:
    datamodule = DefectDataModule(lambda: listing(tmp_path), image_size=32, batch_size=2, num_workers=0)
    datamodule.setup()
    return datamodule


def test_masks_of_any_size_are_shares_of_pixels(tmp_path: Path) -> None:
    # Interpolation of floats rounds a little above one.
    Image.new("RGB", (301, 300)).save(tmp_path / "image.png")
    Image.new("L", (301, 300), 255).save(tmp_path / "mask.png")
    images = DefectImages([Record(tmp_path / "image.png", 0, tmp_path / "mask.png")], image_size=256)
    mask = images[0]["mask"]
    assert mask.max() <= 1
    half = mask.clone()
    half[:, :128] = 0
    localisation_auroc(torch.rand(1, 8, 8), half[None])


def test_batches_hold_what_the_contract_says(datamodule: DefectDataModule) -> None:
    batches = list(datamodule.test_dataloader())
    assert [len(batch["path"]) for batch in batches] == [2, 2, 1]
    assert torch.cat([batch["index"] for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    assert torch.cat([batch["target"] for batch in batches]).tolist() == [0, 1, 0, 1, 0]
    images = torch.cat([batch["image"] for batch in batches])
    assert images.shape == (5, 3, 32, 32)
    assert torch.allclose(images[:, 0, 0, 0] * 255, torch.arange(5.0) * 30)
    masks = torch.cat([batch["mask"] for batch in batches])
    assert masks.shape == (5, 1, 32, 32)
    assert masks.mean((1, 2, 3)).tolist() == [0, 1, 0, 1, 0]


def test_training_sees_the_same_images_in_another_order(datamodule: DefectDataModule) -> None:
    torch.manual_seed(1)
    seen = torch.cat([batch["index"] for batch in datamodule.train_dataloader()]).tolist()
    assert sorted(seen) == [0, 1, 2, 3, 4]
    assert seen != [0, 1, 2, 3, 4]


def test_normal_images_are_apart(datamodule: DefectDataModule) -> None:
    paths = [Path(path).name for batch in datamodule.normal_dataloader() for path in batch["path"]]
    assert paths == ["5.png", "6.png"]


def test_records_are_divided_once_and_anew_for_another_listing(datamodule: DefectDataModule) -> None:
    assert datamodule.records is datamodule.records
    assert datamodule.normal_records is datamodule.normal_records
    assert datamodule.listing is not None
    datamodule.listing = datamodule.listing._replace(records=datamodule.records[1:])
    assert (len(datamodule.records), datamodule.normal_records) == (len(datamodule.listing.records), [])


def test_train_transform_is_for_training_only(tmp_path: Path) -> None:
    datamodule = DefectDataModule(
        lambda: listing(tmp_path), image_size=32, num_workers=0, train_transform=lambda image: torch.ones(3, 4, 4)
    )
    datamodule.setup()
    assert next(iter(datamodule.train_dataloader()))["image"].shape == (5, 3, 4, 4)
    assert next(iter(datamodule.test_dataloader()))["image"].shape == (5, 3, 32, 32)


def test_no_images_is_an_error() -> None:
    with pytest.raises(ValueError, match="no images"):
        DefectDataModule(lambda: Listing([], [])).setup()


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        ([0, 1, -1], ["a", "b"], r"'2\.png' has the label -1, which is no position in the 2 class names"),
        ([0, 1, 2], ["a", "b"], "has the label 2, which is no position in the 2 class names of the listing"),
        ([0, 1, 3], ["a", "b", "c"], "has the label 3, .* 3 class names"),
        ([None, None, 0], [], "has the label 0, .* 0 class names .*; give None where it is unknown"),
    ],
)
def test_a_label_that_is_no_position_in_the_names_is_refused(
    labels: list[int | None], names: list[str], said: str
) -> None:
    records = [Record(Path(f"{i}.png"), label) for i, label in enumerate(labels)]
    with pytest.raises(ValueError, match=said):
        without_empty_classes(Listing(records, names))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DefectDataModule(lambda: Listing([], []), copies="Once"), r"copies .*'all', 'once'\), got 'Once'"),
        (lambda: surveyed(Listing([], []), copies="Once"), r"copies .*'all', 'once'\), got 'Once'"),
        (lambda: list_mtd(Path("absent"), split="Differnet"), r"split .*'differnet', 'random'\), got 'Differnet'"),
        (lambda: listing_of([], several="leave-out"), r"several .*'leave_out', 'keep'\), got 'leave-out'"),
        (lambda: PublicDataset("neu_det", several="leave-out"), r"several .*'leave_out', 'keep'\), got 'leave-out'"),
        (lambda: evaluation_transform(32, "kept"), r"aspect .*'square', 'keep'\), got 'kept'"),
        (lambda: needed_for("Reduced", 32), r"decoding .*'exact', 'reduced'\), got 'Reduced'"),
        (lambda: needed_for("exact", 32, "kept"), r"aspect .*'square', 'keep'\), got 'kept'"),
    ],
)
def test_a_misspelt_choice_is_refused_and_not_taken_for_another(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_image_size_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 32, got 8"):
        DefectDataModule(lambda: Listing([], []), image_size=8)


@pytest.mark.parametrize("module", ["images", "maps", "records", "folder", "anomalib", "mvtec", "mtd", "synthetic"])
def test_what_lists_and_reads_files_needs_no_torch(module: str) -> None:
    code = f"import sys, anomaly_clustering.data.{module}; print({{'torch', 'lightning'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_where_pytorch_does_not_hear_that_a_process_was_killed_it_looks_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert patience(2) > 0
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(patience, 2).result() == 0
    monkeypatch.setattr(sys, "platform", "win32")
    assert patience(2) == 0


def test_a_label_of_a_normal_image_counts_for_nothing() -> None:
    records = [Record(Path("0.png"), 0), Record(Path("1.png"), 7, is_normal_train=True)]
    assert without_empty_classes(Listing(records, ["crack"])).class_names == ["crack"]
