"""A table and the results of its cells in; ours beside the paper's out, as Markdown and CSV."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from experiments.categories import Category, Group
from experiments.methods import Method
from experiments.published import Key, Number, of_group
from experiments.tables import Table

# Of each method on each category the finished runs, one for each seed.
Results = Mapping[tuple[str, Category], Sequence[Mapping[str, Any]]]
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
}
LEGEND = (
    "Ours ± standard error, in brackets the paper's, then the difference. (3/10): of so many categories only, so not "
    "to be compared."
)


class Entry(NamedTuple):
    """One number of ours beside one of the paper's."""

    metric: str
    method: str
    group: Group
    ours: Number | None
    measured: int
    """How many categories `ours` is the mean of."""
    paper: Number | None

    @property
    def complete(self) -> bool:
        return self.measured == len(self.group.members)

    @property
    def difference(self) -> float | None:
        return self.ours.value - self.paper.value if self.ours and self.paper and self.complete else None


def entries(table: Table, numbers: Mapping[Key, Number], results: Results) -> list[Entry]:
    """Every number of a table, with those that were only published as further rows."""
    metrics = [metric for metric in table.metrics]
    quoted = {key.method: None for key in numbers if key.method not in table.methods and key.metric in metrics}
    return [
        _entry(metric, name, table.methods.get(name), group, numbers, results)
        for metric in metrics
        for name in (*table.methods, *quoted)
        for group in table.groups
    ]


def _entry(
    metric: str,
    name: str,
    method: Method | None,
    group: Group,
    numbers: Mapping[Key, Number],
    results: Results,
) -> Entry:
    prefix = method.prefix if method else ""
    ours, measured = group_mean(results, name, group, prefix + metric)
    return Entry(metric, name, group, ours, measured, of_group(numbers, name, group, metric))


def group_mean(results: Results, method: str, group: Group, metric: str) -> tuple[Number | None, int]:
    """Plain mean over the categories that were measured, and how many these are."""
    found = [_of_seeds(results.get((method, member), ()), metric) for member in group.members]
    ours = [number for number in found if number]
    return _mean(ours), len(ours)


def _of_seeds(records: Sequence[Mapping[str, Any]], metric: str) -> Number | None:
    """Mean and standard error over seeds; of a run on random subsets the mean and standard error over these."""
    scores = [record["metrics"] for record in records]
    resampled = [
        Number(score[f"{metric}_mean"], score[f"{metric}_se"]) for score in scores if f"{metric}_mean" in score
    ]
    if resampled:
        return _mean(resampled)
    values = [score[metric] for score in scores if metric in score]
    if not values:
        return None
    return Number(fmean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None)


def _mean(numbers: Sequence[Number]) -> Number | None:
    """Plain mean of independent numbers, with its standard error as far as theirs are known."""
    if not numbers:
        return None
    errors = [number.standard_error for number in numbers if number.standard_error is not None]
    joint = math.sqrt(math.fsum(error**2 for error in errors)) / len(numbers) if errors else None
    return Number(fmean(number.value for number in numbers), joint)


def markdown(table: Table, found: Sequence[Entry]) -> str:
    """A block for each metric."""
    texts = {(entry.metric, entry.method, entry.group.name): _text(entry) for entry in found}
    methods = list(dict.fromkeys(entry.method for entry in found))
    groups = [group.name for group in table.groups]
    blocks = []
    for metric in table.metrics:
        if table.by_category:
            head = ["", *methods]
            rows = [[group, *(texts[metric, method, group] for method in methods)] for group in groups]
        else:
            head = ["", *groups]
            rows = [[method, *(texts[metric, method, group] for group in groups)] for method in methods]
        blocks.append(f"### {METRIC_NAMES[metric]}\n\n{_pipes(head, rows)}")
    return "\n\n".join(blocks)


def _pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up as plain text too."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _text(entry: Entry) -> str:
    """.181 ± .002 [.179] +.002"""
    parts = [_short(entry.ours.value) if entry.ours else "-"]
    if entry.ours and entry.ours.standard_error is not None:
        parts.append(f"± {_short(entry.ours.standard_error)}")
    if entry.ours and not entry.complete:
        parts.append(f"({entry.measured}/{len(entry.group.members)})")
    if entry.paper:
        error = entry.paper.standard_error
        parts.append(f"[{_short(entry.paper.value)}{f' ± {_short(error)}' if error is not None else ''}]")
    if entry.difference is not None:
        parts.append(f"{'-' if round(entry.difference, 3) < 0 else '+'}{_short(abs(entry.difference))}")
    return " ".join(parts)


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


COLUMNS = (
    *("table", "metric", "method", "group", "ours", "ours_standard_error", "categories", "of"),
    *("paper", "paper_standard_error", "difference"),
)


def table_rows(name: str, found: Sequence[Entry]) -> list[list[object]]:
    """A row of `COLUMNS` for each number."""
    rows: list[list[object]] = []
    for entry in found:
        ours, paper = entry.ours or Number(math.nan), entry.paper or Number(math.nan)
        values = [ours.value, ours.standard_error, paper.value, paper.standard_error, entry.difference]
        texts = ["" if value is None or math.isnan(value) else f"{value:.6g}" for value in values]
        counts = [entry.measured, len(entry.group.members)]
        rows.append([name, entry.metric, entry.method, entry.group.name, *texts[:2], *counts, *texts[2:]])
    return rows
