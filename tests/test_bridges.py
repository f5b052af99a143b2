"""Other tools' layouts: anomalib's Folder in, FiftyOne's datasets out."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.data import AnomalibFolder
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.unusual import graded


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
        assert [row["class"] for row in csv.DictReader(file)] == ["bright"] * 3 + ["bar"] * 3


def test_fiftyone_samples_have_clusters_and_heat_maps(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fo = pytest.importorskip("fiftyone", reason="the extra 'fiftyone' is not installed")
    from anomaly_clustering.runs.fiftyone import samples, to_fiftyone

    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--clusters", "3", "--image-size", "64"])
    run = load_run(Path("photos-clusters"))
    # As the report shows them.
    names, shown = {run.paths[0]: "a bar"}, graded(run)
    assert shown.heat.max() > 0.5
    made = samples(run, names)
    assert len(made) == 15
    assert [sample.ground_truth.label for sample in made] == ["bar"] * 5 + ["bright"] * 5 + ["good"] * 5
    assert made[0]["label"].label == "a bar"
    assert not made[1].has_field("label")
    for i, sample in enumerate(made):
        assert sample.filepath == str(run.paths[i].resolve())
        assert sample.cluster.label == f"cluster {run.labels[i]}"
        np.testing.assert_array_equal(sample.heat.map, shown.heat[i].astype(np.float32))
        assert sample.score == pytest.approx(shown.scores[i])
        np.testing.assert_array_equal(sample.embedding, run.embeddings[i])
    try:
        dataset = to_fiftyone("photos-clusters", labels=names)
    except fo.core.config.FiftyOneConfigError as error:
        pytest.skip(f"FiftyOne has no database here: {error}")
    assert dataset.count_values("ground_truth.label") == {"good": 5, "bright": 5, "bar": 5}
    assert dataset.values("label.label") == ["a bar"] + [None] * 14
    assert dataset.first().heat.map.shape == run.weights[0].shape
    dataset.delete()
