import csv
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digits import digits, train
from lightning import Trainer

from anomaly_clustering.data import Folder
from anomaly_clustering.runs.epochs import LastAndBest
from baselines import SCAN
from baselines.features import read_features
from baselines.neighbours import nearest_neighbours, neighbour_purity
from baselines.scan_loss import scan_loss
from baselines.self_labelling import WeightAverage, self_label_loss


@pytest.mark.parametrize("k", [2, 5, 9, 10])
def test_exact_values(k: int) -> None:
    balanced, uniform = torch.eye(k).repeat(8, 1), torch.full((8 * k, k), 1 / k)
    assert scan_loss(balanced, balanced) == pytest.approx(-5 * log(k), abs=1e-5)
    assert scan_loss(uniform, uniform) == pytest.approx(-4 * log(k), abs=1e-5)
    collapsed = torch.eye(k)[torch.zeros(8 * k, dtype=torch.long)]
    assert scan_loss(collapsed, collapsed) == pytest.approx(0, abs=1e-5)


def test_neighbours_that_disagree_cost_at_most_100() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert scan_loss(a, b, entropy_weight=0.0) == pytest.approx(100)


def test_neighbours_are_those_of_highest_cosine_and_the_image_itself_first() -> None:
    features = torch.randn(30, 4)
    found = nearest_neighbours(features, 5)
    unit = torch.nn.functional.normalize(features)
    expected = (unit @ unit.T).fill_diagonal_(2).argsort(1, descending=True)[:, :6]
    assert torch.equal(found, expected)
    assert torch.equal(found[:, 0], torch.arange(30))
    with pytest.raises(ValueError, match=r"between 1 and 29 \(the other images\), got 30"):
        nearest_neighbours(features, 30)


def test_purity_leaves_the_image_itself_out() -> None:
    neighbours = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    assert neighbour_purity(neighbours, torch.tensor([0, 0, 1])) == pytest.approx(2 / 6)


# Self-labelling.


def test_only_confident_samples_teach() -> None:
    weak = torch.tensor([[0.995, 0.005], [0.6, 0.4], [0.001, 0.999]])
    logits = torch.randn(3, 2)
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([0, 1]))
    assert self_label_loss(weak, logits) == pytest.approx(float(expected))


def test_classes_weigh_alike_if_balanced() -> None:
    weak, logits = torch.eye(3)[[0, 0, 0, 1]], torch.randn(4, 3)
    cost = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 0, 0, 1]), reduction="none")
    expected = (cost[:3].mean() + cost[3]) / 2
    assert self_label_loss(weak, logits, class_balance=True) == pytest.approx(float(expected), abs=1e-6)


def test_without_a_confident_sample_the_loss_is_zero_and_has_gradients() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    loss = self_label_loss(torch.full((4, 2), 0.5), logits)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_writing_the_average_back_shrinks_each_step_a_thousandfold() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    statistics = torch.zeros(1)
    tensors = {"weight": weight, "statistics": statistics}
    average = WeightAverage("writeback", 0.999)
    average.start(tensors)
    with torch.no_grad():
        weight.add_(1)
        statistics.add_(1)
    average.update(tensors)
    assert weight.item() == pytest.approx(1.001)
    assert statistics.item() == 0
    teacher = WeightAverage("teacher", 0.5)
    teacher.start(tensors)
    with torch.no_grad():
        weight.fill_(2.001)
    teacher.update(tensors)
    assert weight.item() == pytest.approx(2.001)
    assert teacher.tensors["weight"].item() == pytest.approx(1.501)


def test_a_teacher_has_the_statistics_of_the_student() -> None:
    statistics = torch.zeros(1)
    teacher = WeightAverage("teacher", 0.5)
    teacher.start({"statistics": statistics})
    statistics.add_(1)
    teacher.update({"statistics": statistics})
    assert teacher.tensors["statistics"].item() == 1


def test_each_stage_has_its_batches(photos: Path) -> None:
    sizes = []
    for epochs in (1, 2):
        module = scan(scan_epochs=1, selflabel_batch_size=4)
        train(module, Folder(photos, image_size=64, num_workers=0), epochs=epochs, seed=0)
        sizes.append([len(batch["index"]) for batch in module.trainer.train_dataloader])
    assert sizes == [[15], [4, 4, 4]]


# Trainings.


def scan(**options: Any) -> SCAN:
    return SCAN("embedded", crop=64, neighbours="auto", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"selflabel_epochs": 0},
        {"selflabel_epochs": 0, "cached_views": 2, "standardise": False},
        {"scan_epochs": 1, "threshold": 0.34},
        {"scan_epochs": 1, "threshold": 0.34, "ema": "teacher", "selflabel_optimizer": "adam", "class_balance": True},
        {"scan_epochs": 1, "train": "all", "heads": 1, "optimizer": "adam", "lr": 1e-4, "augmentation": "strong"},
    ],
)
def test_every_way_of_training_ends_with_scores(photos: Path, options: dict[str, Any]) -> None:
    rows = train(scan(**options), Folder(photos, image_size=64, num_workers=0), epochs=2, seed=0)
    assert rows["last"]["epoch"] == 1
    assert rows["last"].keys() >= {"nmi", "accuracy", "loss", "neighbour_purity"}
    assert ("last_of_stage_0" in rows) == ("scan_epochs" in options)


def test_heads_alone_leave_the_network_as_it_is_and_self_labelling_does_not(photos: Path) -> None:
    data = Folder(photos, image_size=64, num_workers=0)
    module = scan(scan_epochs=1, ema="off", threshold=0.34)
    before = module.encoder.backbone.network.conv_stem.weight.detach().clone()
    train(module, data, epochs=1, seed=0)
    assert torch.equal(before, module.encoder.backbone.network.conv_stem.weight)
    module = scan(scan_epochs=1, ema="off", threshold=0.34)
    train(module, data, epochs=2, seed=0)
    assert not torch.equal(before, module.encoder.backbone.network.conv_stem.weight)


def test_self_labelling_starts_from_the_best_epoch_and_head(photos: Path) -> None:
    module, at_first = scan(scan_epochs=3, threshold=1.0), []
    module.on_train_start = lambda: at_first.append(module.best["loss"])  # type: ignore[method-assign]
    train(module, Folder(photos, image_size=64, num_workers=0), epochs=4, seed=0)
    # What Lightning's sanity check evaluates is no epoch.
    assert at_first == [float("inf")]
    head = int(module.best["state"]["head"])
    assert int(module.head) == head
    # With this threshold nothing is learnt.
    assert torch.equal(module.heads[head].weight, module.best["state"][f"heads.{head}.weight"])


def test_small_data_never_has_an_empty_epoch_and_neighbours_fit_the_classes(photos: Path) -> None:
    module = scan(selflabel_epochs=0)
    data = Folder(photos, image_size=64, num_workers=0)
    train(module, data, epochs=1, seed=0)
    assert module.neighbours is not None
    assert module.neighbours.shape == (15, 1 + 15 // (2 * 3))
    assert [len(batch["index"]) for batch in module.train_dataloader()] == [15]


def test_given_features_need_a_row_an_image(photos: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.zeros((14, 3), dtype=np.float32))
    module = SCAN(features=str(tmp_path / "features.npy"), selflabel_epochs=0)
    with pytest.raises(ValueError, match=r"finite numbers \[15, D\], a row an image, got float32 \[14, 3\]"):
        train(module, Folder(photos, image_size=64, num_workers=0), epochs=1, seed=0)
    with pytest.raises(ValueError, match="set selflabel_epochs 0"):
        SCAN(features="x.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((15, 3), 1e39), r"got float64 \[15, 3\] with some that are not finite as float32"),
        (np.full((15, 3), np.nan), "not finite"),
        (np.full((15, 3), "1.5"), r"got <U3 \[15, 3\]"),
        (np.zeros((15, 3), dtype=complex), r"got complex128 \[15, 3\]"),
        (np.zeros((15, 0)), r"got float64 \[15, 0\]"),
    ],
)
def test_features_that_are_no_finite_numbers_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "features.npy", array)
    with pytest.raises(ValueError, match=rf"must be finite numbers \[15, D\], a row an image, .*{message}"):
        read_features(tmp_path / "features.npy", 15)


def test_features_are_a_file_of_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", features=np.zeros((15, 3)))
    with pytest.raises(ValueError, match=r"got an .npz archive: save one array by numpy.save"):
        read_features(tmp_path / "features.npz", 15)
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "features.npz").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"are not a .npy file of numbers"):
        read_features(tmp_path / "damaged.npz", 15)


def test_number_of_clusters_is_needed_without_labels(flat_photos: Path) -> None:
    with pytest.raises(ValueError, match="the data has 0 known classes: give num_clusters"):
        train(scan(), Folder(flat_photos, image_size=64, num_workers=0), epochs=1, seed=0)


@pytest.mark.parametrize("standardise", [True, False])
def test_long_features_with_much_in_common_need_standardising(photos: Path, tmp_path: Path, standardise: bool) -> None:
    """Three groups around a common mean; at the authors' learning rate."""
    group = torch.arange(3).repeat_interleave(5)
    features = 27.0 + 4.0 * torch.eye(3)[group].repeat(1, 4) + torch.randn(15, 12)
    np.save(tmp_path / "features.npy", features.numpy())
    module = SCAN(
        features=str(tmp_path / "features.npy"), selflabel_epochs=0, neighbours="auto", standardise=standardise
    )
    rows = train(module, Folder(photos, image_size=64, num_workers=0), epochs=100, seed=0)
    assert rows["last"]["clusters_used"] == (3 if standardise else 1)
    if standardise:
        assert rows["last"]["nmi"] == 1
        assert rows["last"]["loss"] == pytest.approx(-log(3), abs=0.1)


def test_the_table_of_epochs_grows_and_equal_epochs_count_once(photos: Path, tmp_path: Path) -> None:
    log_ = LastAndBest(tmp_path / "epochs.csv")
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    data = Folder(photos, image_size=64, num_workers=0)
    Trainer(accelerator="cpu", max_epochs=3, callbacks=[log_], **options).fit(scan(selflabel_epochs=0), datamodule=data)
    with (tmp_path / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    best = log_.chosen()["best_by_accuracy"]
    assert best["accuracy"] == max(row["accuracy"] for row in log_.rows)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits(tmp_path: Path, seed: int) -> None:
    data, features = digits(tmp_path)
    module = SCAN(features=features, selflabel_epochs=0, neighbours=20)
    # Measured: .833, .885, .823; k-means has .74.
    assert train(module, data, epochs=50, seed=seed)["last"]["nmi"] > 0.75
