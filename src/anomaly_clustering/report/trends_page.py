"""Counts of defects by period, with marks where something has changed, in; one page without scripts or links out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.report.templates import template

# In units of the drawing, which is scaled to the room that a chart has: text stays legible at 340 to 520 pixels.
WIDTH, HEIGHT = 360, 132
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 22
# Characters of a period below a chart.
LONGEST = 16


class Stretch(NamedTuple):
    """Periods in which something is other than elsewhere, beyond chance.

    Attributes:
        first: with which it begins.
        last: with which it ends.
        within: the mean there.
        elsewhere: the mean of all other periods.
    """

    first: int
    last: int
    within: float
    elsewhere: float


@dataclass(frozen=True)
class Chart:
    """A number for each period.

    Attributes:
        title: what it is of.
        values: for each period; NaN where there is none.
        written: how the page writes a number.
        change: where it changes beyond chance, if it does.
        remark: beside the title.
        gaps: periods right before which others, without an image, are left out.

    Example:
        >>> chart = Chart("dent", [0.1, 0.3], lambda share: f"{share:.0%}", None)
        >>> chart.top, chart.lines
        (0.5, ['48.0,90.0 350.0,50.0'])
    """

    title: str
    values: Sequence[float]
    written: Callable[[float], str]
    change: Stretch | None
    remark: str = ""
    gaps: Sequence[int] = ()

    @property
    def top(self) -> float:
        """Where the scale ends: a round number that no value is above."""
        highest = max([value for value in self.values if isfinite(value)], default=0.0)
        if not highest:
            return 1.0
        steps = [factor * 10.0**power for power in range(-4, 4) for factor in (1, 2, 5)]
        return next((step for step in steps if step >= highest), highest)

    def x(self, period: float | int) -> float:
        """Place of a period from the left; a number between two is the edge between them."""
        spread = max(1, len(self.values) - 1)
        return LEFT + (WIDTH - LEFT - RIGHT) * (period / spread if len(self.values) > 1 else 0.5)

    def y(self, value: float | int) -> float:
        """Place of a value from the top."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top

    @property
    def points(self) -> list[tuple[int, float, float]]:
        """Period and place of each value."""
        return [(i, self.x(i), self.y(value)) for i, value in enumerate(self.values) if isfinite(value)]

    @property
    def lines(self) -> list[str]:
        """Through the values, broken where there are none, and where periods are left out."""
        parts: list[list[str]] = []
        before = -2
        for i, x, y in self.points:
            if i != before + 1 or i in self.gaps:
                parts.append([])
            parts[-1].append(f"{x:.1f},{y:.1f}")
            before = i
        return [" ".join(part) for part in parts]

    @property
    def band(self) -> tuple[float, float] | None:
        """From where to where the change reaches, half a period before and after it."""
        if self.change is None:
            return None
        left = max(LEFT, self.x(self.change.first - 0.5))
        return left, min(WIDTH - RIGHT, self.x(self.change.last + 0.5)) - left


@dataclass(frozen=True)
class TrendsPage:
    """What the page is made of.

    Attributes:
        title: of the run.
        by: what the periods are.
        periods: their names, in order.
        images: in each period.
        defects: a chart of shares each, the most frequent first.
        counts: for each defect its images in each period.
        sound: the share of images without a finding; None where there are none.
        unknown: the share of unknown images; None where none came later.
        drift: how far images are from those of other periods; None where there are no embeddings.
        notices: what a reader should know before reading on.
        level: chance that anything is marked where nothing changes.
        tests: how many were corrected together.
        others: name, and images in each period, of what is counted besides the defects.
    """

    title: str
    by: str
    periods: Sequence[str]
    images: Sequence[int]
    defects: Sequence[Chart]
    counts: Sequence[Sequence[int]]
    sound: Chart | None
    unknown: Chart | None
    drift: Chart | None
    notices: Sequence[str]
    level: float
    tests: int
    others: Sequence[tuple[str, Sequence[int]]] = ()

    @property
    def changed(self) -> list[Chart]:
        """Charts in which something is marked."""
        charts = [*self.defects, *(chart for chart in (self.sound, self.unknown, self.drift) if chart is not None)]
        return [chart for chart in charts if chart.change is not None]

    @property
    def pareto(self) -> list[tuple[str, int, float, float]]:
        """Name, images, share of all, and share of it and all before it."""
        total, so_far, rows = max(1, sum(map(sum, self.counts))), 0, []
        for chart, counts in zip(self.defects, self.counts, strict=True):
            so_far += sum(counts)
            rows.append((chart.title, sum(counts), sum(counts) / total, so_far / total))
        return rows

    def ticks(self) -> list[tuple[int, str, str]]:
        """Periods that are named below a chart, and how their text is aligned."""
        last = len(self.periods) - 1
        if last < 1:
            return [(0, "middle", _short(self.periods[0]))]
        return [(0, "start", _short(self.periods[0])), (last, "end", _short(self.periods[last]))]


def write_trends_page(path: Path, page: TrendsPage) -> None:
    """Write the page.

    Args:
        path: of the page; its folder must be there.
        page: what it shows.

    Raises:
        OSError: the page cannot be written.
    """
    sizes = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "bottom": HEIGHT - BOTTOM}
    html = template("trends.html.jinja").render(page=page, size=sizes)
    # Names of files need not be valid Unicode; what is not is shown as an escape.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
