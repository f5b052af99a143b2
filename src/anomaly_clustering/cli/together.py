"""Processes of one run, as Lightning starts them: which is the first, and that they end together where one fails."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from anomaly_clustering.cli.devices import about_devices
from anomaly_clustering.cli.starting import end_with_the_started
from anomaly_clustering.mic.companions import Companions


def is_rank_zero() -> bool:
    """Whether this process is the first of those on all machines; Lightning starts the others when it has looked.

    Example:
        >>> is_rank_zero()
        True
    """
    return getattr(rank_zero_only, "rank", 0) == 0


def end_with_the_others(trainer: Trainer) -> None:
    """From now on end this process where one that the Trainer starts does not come so far as to meet it.

    Args:
        trainer: of one process or several.
    """
    if trainer.world_size > 1:
        end_with_the_started(lambda: getattr(trainer.strategy.launcher, "procs", ()))


@contextmanager
def telling_the_others(*, prefix: str = "") -> Iterator[None]:
    """Where this process fails, the others are told, also where no Trainer works at the moment.

    Args:
        prefix: of the options on devices, see `about_devices`.

    Raises:
        ValueError: Lightning does not find the devices that were asked for.
    """
    try:
        yield
    except BaseException as error:
        if Companions.watch:
            Companions.watch.fails(error)
        if isinstance(error, MisconfigurationException):
            raise about_devices(error, prefix=prefix) from error
        raise
