"""Finished cells in; how far a number moves (over subsets of the images, taus, seeds), and which methods lead, out."""

from collections.abc import Mapping, Sequence
from statistics import fmean
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
        of_subsets: whether the values are of subsets.
    """

    values: np.ndarray
    taus: np.ndarray
    of_subsets: bool = True

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
    # Each row a category: its seeds. Of categories with unlike numbers of them there is a mean, and no more.
    seeds = [[run["metrics"][metric] for run in of_member] for of_member in known]
    if len({len(row) for row in seeds}) > 1:
        seeds = [[fmean(row)] for row in seeds]
    return Spread(np.array(seeds).mean(axis=0), np.zeros(0), of_subsets=False)


def _mean(rows: Sequence[Sequence[float]] | Sequence[np.ndarray]) -> np.ndarray:
    """Over rows, as far as the shortest goes."""
    shortest = min(map(len, rows))
    return np.array([row[:shortest] for row in rows]).mean(axis=0)


def leads(rows: Mapping[str, Spread]) -> dict[str, str]:
    """Which of some methods lead, paired over the same subsets; seeds are nobody's pairs.

    Args:
        rows: spreads of methods on the same images, by name.

    Returns:
        '**' for a method that is ahead of each other one on at least 19 of 20 of the subsets (of the pairs of a seed of
        one and a seed of the other, where neither was scored on subsets), so that a tie never is.
        Where none is, '*' for those that share the lead: the one of the highest mean, and whom it is not so far ahead
        of. Nothing where all share it, for the others, for the best epoch, and for one number alone, which may be any.
    """
    marks: dict[str, str] = {}
    for kind in {kind_of(name) for name in rows} - {BEST_EPOCH}:
        alike = {name: spread for name, spread in rows.items() if kind_of(name) == kind}
        if len(alike) < 2:
            continue
        best = max(alike, key=lambda name: alike[name].mean)
        if len(alike[best].values) < 2:  # Nobody knows how far it moves.
            continue
        level = [name for name in alike if name != best and not _ahead(alike[best], alike[name])]
        if not level:
            marks[best] = CLEAR
        elif len(level) + 1 < len(alike):
            marks |= {name: SHARED for name in (best, *level) if len(alike[name].values) > 1}
    return marks


def kind_of(name: str) -> str:
    """What a method knows beside the images; empty for nothing."""
    return next((kind for kind in KINDS if kind in name), "")


def _ahead(one: Spread, other: Spread) -> bool:
    """Subset by subset; what was not scored on these is one number for all of them. Of seeds each with each."""
    a, b = one.values, other.values
    if not (one.of_subsets or other.of_subsets):
        return bool(np.mean(a[:, None] > b) >= OFTEN)
    if one.of_subsets != other.of_subsets or len(a) != len(b):
        most = one if (one.of_subsets, len(a)) > (other.of_subsets, len(b)) else other
        a, b = (spread.values if spread is most else np.full(1, spread.mean) for spread in (one, other))
    return bool(np.mean(a > b) >= OFTEN)
