"""Hides what Lightning says of itself while it works for us, since the user asked for groups."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from anomaly_clustering.system.for_all_threads import ForAllThreads

LOGGERS = ("lightning.pytorch", "lightning.fabric")


def quiet() -> AbstractContextManager[None]:
    """Warnings of Lightning's logs come through, its tips do not. Lightning sets its own levels when it is imported,
    so import it before. Several threads may be within at a time."""
    return _HIDDEN.held()


@contextmanager
def _hidden() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", module="torch.utils.data")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


# Levels and filters belong to the process.
_HIDDEN = ForAllThreads(_hidden)
