"""A table and the results of its cells in; each number of ours beside the paper's, and which methods lead, out."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from experiments.categories import Category, Group
from experiments.methods import Method
from experiments.published import Key, Number, of_group, of_members
from experiments.spread import Results, Spread, kind_of, leads, spread_of
from experiments.tables import Table


class Entry(NamedTuple):
    """One number of ours beside one of the paper's."""

    metric: str
    method: str
    group: Group
    ours: Number | None
    members: tuple[Category, ...]
    """The categories that `ours` is the mean of."""
    paper: Number | None
    paper_of: int
    """How many categories `paper` is the mean of: the same ones as `ours`, or all."""
    spread: Spread | None = None
    lead: str = ""
    """See `leads`."""

    @property
    def measured(self) -> int:
        """How many categories `ours` is the mean of."""
        return len(self.members)

    @property
    def complete(self) -> bool:
        return self.measured == len(self.group.members)

    @property
    def difference(self) -> float | None:
        comparable = self.paper_of == self.measured
        return self.ours.value - self.paper.value if self.ours and self.paper and comparable else None


def entries(
    table: Table, numbers: Mapping[Key, Number], results: Results, singles: Mapping[Key, Number] | None = None
) -> list[Entry]:
    """Every number of a table, with those that were only published as further rows.

    Args:
        numbers: that were published for the table.
        singles: that were published for single categories, of which means over those that were measured are made.
    """
    quoted = {key.method: None for key in numbers if key.method not in table.methods and key.metric in table.metrics}
    found = []
    for metric in table.metrics:
        for group in table.groups:
            column = [
                _entry(table, metric, name, group, numbers, singles or {}, results)
                for name in (*table.methods, *quoted)
            ]
            found += _with_leads(column) if table.leads and not table.of_subsets else column
    return found


def _entry(
    table: Table,
    metric: str,
    name: str,
    group: Group,
    numbers: Mapping[Key, Number],
    singles: Mapping[Key, Number],
    results: Results,
) -> Entry:
    method: Method | None = table.methods.get(name)
    own = (method.prefix if method else "") + metric
    members = measured_of(results, name, group, own)
    ours = _mean([number for member in members if (number := _of_seeds(results[name, member], own, table.of_subsets))])
    paper, paper_of = of_group(numbers, name, group, metric), len(group.members)
    if 0 < len(members) < len(group.members) and (same := of_members(singles, name, members, metric)):
        paper, paper_of = same, len(members)
    spread = None if table.of_subsets else spread_of(results, name, members, own)
    return Entry(metric, name, group, ours, tuple(members), paper, paper_of, spread)


def _with_leads(column: Sequence[Entry]) -> list[Entry]:
    """Methods are compared on the same categories: where one of a kind lacks some, none of this kind leads."""
    measured: dict[str, set[tuple[Category, ...]]] = {}
    for entry in column:
        if entry.ours:
            measured.setdefault(kind_of(entry.method), set()).add(entry.members)
    even = [entry for entry in column if len(measured.get(kind_of(entry.method), ())) == 1]
    marks = leads({entry.method: entry.spread for entry in even if entry.spread})
    return [entry._replace(lead=marks.get(entry.method, "")) for entry in column]


def measured_of(results: Results, method: str, group: Group, metric: str) -> list[Category]:
    """The categories of a group that were measured."""
    return [
        member
        for member in group.members
        if any(metric in record["metrics"] for record in results.get((method, member), ()))
    ]


def group_mean(results: Results, method: str, group: Group, metric: str) -> Number | None:
    """Plain mean over all categories of a group; None where one of them was not measured."""
    numbers = [_of_seeds(results.get((method, member), ()), metric) for member in group.members]
    measured = [number for number in numbers if number]
    return _mean(measured) if len(measured) == len(numbers) else None


def _of_seeds(records: Sequence[Mapping[str, Any]], metric: str, of_subsets: bool = False) -> Number | None:
    """Mean and standard error over seeds; or of runs on random subsets over these, each subset's mean over the seeds.

    Subsets are the same whatever the seed, so that seeds have much of their error in common.
    """
    spreads = [spread["subsets"] for record in records if (spread := record.get("spreads", {}).get(metric))]
    if of_subsets and spreads:
        return _with_error([fmean(seeds) for seeds in zip(*spreads, strict=True)])
    values = [record["metrics"][metric] for record in records if metric in record["metrics"]]
    return _with_error(values) if values else None


def _with_error(values: Sequence[float]) -> Number:
    """Mean and standard error of independent values."""
    return Number(fmean(values), stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None)


def _mean(numbers: Sequence[Number]) -> Number | None:
    """Plain mean of independent numbers, with its standard error where all of theirs are known."""
    if not numbers:
        return None
    errors = [number.standard_error for number in numbers if number.standard_error is not None]
    known = len(errors) == len(numbers)
    joint = math.sqrt(math.fsum(error**2 for error in errors)) / len(numbers) if known else None
    return Number(fmean(number.value for number in numbers), joint)
