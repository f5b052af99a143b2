"""A step of MIC in; it, kept apart from what the process around it has set up for itself, out."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from lightning import LightningModule

from anomaly_clustering.mic.processes import shared_by
from anomaly_clustering.system.autocast import no_autocast

M = TypeVar("M", bound=LightningModule)
P = ParamSpec("P")
R = TypeVar("R")


def apart(step: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Let a step ask the processes of its Trainer alone, whatever group the caller has made, and compute exactly.

    What names no device is made on the processor, whatever the caller's default is.

    Args:
        step: a method of a module that a Trainer runs.

    Example:
        >>> class Counts(LightningModule):
        ...     @apart
        ...     def one_more(self, number):
        ...         return number + 1
        >>> from lightning import Trainer
        >>> module = Counts()
        >>> module.trainer = Trainer(accelerator="cpu", logger=False)
        >>> module.one_more(1)
        2
    """

    @wraps(step)
    def step_apart(module: M, *args: P.args, **kwargs: P.kwargs) -> R:
        with shared_by(module.trainer.world_size), no_autocast(), torch.device("cpu"):
            return step(module, *args, **kwargs)

    return step_apart
