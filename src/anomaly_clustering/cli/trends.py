"""The folder of a run in; what has changed over time, as a table and a page, out: `anomaly-clustering trends`."""

import argparse

from rich.console import Console
from rich.table import Table

from anomaly_clustering.cli.console import as_cell, print_notices, print_plainly
from anomaly_clustering.report.trends_page import Stretch
from anomaly_clustering.runs.file_names import TRENDS, TRENDS_PAGE
from anomaly_clustering.runs.trend_files import trends_of_run
from anomaly_clustering.runs.trends import DRIFT, Trends
from anomaly_clustering.system.messages import counted


def show_trends(options: argparse.Namespace) -> None:
    """Run the command; for the options see `trends_options`."""
    console = Console()
    found, notices = trends_of_run(
        options.run, by=options.by, shifts=options.shifts, labels=options.labels, metadata=options.metadata
    )
    print_notices(console, notices)
    _print(console, found)
    print_plainly(console, f"Look at {options.run / TRENDS_PAGE}; the numbers are in {options.run / TRENDS}")


def _print(console: Console, found: Trends) -> None:
    table = Table("defect", "images", "of all images", "changed")
    total = max(1, int(found.images.sum()))
    for course in [*found.defects, *(one for one in found.others if one is not found.unknown)]:
        change = _told(course.change, found, "{:.1%}")
        table.add_row(as_cell(course.name), str(course.total), f"{course.total / total:.1%}", change)
    if found.unknown is not None:
        later = max(1, int(found.unknown.of.sum()))
        share = f"{found.unknown.total / later:.1%} of new ones"
        table.add_row(found.unknown.name, str(found.unknown.total), share, _told(found.unknown.change, found, "{:.1%}"))
    if found.drift is not None:
        table.add_row(DRIFT, "", "", _told(found.drift_change, found, "{:.2f}"))
    console.print(table)
    print_plainly(console, f"{counted(len(found.periods), 'period')}, by {found.by}")


def _told(change: Stretch | None, found: Trends, form: str) -> str:
    if change is None:
        return ""
    names = dict.fromkeys([found.periods[change.first], found.periods[change.last]])
    return f"{' to '.join(names)}: {form.format(change.within)} in place of {form.format(change.elsewhere)}"
