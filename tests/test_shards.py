"""Shards of images on workers of Dask, one of which is killed: rows and clusters are those of one process."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.sources import Folder
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.trainer import plain_trainer
from anomaly_clustering.runs import shards
from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.going_on import Elsewhere, GoingOn
from anomaly_clustering.system.dask_client import dask_client


def grouping(photos: Path, tmp_path: Path, elsewhere: Elsewhere | None, **options: Any) -> Grouping:
    data = Folder(photos, image_size=32, batch_size=2, num_workers=0)
    mic = MIC("embedded", num_clusters=3, **method_arguments("signed_residuals", normals=False, **options))
    callbacks = [GoingOn(FinishedRows(tmp_path / "run"), say=print, elsewhere=elsewhere)]
    trainer = plain_trainer(progress_bar=False, accelerator="cpu", callbacks=callbacks)
    trainer.validate(mic, data, verbose=False)
    return mic.grouping


def test_two_workers_one_of_which_is_killed_find_what_one_process_finds(
    flat_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1] / "src"))
    monkeypatch.setattr(shards.shards_of, "__defaults__", (2,))
    killed = []
    with dask_client(None, 2, failures=shards.FAILURES) as client:

        def kills_a_worker(
            mic: MIC, data: DefectDataModule, batches: Sequence[Sequence[int]]
        ) -> Iterator[Mapping[str, Tensor]]:
            for number, rows in enumerate(shards.by_dask(client)(mic, data, batches)):
                if number == 0:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)
                yield rows

        found = grouping(flat_photos, tmp_path, kills_a_worker)
    alone = grouping(flat_photos, tmp_path, None)
    assert killed
    assert np.array_equal(found.index, np.arange(15))
    assert np.array_equal(found.labels, alone.labels)
    np.testing.assert_allclose(found.embeddings, alone.embeddings, atol=1e-4)


def test_a_worker_that_does_not_find_an_image_says_so(flat_photos: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    data = Folder(flat_photos, image_size=32, batch_size=2, num_workers=0)
    data.setup()
    (shard,) = shards.shards_of(data, [[3, 4], [7]])
    assert (shard.positions, shard.batches) == ([3, 4, 7], [[0, 1], [2]])
    assert all(record.image.is_absolute() for record in shard.images.records)
    lost = shard.images.records[2].image
    lost.unlink()
    told = shards.WorkerSetup("", {"checkpoint": None}, None, np.zeros((0, 3, 32, 32), np.uint8), None, 0.1, "")
    with pytest.raises(FileNotFoundError, match=r"worker .* does not find .*/flat/12\.png.*under the same name"):
        shards.rows_of_shard(told, shard)


def test_a_worker_with_other_weights_says_so(flat_photos: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    data = Folder(flat_photos, image_size=32, batch_size=2, num_workers=0)
    data.setup()
    (shard,) = shards.shards_of(data, [[0]])
    options = {"backbone": "embedded", "checkpoint": None}
    told = shards.WorkerSetup("others", options, None, np.zeros((2, 3, 32, 32), np.uint8), None, 0.1, "of others")
    with pytest.raises(ValueError, match=r"worker .* has other weights of 'embedded' than the command"):
        shards.rows_of_shard(told, shard)


def test_a_worker_computes_where_it_is_told_to(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    data = Folder(flat_photos, image_size=32, batch_size=2, num_workers=0)
    data.setup()
    (shard,) = shards.shards_of(data, [[0]])
    images, options = np.zeros((2, 3, 32, 32), np.uint8), {"backbone": "embedded", "checkpoint": None}
    # Of a machine with a GPU; on "meta" no weight has a value that could be compared.
    monkeypatch.setattr(shards, "ACCELERATOR", "meta")
    told = shards.WorkerSetup("on a processor", options, None, images, None, 0.1, "of others", "cpu")
    with pytest.raises(ValueError, match="has other weights"):
        shards.rows_of_shard(told, shard)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    told = told._replace(name="on a GPU", accelerator="cuda")
    with pytest.raises(ValueError, match=r"worker .* has no GPU that PyTorch can use"):
        shards.rows_of_shard(told, shard)


@pytest.mark.parametrize(("are_ours", "devices"), [(True, ["cuda:0", "cuda:1", "cuda:0"]), (False, ["cuda"] * 3)])
def test_workers_that_the_command_starts_share_out_the_gpus(
    are_ours: bool, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    told = shards.WorkerSetup("", {}, None, np.zeros((0, 3, 32, 32), np.uint8), None, 0.1, "", "cuda", are_ours)
    found = []
    for number in range(3):
        monkeypatch.setattr(distributed, "get_worker", lambda number=number: SimpleNamespace(name=number))
        found.append(shards._device(told))
    assert found == devices


def test_workers_are_for_what_compares_with_few(flat_photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    data = Folder(flat_photos, image_size=32, batch_size=2, num_workers=0)
    trainer = plain_trainer(
        progress_bar=False,
        accelerator="cpu",
        callbacks=[GoingOn(FinishedRows(tmp_path / "run"), say=print, elsewhere=shards.by_dask(None))],
    )
    with pytest.raises(ValueError, match="compare each image with few others"):
        trainer.validate(MIC("embedded", num_clusters=3), data, verbose=False)
