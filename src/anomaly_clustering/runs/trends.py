"""A run and the images that came later in; how often each defect occurs in each period, and what has changed, out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from anomaly_clustering.clustering.methods import cluster_means
from anomaly_clustering.data.layouts import DEFECT_FREE
from anomaly_clustering.metrics.changes import Change, changes_of_shares, drift, holm
from anomaly_clustering.report.trends_page import Stretch
from anomaly_clustering.runs.periods import Periods

ALL, UNKNOWN, TAKEN_OUT, NO_FINDING, DRIFT = "All images", "Unknown", "Taken out", "No finding", "Drift"
RESERVED = frozenset(name.casefold() for name in (ALL, UNKNOWN, TAKEN_OUT, NO_FINDING, DRIFT))
UNNAMED = re.compile(r"Cluster (\d+)")
# Of the tests, so that the same images give the same page.
SEED = 0


class ImagesOverTime(NamedTuple):
    """Images of a run, then those that came later, one entry an image.

    Attributes:
        paths: their files.
        cluster: number of the cluster [N]; of an unknown image that with the nearest mean, -1 of one without a finding.
        later: whether it came after the run [N].
        unknown: whether it is like none of the run [N]; of the run itself, what a person took out of all clusters.
        embeddings: one vector an image [N, D]; None where the run has none.
    """

    paths: Sequence[Path]
    cluster: Int[np.ndarray, " n"]
    later: Bool[np.ndarray, " n"]
    unknown: Bool[np.ndarray, " n"]
    embeddings: Float[np.ndarray, "n d"] | None


@dataclass(frozen=True)
class Course:
    """One defect, or the unknown images, over the periods.

    Attributes:
        name: of the defect.
        counts: its images in each period [T].
        of: images that it could be among, in each period [T].
        p_value: of the largest change, before it is corrected for all that is tested; NaN where it was not tested.
        change: None where none is beyond chance.

    Example:
        >>> course = Course("dent", np.array([1, 3]), np.array([10, 10]), 0.4, None)
        >>> course.shares.tolist(), course.total
        ([0.1, 0.3], 4)
    """

    name: str
    counts: Int[np.ndarray, " t"]
    of: Int[np.ndarray, " t"]
    p_value: float
    change: Stretch | None

    @property
    def shares(self) -> Float[np.ndarray, " t"]:
        """Of the images of each period; NaN where there are none [T]."""
        return np.divide(self.counts, self.of, out=np.full(len(self.of), np.nan), where=self.of > 0)

    @property
    def total(self) -> int:
        """How many images it has in all periods."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Trends:
    """What became of the defects of a run. Each image is in one of the courses.

    Attributes:
        periods: names, in order.
        by: what the periods are.
        images: in each period [T].
        defects: the most frequent first.
        sound: images without a finding, and those of clusters that are called good, normal or ok; None where there are
            none.
        taken_out: images of the run that a person took out of all clusters; None where there are none.
        unknown: of the images that came later; None where none did.
        drift: of each period, see `metrics.changes.drift` [T]; None where the run has no embeddings.
        drift_change: None where none is beyond chance.
        tests: how many were corrected together.
    """

    periods: Sequence[str]
    by: str
    images: Int[np.ndarray, " t"]
    defects: Sequence[Course]
    sound: Course | None
    taken_out: Course | None
    unknown: Course | None
    drift: Float[np.ndarray, " t"] | None
    drift_change: Stretch | None
    tests: int

    @property
    def others(self) -> list[Course]:
        """The courses besides those of defects."""
        return [course for course in (self.sound, self.taken_out, self.unknown) if course is not None]


def trends(seen: ImagesOverTime, periods: Periods, names: Mapping[int, str]) -> Trends:
    """Count defects by period, and test what has changed.

    Clusters of one name are one defect; a name that other rows have, such as 'Unknown' or 'Cluster 1', gets the number
    of the first cluster that has it. Whatever is tested is corrected together, so that where nothing changes, the
    chance that anything at all is marked is 2%. For the tests, images of the run go to the cluster with the nearest
    mean, each without itself, if images came later: as those do, lest a way of grouping is taken for a change.

    Args:
        seen: the images.
        periods: of some of them.
        names: of clusters, as a person gave them; '' or none where one has none.

    Returns:
        Counts, and changes that are beyond chance.

    Raises:
        ValueError: there are too many periods.

    Example:
        >>> days = np.repeat(np.arange(4), 40)
        >>> cluster = (np.tile(np.arange(40), 4) < np.array([4, 4, 4, 20])[days]).astype(int)
        >>> no = np.zeros(160, dtype=bool)
        >>> seen = ImagesOverTime([Path(f"{i}.png") for i in range(160)], cluster, no, no, None)
        >>> found = trends(seen, Periods(["1", "2", "3", "4"], days, np.arange(160), "day"), {1: "dent"})
        >>> [(course.name, course.total, course.change) for course in found.defects][1]
        ('dent', 32, Stretch(first=3, last=3, within=0.5, elsewhere=0.1))
    """
    kept, count, names = periods.images, len(periods.names), _names_apart(names)
    called = [_called(int(k), names) for k in seen.cluster]
    often = Counter(called[i] for i in kept if not seen.unknown[i])
    defects = sorted(sorted(set(called), key=_by_number), key=lambda name: -often[name])
    number = {name: i for i, name in enumerate(defects)}
    kind = np.array([number[name] for name in called])[kept]
    later, unknown = seen.later[kept], seen.unknown[kept]
    tested = kind
    if later.any() and seen.embeddings is not None:
        moved = _as_later(seen)
        tested = np.array([number[_called(int(k), names)] for k in moved])[kept]
    tests = _tests(seen, periods, tested, num_defects=len(defects))

    def by_period(some: Bool[np.ndarray, " n"]) -> Int[np.ndarray, " t"]:
        return np.bincount(periods.of[some], minlength=count)

    images = np.bincount(periods.of, minlength=count)
    courses = []
    for i, (name, test) in enumerate(zip(defects, tests.defects, strict=True)):
        counts, counted = by_period(~unknown & (kind == i)), by_period(tested == i)
        # Where unknown images alone make up what was tested, the change is theirs.
        moves = _rises(test.change, counts, images) == _rises(test.change, counted, images)
        courses.append(_course(name, counts, images, test.change, test.is_beyond_chance and moves))
    course = None
    if later.any():
        found, of = by_period(later & unknown), by_period(later)
        course = (
            Course(UNKNOWN, found, of, float("nan"), None)
            if tests.unknown is None
            else _course(UNKNOWN, found, of, *tests.unknown)
        )
    out = by_period(~later & unknown)
    taken_out = Course(TAKEN_OUT, out, images, float("nan"), None) if out.any() else None
    drifted = None
    if tests.drift is not None and tests.distances is not None and tests.drift.is_beyond_chance:
        drifted = _marked(tests.drift.change, tests.distances * images, images)
    sound = next((one for one in courses if one.name == NO_FINDING), None)
    shown = [one for one in courses if one is not sound]
    return Trends(
        periods.names, periods.by, images, shown, sound, taken_out, course, tests.distances, drifted, tests.number
    )


class _Test(NamedTuple):
    change: Change
    is_beyond_chance: bool | np.bool_


class _Tests(NamedTuple):
    """What was tested, and corrected together.

    Attributes:
        defects: the share of each defect.
        unknown: the share of unknown images; None where those that came later are of one period, or none came.
        drift: that of embeddings; None where there are none.
        distances: how far embeddings have drifted in each period [T]; None where there are none.
    """

    defects: Sequence[_Test]
    unknown: _Test | None
    drift: _Test | None
    distances: Float[np.ndarray, " t"] | None

    @property
    def number(self) -> int:
        return len(self.defects) + (self.unknown is not None) + (self.drift is not None)


def _tests(seen: ImagesOverTime, periods: Periods, tested: Int[np.ndarray, " n"], *, num_defects: int) -> _Tests:
    """What may have changed of these images, each of which counts for the defect in `tested`."""
    later, unknown = seen.later[periods.images], seen.unknown[periods.images]
    later_periods = np.unique(periods.of[later])
    with_unknown, with_drift = len(later_periods) > 1, seen.embeddings is not None
    count = num_defects + with_unknown + with_drift
    changes = changes_of_shares(periods.of, tested, num_kinds=num_defects, num_tests=count, seed=SEED)
    if with_unknown:
        # Only what came later can be unknown.
        own = np.searchsorted(later_periods, periods.of[later])
        (change,) = changes_of_shares(own, unknown[later] - 1, num_kinds=1, num_tests=count, seed=SEED)
        changes.append(Change(int(later_periods[change.first]), int(later_periods[change.last]), change.p_value))
    distances = None
    if seen.embeddings is not None:
        change, distances = drift(periods.of, seen.embeddings[periods.images], tested, num_tests=count, seed=SEED)
        changes.append(change)
    tests = [_Test(*test) for test in zip(changes, holm([change.p_value for change in changes]), strict=True)]
    others = tests[num_defects:]
    return _Tests(
        tests[:num_defects], others[0] if with_unknown else None, others[-1] if with_drift else None, distances
    )


def _course(
    name: str, counts: Int[np.ndarray, " t"], of: Int[np.ndarray, " t"], change: Change, beyond: bool | np.bool_
) -> Course:
    return Course(name, counts, of, change.p_value, _marked(change, counts, of) if beyond else None)


def _marked(
    change: Change, sums: Float[np.ndarray, " t"] | Int[np.ndarray, " t"], of: Int[np.ndarray, " t"]
) -> Stretch:
    within = np.zeros(len(of), dtype=bool)
    within[change.first : change.last + 1] = True
    means = [float(sums[some].sum() / max(1, of[some].sum())) for some in (within, ~within)]
    return Stretch(change.first, change.last, *means)


def _rises(change: Change, counts: Int[np.ndarray, " t"], of: Int[np.ndarray, " t"]) -> bool:
    mark = _marked(change, counts, of)
    return mark.within > mark.elsewhere


def _as_later(seen: ImagesOverTime) -> Int[np.ndarray, " n"]:
    """Clusters with the nearest mean of images of the run, an image of the run itself left out of its own."""
    assert seen.embeddings is not None
    exact, own = seen.embeddings.astype(np.float64), ~seen.later & ~seen.unknown & (seen.cluster >= 0)
    if not own.any():
        return seen.cluster
    numbers, means = cluster_means(exact[own], seen.cluster[own])
    distances, inverse = cdist(exact, means), np.searchsorted(numbers, seen.cluster[own])
    size = np.bincount(inverse)[inverse]
    # Without one of n images, their mean is n / (n - 1) times as far from it; what is alone has no others.
    place = np.flatnonzero(own), inverse
    distances[place] = np.where(size > 1, distances[place] * size / np.maximum(size - 1, 1), np.inf)
    # A type that came later only is what it was found to be, as is an image without a finding.
    return np.where(np.isin(seen.cluster, numbers), numbers[distances.argmin(1)], seen.cluster)


def _names_apart(names: Mapping[int, str]) -> dict[int, str]:
    """The same names, of which those that other rows have get the number of the first cluster that has them."""
    first = {name: k for k, name in sorted(names.items(), reverse=True)}
    taken = {name for name in first if name.casefold() in RESERVED or UNNAMED.fullmatch(name)}
    return {k: f"{name} (cluster {first[name]})" if name in taken else name for k, name in names.items()}


def _called(cluster: int, names: Mapping[int, str]) -> str:
    """What is called good is no defect, as in the report and in what is exported."""
    name = names.get(cluster, "")
    return NO_FINDING if cluster < 0 or name.casefold() in DEFECT_FREE else name or f"Cluster {cluster}"


def _by_number(name: str) -> tuple[bool, int, str]:
    unnamed = UNNAMED.fullmatch(name)
    return unnamed is not None, int(unnamed[1]) if unnamed else 0, name
