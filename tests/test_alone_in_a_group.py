"""A script of several processes groups images in some of them: each such run is one of one process."""

from pathlib import Path

import numpy as np
import torch
from several_processes import run
from torch.utils.data import DataLoader

from anomaly_clustering import AnomalyClusterer
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.trainer import plain_trainer
from anomaly_clustering.runs.predictions import predicted


def images(count: int) -> torch.Tensor:
    noise = torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2
    noise[: count // 2, :, 20:36, 20:36] = 1.0
    noise[count // 2 :, :, 40:44, 8:56] = 0.6
    return noise


def batches(count: int) -> DataLoader:
    shown, index = images(count), torch.arange(count)
    masks = (shown[:, :1] > 0.5).float()
    whole = {"image": shown, "index": index, "target": index // (count // 2), "mask": masks}
    return DataLoader([whole], batch_size=None)


class OfLoader(MIC):
    def predict_dataloader(self) -> DataLoader:
        return batches(8)


def the_first_alone_groups(rank: int, world: int) -> None:
    if rank == 0:
        clusterer = AnomalyClusterer(2, image_size=64, views=1).fit(images(8))
        assert clusterer.labels_.tolist() == [0] * 4 + [1] * 4
        assert clusterer.predict(images(8)[[5, 1]] * 0.99).tolist() == [1, 0]
        mic = OfLoader("embedded", num_clusters=2)
        (scores,) = plain_trainer(progress_bar=False).validate(mic, batches(8), verbose=False)
        assert scores["nmi"] == 1
        assert scores["localisation_auroc"] > 0.8
        rows = predicted(plain_trainer(progress_bar=False), mic)
        assert rows is not None
        assert [row["label"] for row in rows] == [0] * 4 + [1] * 4


def each_groups_its_own(rank: int, world: int) -> None:
    count = 8 - 2 * rank
    labels = AnomalyClusterer(2, image_size=64, views=1).fit(images(count)).labels_
    assert np.bincount(labels).tolist() == [count // 2] * 2


def in_a_group(rank: int, world: int) -> None:
    the_first_alone_groups(rank, world)
    each_groups_its_own(rank, world)


def test_a_run_of_one_process_asks_no_other_one(tmp_path: Path) -> None:
    run(in_a_group, 2, tmp_path)
