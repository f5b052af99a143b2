import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeImage
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loops import prediction_loop
from PIL import Image
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.clustering.to_name import clusters_to_name
from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.checks import check_run


def trainer(**options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def folder(root: Path, **options: Any) -> Folder:
    return Folder(root, image_size=64, batch_size=4, num_workers=0, **options)


def run_mic(data: Folder, **options: Any) -> tuple[MIC, dict[str, float]]:
    mic = MIC("embedded", **options)
    return mic, trainer().test(mic, datamodule=data, verbose=False)[0]


def test_planted_defects_are_found(photos: Path) -> None:
    mic, scores = run_mic(folder(photos))
    assert scores.keys() >= {"nmi", "ari", "f1", "accuracy", "purity", "mauc", "r@95%"}
    assert scores["accuracy"] == 1
    assert mic.grouping.weights.shape == (15, 8, 8)
    assert np.allclose(mic.grouping.weights.sum((1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_limits_of_the_trainer_leave_no_image_out_in_silence(photos: Path, command: str) -> None:
    option, mic = f"limit_{'val' if command == 'validate' else command}_batches", MIC("embedded", num_clusters=2)
    getattr(trainer(**{option: 2}), command)(mic, datamodule=folder(photos))
    assert len(mic.grouping.labels) == 8
    assert mic.notices == ["8 of 15 images were seen, as the trainer's limits ask: the others are in no group"]
    with pytest.raises(ValueError, match=f"{option} is 0, so that no image would be seen"):
        getattr(trainer(**{option: 0}), command)(mic, datamodule=folder(photos))
    getattr(trainer(), command)(mic, datamodule=folder(photos))
    assert mic.notices == []


def test_labels_are_those_of_ward_on_the_embeddings(photos: Path) -> None:
    mic, _ = run_mic(folder(photos))
    expected = AgglomerativeClustering(3).fit_predict(mic.grouping.embeddings)
    assert adjusted_rand_score(expected, mic.grouping.labels) == 1


@pytest.mark.parametrize("weights", ["rarity", "uniform"])
def test_batches_and_runs_do_not_change_the_result(photos: Path, weights: Any) -> None:
    mic = MIC("embedded", weights=weights)
    trainer().test(mic, datamodule=folder(photos), verbose=False)
    first = mic.grouping
    other = Folder(photos, image_size=64, batch_size=7, num_workers=0)
    trainer().test(mic, datamodule=other, verbose=False)
    assert np.allclose(first.weights, mic.grouping.weights, atol=1e-6)
    assert (first.labels == mic.grouping.labels).all()


def test_predict_returns_the_label_of_each_image(photos: Path) -> None:
    mic = MIC("embedded")
    batches = trainer().predict(mic, datamodule=folder(photos))
    assert batches is not None
    labels = torch.cat([batch["label"] for batch in batches])
    assert labels.tolist() == mic.grouping.labels.tolist()
    assert [Path(path).name for path in batches[0]["path"]] == ["0.png", "1.png", "2.png", "3.png"]


class OnDevice(torch.Tensor):
    """Stands for a tensor on an accelerator, which a move to the processor copies."""


def test_predict_returns_the_label_of_each_image_from_any_device(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Moved(Folder):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch | {"index": batch["index"].as_subclass(OnDevice)}

    def move(told: dict[str, Any], device: torch.device) -> dict[str, Any]:
        return {k: value.clone() if isinstance(value, OnDevice) else value for k, value in told.items()}

    monkeypatch.setattr(prediction_loop, "move_data_to_device", move)
    mic, data = MIC("embedded"), Moved(photos, image_size=64, batch_size=4, num_workers=0)
    batches = trainer().predict(mic, datamodule=data)
    assert torch.cat([batch["label"] for batch in batches]).tolist() == mic.grouping.labels.tolist()


def test_modules_run_one_after_another_on_one_trainer(photos: Path) -> None:
    class Count(LightningModule):
        def test_step(self, batch: Any) -> None:
            self.log("count", 1.0, reduce_fx="sum", batch_size=1)

        def predict_step(self, batch: Any) -> torch.Tensor:
            return batch["index"]

    same, data = trainer(), folder(photos)
    two, three = MIC("embedded", num_clusters=2), MIC("embedded")
    for mic, clusters in ((two, 2), (three, 3), (two, 2)):
        labels = torch.cat([batch["label"] for batch in same.predict(mic, data)])
        assert labels.tolist() == mic.grouping.labels.tolist()
        assert mic.grouping.num_clusters == clusters
        assert same.test(Count(), data, verbose=False) == [{"count": 4.0}]
        assert torch.cat(same.predict(Count(), data)).tolist() == list(range(15))


def test_a_run_that_fails_holds_no_bags(photos: Path) -> None:
    class Fails(Callback):
        def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
            assert pl_module.run.rows.count == 4
            raise OSError("no space left")

    mic = MIC("embedded")
    with pytest.raises(OSError, match="no space left"):
        trainer(callbacks=[Fails()]).predict(mic, folder(photos))
    assert mic.run is None


def test_devices_without_float64_are_refused() -> None:
    on_a_mac = trainer()
    on_a_mac.strategy._root_device = torch.device("mps")
    with pytest.raises(ValueError, match=r"MPS does not have: give accelerator='cpu' \(--trainer.accelerator cpu\)"):
        check_run(MIC("embedded").options, None, on_a_mac)


def test_validate_gives_the_scores_of_test(photos: Path) -> None:
    mic, scores = run_mic(folder(photos))
    assert trainer().validate(mic, datamodule=folder(photos), verbose=False)[0] == scores


def test_normal_images_sharpen_the_weights(photos: Path, make_image: MakeImage) -> None:
    for seed in range(100, 106):
        make_image(photos.parent / "normal" / f"{seed}.png", 0, seed=seed)
    mic, _ = run_mic(folder(photos, normals=photos.parent / "normal"), weights="novelty")
    defective = mic.grouping.weights[mic.grouping.target != 2].max((1, 2))
    good = mic.grouping.weights[mic.grouping.target == 2].max((1, 2))
    assert defective.mean() > good.mean()


def test_mask_weights_and_the_notice_of_an_empty_mask(photos: Path, make_image: MakeImage) -> None:
    for name in ("bar", "bright"):
        for seed in range(5):
            mask = Image.new("L", (64, 64), 0)
            if (name, seed) != ("bar", 3):
                mask.paste(255, (0, 0, 8, 8))
            (photos.parent / "masks" / name).mkdir(parents=True, exist_ok=True)
            mask.save(photos.parent / "masks" / name / f"{seed}.png")
    mic, _ = run_mic(folder(photos, masks=photos.parent / "masks"), weights="mask")
    assert mic.grouping.weights[0, 0, 0] == pytest.approx(1)
    assert np.allclose(mic.grouping.weights[3], 1 / 64)
    assert any("empty mask" in notice and "bar/3.png" in notice for notice in mic.notices)


def test_masks_that_are_all_empty_stop_the_run(photos: Path) -> None:
    for image in photos.rglob("*.png"):
        mask = photos.parent / "masks" / image.relative_to(photos)
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (64, 64), 7).save(mask)
    with pytest.raises(ValueError, match=r"all masks are empty, that of '.*bar/0.png' for one: a pixel is marked"):
        run_mic(folder(photos, masks=photos.parent / "masks"), weights="mask")


def test_without_labels_there_are_groups_but_no_scores(flat_photos: Path) -> None:
    mic, scores = run_mic(folder(flat_photos), num_clusters=4)
    assert scores == {}
    assert np.unique(mic.grouping.labels).tolist() == [0, 1, 2, 3]


def test_auto_makes_clusters_to_name(flat_photos: Path) -> None:
    mic, _ = run_mic(folder(flat_photos), num_clusters="auto")
    assert mic.grouping.groups.to_name
    assert mic.grouping.labels.max() + 1 == clusters_to_name(15) == 7


def test_number_of_clusters_is_needed_without_labels(flat_photos: Path) -> None:
    with pytest.raises(ValueError, match="the data has 0 known classes: give num_clusters, or 'auto'"):
        run_mic(folder(flat_photos))


def test_too_many_clusters_fail_before_the_work(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MIC, "test_step", lambda *_: pytest.fail("worked in vain"))
    with pytest.raises(ValueError, match=r"between 2 and 15 \(the number of images\), got 16"):
        run_mic(folder(flat_photos), num_clusters=16)


def test_weights_that_lack_their_data_say_so(photos: Path) -> None:
    with pytest.raises(ValueError, match="normal images, but the data has none"):
        run_mic(folder(photos), weights="novelty")
    with pytest.raises(ValueError, match="masks, but the data has none"):
        run_mic(folder(photos), weights="mask")


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_tau_is_checked_at_once(tau: float) -> None:
    with pytest.raises(ValueError, match=f"got {tau}"):
        MIC("embedded", tau=tau)


WRONG: list[tuple[str, object, str]] = [
    ("reduce", "median", "reduce must be one of ('mean', 'max', 'min', 'interval'), got 'median'"),
    (
        "weights",
        "attention",
        "weights must be one of ('uniform', 'rarity', 'novelty', 'mask', 'maps'), got 'attention'",
    ),
    ("precision", "fp8", "precision must be one of ('auto', 'fp32', 'fp16', 'bf16', 'int8'), got 'fp8'"),
    ("method", "kmeans++", "got 'kmeans++'"),
    ("distance", "cosine", "got 'cosine'"),
    ("top_k", 0, "top_k must be a whole number and at least 1, got 0"),
    ("top_k", 2.5, "top_k must be a whole number and at least 1, got 2.5"),
    ("effective_patches", -3, "effective_patches must be above 1 and finite, or a share between 0 and 1, got -3"),
    (
        "effective_patches",
        float("inf"),
        "effective_patches must be above 1 and finite, or a share between 0 and 1, got inf",
    ),
    ("kernel_size", 4, "kernel_size must be odd, got 4"),
    ("kernel_size", 0, "kernel_size must be a whole number and at least 1, got 0"),
    ("num_references", 1, "num_references must be a whole number and at least 2, got 1"),
    ("normal_stride", 0, "normal_stride must be a whole number and at least 1, got 0"),
    ("normal_fraction", 0.0, "normal_fraction must be above 0 and at most 1, got 0.0"),
    ("normal_fraction", float("nan"), "normal_fraction must be above 0 and at most 1, got nan"),
    ("num_clusters", "many", "num_clusters must be at least 2, or 'auto', got 'many'"),
    ("num_clusters", True, "num_clusters must be at least 2, or 'auto', got True"),
    ("resamples", 1, "resamples must be 0 (none) or at least 2, got 1"),
    ("resamples", -1, "resamples must be a whole number and at least 0, got -1"),
    ("seed", -1, "seed must be a whole number and at least 0, got -1"),
    ("seed", 2**32, "seed must be at most 4294967295, got 4294967296"),
    ("tau", float("nan"), "tau must be a positive number, got nan"),
    ("tau", 1e-40, "tau must be at least 1e-30, by which float32 can divide, got 1e-40"),
    ("views", 2.0, "views must be one of (1, 2, 4, 8), got 2.0"),
]


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_options_are_checked_in_the_constructor(name: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        MIC("embedded", **{name: value})


def test_a_run_changes_no_option_and_a_second_one_starts_anew(photos: Path) -> None:
    mic = MIC("embedded", effective_patches=9.0)
    before = mic.options
    trainer().test(mic, datamodule=folder(photos), verbose=False)
    first = mic.grouping
    assert mic.options is before
    assert mic.run is None
    assert first.tau != before.tau == 0.02
    trainer().test(mic, datamodule=folder(photos), verbose=False)
    assert mic.grouping.tau == first.tau
    assert (mic.grouping.weights == first.weights).all()


@pytest.mark.parametrize(("option", "value"), [("top_k", 65), ("effective_patches", 64.0)])
def test_more_patches_than_there_are_fail_with_the_first_batch(photos: Path, option: str, value: float) -> None:
    batches: list[int] = []

    class Counted(MIC):
        def test_step(self, batch: Any) -> None:
            batches.append(len(batch["index"]))
            super().test_step(batch)

    mic = Counted("embedded", **{option: value})
    with pytest.raises(ValueError, match=rf"{option} must be .* 64 \(the number of patches\),.* got {value}"):
        trainer().test(mic, datamodule=folder(photos), verbose=False)
    assert batches == [4]


def test_loaders_alone_need_a_number_of_clusters_before_the_work(photos: Path) -> None:
    data = folder(photos)
    data.setup()
    with pytest.raises(ValueError, match="give num_clusters, or 'auto'"):
        trainer().test(MIC("embedded"), dataloaders=data.test_dataloader(), verbose=False)
    mic = MIC("embedded", num_clusters=3)
    trainer().test(mic, dataloaders=data.test_dataloader(), verbose=False)
    assert mic.grouping.num_clusters == 3
    with pytest.raises(ValueError, match="num_references draws 4 images from a data module; the trainer was given"):
        trainer().test(MIC("embedded", num_clusters=3, num_references=4), dataloaders=data.test_dataloader())


def test_loaders_after_a_data_module_are_of_other_images(photos: Path, make_image: MakeImage, tmp_path: Path) -> None:
    """Lightning goes on to name the data module of the run before."""
    for seed in range(9):
        make_image(tmp_path / "others" / f"{seed}.png", seed % 3, seed=50 + seed)
    others, options = folder(tmp_path / "others"), {"num_clusters": 3, "cache": tmp_path / "cache"}
    others.setup("test")
    mic, same = MIC("embedded", **options), trainer()
    same.test(mic, datamodule=folder(photos), verbose=False)
    of_photos = mic.grouping
    same.test(mic, dataloaders=others.test_dataloader(), verbose=False)
    run_mic_alone = MIC("embedded", num_clusters=3)
    trainer().test(run_mic_alone, datamodule=others, verbose=False)
    assert np.allclose(mic.grouping.weights, run_mic_alone.grouping.weights, atol=1e-6)
    # Nor were they kept under the name of the photos.
    again, _ = run_mic(folder(photos), **options)
    assert np.array_equal(again.grouping.weights, of_photos.weights)


def test_defects_smaller_than_a_pixel_of_the_masks_are_noted_and_all_else_is_scored(photos: Path) -> None:
    for image in photos.glob("b*/*.png"):
        mask = Image.new("L", (64, 64), 0)
        mask.putpixel((7, 7), 255)
        path = photos.parent / "masks" / image.relative_to(photos)
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    data = Folder(photos, image_size=32, batch_size=4, num_workers=0, masks=photos.parent / "masks")
    mic, scores = run_mic(data)
    assert scores.keys() >= {"nmi", "ari", "f1", "accuracy"}
    assert "localisation_auroc" not in scores
    assert any("no pixel of the masks is defective at 32 x 32 pixels" in notice for notice in mic.notices)


def test_there_is_no_grouping_before_a_run() -> None:
    with pytest.raises(RuntimeError, match=r"nothing is grouped yet: run MIC with Trainer\.test"):
        _ = MIC("embedded").grouping


@pytest.mark.parametrize("num_clusters", [0, 1])
def test_one_cluster_is_no_grouping(num_clusters: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2, or 'auto', got {num_clusters}"):
        MIC("embedded", num_clusters=num_clusters)


def test_identical_images_are_an_error(tmp_path: Path, make_image: MakeImage) -> None:
    for i in range(4):
        make_image(tmp_path / "same" / f"{i}.png", seed=1)
    with pytest.raises(ValueError, match="all 4 images look the same"):
        run_mic(folder(tmp_path / "same"), num_clusters=2)
