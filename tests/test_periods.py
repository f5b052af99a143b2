"""Times and batches of images in; the periods that they are of, and what is said of those without an image, out."""

import argparse
from datetime import datetime, time
from pathlib import Path

import pytest

from anomaly_clustering.cli import values
from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.runs.periods import START, periods_of, told_of_gaps

IMAGES = [Path(f"{i}.png") for i in range(6)]


def at(*texts: str) -> dict[Path, datetime]:
    return {image: datetime.fromisoformat(text) for image, text in zip(IMAGES, texts, strict=False)}


def test_periods_are_hours_days_weeks_months_and_shifts() -> None:
    times = at("2026-03-01 05:59", "2026-03-01 06:00", "2026-03-01 23:30", "2026-03-02 03:00", "2026-03-09 13:59")
    names = {by: periods_of(IMAGES, times, {}, by=by).names for by in ("hour", "day", "week", "month", "shift")}
    assert names["hour"][0] == "2026-03-01 05:00"
    assert names["day"] == ["2026-03-01", "2026-03-02", "2026-03-09"]
    # Weeks begin on Monday, and 1 March 2026 is a Sunday.
    assert names["week"] == ["week of 2026-02-23", "week of 2026-03-02", "week of 2026-03-09"]
    assert names["month"] == ["2026-03"]
    # What is before the first shift of a day is of the last one of the day before.
    assert names["shift"] == ["2026-02-28 22:00", "2026-03-01 06:00", "2026-03-01 22:00", "2026-03-09 06:00"]
    found = periods_of(IMAGES, times, {}, by="shift", shifts=[time(6), time(22)])
    assert found.of.tolist() == [0, 1, 2, 2, 3]
    # The last image has no time.
    assert found.images.tolist() == [0, 1, 2, 3, 4]
    assert periods_of(IMAGES, times, {}).by == "day"
    assert periods_of(IMAGES[:3], times, {}).by == "hour"


def test_periods_without_an_image_are_counted_where_they_are_left_out() -> None:
    times = at("2026-02-27 05:59", "2026-02-27 06:00", "2026-03-02 14:00", "2026-03-02 23:30", "2026-04-20 03:00")
    shifts = [time(6), time(14), time(22)]
    empty = {by: periods_of(IMAGES, times, {}, by=by, shifts=shifts).empty for by in (*START, "shift")}
    assert empty == {
        "hour": [0, 0, 79, 8, 24 * 48 + 3],
        "day": [0, 2, 48],
        # From Monday 23 February: 2 March is of the next week.
        "week": [0, 0, 6],
        "month": [0, 0, 0],
        "shift": [0, 0, 9, 0, 3 * 48 - 1],
    }
    assert told_of_gaps(periods_of(IMAGES, times, {}, by="month")) == []
    (said,) = told_of_gaps(periods_of(IMAGES, times, {}, by="week"))
    assert said.startswith(
        "6 weeks without an image are left out, up to 6 on end, between week of 2026-03-02 and week of 2026-04-20: "
    )


def test_batches_are_in_the_order_of_their_first_image_else_by_name() -> None:
    known = {
        image: Metadata(None, {"batch": batch}) for image, batch in zip(IMAGES, ["10", "9", "10", ""], strict=False)
    }
    assert periods_of(IMAGES, {}, known, by="Batch").names == ["9", "10"]
    times = at("2026-03-02", "2026-03-03", "2026-03-01")
    assert periods_of(IMAGES, times, known, by="batch").names == ["10", "9"]
    with pytest.raises(ValueError, match=r"--by 'line' is none of hour, .* there are \['batch'\]"):
        periods_of(IMAGES, times, known, by="line")
    with pytest.raises(ValueError, match="none of the 6 images is there"):
        periods_of(IMAGES, {}, {})


def test_a_value_for_each_of_many_images_takes_no_longer_an_image() -> None:
    compared = 0

    class Value(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    images = [Path(f"{i}.png") for i in range(1000)]
    known = {image: Metadata(None, {"serial": Value(i)}) for i, image in enumerate(images)}
    found = periods_of(images, {}, known, by="serial")
    assert found.of.tolist() == list(range(1000))
    assert compared < 10 * len(images)


def test_shifts_are_as_the_clock_on_the_wall_shows_them_whatever_zone_is_told() -> None:
    assert values.shifts("14:00+01:00, 06:00Z,22:00,06:00") == [time(6), time(14), time(22)]
    assert values.shifts("06.45,14:00") == [time(6, 45), time(14)]
    with pytest.raises(argparse.ArgumentTypeError, match="shifts are times of the day"):
        values.shifts("06.5,14:00")
    times = at("2026-03-01 05:59", "2026-03-01 06:00")
    found = periods_of(IMAGES, times, {}, by="shift", shifts=values.shifts("06:00Z,14:00Z"))
    assert found.names == ["2026-02-28 14:00", "2026-03-01 06:00"]
