"""Texts of people and cameras in, or a photograph; the time that it tells, as the clock on the wall showed it, out."""

import re
from datetime import datetime
from pathlib import Path

from anomaly_clustering.data.opening import UnreadableImageError, opened

# Besides ISO 8601, which Python reads: as spreadsheets of several countries and cameras write them. Where day and month
# cannot be told apart, as in 01/02/2026, a form is not here.
FORMS = tuple(
    f"{day}{clock}"
    for day in ("%Y/%m/%d", "%d.%m.%Y", "%Y:%m:%d", "%d %b %Y", "%d-%b-%Y")
    for clock in (" %H:%M:%S", " %H:%M", " %H:%M:%S.%f", "")
)
# A clock with dots for colons, as several countries write it; and one with a fraction of what is no second, which
# Python takes for one of a second.
DOTTED = re.compile(r"(?:^|(?<=[T ]))(\d{1,2})\.(\d\d)(?:\.(\d\d))?(?=$|[Z+-])")
FRACTION = re.compile(r"[T ](\d{1,2}|\d{4}|\d{1,2}:\d\d)[.,]\d")
# A date that is followed by a digit at once, which Python takes for the sign between date and clock, and passes over;
# and what such a text is: yyyyMMddHHmmss, and perhaps a fraction of a second and a time zone.
GLUED = re.compile(r"\d{4}-?(\d\d-?\d\d|W\d\d-?\d)\d")
COMPACT = re.compile(r"(\d{14})(?:[.,]?(\d{1,6}))?(?:Z|[+-]\d\d:?\d\d)?")
# Digits of a second beyond the sixth, such as those of .NET, which counts in tenths of a microsecond.
BEYOND_MICROSECONDS = re.compile(r"((?:^\d{14}|:\d\d)[.,]\d{6})\d{1,3}(?!\d)")
# What is of an earlier year was never set: .NET writes 0001-01-01 then, and spreadsheets begin with 1900.
FIRST_YEAR = 1900
# Of a photograph: the block of its EXIF that holds when it was taken, and the entry.
EXIF_BLOCK, DATE_TIME_ORIGINAL = 0x8769, 36867


def taken_at(image: Path) -> datetime | None:
    """When a photograph was taken, by its EXIF.

    Args:
        image: a file.

    Returns:
        The time; None where the file does not tell one that can be read.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> exif = Image.Exif()
        >>> exif[EXIF_BLOCK] = {DATE_TIME_ORIGINAL: "2026:03:01 06:30:00"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (20, 10)).save(Path(folder) / "a.jpg", exif=exif)
        ...     taken_at(Path(folder) / "a.jpg")
        datetime.datetime(2026, 3, 1, 6, 30)
    """
    try:
        with opened(image) as photograph:
            written = photograph.getexif().get_ifd(EXIF_BLOCK).get(DATE_TIME_ORIGINAL)
    except UnreadableImageError:
        return None
    return None if written is None else as_time(str(written).strip("\0 "))


def as_time(text: str) -> datetime | None:
    """A time as it is written: ISO 8601, digits alone, or one of `FORMS`. Where it has a time zone, that is left out.

    A year before 1900 is that of a time which was never set, as the 0001-01-01 of .NET.

    Args:
        text: such as '2026-03-01T06:30:00+01:00', '2026-03-01 06:30', '01.03.2026 06:30' or '2026-03-01 06.30'; or
            digits alone: of a day, or of a time to the second and up to six of its fraction, such as 20260301063000123.
            After a point a fraction may have nine digits, of which six count.

    Returns:
        The time, as the clock there showed it; None where the text is none, or was never set.

    Example:
        >>> [str(as_time(text)) for text in ("2026-03-01T06:30Z", "1.3.2026 06.30", "01/03/2026", "0001-01-01")]
        ['2026-03-01 06:30:00', '2026-03-01 06:30:00', 'None', 'None']
    """
    text = BEYOND_MICROSECONDS.sub(r"\1", with_colons(text))
    if FRACTION.search(text):
        return None
    if GLUED.match(text):
        return _of_digits(text)
    try:
        return if_set(datetime.fromisoformat(text).replace(tzinfo=None))
    except ValueError:
        pass
    for form in FORMS:
        try:
            return if_set(datetime.strptime(text, form))
        except ValueError:
            continue
    return None


def _of_digits(text: str) -> datetime | None:
    found = COMPACT.fullmatch(text)
    try:
        time = datetime.strptime(found[1], "%Y%m%d%H%M%S") if found else None
    except ValueError:
        return None
    return if_set(time.replace(microsecond=int((found[2] or "").ljust(6, "0")))) if found and time else None


def with_colons(text: str) -> str:
    """A time with colons in its clock, where it was written with dots.

    Args:
        text: a time of a day, or a date with one.

    Example:
        >>> [with_colons(text) for text in ("06.30", "2026-03-01 6.30.15", "01.03.2026", "2026-03-01 06:30:15.25")]
        ['06:30', '2026-03-01 6:30:15', '01.03.2026', '2026-03-01 06:30:15.25']
    """
    return DOTTED.sub(lambda clock: ":".join(part for part in clock.groups() if part), text)


def changed_at(stamp: float) -> datetime | None:
    """When a file was changed, local; None where that was never set: before 1970, or in a year that is in no calendar.

    Args:
        stamp: seconds since 1970, as the file system tells them.

    Example:
        >>> changed_at(0.0) == datetime.fromtimestamp(0), changed_at(-11644473600.0), changed_at(1e14)
        (True, None, None)
    """
    try:
        # Windows would refuse an earlier one; 1601 is what its files have whose time was lost.
        return datetime.fromtimestamp(stamp) if stamp >= 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def if_set(time: datetime) -> datetime | None:
    """A time, or None for one that was never set: of a year before 1900.

    Args:
        time: as it was read.

    Example:
        >>> if_set(datetime(1, 1, 1)) is None, if_set(datetime(1900, 1, 1)).year
        (True, 1900)
    """
    return time if time.year >= FIRST_YEAR else None
