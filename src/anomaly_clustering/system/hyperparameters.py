"""The arguments that a module was made with in; what a checkpoint can hold of them, and be loaded with again, out."""

import inspect
from pathlib import Path

import numpy as np
from lightning import LightningModule


def save_plain_hyperparameters(module: LightningModule) -> None:
    """Save the arguments of the constructor that calls this, paths as texts and NumPy's numbers as Python's.

    A checkpoint that held other objects could be written, but not loaded: loading takes none that could run code.

    Args:
        module: that is being made.

    Example:
        >>> class Module(LightningModule):
        ...     def __init__(self, checkpoint: Path, tau: float):
        ...         super().__init__()
        ...         save_plain_hyperparameters(self)
        >>> dict(Module(Path("weights.pt"), np.float64(0.5)).hparams)
        {'checkpoint': 'weights.pt', 'tau': 0.5}
    """
    here = inspect.currentframe()
    assert here is not None
    module.save_hyperparameters(frame=here.f_back)
    module.hparams.update({name: _plain(value) for name, value in module.hparams.items()})


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
