"""The numbers of a table in; Markdown that is read as plain text too, and rows of a CSV file, out."""

import math
import re
from collections.abc import Sequence

import numpy as np

from experiments.labelling import DECISIONS
from experiments.published import Number
from experiments.summary import Entry
from experiments.tables import Table

METRIC_NAMES = {
    "nmi": "NMI",
    "ari": "ARI",
    "f1": "F1",
    "accuracy": "Accuracy",
    "mauc": "mAUC",
    "r@90%": "R@0.9",
    "r@95%": "R@0.95",
    "r@99%": "R@0.99",
    "localisation_auroc": "Localisation AUROC",
    "purity": "Purity",
    "stability": "Stability",
    "num_clusters": "Number of clusters",
    "unknown_auroc": "AUROC of p, unknown against known images",
    "flagged": "Unknown images that are flagged",
    "false_alarms": "Known images that are flagged",
    "good_purity": "Purity of the cluster of good images",
    "good_recall": "Share of the good images in this cluster",
    "heat_good": "Mean heat of good images",
    "heat_defective": "Mean heat of defective images",
    "score_auroc": "AUROC of the score, defective against good images",
    "sound_good": "Good images without a finding",
    "sound_defective": "Defective images without a finding",
    "regions": "Regions in a defective image",
    "regions_right": "Share of these regions that are on a defect",
    "defects_found": "Defective images with a region on a defect",
    "good_with_region": "Good images with a region",
    **{f"majority_{count}": f"{count} decisions, majority" for count in DECISIONS},
    **{f"central_{count}": f"{count} decisions, central image" for count in DECISIONS},
    **{f"random_{count}": f"{count} decisions, random images" for count in DECISIONS},
}
COUNTS = ("num_clusters", "regions")
SPREAD_LEGEND = (
    "Mean ± standard deviation over the same {resamples} random subsets of 90% of the images (of trained methods over "
    "seeds), then the number on all images, in brackets the paper's, and the difference of these two. {marks}"
)
SEEDS_LEGEND = "Mean ± standard deviation over seeds, in brackets the paper's, and the difference of these two. {marks}"
MARKS = (
    "**Bold**: ahead of each other method that knows as much (no more than the images; normal images too; masks) "
    "{often}. *Italic*, where none is: those that share the lead. [of 10: .451]: the paper's mean is of so many "
    "categories, so not to be compared; else it is of the same ones as ours."
)
LEGEND = (
    "Ours ± standard error, in brackets the paper's, then the difference. (3/10): of so many categories only; [of 10: "
    ".451]: the paper's mean is of so many, so not to be compared."
)


def legend(table: Table, found: Sequence[Entry], resamples: int) -> str:
    """How to read the numbers of a table."""
    if table.leads and not table.of_subsets and any(_has_deviation(entry) for entry in found):
        if not resamples:
            return SEEDS_LEGEND.format(marks=MARKS.format(often="in at least 19 of 20 pairs of a seed of each"))
        marks = MARKS.format(often="on at least 19 of 20 of the subsets")
        return SPREAD_LEGEND.format(resamples=resamples, marks=marks)
    return LEGEND if any(entry.paper for entry in found) else ""


def markdown(table: Table, found: Sequence[Entry]) -> str:
    """A block for each metric, and below it one of how much it depends on tau, where the table shows that."""
    blocks = []
    for metric in table.metrics:
        of_metric = [entry for entry in found if entry.metric == metric]
        blocks.append(f"### {METRIC_NAMES[metric]}\n\n{_block(table, of_metric)}")
        if table.band and (moving := [entry for entry in of_metric if entry.spread and len(entry.spread.taus)]):
            blocks.append(
                f"### {METRIC_NAMES[metric]} over tau, from half to double of it\n\n{_block(table, moving, tau=True)}"
            )
    return "\n\n".join(blocks)


def _block(table: Table, found: Sequence[Entry], *, tau: bool = False) -> str:
    # What was only published, and not by this metric, has no row.
    methods = [
        name for name in dict.fromkeys(entry.method for entry in found) if name in table.methods or _told(name, found)
    ]
    there = {entry.group.name for entry in found}
    groups = [group.name for group in table.groups if group.name in there]
    labels = {name: _label([entry for entry in found if entry.group.name == name]) for name in groups}
    texts = {
        (entry.method, entry.group.name): _of_taus(entry) if tau else _text(entry, labels[entry.group.name])
        for entry in found
    }
    if table.by_category:
        head = ["", *methods]
        rows = [[labels[group], *(texts.get((method, group), "-") for method in methods)] for group in groups]
    else:
        head = ["", *labels.values()]
        rows = [[method, *(texts.get((method, group), "-") for group in groups)] for method in methods]
    return _pipes(head, rows)


def _told(method: str, found: Sequence[Entry]) -> bool:
    """Whether there is any number of a method."""
    return any(entry.ours or entry.paper for entry in found if entry.method == method)


def _label(column: Sequence[Entry]) -> str:
    """The name of a group; with how many of its categories were measured, where all numbers are of the same ones."""
    group = column[0].group
    of = {entry.members for entry in column if entry.ours}
    measured, total = len(next(iter(of), ())), len(group.members)
    if len(of) != 1 or measured == total:
        return group.name
    return f"mean of {measured} of {total}" if group.name.startswith("mean") else f"{group.name}, {measured} of {total}"


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up as plain text too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _text(entry: Entry, label: str) -> str:
    """.160 ± .030, all .181 [.179] +.002"""
    parts = [_ours(entry)]
    if entry.ours and not entry.complete and label == entry.group.name:
        parts.append(f"({entry.measured}/{len(entry.group.members)})")
    if entry.paper:
        # In a column that is said to be of some categories, and beside a number that is.
        partial = label != entry.group.name or entry.ours
        of = f"of {entry.paper_of}: " if partial and entry.paper_of != entry.measured else ""
        parts.append(f"[{of}{_moving(entry.metric, entry.paper.value, entry.paper.standard_error)}]")
    if entry.difference is not None:
        parts.append(f"{'-' if round(entry.difference, 3) < 0 else '+'}{_short(entry.metric, abs(entry.difference))}")
    return " ".join(parts)


def _ours(entry: Entry) -> str:
    if not entry.ours:
        return "-"
    spread = entry.spread
    if spread and _has_deviation(entry):
        moving = f"{entry.lead}{_moving(entry.metric, spread.mean, spread.deviation)}{entry.lead}"
        everything = f"{moving}, all {_short(entry.metric, entry.ours.value)}"
        # Of seeds the mean is the number itself.
        return moving if math.isclose(spread.mean, entry.ours.value) else everything
    # Beside deviations a standard error would pass for one.
    return _moving(entry.metric, entry.ours.value, None if spread else entry.ours.standard_error)


def _has_deviation(entry: Entry) -> bool:
    return entry.spread is not None and entry.spread.deviation is not None


def _of_taus(entry: Entry) -> str:
    assert entry.spread is not None
    return _moving(entry.metric, entry.spread.taus.mean(), entry.spread.taus.std(ddof=1))


def _moving(metric: str, value: float, by: float | None) -> str:
    """.160 ± .030, or .160 where nobody knows how far it moves."""
    return _short(metric, value) + (f" ± {_short(metric, by)}" if by is not None else "")


def _short(metric: str, value: float) -> str:
    """.181 and 1.000; of what is counted 19.5 and 0.3."""
    return f"{value:.1f}" if metric in COUNTS else re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")


COLUMNS = (
    *("table", "metric", "method", "group", "ours", "ours_standard_error", "categories", "of"),
    *("paper", "paper_standard_error", "paper_categories", "difference"),
    *("subsets_mean", "subsets_deviation", "taus_mean", "taus_deviation", "lead"),
)


def table_rows(name: str, found: Sequence[Entry]) -> list[list[object]]:
    """A row of `COLUMNS` for each number; the mean and deviation of what has no subsets are over seeds."""
    rows: list[list[object]] = []
    for entry in found:
        ours, paper = entry.ours or Number(math.nan), entry.paper or Number(math.nan)
        values, taus = (entry.spread.values, entry.spread.taus) if entry.spread else (np.zeros(0), np.zeros(0))
        numbers = [
            *(ours.value, ours.standard_error, entry.measured, len(entry.group.members)),
            *(paper.value, paper.standard_error, entry.paper_of if entry.paper else None, entry.difference),
            *(*_mean_and_deviation(values), *_mean_and_deviation(taus)),
        ]
        lead = {"**": "clear", "*": "shared"}.get(entry.lead, "")
        rows.append([name, entry.metric, entry.method, entry.group.name, *map(_number, numbers), lead])
    return rows


def _mean_and_deviation(values: np.ndarray) -> tuple[float | None, float | None]:
    return (float(values.mean()), float(values.std(ddof=1))) if len(values) > 1 else (None, None)


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
