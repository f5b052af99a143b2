"""Steps of a work, as they are finished, in; how fast it goes, and how long what is left will take, out."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Lap(NamedTuple):
    """How much was done, and when, in seconds."""

    done: int
    at: float


class Pace:
    """Measures a work from the end of its first step on: until then workers start and code is compiled.

    Workers that each read a batch finish all of them at about the same time, so what counts is how long rounds of all
    workers take. The mean over all rounds is what is told: images of one product are read and embedded alike, while the
    last seconds alone may be those of a burst.

    Args:
        total: how much there is to do.
        done: how much of it was done before.
        a_round: steps that come together.
        now: the time in seconds.

    Example:
        >>> seconds = iter([7.0, 9.0, 9.0])
        >>> pace = Pace(40, now=lambda: next(seconds))
        >>> pace.advance(10); pace.advance(10)
        >>> pace.rate, pace.left
        (5.0, 4.0)
    """

    def __init__(self, total: int, *, done: int = 0, a_round: int = 1, now: Callable[[], float] = time.monotonic):
        self.total = total
        self.done = done
        self.a_round = max(1, a_round)
        self.now = now
        self.steps = 0
        self.first: Lap | None = None
        self.last: Lap | None = None

    def advance(self, count: int) -> None:
        """So much more is done."""
        self.done += count
        self.steps += 1
        lap = Lap(self.done, self.now())
        if self.first is None:
            self.first = lap
        elif (self.steps - 1) % self.a_round == 0 or self.steps <= self.a_round:
            self.last = lap

    @property
    def measured(self) -> float:
        """Seconds that were measured so far."""
        return 0.0 if self.first is None or self.last is None else self.last.at - self.first.at

    @property
    def rate(self) -> float | None:
        """How much is done in a second; None until that is known."""
        if self.first is None or self.last is None or self.measured <= 0:
            return None
        return (self.last.done - self.first.done) / self.measured

    @property
    def left(self) -> float | None:
        """Seconds that what is left will take, as of now; None until that is known."""
        if not self.rate or self.last is None:
            return None
        return max(0.0, (self.total - self.last.done) / self.rate - (self.now() - self.last.at))
