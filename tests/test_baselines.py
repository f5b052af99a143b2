"""What holds for every method that is trained: no class is seen, results repeat, checkpoints give what was reported."""

import csv
import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from digits import train
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.fabric.utilities.seed import reset_seed
from lightning.pytorch.loggers import CSVLogger

from anomaly_clustering.data import Folder, Listing
from anomaly_clustering.metrics.agreement import normalized_mutual_information
from anomaly_clustering.runs.epochs import Epoch, LastAndBest
from baselines import IIC, SCAN, TEMI, GATCluster
from baselines.evaluation import Evaluation, MeanLosses
from experiments import kept
from experiments.kept import Kept

METHODS: dict[str, Callable[[], LightningModule]] = {
    "IIC": lambda: IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2),
    "GATCluster": lambda: GATCluster(num_clusters=3, backbone="small", input_size=32, step_size=8, passes=2),
    "IIC, statistics of the images": lambda: IIC(
        num_clusters=3, trunk="conv3", input_size=32, repeats=2, batch_size=8, statistics="images"
    ),
    "GATCluster, statistics of the images": lambda: GATCluster(
        num_clusters=3, backbone="small", input_size=32, step_size=8, passes=2, statistics="images"
    ),
    "SCAN": lambda: SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", selflabel_epochs=0, cached_views=2),
    "SCAN, self-labelling": lambda: SCAN(
        "embedded", num_clusters=3, crop=64, neighbours="auto", scan_epochs=2, threshold=0.34, ema="teacher"
    ),
    "TEMI": lambda: TEMI("embedded", num_clusters=3, crop=64, neighbours="auto", heads=3),
}
METHOD = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)


def of(photos: Path) -> Folder:
    return Folder(photos, image_size=64, num_workers=0)


@METHOD
def test_training_repeats_and_never_sees_a_class(photos: Path, make: Callable[[], LightningModule]) -> None:
    states = []
    for known in (True, False):
        data = of(photos)
        data.setup()
        if not known:
            data.listing = Listing([record._replace(label=None) for record in data.records], [])
        torch.manual_seed(0)
        module = make()
        rows = train(module, data, epochs=3, seed=0)
        assert ("nmi" in rows["last"]) is known
        states.append(module.state_dict())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@METHOD
def test_weights_start_alike_on_one_process_and_on_several(make: Callable[[], LightningModule]) -> None:
    started = []
    for several in (False, True):
        seed_everything(0)
        module = make()
        if several:
            # As Lightning does then, before it asks for the rest of the module.
            reset_seed()
        module.configure_model()
        started.append(module.state_dict())
    one, other = started
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@METHOD
def test_a_checkpoint_gives_what_was_reported(
    photos: Path, tmp_path: Path, make: Callable[[], LightningModule]
) -> None:
    data, module, options = of(photos), make(), {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    last = train(module, data, epochs=3, seed=0)["last"]
    assert module.trainer is not None
    module.trainer.save_checkpoint(tmp_path / "last.ckpt")
    (found,) = Trainer(**options).validate(make(), data, ckpt_path=tmp_path / "last.ckpt", verbose=False)
    assert found["nmi"] == pytest.approx(last["nmi"], abs=1e-6)
    # That of the others is of a training's steps alone, and the images might be other ones.
    assert found["loss"] == pytest.approx(last["loss"], abs=1e-5) if isinstance(module, SCAN) else "loss" not in found
    batches = Trainer(**options).predict(make(), data, ckpt_path=tmp_path / "last.ckpt")
    labels = torch.cat([batch["label"] for batch in batches])
    target = torch.tensor([record.label for record in data.records])
    assert normalized_mutual_information(labels, target) == pytest.approx(last["nmi"], abs=1e-6)


@pytest.mark.parametrize("name", ["IIC, statistics of the images", "GATCluster", "SCAN, self-labelling", "TEMI"])
def test_of_each_epoch_the_mean_over_its_steps_is_logged(
    name: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, log = METHODS[name](), LastAndBest(tmp_path / "epochs.csv")
    steps: dict[tuple[int, str], list[tuple[float, int]]] = {}
    of_lightning = module.log

    def spied(name: str, value: torch.Tensor, **options: Any) -> None:
        if module.trainer.training:
            steps.setdefault((module.current_epoch, name), []).append((float(value), options.get("batch_size", 1)))
        of_lightning(name, value, **options)

    monkeypatch.setattr(module, "log", spied)
    options: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "max_epochs": 3}
    Trainer(accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[log], **options).fit(
        module, datamodule=of(photos)
    )
    (table,) = tmp_path.rglob("metrics.csv")
    logged = {(int(row["epoch"]), key): row[key] for row in read_rows(table) for key in row if row[key]}
    assert {key for _, key in steps} & {"train_loss", "train_loss_a"}
    for (epoch, key), values in steps.items():
        mean = sum(value * images for value, images in values) / sum(images for _, images in values)
        assert log.rows[epoch][key] == pytest.approx(mean, rel=1e-5)
        assert float(logged[epoch, key]) == pytest.approx(mean, rel=1e-5)
        assert float(read_rows(tmp_path / "epochs.csv")[epoch][key]) == pytest.approx(mean, rel=1e-4)


def read_rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


class Ended(Exception):
    """As a killed process is, in the middle of an epoch."""


class EndsIn(Callback):
    """Ends a training in an epoch."""

    def __init__(self, epoch: int | None):
        self.epoch = epoch

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise Ended


@METHOD
def test_a_training_that_was_ended_goes_on_as_if_it_had_not_been(
    photos: Path, tmp_path: Path, make: Callable[[], LightningModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "EVERY", 0)

    def trained(file: Path, ends_in: int | None) -> tuple[dict[str, torch.Tensor], list[Epoch]]:
        seed_everything(0)
        module, log, keeps = make(), LastAndBest(), Kept(file)
        options = {"accelerator": "cpu", "max_epochs": 3, "logger": False, "enable_checkpointing": False}
        quiet = {"enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(**options, **quiet, callbacks=[log, EndsIn(ends_in), keeps])
        trainer.fit(module, datamodule=of(photos), ckpt_path=keeps.found(), weights_only=True)
        return {name: tensor.clone() for name, tensor in module.state_dict().items()}, log.rows

    expected, rows = trained(tmp_path / "whole.ckpt", None)
    with pytest.raises(Ended):
        trained(tmp_path / "ended.ckpt", 1)
    found, again = trained(tmp_path / "ended.ckpt", None)
    assert again == rows
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.parametrize(
    "name", ["IIC, statistics of the images", "GATCluster, statistics of the images", "SCAN", "TEMI"]
)
def test_however_seldom_epochs_are_scored_a_training_ends_alike(name: str, photos: Path) -> None:
    def trained(**rare: int) -> tuple[list[Epoch], dict[str, torch.Tensor]]:
        seed_everything(0)
        module, log = METHODS[name](), LastAndBest()
        options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=3, callbacks=[log], **options, **rare)
        trainer.fit(module, datamodule=of(photos))
        return log.rows, module.state_dict()

    rows, expected = trained()
    last, found = trained(check_val_every_n_epoch=5)
    assert [row["epoch"] for row in last] == [2]
    assert last[0].items() <= rows[-1].items()
    assert {"loss", "nmi"} <= last[0].keys()
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    if name == "SCAN":
        with pytest.raises(
            ValueError, match=r"SCAN chooses by its loss on all images: leave --trainer.limit_val_batches"
        ):
            trained(limit_val_batches=0)
        return
    none, found = trained(limit_val_batches=0)
    assert none == []
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())


def test_self_labelling_from_the_best_epoch_needs_all_of_them(photos: Path) -> None:
    trainer = Trainer(accelerator="cpu", check_val_every_n_epoch=2, logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"best epoch of step 2: leave --trainer.check_val_every_n_epoch at 1, got 2"):
        trainer.fit(METHODS["SCAN, self-labelling"](), datamodule=of(photos))


@pytest.mark.parametrize(
    ("heads", "limits"),
    [
        (10, {"limit_val_batches": 1}),
        (10, {"limit_val_batches": 9}),
        (10, {"overfit_batches": 1}),
        (1, {"limit_val_batches": 0}),
        (1, {"limit_val_batches": 0.0}),
    ],
)
def test_scan_may_validate_as_many_batches_as_there_are_and_with_one_head_fewer(
    heads: int, limits: dict[str, Any], photos: Path
) -> None:
    module = SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", selflabel_epochs=0, heads=heads)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    Trainer(accelerator="cpu", max_epochs=1, **quiet, **limits).fit(module, datamodule=of(photos))
    assert module.global_step > 0


def test_scan_of_several_heads_refuses_an_integer_of_fewer_batches(photos: Path) -> None:
    module = SCAN("embedded", num_clusters=3, crop=64, neighbours="auto", selflabel_epochs=0, batch_size=8)
    trainer = Trainer(accelerator="cpu", limit_val_batches=1, logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"leave --trainer.limit_val_batches at 1\.0, got 1 of 2 batches"):
        trainer.fit(module, datamodule=of(photos))


def test_steps_weigh_by_their_images() -> None:
    losses = MeanLosses()
    assert losses.mean() == torch.inf
    losses.add(torch.tensor([-2.0, -1.0]), 140)
    losses.add(torch.tensor([0.0, -1.0]), 1)
    assert losses.mean().tolist() == pytest.approx([-2 * 140 / 141, -1.0])
    losses.clear()
    assert losses.mean() == torch.inf


def test_an_epoch_in_whose_middle_a_training_stopped_is_not_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "EVERY", 0)
    keeps, log = Kept(tmp_path / "kept.ckpt"), LastAndBest()
    options: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=4, callbacks=[log, keeps], **options)
    trainer.fit(TEMI("embedded", num_clusters=3, crop=64, neighbours=2, heads=1, batch_size=5), datamodule=of(photos))
    assert torch.load(tmp_path / "kept.ckpt", weights_only=True)["global_step"] == 3
    assert log.stopped_in == 1


def test_a_training_goes_on_whatever_the_folder_of_its_images_is_called(flat_photos: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    last = tmp_path / "last.ckpt"
    trainer = Trainer(**options, max_epochs=1, enable_checkpointing=False)
    trainer.fit(METHODS["IIC"](), datamodule=of(flat_photos))
    trainer.save_checkpoint(last)
    folder = flat_photos.rename(tmp_path / "renamed")

    def goes_on() -> None:
        trainer = Trainer(**options, max_epochs=1, enable_checkpointing=False)
        trainer.fit(METHODS["IIC"](), datamodule=of(folder), ckpt_path=last, weights_only=True)

    goes_on()
    # Earlier checkpoints have the name of the folder.
    state = torch.load(last, weights_only=True)
    for name, is_same in (("renamed", True), ("flat", False)):
        names = "\n".join(f"{name}/{file.name}" for file in sorted(folder.iterdir()))
        state["images"] = {"count": 15, "names": hashlib.sha256(names.encode()).hexdigest()}
        torch.save(state, last)
        with nullcontext() if is_same else pytest.raises(ValueError, match="others, by their names"):
            goes_on()


@pytest.mark.parametrize("name", ["IIC", "SCAN"])
def test_a_training_goes_on_with_its_own_images_alone(name: str, photos: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    last = tmp_path / "last.ckpt"

    def trained(epochs: int, ckpt_path: Path | None) -> Trainer:
        trainer = Trainer(**options, max_epochs=epochs, enable_checkpointing=False)
        trainer.fit(METHODS[name](), datamodule=of(photos), ckpt_path=ckpt_path, weights_only=True)
        return trainer

    trained(1, None).save_checkpoint(last)
    one = photos / "bar" / "0.png"
    one.rename(photos / "bar" / "9.png")
    with pytest.raises(ValueError, match="of 15 images, and these are others, by their names: go on with those"):
        trained(2, last)
    # Nor does it know the neighbours of as many others.
    (found,) = Trainer(**options).validate(METHODS[name](), of(photos), ckpt_path=last, verbose=False)
    assert "nmi" in found
    assert not found.keys() & {"loss", "neighbour_purity"}
    (photos / "bar" / "9.png").unlink()
    with pytest.raises(ValueError, match="of 15 images, and these are 14: go on with those, or begin anew"):
        trained(2, last)
    # It is asked of other images all the same, and then still goes on with its own ones.
    asked, module = Trainer(**options), METHODS[name]()
    asked.validate(module, of(photos), ckpt_path=last, verbose=False)
    asked.save_checkpoint(last)
    with pytest.raises(ValueError, match="of 15 images"):
        trained(2, last)


def test_a_checkpoint_of_another_method_is_refused_by_its_weights(photos: Path, tmp_path: Path) -> None:
    module, options = METHODS["IIC"](), {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    train(module, of(photos), epochs=1, seed=0)
    assert module.trainer is not None
    module.trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(RuntimeError, match="in loading state_dict for SCAN"):
        Trainer(**options).validate(METHODS["SCAN"](), of(photos), ckpt_path=tmp_path / "last.ckpt", verbose=False)


def test_a_training_that_has_diverged_is_stopped(photos: Path) -> None:
    module = IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2, lr=1e30)
    with pytest.raises(ValueError, match=r"diverged: in epoch \d its loss is not a number"):
        train(module, of(photos), epochs=4, seed=0)


@pytest.mark.parametrize("method", ["SCAN", "TEMI"])
def test_features_that_do_not_change_are_computed_once(photos: Path, method: str) -> None:
    """Images that are gone when training begins are not missed, and every epoch is scored."""
    data, module = of(photos), METHODS[method]()
    module.on_train_start = lambda: [path.unlink() for path in photos.rglob("*.png")]  # type: ignore[method-assign]
    assert train(module, data, epochs=2, seed=0)["last"]["epoch"] == 1


def test_a_loss_that_is_not_known_yet_is_not_logged() -> None:
    logged: dict[str, torch.Tensor] = {}

    class Recorder(LightningModule):
        def log(self, name, value, **_):  # type: ignore[no-untyped-def, override]
            logged[name] = value

    labels = torch.tensor([0, 1, 1])
    images = {"target": torch.tensor([0, 1, 1]), "index": torch.arange(3)}
    Evaluation().log_scores(Recorder(), labels, images, torch.tensor(torch.inf))
    assert "loss" not in logged
    assert logged["nmi"] == 1
