"""By which statistics batch normalisation scores images: those of the images, where that is asked for."""

from pathlib import Path

import pytest
import torch
from digits import train
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from anomaly_clustering.data import Folder
from baselines import IIC, GATCluster, gatcluster, iic
from baselines.global_batch import GlobalBatchNorm2d
from baselines.iic_network import network_input
from baselines.statistics import measure_statistics


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, GlobalBatchNorm2d])
def test_the_mean_over_batches_takes_the_place_of_running_means(kind: type[nn.BatchNorm2d]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), kind(4), nn.ReLU(), nn.Conv2d(4, 2, 3), kind(2)).eval()
    images = torch.rand(12, 3, 8, 8)
    network.train()(images + 5)
    module = LightningModule()
    module.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    measure_statistics(module, network.eval(), images.split(4))
    assert not network.training
    first = [network[0](batch).detach() for batch in images.split(4)]
    assert torch.allclose(network[1].running_mean, torch.stack([x.mean((0, 2, 3)) for x in first]).mean(0), atol=1e-6)
    assert torch.allclose(network[1].running_var, torch.stack([x.var((0, 2, 3)) for x in first]).mean(0), atol=1e-6)
    # What comes later saw batches that were normalised by their own.
    later = [network[3](nn.functional.batch_norm(x, None, None, training=True).relu()).detach() for x in first]
    expected = torch.stack([x.mean((0, 2, 3)) for x in later]).mean(0)
    assert torch.allclose(network[4].running_mean, expected, atol=1e-5)
    assert {network[1].momentum, network[4].momentum} == {0.1}


def clean(photos: Path) -> tuple[Folder, Tensor]:
    data = Folder(photos, image_size=64, num_workers=0)
    data.setup("predict")
    images = data.predict_dataloader().dataset
    return data, torch.stack([images[i]["image"] for i in range(len(images))])


def means(first: nn.Module, second: nn.Module, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Of the first normalisation: that by which images are scored, and that of the images."""
    with torch.no_grad():
        return second.running_mean, first(seen).mean((0, 2, 3))


def test_iic_trains_the_same_and_scores_by_its_images(photos: Path) -> None:
    data, images = clean(photos)
    trunks = {}
    for statistics in ("running", "images"):
        torch.manual_seed(0)
        module = IIC(num_clusters=3, trunk="conv3", input_size=32, repeats=2, lr=1e-2, statistics=statistics)
        train(module, data, epochs=3, seed=0)
        seen = network_input(module._middle(images), "sobel")
        trunks[statistics] = module.trunk, *means(module.trunk[0], module.trunk[1], seen)
    (running, by_views, _), (of_images, by_images, expected) = trunks.values()
    assert all(torch.equal(a, b) for a, b in zip(running.parameters(), of_images.parameters(), strict=True))
    assert torch.allclose(by_images, expected, atol=1e-5)
    assert not torch.allclose(by_views, expected, atol=1e-2)


def test_images_are_measured_where_they_are_scored_or_kept_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, images = clean(photos)
    options = {"num_clusters": 3, "trunk": "conv3", "input_size": 32, "repeats": 2, "lr": 1e-2}
    module, again, measured = IIC(**options, statistics="images"), IIC(**options), []
    monkeypatch.setattr(iic, "measure_statistics", lambda *given: (measured.append(None), measure_statistics(*given)))

    class Keeps(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "second.ckpt")

    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    often = {"max_epochs": 7, "check_val_every_n_epoch": 4, "num_sanity_val_steps": 0}
    Trainer(accelerator="cpu", **often, **quiet, callbacks=[Keeps()]).fit(module, datamodule=data)
    # The second epoch is kept, the fourth one scored, and the seventh one the last.
    assert len(measured) == 3
    again.load_state_dict(torch.load(tmp_path / "second.ckpt", weights_only=True)["state_dict"], strict=False)
    for trained in (module, again):
        seen = network_input(trained._middle(images), "sobel")
        by_images, expected = means(trained.trunk[0], trained.trunk[1], seen)
        assert torch.allclose(by_images, expected, atol=1e-5)


def test_gatcluster_scores_by_its_images(photos: Path) -> None:
    data, images = clean(photos)
    by, expected = {}, {}
    for statistics in ("running", "images"):
        options = {"num_clusters": 3, "backbone": "small", "input_size": 32, "step_size": 8, "passes": 2}
        module = GATCluster(**options, statistics=statistics)
        train(module, data, epochs=3, seed=0)
        backbone = module.network.backbone
        by[statistics], expected[statistics] = means(backbone[0], backbone[1], module._seen(images))
    assert torch.allclose(by["images"], expected["images"], atol=1e-5)
    assert not torch.allclose(by["running"], expected["running"], atol=1e-2)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("method", [IIC, GATCluster])
def test_other_statistics_are_refused(method: type[IIC | GATCluster]) -> None:
    with pytest.raises(ValueError, match=r"statistics must be one of \('running', 'images'\), got 'batch'"):
        method(statistics="batch")


def test_each_of_many_images_counts_alike(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, images = clean(photos)
    sizes: list[list[int]] = []
    monkeypatch.setattr(gatcluster, "EVALUATED_AT_ONCE", 7)
    monkeypatch.setattr(gatcluster, "measure_statistics", lambda *given: sizes.append([*map(len, given[2])]))
    small = {"num_clusters": 3, "backbone": "small", "input_size": 32, "step_size": 8, "passes": 2}
    train(GATCluster(**small, statistics="images"), data, epochs=1, seed=0)
    assert sizes
    assert all(sum(parts) == len(images) and max(parts) - min(parts) <= 1 for parts in sizes)
