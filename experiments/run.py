"""Cells and an executor in; finished cells in the store and the tracebacks of those that failed out."""

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path

from experiments.cells import Cell, Store
from experiments.compute import Outcome, compute
from experiments.follow import Followed

Report = Callable[[Cell, Outcome | None], None]
# Seconds between two looks at how many workers there are, while a run goes on for hours.
BETWEEN_LOOKS = 5.0


def run(
    cells: Sequence[Cell],
    store: Store,
    executor: Executor,
    *,
    at_a_time: Callable[[], int],
    report: Report = lambda cell, outcome: None,
    followed: Callable[[Cell], Followed | None] = lambda cell: None,
) -> dict[Cell, str]:
    """Compute cells and keep each as soon as it is done; one that fails does not stop the others.

    Args:
        at_a_time: how many the executor can be given before one of them is done; it may have more workers later.
        report: is told of each cell with its outcome, None where it failed.
        followed: where else a cell is seen.

    Returns:
        Tracebacks of cells that failed.
    """
    waiting = iter(cells)
    running: dict[Future[Outcome], Cell] = {}
    failed: dict[Cell, str] = {}

    def fill() -> None:
        most = at_a_time()
        while len(running) < most and (cell := next(waiting, None)):
            given = (cell.config, followed(cell), store.unfinished(cell))
            running[executor.submit(compute, *given, folder=Path.cwd())] = cell

    fill()
    while running:
        for future in wait(running, BETWEEN_LOOKS, FIRST_COMPLETED).done:
            cell = running.pop(future)
            if error := future.exception():
                failed[cell] = "".join(traceback.format_exception(error))
                report(cell, None)
            else:
                store.write(cell, future.result())
                report(cell, future.result())
        fill()
    return failed
