"""Two gloo processes against one: gradients are the same, and trainings that were killed go on."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from baselines import IIC, SCAN, TEMI, GATCluster
from baselines.gatcluster import Targets
from baselines.global_batch import share_batch_norm, with_idle
from baselines.neighbours import nearest_neighbours

ROOT = Path(__file__).resolve().parents[1]
N = 16


class Step(nn.Module):
    """A module's loss as a forward pass, so that it can be wrapped as Lightning's strategy wraps `training_step`."""

    def __init__(self, module: nn.Module, loss: Callable[[Any, dict[str, Tensor]], Tensor]):
        super().__init__()
        self.module, self.loss = module, loss

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return with_idle(self.loss(self.module, batch), [p for p in self.parameters() if p.requires_grad])


def scan(encoder: nn.Module, **options: Any) -> SCAN:
    module = SCAN("embedded", num_clusters=3, heads=2, **options)
    module.encoder = encoder
    module.encoder.channels = 8  # type: ignore[assignment]
    module.configure_model()
    return module


def with_batch_norm() -> SCAN:
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return scan(nn.Sequential(*layers), train="all")


def of_confident_and_black(**options: Any) -> SCAN:
    """Black images get equal probabilities for all classes, others do not."""
    layers = [nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = scan(nn.Sequential(*layers), threshold=0.5, **options)
    nn.init.normal_(module.heads[0].weight, std=10.0)
    nn.init.zeros_(module.heads[0].bias)
    return module


def iic(**options: Any) -> IIC:
    module = IIC(num_clusters=3, trunk="conv3", input_size=16, **options)
    module.configure_model()
    # At the start all classes are almost equally probable, and gradients almost zero.
    for name, parameter in module.heads.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter)
    return module


def gatcluster() -> GATCluster:
    module = GATCluster(num_clusters=3, backbone="small", input_size=16)
    module.configure_model()
    return module


def gatcluster_loss(module: GATCluster, batch: dict[str, Tensor]) -> Tensor:
    targets = module._targets(module._grey(batch["views"][:, 0]))
    return module._loss(*module.network(module._grey(batch["views"][:, 1])), Targets(*targets))


def temi() -> TEMI:
    module = TEMI("embedded", num_clusters=3, heads=2)
    module.encoder = nn.Identity()
    module.options.features, module.dim = "given", 8
    module.configure_model()
    module.clean = torch.randn(N, 8).double()
    module.neighbours = nearest_neighbours(module.clean, 1)[:, 1:]
    return module


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, dict[str, Tensor]], Tensor]]] = {
    "IIC, head A": (iic, lambda module, batch: module.training_step(batch)),
    "IIC, head B": (lambda: iic(head_b_first=True), lambda module, batch: module.training_step(batch)),
    "SCAN": (with_batch_norm, lambda module, batch: module._scan_step(batch)),
    "self-labelling": (of_confident_and_black, lambda module, batch: module._self_label_step(batch)),
    "self-labelling, balanced": (
        lambda: of_confident_and_black(class_balance=True),
        lambda module, batch: module._self_label_step(batch),
    ),
    "GATCluster": (gatcluster, gatcluster_loss),
    "TEMI": (temi, lambda module, batch: module.training_step(batch)),
}


def batch_of(case: str) -> dict[str, Tensor]:
    views = torch.rand(N, 2, 3, 16, 16)
    if case.startswith("self-labelling"):
        views[N // 2 :] = 0
    return {"index": torch.arange(N), "views": views.double()}


def gradients(case: str, rank: int, world: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    make, loss = CASES[case]
    module, whole = make().double(), batch_of(case)
    share_batch_norm(module)
    step: nn.Module = Step(module, loss).train()
    if world > 1:
        step = DistributedDataParallel(step)
    own = slice(rank * N // world, (rank + 1) * N // world)
    step({name: tensor[own] for name, tensor in whole.items()}).backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save({case: gradients(case, rank, 2) for case in CASES}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("ddp")
    mp.start_processes(one_of_two, (str(folder),), nprocs=2, start_method="spawn")
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_gradients_of_one(case: str, of_two: list[dict[str, dict[str, Tensor]]]) -> None:
    expected = gradients(case, 0, 1)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-4
    for found in of_two:
        assert found[case].keys() == expected.keys()
        for name, gradient in expected.items():
            # All is in float64 here: what is left is rounding.
            assert (found[case][name] - gradient).abs().max() < 1e-9, name


def test_the_second_process_of_self_labelling_has_no_confident_sample() -> None:
    torch.manual_seed(0)
    module, views = of_confident_and_black().double(), batch_of("self-labelling")["views"]
    confident = module.heads[0](module.encoder(views[:, 0])).softmax(1).amax(1) > module.options.threshold
    assert confident[: N // 2].any()
    assert not confident[N // 2 :].any()


# Whole trainings by the command line.

METHODS = {
    "IIC": ["--model.trunk", "conv3", "--model.input_size", "32", "--model.repeats", "2"],
    "GATCluster": ["--model.backbone", "small", "--model.input_size", "32", "--model.step_size", "8"],
    "SCAN": ["--model.backbone", "embedded", "--model.crop", "64", "--model.neighbours", "auto"],
    "TEMI": ["--model.backbone", "embedded", "--model.crop", "64", "--model.neighbours", "auto", "--model.heads", "3"],
}


def fit(method: str, photos: Path, out: Path, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "anomaly_clustering", "fit", "--model", f"baselines.{method}", *METHODS[method]),
        *("--data", "anomaly_clustering.data.Folder", "--data.root", str(photos), "--data.image_size", "64"),
        *("--data.num_workers", "0", "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--out", str(out)),
        *("--trainer.strategy", "ddp", "--trainer.enable_progress_bar", "false", "--seed_everything", "0", *flags),
    ]


def epochs(out: Path) -> list[int]:
    if not (out / "epochs.csv").exists():
        return []
    with (out / "epochs.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training_of_two_processes_goes_on(method: str, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    # SCAN passes from its second step to the third after the resumption.
    switch = ["--model.scan_epochs", "6", "--model.selflabel_epochs", "2"] if method == "SCAN" else []
    first = subprocess.Popen(
        fit(method, photos, out, "--trainer.max_epochs", "200", *(["--model.scan_epochs", "200"] if switch else [])),
        cwd=ROOT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 1200
    try:
        while len(epochs(out)) < 2 or not (out / "checkpoints" / "last.ckpt").exists():
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    # There is a checkpoint after each epoch, not only at the end.
    assert 2 <= len(epochs(out)) < 200
    assert not (out / "metrics.json").exists()
    last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] + 1
    switch = ["--model.scan_epochs", str(last + 1), "--model.selflabel_epochs", "25"] if switch else []
    argv = fit(method, photos, out, "--trainer.max_epochs", str(last + 3), "--ckpt_path", "last", *switch)
    subprocess.run(argv, cwd=ROOT, check=True, timeout=1200)
    assert epochs(out) == list(range(last + 3))
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics.keys() >= {"last", "best_by_accuracy", "best_by_loss"}
    assert metrics["last"]["epoch"] == last + 2
    assert 0 <= metrics["last"]["nmi"] <= 1
    with (out / "assignments.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == sorted(str(path) for path in photos.rglob("*.png"))
    assert len({row["cluster"] for row in rows}) == metrics["last"]["clusters_used"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["SCAN", "TEMI"])
def test_two_processes_train_as_one_on_batches_that_are_less_than_all_images(
    method: str, photos: Path, tmp_path: Path
) -> None:
    losses = []
    for devices in ("1", "2"):
        out = tmp_path / devices
        steps = ["--model.scan_epochs", "3", "--model.selflabel_epochs", "0"] if method == "SCAN" else []
        argv = fit(method, photos, out, "--trainer.max_epochs", "3", "--model.batch_size", "6", *steps)
        argv[argv.index("--trainer.devices") + 1] = devices
        subprocess.run(argv, cwd=ROOT, check=True, timeout=1200)
        with (out / "epochs.csv").open(newline="") as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
