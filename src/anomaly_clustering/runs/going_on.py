"""A run of MIC over many images in; a run that a kill costs some hundred of them, shared out to all processes, out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.mic.closing import Early
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.processes import on_first, shared_by
from anomaly_clustering.mic.run import Run
from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.row_settings import row_settings
from anomaly_clustering.system.attached import attached_data
from anomaly_clustering.system.loaders import in_batches
from anomaly_clustering.system.results import keeping

# Images of a shard, whose rows are written as one, by all processes of a run together.
SHARD = 256
# Bytes of an image's rows beyond which they are not kept: bags of large networks, which take longer to write than to
# compute.
LARGEST_ROW = 2**18

# MIC with its run, images, and the batches that are to be read -> their rows, shard by shard.
Elsewhere = Callable[[MIC, DefectDataModule, Sequence[Sequence[int]]], Iterator[Mapping[str, Tensor]]]


class Shares(NamedTuple):
    """Who reads what.

    Attributes:
        batches: positions of images in batches, those of each process.
        repeated: whether a process reads an image that is finished, or another one's, because it has no other: a loop
            needs one. Its row is dropped again, since the first process, or one of lower rank, has the image too.
        finished: how many images are finished already.
    """

    batches: list[list[Sequence[int]]]
    repeated: list[bool]
    finished: int


class GoingOn(Early):
    """Has each process read its share of what is not finished yet, and keeps the rows of what is.

    Images are read in the same batches whoever reads them, so that after a kill, and on any number of processes of one
    kind, their rows are the same to the last bit.

    Args:
        finished: where rows are kept.
        say: is told what the run goes on with.
        elsewhere: computes rows outside this process, which then reads but one batch; None for here.
    """

    def __init__(
        self, finished: FinishedRows, *, say: Callable[[str], object], elsewhere: Elsewhere | None = None
    ) -> None:
        self.finished = finished
        self.say = say
        self.elsewhere = elsewhere
        self.keeps = False
        self.written = 0
        self.shares = Shares([], [], 0)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        mic, data = _mic(pl_module), _data(trainer)
        self.keeps = len(data.records) > SHARD
        with shared_by(trainer.world_size):
            self.shares = on_first(lambda: self._shares(trainer, mic, data))
        # Another machine may not see the folder; then what it computes is not kept.
        self.keeps = self.keeps and self.finished.is_there()
        data.batches = self.shares.batches[trainer.global_rank]
        if self.elsewhere:
            data.batches = data.batches[-1:]

    def _shares(self, trainer: Trainer, mic: MIC, data: DefectDataModule) -> Shares:
        total = len(data.records)
        done = torch.zeros(total, dtype=torch.bool)
        if self.keeps:
            settings = row_settings(mic, data, trainer.strategy.root_device)
            self.finished.begin(settings, images=total, say=self.say)
            for part in self.finished.parts():
                done[part["index"]] = True
            if count := int(done.sum()):
                self.say(f"Goes on with {count} of {total} images, which {str(self.finished.name)!r} holds")
            keeping(self.finished.kept)
        return share_out(in_batches(total, data.batch_size), done, trainer.world_size)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Before the first batch take what is finished, and what is made elsewhere, where references are known now."""
        if batch_idx > 0:
            return
        mic, data = _mic(pl_module), _data(trainer)
        run = _run(mic)
        shares = zip(self.shares.batches, self.shares.repeated, strict=True)
        read = {i for batches, repeated in shares if not repeated for batch in batches for i in batch}
        missing = torch.tensor([i not in read for i in range(len(data.records))])
        if trainer.is_global_zero and self.keeps:
            for part in self.finished.parts():
                new = missing[part["index"]]
                missing[part["index"]] = False
                if new.any():
                    run.rows.append({name: rows[new].to(mic.device) for name, rows in part.items()})
        self.written = run.rows.count
        if self.elsewhere and not self.shares.repeated[0]:
            for rows in self.elsewhere(mic, data, self.shares.batches[0][:-1]):
                run.rows.append({name: tensor.to(mic.device) for name, tensor in rows.items()})
                self._write(trainer, run)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        run = _run(_mic(pl_module))
        if run.rows.count - self.written >= SHARD // trainer.world_size:
            self._write(trainer, run)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What the last shard lacks, so that clustering and report are not begun without it."""
        run = _run(_mic(pl_module))
        if run.rows.count > self.written:
            self._write(trainer, run)

    def _write(self, trainer: Trainer, run: Run) -> None:
        rows = run.rows.since(self.written)
        self.written = run.rows.count
        large = sum(tensor[:1].nbytes for tensor in rows.values()) > LARGEST_ROW
        self.keeps = self.keeps and not large
        if self.keeps and not self.shares.repeated[trainer.global_rank]:
            self.finished.add(rows)


def share_out(batches: Sequence[Sequence[int]], done: Tensor, processes: int) -> Shares:
    """Give each process every so-many-th batch of those that are not finished.

    Args:
        batches: positions of all images.
        done: which images are finished [N].
        processes: of the run.

    Returns:
        At least a batch for each process; an image of the last one where there is no other.

    Example:
        >>> shares = share_out([[0, 1], [2, 3], [4, 5]], torch.tensor([True] * 2 + [False] * 4), 3)
        >>> shares.batches, shares.repeated, shares.finished
        ([[[2, 3]], [[4, 5]], [[4]]], [False, False, True], 2)
    """
    left = [batch for batch in batches if not done[torch.tensor(batch)].all()]
    own = [left[process::processes] for process in range(processes)]
    repeated = [not share for share in own]
    return Shares([share or [batches[-1][:1]] for share in own], repeated, int(done.sum()))


def _mic(module: LightningModule) -> MIC:
    assert isinstance(module, MIC)
    return module


def _data(trainer: Trainer) -> DefectDataModule:
    data = attached_data(trainer)
    assert isinstance(data, DefectDataModule)
    return data


def _run(mic: MIC) -> Run:
    assert mic.run is not None
    return mic.run
