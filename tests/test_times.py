"""Times as people, spreadsheets and cameras write them."""

from datetime import datetime

import pytest

from anomaly_clustering.data.times import as_time


@pytest.mark.parametrize(
    "text",
    [
        *("2026-03-01T06:30:00", "2026-03-01 06:30", "2026-03-01T06:30:00+09:00", "2026-03-01T06:30Z"),
        *("2026/03/01 06:30", "01.03.2026 06:30:00", "1.3.2026 6:30", "2026:03:01 06:30:00", "20260301T063000"),
        *("2026-03-01 06.30", "2026-03-01T06.30.00+01:00", "1.3.2026 6.30", "20260301 06.30"),
        *("20260301063000", "20260301063000Z", "20260301063000000", "20260301063000.0+01:00"),
    ],
)
def test_times_are_those_of_the_clock_on_the_wall(text: str) -> None:
    assert as_time(text) == datetime(2026, 3, 1, 6, 30)


@pytest.mark.parametrize("clock", ["06,30", "06.5", "0630.5", "06:30.5", "06.75"])
def test_a_fraction_of_what_is_no_second_is_no_time(clock: str) -> None:
    assert as_time(f"2026-03-01 {clock}") is None


def test_digits_after_the_seconds_are_a_fraction_and_no_others_are_passed_over() -> None:
    for text in ("20260301123015123", "20260301123015.123", "20260301123015123000"):
        assert as_time(text) == datetime(2026, 3, 1, 12, 30, 15, 123_000)
    for text in ("20260301123015.1230009", "2026/03/01 12:30:15.1230009", "2026-03-01T12:30:15.123000900+01:00"):
        assert as_time(text) == datetime(2026, 3, 1, 12, 30, 15, 123_000)
    assert as_time("202603011230155") == datetime(2026, 3, 1, 12, 30, 15, 500_000)
    assert as_time("20260301") == datetime(2026, 3, 1)
    refused = ["2026030112301", "202603011230151234567", "20260301993015123", "2026-03-011230155", "2026W0911230155"]
    # Milliseconds since 1970 are no digits of a date.
    assert not any(as_time(text) for text in (*refused, "1910011200000"))
