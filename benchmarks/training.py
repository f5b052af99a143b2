"""A device in; how many views a second each baseline is trained on, beside its bare training step, out.

A bare step is the same network, loss and optimizer on random tensors that lie on the device already. The training is
that of Lightning's Trainer with image files, which are made up here.
"""

import gc
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from PIL import Image
from rich.table import Table

from anomaly_clustering.data import Folder
from baselines import IIC, SCAN, GATCluster
from baselines.gatcluster import Targets

# As many as Magnetic Tile Defects has.
IMAGES, CLASSES = 583, 6


class Case(NamedTuple):
    """A training to measure."""

    make: Callable[[Path, bool], LightningModule]
    """From a file of weights, and whether all is to be tiny."""
    aim: float
    """Share of the bare step."""
    epochs: int
    stage: int = 0


def iic_small(weights: Path, tiny: bool) -> IIC:
    options = {"input_size": 16 if tiny else 64, "crop": 0.85, "overclustering": 3, "head_b_epochs": 2}
    return IIC(num_clusters=CLASSES, trunk="resnet18", small_stem=True, **options)


def iic_faithful(weights: Path, tiny: bool) -> IIC:
    return IIC(num_clusters=CLASSES, **({"input_size": 32} if tiny else {}))


def gatcluster(weights: Path, tiny: bool) -> GATCluster:
    return GATCluster(num_clusters=CLASSES, **({"backbone": "small", "input_size": 16, "step_size": 4} if tiny else {}))


def scan(weights: Path, tiny: bool) -> SCAN:
    epochs = (2, 2) if tiny else (CASES["SCAN, step 2"].epochs, CASES["SCAN, self-labelling"].epochs)
    name, crop = ("resnet18", 32) if tiny else ("resnet50", 224)
    return SCAN(
        name,
        checkpoint=str(weights),
        num_clusters=CLASSES,
        scan_epochs=epochs[0],
        selflabel_epochs=epochs[1],
        crop=crop,
        neighbours="auto" if tiny else 50,
    )


CASES = {
    "IIC, small data": Case(iic_small, 0.5, 14),
    "IIC, faithful": Case(iic_faithful, 0.8, 6),
    "GATCluster": Case(gatcluster, 0.8, 6),
    "SCAN, step 2": Case(scan, 0.8, 14),
    "SCAN, self-labelling": Case(scan, 0.8, 8, stage=1),
}


class Clock(Callback):
    """Of each epoch its stage, how many views, and seconds: of all of it, for making views, and for scores."""

    def __init__(self, device: torch.device):
        self.device = device
        self.rows: list[dict[str, float]] = []

    def now(self) -> float:
        wait(self.device)
        return time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, module: Any) -> None:
        self.row = {"stage": getattr(module, "stage", 0), "views": 0, "making": 0.0, "scoring": 0.0}
        self.start = self.now()
        self.asked = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        # Of the processor: the device is not waited for.
        self.row["making"] += time.perf_counter() - self.asked
        self.row["views"] += views_of(module, batch["views"].shape)

    def on_train_batch_end(self, *_: Any) -> None:
        self.asked = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, module: Any) -> None:
        self.scoring = self.now()

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        if not trainer.sanity_checking:
            self.row["scoring"] = self.now() - self.scoring

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        self.row["whole"] = self.now() - self.start
        self.rows.append(self.row)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def views_of(module: Any, shape: torch.Size) -> int:
    """How many images a training step passes through the network with gradients or, in SCAN, at all."""
    if isinstance(module, GATCluster):
        size = min(module.options.step_size, shape[0])
        return module.options.passes * (shape[0] // size * size)
    return shape[0] * shape[1]


def write_images(folder: Path, count: int, side: int) -> None:
    """Clouds in colours with some noise, in as many folders as there are classes."""
    generator = np.random.default_rng(0)
    for i in range(count):
        clouds = Image.fromarray(generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((side, side))
        noise = generator.integers(-12, 12, (side, side, 3))
        place = folder / f"{i % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(np.asarray(clouds).astype(int) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{i:04}.jpg", quality=90)


def bare_step(module: Any, stage: int, count: int, device: torch.device) -> tuple[Callable[[], torch.Tensor], int]:
    """The loss of a step on random views, and how many these are."""
    options = module.options
    if isinstance(module, IIC):
        size = min(options.batch_size, count)
        views = torch.rand(size, 1 + options.repeats, 3, options.input_size, options.input_size, device=device)
        batch = {"index": torch.arange(size), "views": views}
        return lambda: module.training_step(batch), views_of(module, views.shape)
    if isinstance(module, GATCluster):
        size = min(options.step_size, count)
        views = torch.randn(size, 1, options.input_size, options.input_size, device=device)
        probable = torch.rand(size, CLASSES, device=device).softmax(1)
        targets = Targets(probable, probable, torch.arange(size, device=device) % CLASSES)
        return lambda: module._loss(*module.network(views), targets), size
    size = min(options.selflabel_batch_size if stage else options.batch_size, count)
    views = torch.rand(size, 2, 3, options.crop, options.crop, device=device)
    module.encoder.train(stage == 1)
    if stage == 1:
        module.average.start(module._student())
    step = module._self_label_step if stage else module._scan_step
    batch = {"index": torch.arange(size), "views": views}
    return lambda: step(batch), views_of(module, views.shape)


def bare(case: Case, weights: Path, device: torch.device, count: int, *, tiny: bool) -> float:
    """Views a second of the bare step."""
    seed_everything(0, verbose=False)
    module: Any = case.make(weights, tiny)
    module.configure_model()
    module.to(device).train()
    module.log = lambda *_, **__: None
    optimizers = module.configure_optimizers()
    optimizer = optimizers[case.stage] if isinstance(optimizers, list) else optimizers
    loss_of, views = bare_step(module, case.stage, count, device)

    def step() -> None:
        with half(device):
            loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if case.stage:
            module.average.update(module._student())

    for _ in range(3):
        step()
    steps, seconds = 0, 0.0
    wait(device)
    start = time.perf_counter()
    while seconds < (0.1 if tiny else 2.0):
        for _ in range(5):
            step()
        wait(device)
        steps, seconds = steps + 5, time.perf_counter() - start
    return steps * views / seconds


def half(device: torch.device) -> Any:
    """As Lightning's 'bf16-mixed' on a GPU, nothing elsewhere."""
    return torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if device.type == "cuda" else nullcontext()


def whole(case: Case, images: Path, weights: Path, device: torch.device, *, tiny: bool) -> list[dict[str, float]]:
    """What the clock says of each epoch of a training."""
    seed_everything(0, verbose=False)
    module: Any = case.make(weights, tiny)
    clock = Clock(device)
    epochs = module.options.scan_epochs + module.options.selflabel_epochs if isinstance(module, SCAN) else case.epochs
    trainer = Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if device.type == "cuda" else "32-true",
        max_epochs=2 if tiny and not isinstance(module, SCAN) else epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    )
    trainer.fit(module, datamodule=Folder(images, image_size=64 if tiny else 256))
    return clock.rows


def free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def trainings(device: torch.device, *, tiny: bool = False, say: Callable[[str], None] = print) -> Table:
    """Each training beside its bare step.

    Args:
        tiny: few images and small networks, to see that all of it runs.
        say: told each row when it is known.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    count = 18 if tiny else IMAGES
    columns = ("bare step", "training", "of the bare step", "aim", "with scores of each epoch", "making views")
    table = Table("views a second", *columns, title=f"Training on {count} images, bfloat16 on a GPU")
    with tempfile.TemporaryDirectory() as folder:
        images, weights = Path(folder) / "images", Path(folder) / "weights.pth"
        write_images(images, count, 64 if tiny else 300)
        torch.save(timm.create_model("resnet18" if tiny else "resnet50").state_dict(), weights)
        rows: dict[Any, list[dict[str, float]]] = {}
        for name, case in CASES.items():
            step = bare(case, weights, device, count, tiny=tiny)
            free(device)
            # SCAN's two steps are one training.
            if case.make not in rows:
                rows[case.make] = whole(case, images, weights, device, tiny=tiny)
                free(device)
            cells = _cells(step, case, rows[case.make])
            say(f"{name}: {', '.join(cells)}")
            table.add_row(name, *cells)
    return table


def _cells(step: float, case: Case, rows: list[dict[str, float]]) -> list[str]:
    own = [row for row in rows if row["stage"] == case.stage]
    # The first epochs choose algorithms and take memory.
    own = own[2:] or own[-1:]
    trained = median(row["views"] / (row["whole"] - row["scoring"]) for row in own)
    scored = median(row["views"] / row["whole"] for row in own)
    making = median(row["making"] / (row["whole"] - row["scoring"]) for row in own)
    shares = (f"{trained / step:.0%}", f"{case.aim:.0%}", f"{scored:,.0f}", f"{making:.1%}")
    return [f"{step:,.0f}", f"{trained:,.0f}", *shares]
