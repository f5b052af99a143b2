"""A report, and the order in which its images are looked at, in; their pictures, drawn by all cores, out."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from anomaly_clustering.report.content import Report
from anomaly_clustering.report.pictures import Shown, in_page
from anomaly_clustering.report.sheets import MOST_IN_PAGE, PHOTOS, THUMBNAILS, Grid, grid_of, write_sheet

# Photographs of a cluster that are shown before all are asked for: the most typical ones, and those at its edge.
IN_STRIP, AT_EDGE = 12, 3
# Photographs of a cluster that fit a printed page; page.css hides what is beyond.
ON_PAPER = 30

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[Iterable[Path]], Iterable[Path]]


class Drawn(NamedTuple):
    """The pictures of a page.

    Attributes:
        of: each image.
        grid: of the sheets beside the page; None where the page holds the pictures itself.
        sheets: address of each, without its ending; none where the page holds the pictures itself.
        position: of each image in the sheets [n]; the number of the image where there are none.
        seen_first: images whose figures are in the page when it opens; the others are made when they are looked at.
    """

    of: Mapping[int, Shown]
    grid: Grid | None
    sheets: Sequence[str]
    position: Int[np.ndarray, " n"]
    seen_first: Sequence[int]


def draw(
    folder: Path, report: Report, members: Iterable[Int[np.ndarray, " members"]], *, progress: Progress = iter
) -> Drawn:
    """Draw the photographs and heat maps of a report, beyond 500 images as sheets beside its page.

    Images are read as they are needed, one at a time for each core, and none is kept.

    Args:
        folder: of the page.
        report: whose images are drawn.
        members: images of each cluster in the order of the page, the most central one first. What is seen first is in
            the same few sheets.
        progress: wraps the paths while their images are read.

    Returns:
        The pictures.
    """
    n = len(report.paths)
    if n <= MOST_IN_PAGE:
        drawn = _in_threads(partial(_draw_one, report), range(n), report.paths, progress, at_once=1)
        return Drawn(dict(enumerate(drawn)), None, [], np.arange(n), range(n))
    clusters = [images.tolist() for images in members]
    first = [*chain.from_iterable(seen_first(images) for images in clusters)]
    order = [*dict.fromkeys([*first, *chain.from_iterable(clusters)])]
    grid = grid_of(n, (report.heat.shape[1], report.heat.shape[2]))
    (folder / THUMBNAILS).mkdir(parents=True, exist_ok=True)
    parts = [order[k : k + grid.cells] for k in range(0, n, grid.cells)]
    paths = [report.paths[i] for i in order]
    by_sheet = [*_in_threads(partial(_draw_sheet, folder, report, grid), parts, paths, progress, at_once=grid.cells)]
    sheets = [cells[0].photo.removesuffix(PHOTOS) for cells in by_sheet]
    shown = dict(zip(order, chain.from_iterable(by_sheet), strict=True))
    position = np.empty(n, dtype=np.int64)
    position[order] = np.arange(n)
    return Drawn(shown, grid, sheets, position, first)


def seen_first(images: Sequence[int]) -> list[int]:
    """Images of a cluster that are on the page when it opens: those that fit on paper, and the edge.

    Args:
        images: of the cluster, the most central one first.

    Example:
        >>> len(seen_first(range(20))), seen_first(range(1000))[-4:]
        (20, [29, 997, 998, 999])
    """
    return [*images[:ON_PAPER], *images[max(ON_PAPER, len(images) - AT_EDGE) :]]


def _draw_one(report: Report, i: int) -> Shown:
    return in_page(report.read(report.paths[i]), report.heat[i], report.outlines(i))


def _draw_sheet(folder: Path, report: Report, grid: Grid, images: Sequence[int]) -> list[Shown]:
    photos = [partial(report.read, report.paths[i]) for i in images]
    return write_sheet(folder, grid, photos, [report.heat[i] for i in images], [*map(report.outlines, images)])


def _in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    paths: Sequence[Path],
    progress: Progress,
    *,
    at_once: int,
) -> Iterator[Result]:
    """Results in the order of the items, each of which takes so many of the paths. What fails ends all of it."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        results = pool.map(function, items)
        for k, _ in enumerate(progress(paths)):
            if k % at_once == 0:
                yield next(results)
    finally:
        pool.shutdown(cancel_futures=True)
