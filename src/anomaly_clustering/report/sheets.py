"""The photographs and heat maps of many images -> few sheets beside the page, and where in these each image is."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from anomaly_clustering.report.pictures import FEW, SVG_SIDE, Outline, Shown, encoded, heat_map, lined, svg

# More images than that make a page slow to open that holds them itself.
MOST_IN_PAGE = 500
THUMBNAILS = "thumbnails"
# Addresses of a sheet of photographs, and of that of their heat maps, end so.
PHOTOS, HEAT = ".jpg", ".svg"
# A sheet is named by its content, so that no page finds in it what it does not mean.
SHEET = re.compile(THUMBNAILS + "/[0-9a-f]{32}(?![0-9a-f])")
# Pixels. A browser decodes a sheet whole: 4 MB of memory, and some milliseconds.
SHEET_SIDE = 1024
# What the network sees by default; under the lens of the page is the file itself.
LARGE_CELL, SMALL_CELL = 256, 128


class Grid(NamedTuple):
    """How sheets are divided; cells are filled row by row.

    Attributes:
        columns: of cells in a sheet, and rows.
        side: of a cell of photographs, in pixels. Each is stretched to a square, and back where it is shown.
        patches: rows and columns of a heat map. Each has a rim of one more patch, as those beside it are, so that maps
            don't shine into each other when they are enlarged.

    Example:
        >>> grid_of(20_000, (28, 28)).of(130)
        (2, (2, 0))
    """

    columns: int
    side: int
    patches: tuple[int, int]

    @property
    def cells(self) -> int:
        """How many images a sheet holds."""
        return self.columns**2

    def of(self, position: int) -> tuple[int, tuple[int, int]]:
        """The number of the sheet, and the column and row in it, of the image that is put in at a position."""
        sheet, cell = divmod(position, self.cells)
        return sheet, (cell % self.columns, cell // self.columns)


def grid_of(count: int, patches: tuple[int, int]) -> Grid:
    """The grid for so many images: large cells for up to 5,000.

    Args:
        count: images of the page.
        patches: rows and columns of a heat map.

    Example:
        >>> grid_of(2_000, (28, 28)).columns, grid_of(20_000, (28, 28)).columns
        (4, 8)
    """
    side = LARGE_CELL if count <= FEW else SMALL_CELL
    return Grid(SHEET_SIDE // side, side, patches)


def write_sheet(
    folder: Path,
    grid: Grid,
    photos: Sequence[Callable[[], Image.Image]],
    heat: Sequence[Float[np.ndarray, "h w"]],
    outlines: Sequence[Sequence[Outline]],
) -> list[Shown]:
    """Write the photographs of some images as one file, and their heat maps as another.

    Args:
        folder: of the page.
        grid: with a cell for each image.
        photos: each opens an image; one is in memory at a time.
        heat: of the patches of each image [H, W], from 0 (usual) to 1.
        outlines: of each image, the corners of its regions of defects.

    Returns:
        Where the page finds each image.
    """
    # The last one, too, is of full size, so that all are shown alike.
    sheet = Image.new("RGB", (SHEET_SIDE, SHEET_SIDE))
    ratios = []
    for position, read in enumerate(photos):
        image = read()
        column, row = grid.of(position)[1]
        square = image.convert("RGB").resize((grid.side, grid.side), Image.Resampling.BICUBIC, reducing_gap=2.0)
        sheet.paste(square, (column * grid.side, row * grid.side))
        ratios.append(image.width / image.height)
    drawn, heat_drawn = encoded(sheet, "JPEG"), _heat_sheet(grid, heat, outlines).encode()
    name = f"{THUMBNAILS}/{hashlib.sha256(drawn + heat_drawn).hexdigest()[:32]}"
    (folder / f"{name}{PHOTOS}").write_bytes(drawn)
    (folder / f"{name}{HEAT}").write_bytes(heat_drawn)
    return [Shown(name + PHOTOS, name + HEAT, ratio, grid.of(position)[1]) for position, ratio in enumerate(ratios)]


def sheets_of(page: Path) -> set[str]:
    """The files beside a page that it needs.

    Args:
        page: that this program has written.

    Returns:
        Paths in its folder, with slashes; none where there is no page, or where it holds its pictures itself.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = Path(folder) / "report.html"
        ...     _ = page.write_text(f"... thumbnails/{'0' * 32} ...")
        ...     sorted(name[-6:] for name in sheets_of(page))
        ['00.jpg', '00.svg']
    """
    named = SHEET.findall(page.read_text(encoding="utf-8")) if page.is_file() else []
    return {name + ending for name in named for ending in (PHOTOS, HEAT)}


def _heat_sheet(grid: Grid, heat: Sequence[Float[np.ndarray, "h w"]], outlines: Sequence[Sequence[Outline]]) -> str:
    h, w = grid.patches
    levels = np.zeros((grid.columns * (h + 2), grid.columns * (w + 2)))
    # In units of the SVG, of which an image without its rim has as many in either direction.
    rim = SVG_SIDE / w, SVG_SIDE / h
    pitch = SVG_SIDE + 2 * rim[0], SVG_SIDE + 2 * rim[1]
    lines = []
    for position, (one, around) in enumerate(zip(heat, outlines, strict=True)):
        column, row = grid.of(position)[1]
        levels[row * (h + 2) : (row + 1) * (h + 2), column * (w + 2) : (column + 1) * (w + 2)] = np.pad(one, 1, "edge")
        lines += [(corners, (column * pitch[0] + rim[0], row * pitch[1] + rim[1])) for corners in around]
    return svg(heat_map(levels), (grid.columns * pitch[0], grid.columns * pitch[1]), lined(lines))
