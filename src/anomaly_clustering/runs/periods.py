"""Times, or batches, of images in; the period that each is of, and their names in order, out."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.runs.period_names import PERIODS_OF_TIME, SHIFTS
from anomaly_clustering.system.messages import counted

# By the span of all times: up to so many days each is by that period.
AUTO = ((2.0, "hour"), (90.0, "day"), (700.0, "week"), (float("inf"), "month"))
START: dict[str, Callable[[datetime], datetime]] = {
    "hour": lambda moment: moment.replace(minute=0, second=0, microsecond=0),
    "day": lambda moment: moment.replace(hour=0, minute=0, second=0, microsecond=0),
    "week": lambda moment: START["day"](moment) - timedelta(days=moment.weekday()),
    "month": lambda moment: START["day"](moment).replace(day=1),
}
WRITTEN = {"hour": "%Y-%m-%d %H:00", "day": "%Y-%m-%d", "week": "week of %Y-%m-%d", "month": "%Y-%m"}
# What a batch is called that is not told.
UNTOLD = ""


class Periods(NamedTuple):
    """Images by period; those of which no period is known are left out.

    Attributes:
        names: of the periods, in order; each has an image.
        of: the period of each image [n].
        images: positions of these images among those that were given [n].
        by: what the periods are.
        empty: how many periods without an image are left out right before each; none where nobody counts them.
    """

    names: Sequence[str]
    of: Int[np.ndarray, " n"]
    images: Int[np.ndarray, " n"]
    by: str
    empty: Sequence[int] = ()


def periods_of(
    images: Sequence[Path],
    times: Mapping[Path, datetime],
    metadata: Mapping[Path, Metadata],
    *,
    by: str = "auto",
    shifts: Sequence[time] = SHIFTS,
) -> Periods:
    """Sort images into periods.

    Args:
        images: of the run, and later ones.
        times: when they were taken.
        metadata: of the images.
        by: 'hour', 'day', 'week' (from Monday), 'month', 'shift', a column of the metadata, or 'auto', by the span of
            all times.
        shifts: when shifts begin, in order. What is before the first one is of the last shift of the day before.

    Returns:
        Periods in the order of time; those of a column in the order of their first image, or of their names, with
        numbers in them by size, where images have no times.

    Raises:
        ValueError: no image has a time, or the metadata have no such column.

    Example:
        >>> images = [Path("a.png"), Path("b.png")]
        >>> times = {images[0]: datetime(2026, 3, 2, 5), images[1]: datetime(2026, 3, 2, 7)}
        >>> periods_of(images, times, {}, by="shift").names
        ['2026-03-01 22:00', '2026-03-02 06:00']
    """
    if by not in (*PERIODS_OF_TIME, "auto"):
        return _of_column(images, times, metadata, by)
    dated = [i for i, image in enumerate(images) if image in times]
    if not dated:
        raise ValueError(
            f"none of the {len(images)} images is there, and no metadata tell their times: give --metadata, or run the "
            "command where `anomaly-clustering cluster` was run"
        )
    moments = [times[images[i]] for i in dated]
    if by == "auto":
        days = (max(moments) - min(moments)) / timedelta(days=1)
        by = next(period for most, period in AUTO if days <= most)
    if by == "shift":
        begun = [_begin_of_shift(moment, shifts) for moment in moments]
        written = "%Y-%m-%d %H:%M"
    else:
        begun, written = [START[by](moment) for moment in moments], WRITTEN[by]
    order = sorted(set(begun))
    number = {moment: i for i, moment in enumerate(order)}
    places = [_place(moment, by, shifts) for moment in order]
    return Periods(
        [moment.strftime(written) for moment in order],
        np.array([number[moment] for moment in begun]),
        np.array(dated),
        by,
        [0, *(after - before - 1 for before, after in pairwise(places))],
    )


def told_of_gaps(periods: Periods) -> list[str]:
    """What to know of periods without an image, which are left out.

    Args:
        periods: in their order.

    Returns:
        A sentence, or none.

    Example:
        >>> names = ["2026-03-02", "2026-03-03", "2026-03-09"]
        >>> told_of_gaps(Periods(names, np.arange(3), np.arange(3), "day", [0, 0, 5]))[0][:69]
        '5 days without an image are left out, up to 5 on end, between 2026-03'
    """
    if not any(periods.empty):
        return []
    most = max(periods.empty)
    after = periods.empty.index(most)
    count = sum(periods.empty)
    return [
        f"{counted(count, periods.by)} without an image {'is' if count == 1 else 'are'} left out, up to {most} on end, "
        f"between {periods.names[after - 1]} and {periods.names[after]}: a dashed line in the charts shows where; what "
        "is marked as changed may reach over it"
    ]


def _place(moment: datetime, by: str, shifts: Sequence[time]) -> int:
    """The number of the period that begins then, counted without a gap."""
    day = moment.toordinal()
    return {
        "hour": lambda: 24 * day + moment.hour,
        "day": lambda: day,
        "week": lambda: day // 7,
        "month": lambda: 12 * moment.year + moment.month,
        "shift": lambda: len(shifts) * day + shifts.index(moment.time()),
    }[by]()


def told_of_column(by: str, metadata: Mapping[Path, Metadata]) -> list[str]:
    """What to know where a column of the metadata is called as a period of time is.

    Args:
        by: see `periods_of`.
        metadata: of images.

    Returns:
        A sentence, or none.

    Example:
        >>> told_of_column("shift", {Path("a.png"): Metadata(None, {"shift": "early"})})[0][:58]
        "the metadata's column 'shift' is not used: --by shift goes"
        >>> told_of_column("day", {Path("a.png"): Metadata(None, {"shift": "early"})})
        []
    """
    if by not in PERIODS_OF_TIME or not any(one.values.get(by) for one in metadata.values()):
        return []
    return [
        f"the metadata's column {by!r} is not used: --by {by} goes by the times of the images; rename the column in "
        "the file, and give that as --metadata, to go by it"
    ]


def _begin_of_shift(moment: datetime, shifts: Sequence[time]) -> datetime:
    before = [shift for shift in shifts if shift <= moment.time()]
    day = moment.date() if before else moment.date() - timedelta(days=1)
    return datetime.combine(day, before[-1] if before else shifts[-1])


def _of_column(
    images: Sequence[Path], times: Mapping[Path, datetime], metadata: Mapping[Path, Metadata], column: str
) -> Periods:
    names = {image: one.values.get(column.lower(), UNTOLD) for image, one in metadata.items()}
    told = [i for i, image in enumerate(images) if names.get(image, UNTOLD) != UNTOLD]
    if not told:
        columns = sorted({name for one in metadata.values() for name in one.values})
        raise ValueError(
            f"--by {column!r} is none of {', '.join(PERIODS_OF_TIME)}, and no column of the metadata with a value "
            f"for any image; there {f'are {columns}' if columns else 'are no metadata: give --metadata'}"
        )
    values = [names[images[i]] for i in told]
    first: dict[str, datetime] = {}
    for i, value in zip(told, values, strict=True):
        if images[i] in times:
            first[value] = min(times[images[i]], first.get(value, datetime.max))
    order = sorted(set(values), key=lambda value: (first.get(value, datetime.max), _by_numbers(value)))
    number = {value: i for i, value in enumerate(order)}
    return Periods(order, np.array([number[value] for value in values]), np.array(told), column.lower())


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """So that batch 9 comes before batch 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
