"""Hides what Lightning says of itself while it works for us, since the user asked for groups."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOGGERS = ("lightning.pytorch", "lightning.fabric")

# Levels and filters belong to the process: the first of several threads hides, and the last one shows again.
_LOCK, _HIDDEN = threading.Lock(), ExitStack()
_within = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings of Lightning's logs come through, its tips do not. Lightning sets its own levels when it is imported,
    so import it before. Several threads may be within at a time."""
    global _within
    with _LOCK:
        if _within == 0:
            _HIDDEN.enter_context(_hidden())
        _within += 1
    try:
        yield
    finally:
        with _LOCK:
            _within -= 1
            if _within == 0:
                _HIDDEN.close()


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
