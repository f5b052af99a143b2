"""Other tools' layouts: anomalib's Folder in, FiftyOne's datasets out."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeImage

from anomaly_clustering.cli import main
from anomaly_clustering.data import AnomalibFolder
from anomaly_clustering.stored_run import load_run


@pytest.fixture
def anomalib(tmp_path: Path, make_image: MakeImage) -> Path:
    """Two folders of abnormal images, the second with a type in a subfolder, masks of the same names."""
    for seed in range(3):
        make_image(tmp_path / f"set/train_good/{seed}.png", seed=seed)
        make_image(tmp_path / f"set/test_good/{seed}.png", seed=10 + seed)
        for kind, place in ((1, "bright/{}.png"), (2, "others/bar/{}.png")):
            make_image(tmp_path / "set" / place.format(seed), kind, seed=seed)
            make_image(tmp_path / "set/masks" / place.format(seed).split("/", 1)[1], seed=seed)
    return tmp_path / "set"


def test_anomalib_folder(anomalib: Path) -> None:
    data = AnomalibFolder(
        anomalib,
        normal_dir="train_good",
        abnormal_dir=["bright", "others"],
        normal_test_dir="test_good",
        mask_dir="masks",
        image_size=64,
        num_workers=0,
    )
    data.setup()
    assert data.class_names == ["good", "bar", "bright"]
    found = [(r.image.relative_to(anomalib).as_posix(), data.class_names[r.label], r.mask) for r in data.records]
    masks = anomalib / "masks"
    assert found == [
        *((f"bright/{i}.png", "bright", masks / f"{i}.png") for i in range(3)),
        *((f"others/bar/{i}.png", "bar", masks / "bar" / f"{i}.png") for i in range(3)),
        *((f"test_good/{i}.png", "good", None) for i in range(3)),
    ]
    assert [r.image.parent.name for r in data.normal_records] == ["train_good"] * 3
    assert next(iter(data.test_dataloader()))["mask"].shape == (9, 1, 64, 64)


def test_anomalib_folder_names_what_is_missing(anomalib: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"set/abnormal' does not exist"):
        AnomalibFolder(anomalib).setup()
    (anomalib / "masks/bar/1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"bar/1.png' is missing"):
        AnomalibFolder(anomalib, abnormal_dir=["others"], mask_dir="masks").setup()


def test_anomalib_folder_on_the_command_line(anomalib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(anomalib.parent)
    config = Path(__file__).resolve().parents[1] / "configs"
    main(
        [
            *("test", "-c", str(config / "mic/weighted_average_semi.yaml"), "-c", str(config / "data/anomalib.yaml")),
            *("--data.root", "set", "--data.normal_dir", "train_good", "--data.abnormal_dir", "[bright,others]"),
            *("--model.backbone", "embedded", "--data.image_size", "64", "--data.num_workers", "0", "--out", "run"),
            *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        ]
    )
    with Path("run/assignments.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["bright"] * 3 + ["bar"] * 3


def test_fiftyone_has_clusters_and_heat_maps(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fiftyone", reason="the extra 'fiftyone' is not installed")
    from anomaly_clustering.fiftyone_bridge import to_fiftyone

    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--clusters", "3", "--image-size", "64"])
    run = load_run(Path("photos-clusters"))
    dataset = to_fiftyone("photos-clusters", labels={run.paths[0]: "a bar"})
    assert dataset.count() == 15
    assert dataset.distinct("cluster.label") == ["cluster 0", "cluster 1", "cluster 2"]
    assert dataset.count_values("ground_truth.label") == {"good": 5, "bright": 5, "bar": 5}
    assert dataset.values("label.label") == ["a bar"] + [None] * 14
    for sample, path, weights, embedding in zip(dataset, run.paths, run.weights, run.embeddings, strict=True):
        assert sample.filepath == str(path.resolve())
        assert sample.weights.map.shape == weights.shape
        assert sample.weights.map.argmax() == weights.argmax()
        np.testing.assert_allclose(sample.embedding, embedding, rtol=1e-6)
    dataset.delete()
