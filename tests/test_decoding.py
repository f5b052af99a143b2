"""Large JPEG files decoded at reduced size: laws on files that one can see, then a run and the images that follow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torchvision.transforms import v2

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.decoding import Decoding, needed_for, needed_within
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.data.images import decode, read_image
from anomaly_clustering.data.kept_size import kept_size
from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.data.records import Record
from anomaly_clustering.data.sets.sources import CocoFolder, MetadataFolder, PublicDataset
from anomaly_clustering.data.sources import AnomalibFolder, Folder
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.runs.embed_later import images_of
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.tables import read_csv


def photograph(path: Path, width: int = 800, height: int = 600, spot: int = 0, **how: object) -> Path:
    """Noise that is alike over a few pixels, and a bright spot, or a bar, from a seed that is the name of the file."""
    rng = np.random.default_rng(int(path.stem))
    grey = Image.fromarray(rng.integers(100, 140, (height // 8, width // 8), dtype=np.uint8))
    image = grey.resize((width, height), Image.Resampling.BICUBIC).convert("RGB")
    if spot:
        x, y = rng.integers(width // 4, width // 2, 2) % (height // 2)
        image.paste("white", (x, y, x + spot, y + 40_000 // spot))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95, **how)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "photos"
    for i in range(5):
        photograph(folder / "bar" / f"{i}.jpg", spot=500)
        photograph(folder / "spot" / f"{i + 5}.jpg", spot=200)
    return folder


def test_at_least_twice_what_the_network_sees_is_decoded(tmp_path: Path) -> None:
    path = photograph(tmp_path / "0.jpg")
    sizes = {side: decode(path, needed=needed_for("reduced", side)).size for side in (32, 64, 128, 149, 151, 256)}
    assert sizes == {
        32: (100, 75),
        64: (200, 150),
        128: (400, 300),
        149: (400, 300),
        151: (800, 600),
        256: (800, 600),
    }
    assert decode(path, needed=needed_for("exact", 32)).size == (800, 600)


def test_what_is_decoded_at_reduced_size_looks_the_same(tmp_path: Path) -> None:
    path = photograph(tmp_path / "0.jpg", spot=200)
    exact, reduced = (DefectImages([Record(path)], 64, decoding=how)[0]["image"] for how in ("exact", "reduced"))
    difference = (exact - reduced).abs()
    assert 0 < difference.mean() < 0.005
    assert difference.max() < 0.1


def test_other_files_and_small_ones_are_read_as_they_are(tmp_path: Path) -> None:
    photograph(tmp_path / "0.png"), photograph(tmp_path / "1.webp"), photograph(tmp_path / "2.jpg", 200, 120)
    for path in sorted(tmp_path.iterdir()):
        exact, reduced = (DefectImages([Record(path)], 64, decoding=how)[0]["image"] for how in ("exact", "reduced"))
        assert (exact == reduced).all()


def test_an_image_on_its_side_is_decoded_as_it_lies_and_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = photograph(tmp_path / "0.jpg", 1600, 400, exif=exif)
    assert read_image(path).size == (400, 1600)
    rows, columns = kept_size(400, 1600, 64)
    read = read_image(path, needed=needed_for("reduced", 64, "keep"))
    assert read.size == (100, 400)
    assert read.width >= 2 * columns
    assert read.height >= 2 * rows


def test_a_long_strip_stays_as_wide_as_images_have_to_be(tmp_path: Path) -> None:
    path = photograph(tmp_path / "0.jpg", 3200, 24)
    assert min(read_image(path, needed=lambda width, height: needed_within(width, height, side=16)).size) >= 8


def test_a_file_that_ends_early_is_damaged_at_any_size(tmp_path: Path) -> None:
    path = photograph(tmp_path / "0.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    for needed in (None, needed_for("reduced", 32)):
        with pytest.raises(UnreadableImageError, match="damaged"):
            read_image(path, needed=needed)
    photograph(tmp_path / "1.jpg")
    data = Folder(tmp_path, skip_unreadable=True, num_workers=0)
    data.setup()
    assert [record.image.name for record in data.records] == ["1.jpg"]
    assert "0.jpg" in data.notices[0]


def test_masks_fit_the_file_and_not_what_is_decoded_of_it(tmp_path: Path) -> None:
    path = photograph(tmp_path / "0.jpg")
    mask = Image.new("L", (800, 600))
    mask.paste(255, (0, 0, 400, 600))
    mask.save(tmp_path / "mask.png")
    sample = DefectImages([Record(path, mask=tmp_path / "mask.png")], 64, decoding="reduced")[0]
    assert sample["mask"].mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.usefixtures("unchecked_types")
def test_all_is_exact_unless_asked_and_so_are_images_that_a_method_transforms(photos: Path) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    assert data.decoding == "exact"
    data = Folder(photos, image_size=64, num_workers=0, decoding="reduced")
    data.train_transform = v2.Compose([lambda image: torch.tensor([image.width, image.height])[:, None, None]])
    data.setup()
    assert next(iter(data.train_dataloader()))["image"][0].flatten().tolist() == [800, 600]
    with pytest.raises(ValueError, match=r"decoding must be one of \('exact', 'reduced'\), got 'half'"):
        Folder(photos, decoding="half")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [AnomalibFolder, CocoFolder, Folder, MetadataFolder, PublicDataset])
def test_sources_whose_photographs_may_be_large_can_decode_a_part_of_them(source: type[DefectDataModule]) -> None:
    arguments = {"name": "visa", "category": "candle"} if source is PublicDataset else {"root": "photos"}
    assert source(**arguments).decoding == "exact"
    assert source(**arguments, decoding="reduced").decoding == "reduced"


def test_bags_of_one_decoding_are_not_taken_for_those_of_the_other(tmp_path: Path, photos: Path) -> None:
    embedder = Embedder(Backbone("embedded"), cache=Cache(tmp_path / "cache", notify=print))
    found = []
    for how in ("exact", "reduced", "exact"):
        data = Folder(photos, image_size=64, num_workers=0, decoding=how)
        data.setup()
        embedder.reduced = how == "reduced"
        with torch.no_grad():
            found.append(embedder(next(iter(data.test_dataloader()))))
    assert (found[0] == found[2]).all()
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("how", ["exact", "reduced"])
def test_later_images_are_decoded_as_those_of_the_run(tmp_path: Path, photos: Path, how: Decoding) -> None:
    options = ["--image-size", "64", "--views", "1", "--clusters", "2"]
    main(["cluster", str(photos), "--out", str(tmp_path / "run"), "--decoding", how, *options])
    run = load_run(tmp_path / "run")
    assert run.recipe.decoding == how
    data = Folder(photos, image_size=64, num_workers=0, decoding=how)
    data.setup()
    assert (images_of([run.paths[0]], run.recipe)[0]["image"] == data.test_dataloader().dataset[0]["image"]).all()
    main(["assign", str(photos), "--run", str(tmp_path / "run")])
    rows = read_csv(tmp_path / "run" / "assigned.csv")
    assert [int(row["cluster"]) for row in rows] == run.labels.tolist()
    assert len(set(run.labels[:5])) == len(set(run.labels[5:])) == 1


def test_the_estimator_knows_the_images_that_it_was_fitted_to(photos: Path, tmp_path: Path) -> None:
    fitted = AnomalyClusterer(2, image_size=64, views=1).fit(photos)
    assert fitted.recipe_.decoding == "reduced"
    assert (fitted.predict(photos) == fitted.labels_).all()
    fitted.save(tmp_path / "file.safetensors")
    assert (AnomalyClusterer.load(tmp_path / "file.safetensors").assign(photos).nearest == range(10)).all()
    assert (AnomalyClusterer(2, image_size=64, views=1, decoding="exact").fit(photos).labels_ == fitted.labels_).all()
