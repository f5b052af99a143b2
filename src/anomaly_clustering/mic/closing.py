"""A run of MIC whose last image was seen in; its groups, before callbacks of others ask for them, out."""

from typing import Protocol, cast

import torch
from lightning import Callback, LightningModule, Trainer

from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.run import Run


class Early(Callback):
    """Is called before all other callbacks: Lightning calls a module itself only after all of them.

    Example:
        >>> issubclass(Closing, Early)
        True
    """


class Clusters(Protocol):
    """What `Closing` asks of MIC."""

    run: Run | None

    @property
    def grouping(self) -> Grouping:
        """The result."""

    def finish(self, *, score: bool) -> None:
        """Make it."""


class Closing(Early):
    """Groups the images when the last one was seen, so that a callback that writes predictions has their labels.

    Lightning leaves it on the trainer when MIC has run, so it passes over all other modules.

    Args:
        mic: whose images they are.

    Example:
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[Closing(LightningModule())])
    """

    def __init__(self, mic: LightningModule):
        self.module = mic

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self.module:
            cast(Clusters, pl_module).finish(score=True)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is self.module:
            cast(Clusters, pl_module).finish(score=True)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if pl_module is not self.module:
            return
        mic = cast(Clusters, pl_module)
        assert mic.run is not None
        predictions = mic.run.predictions
        mic.finish(score=False)
        labels = dict(zip(mic.grouping.index.tolist(), mic.grouping.labels.tolist(), strict=True))
        for told in predictions:
            told["label"].copy_(torch.tensor([labels[i] for i in told["index"].tolist()]))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Bags of a run that failed are of no use, and much.
        if pl_module is self.module:
            cast(Clusters, pl_module).run = None


def early_first(trainer: Trainer) -> None:
    """Put callbacks that are `Early` before the rest; else their order stays.

    Args:
        trainer: whose callbacks are all there, and of which none is being called.

    Example:
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[Callback(), Closing(LightningModule())])
        >>> early_first(trainer)
        >>> type(trainer.callbacks[0]).__name__
        'Closing'
    """
    trainer.callbacks.sort(key=lambda callback: not isinstance(callback, Early))  # type: ignore[attr-defined]
