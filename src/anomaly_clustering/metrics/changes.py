"""Period and defect of each image in; the stretch of periods where a share, or a mean, differs beyond chance, out.

A stretch is any run of periods in order. For each, what lies in it is compared with the rest; the stretch that differs
most is found, and how often chance alone finds one that differs as much is counted by shuffling the images over the
periods. So the search itself is paid for, and nothing is assumed of distributions.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import xlogy

# Periods that are searched at most: the number of stretches is about half its square.
MOST_PERIODS = 200
# The chance that anything is marked where nothing changes, over all that is tested together. Lower than the usual 5%,
# since somebody looks at it every day.
LEVEL = 0.02
SHUFFLES = 999
# Shuffles for each thing that is tested, at least, so that the smallest p-value stands Holm's correction.
PER_TEST = 200
# So many shuffles that differ as much as what was found end the count (Besag and Clifford 1991): p is not small then.
ENOUGH = 20
# Components that drift is looked for in, the largest ones.
COMPONENTS = 16


class Change(NamedTuple):
    """The stretch of periods that differs most from the rest.

    Attributes:
        first: period with which it begins.
        last: period with which it ends. A stretch that begins with the first period is told by the rest, its end.
        p_value: how often chance finds a stretch that differs as much.
    """

    first: int
    last: int
    p_value: float


def changes_of_shares(
    period: Int[np.ndarray, " n"], kind: Int[np.ndarray, " n"], *, num_kinds: int, num_tests: int, seed: int = 0
) -> list[Change]:
    """For each kind of image the stretch of periods in which its share differs most.

    A stretch with x of m images of a kind, and the rest with y of n, differ by the likelihood ratio
    G = l(x, m) + l(y, n) - l(x + y, m + n), where l(x, m) = x log(x / m) + (m - x) log(1 - x / m).

    Args:
        period: of each image [N], numbered in order from 0; none without an image.
        kind: of each image [N], below `num_kinds`, such as its cluster; one of -1 counts as none.
        num_kinds: how many there are.
        num_tests: how many p-values are corrected together.
        seed: shuffles the kinds over the images.

    Returns:
        A change for each kind; its p-value is 1 where there is one period alone.

    Raises:
        ValueError: there are more periods than can be searched.

    Example:
        >>> period = np.repeat(np.arange(6), 50)
        >>> kind = (np.tile(np.arange(50), 6) < np.repeat([5, 5, 5, 5, 20, 20], 50)).astype(int)
        >>> changes_of_shares(period, kind, num_kinds=2, num_tests=2)[1]
        Change(first=4, last=5, p_value=0.001)
    """
    periods = _check_periods(period)
    stretches = _stretches(periods)
    totals = np.bincount(period, minlength=periods).astype(np.float64)
    inside = _sums(totals[:, None], stretches)

    def ratios(kinds: Int[np.ndarray, " n"]) -> Float[np.ndarray, "s k"]:
        kept = kinds >= 0
        flat = period[kept] * num_kinds + kinds[kept]
        counts = np.bincount(flat, minlength=periods * num_kinds).reshape(periods, num_kinds).astype(np.float64)
        found, all_ = _sums(counts, stretches), counts.sum(0)
        total = totals.sum()
        return _log(found, inside) + _log(all_ - found, total - inside) - _log(all_, np.full(1, total))

    observed = ratios(kind)
    return _judged(observed, stretches, periods, lambda rng: ratios(rng.permutation(kind)), num_tests, seed)


def drift(
    period: Int[np.ndarray, " n"],
    embeddings: Float[np.ndarray, "n d"],
    group: Int[np.ndarray, " n"],
    *,
    num_tests: int,
    seed: int = 0,
) -> tuple[Change, Float[np.ndarray, " periods"]]:
    """The stretch of periods in which images look most unlike those of the same group in other periods.

    Embeddings less the mean of their group, in their largest components each of unit variance, are averaged over a
    stretch of m images and over the n others; m n / (m + n) times the squared distance of the two is what is largest.
    Images are shuffled within their group, so that a share that changes is no drift.

    Args:
        period: of each image [N], numbered in order from 0; none without an image.
        embeddings: one vector an image [N, D].
        group: of each image [N], such as the cluster that it is nearest to.
        num_tests: how many p-values are corrected together.
        seed: shuffles the images.

    Returns:
        The change, and for each period how far the mean of its images is from that of all others [T], in standard
        deviations of an image, less what chance alone makes of so few.

    Raises:
        ValueError: there are more periods than can be searched.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> period, embeddings = np.repeat(np.arange(6), 50), rng.normal(size=(300, 8))
        >>> embeddings[200:] += 0.5
        >>> change, distances = drift(period, embeddings, np.zeros(300, dtype=int), num_tests=1)
        >>> change, int(distances.argmax())
        (Change(first=4, last=5, p_value=0.001), 5)
    """
    periods = _check_periods(period)
    stretches = _stretches(periods)
    values = _within(embeddings, group)
    totals = np.bincount(period, minlength=periods).astype(np.float64)
    inside = _sums(totals[:, None], stretches)[:, 0]
    scale = len(period) / np.maximum(inside * (len(period) - inside), 1)
    places = [np.flatnonzero(group == one) for one in np.unique(group)]
    of_period = (period == np.arange(periods)[:, None]).astype(np.float64)

    def lengths(moved: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "s 1"]:
        sums = _sums(of_period @ moved, stretches)
        return ((sums**2).sum(1) * scale)[:, None]

    def shuffled(rng: np.random.Generator) -> Float[np.ndarray, "s 1"]:
        order = np.arange(len(period))
        for place in places:
            order[place] = rng.permutation(place)
        return lengths(values[order])

    (change,) = _judged(lengths(values), stretches, periods, shuffled, num_tests, seed)
    sums = of_period @ values
    spread = 1 / totals + 1 / np.maximum(len(period) - totals, 1)
    # As far as means of so few images are apart by chance is no distance.
    squared = ((sums * spread[:, None]) ** 2).sum(1) - values.shape[1] * spread
    return change, np.sqrt(np.maximum(squared, 0))


def holm(p_values: Sequence[float], level: float = LEVEL) -> Bool[np.ndarray, " tests"]:
    """Which of several tests are beyond chance, such that with no change at all any is so in a share `level` of cases.

    Args:
        p_values: of the tests.
        level: that share.

    Returns:
        Whether each is, by the method of Holm (1979).

    Example:
        >>> holm([0.04, 0.01, 0.025], level=0.05).tolist(), holm([0.04, 0.03], level=0.05).tolist()
        ([True, True, True], [False, False])
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort(kind="stable")
    passed = np.logical_and.accumulate(values[order] <= level / (len(values) - np.arange(len(values))))
    found = np.zeros(len(values), dtype=bool)
    found[order] = passed
    return found


def _check_periods(period: Int[np.ndarray, " n"]) -> int:
    periods = int(period.max()) + 1 if len(period) else 0
    if periods > MOST_PERIODS:
        raise ValueError(
            f"changes are looked for in at most {MOST_PERIODS} periods, got {periods}; take longer ones (--by)"
        )
    return periods


def _stretches(periods: int) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]:
    """Beginning and end (not among it) of all that do not begin with the first period: those are the rest of others."""
    first, end = np.triu_indices(periods, 0)
    kept = first > 0
    return first[kept], end[kept] + 1


def _sums(
    counts: Float[np.ndarray, "t k"], stretches: tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]]
) -> Float[np.ndarray, "s k"]:
    up_to = np.vstack([np.zeros((1, counts.shape[1])), counts.cumsum(0)])
    return up_to[stretches[1]] - up_to[stretches[0]]


def _log(found: Float[np.ndarray, "*s k"], of: Float[np.ndarray, "*s one"]) -> Float[np.ndarray, "*s k"]:
    """Log-likelihood of so many of so many, by their own share."""
    other = of - found
    return xlogy(found, found) + xlogy(other, other) - xlogy(of, of)


def _judged(
    observed: Float[np.ndarray, "s k"],
    stretches: tuple[Int[np.ndarray, " s"], Int[np.ndarray, " s"]],
    periods: int,
    shuffled: Callable[[np.random.Generator], Float[np.ndarray, "s k"]],
    num_tests: int,
    seed: int,
) -> list[Change]:
    """The largest of each column, and how often shuffled ones are as large."""
    if periods < 2:
        return [Change(0, 0, 1.0)] * observed.shape[1]
    best, place = observed.max(0), observed.argmax(0)
    shuffles = max(SHUFFLES, PER_TEST * num_tests - 1)
    rng = np.random.default_rng(seed)
    as_large = np.zeros(len(best), dtype=int)
    p_values = np.full(len(best), np.nan)
    for count in range(1, shuffles + 1):
        # Sums of floats differ in their last digits.
        as_large += shuffled(rng).max(0) >= best * (1 - 1e-9) - 1e-12
        p_values[np.isnan(p_values) & (as_large >= ENOUGH)] = ENOUGH / count
        if not np.isnan(p_values).any():
            break
    p_values = np.where(np.isnan(p_values), (1 + as_large) / (1 + shuffles), p_values)
    first, end = stretches
    return [Change(int(first[i]), int(end[i]) - 1, float(p)) for i, p in zip(place, p_values, strict=True)]


def _within(embeddings: Float[np.ndarray, "n d"], group: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n c"]:
    """Embeddings less the mean of their group, in their largest components, each of unit variance."""
    moved = embeddings.astype(np.float64)
    for one in np.unique(group):
        moved[group == one] -= moved[group == one].mean(0)
    count = min(COMPONENTS, *moved.shape)
    values, vectors = np.linalg.eigh(moved.T @ moved / len(moved))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    kept = values > 1e-12 * max(values[0], 1e-300)
    return moved @ vectors[:, kept] / np.sqrt(values[kept])
