"""Finished cells in; how far a number moves (over subsets of the images, taus, seeds), and which methods lead, out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.categories import Category

# Of each method on each category the finished runs, one for each seed.
Results = Mapping[tuple[str, Category], Sequence[Mapping[str, Any]]]
# On so many of the subsets a method must be ahead of another one for the difference to mean something: 19 of 20.
OFTEN = 0.95
# Rows that know more than the images are compared among their own kind: normal images, masks. The best epoch, which the
# labels chose, is compared with nothing.
BEST_EPOCH = "best epoch"
KINDS = ("semi", "mask", BEST_EPOCH)
CLEAR, SHARED = "**", "*"


class Spread(NamedTuple):
    """How a number moves, which may be the mean over some categories.

    Args:
        values: one for each random subset of the images [R], the same subsets for all methods; of a method that was
            not scored on subsets one for each seed.
        taus: at each tau of the band [T]; empty where the number does not depend on tau.
    """

    values: np.ndarray
    taus: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def deviation(self) -> float | None:
        """Standard deviation; None of one value."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else None


def spread_of(results: Results, method: str, members: Sequence[Category], metric: str) -> Spread | None:
    """The spread of the mean over categories, all of which were measured; None if one was not.

    The first subset of one category is put beside the first of another one, and so on: they are drawn independently.
    """
    runs = [results.get((method, member), ()) for member in members]
    known = [[run for run in of_member if metric in run["metrics"]] for of_member in runs]
    if not (known and all(known)):
        return None
    subsets = [[run.get("spreads", {}).get(metric, {}) for run in of_member] for of_member in known]
    if all(spread for of_member in subsets for spread in of_member):
        values = _mean([_mean([spread["subsets"] for spread in of_member]) for of_member in subsets])
        taus = _mean([_mean([spread["taus"] for spread in of_member]) for of_member in subsets])
        return Spread(values, taus)
    # Each row a category: its seeds.
    seeds = _mean([[run["metrics"][metric] for run in of_member] for of_member in known])
    return Spread(seeds, np.zeros(0))


def _mean(rows: Sequence[Sequence[float]] | Sequence[np.ndarray]) -> np.ndarray:
    """Over rows, as far as the shortest goes."""
    shortest = min(map(len, rows))
    return np.array([row[:shortest] for row in rows]).mean(axis=0)


def leads(rows: Mapping[str, Spread]) -> dict[str, str]:
    """Which of some methods lead, paired over the same subsets.

    Args:
        rows: spreads of methods on the same images, by name.

    Returns:
        '**' for a method that is ahead of each other one on at least 19 of 20 of the subsets, so that a tie never is.
        Where none is, '*' for those that share the lead: the one of the highest mean, and whom it is not so far ahead
        of. Nothing where all share it, for the others, for the best epoch, and for one number alone, which may be any.
    """
    marks: dict[str, str] = {}
    for kind in {kind_of(name) for name in rows} - {BEST_EPOCH}:
        values = {name: spread.values for name, spread in rows.items() if kind_of(name) == kind}
        if len(values) < 2:
            continue
        best = max(values, key=lambda name: values[name].mean())
        if len(values[best]) < 2:  # Nobody knows how far it moves.
            continue
        level = [name for name in values if name != best and not _ahead(values[best], values[name])]
        if not level:
            marks[best] = CLEAR
        elif len(level) + 1 < len(values):
            marks |= {name: SHARED for name in (best, *level) if len(values[name]) > 1}
    return marks


def kind_of(name: str) -> str:
    """What a method knows beside the images; empty for nothing."""
    return next((kind for kind in KINDS if kind in name), "")


def _ahead(one: np.ndarray, other: np.ndarray) -> bool:
    """Subset by subset; what was not scored on subsets is one number for all of them."""
    if len(one) != len(other):
        one, other = (values if len(values) == max(len(one), len(other)) else values.mean() for values in (one, other))
    return bool(np.mean(one > other) >= OFTEN)
