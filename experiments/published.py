"""The name of a table in; its numbers as they were printed, out of `published/*.csv`."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.system.tables import read_csv
from experiments.categories import MTD, OBJECT, TEXTURE, Category, Group, single

FOLDER = Path(__file__).parent / "published"
# Rows of other tables that are the same runs as rows of Table 7, which has each category.
SAME_RUNS = {
    "Ward (maxH)": "Maximum Hausdorff",
    "Ward (WA)": "Weighted Average",
    "Rarity by mean": "Weighted Average",
    "Hausdorff max-min (max)": "Maximum Hausdorff",
}


class Number(NamedTuple):
    """A value and its standard error, where there is one."""

    value: float
    standard_error: float | None = None


class Key(NamedTuple):
    """What a number is of; category 'object', 'texture' and 'all' are means."""

    method: str
    dataset: str
    category: str
    metric: str


@lru_cache
def published(name: str) -> Mapping[Key, Number]:
    """The numbers of one file, such as 'table1'; none where the paper printed none."""
    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        return {}
    return {
        Key(row["method"], row["dataset"], row["category"], row["metric"]): Number(
            float(row["value"]), float(row["standard_error"]) if row["standard_error"] else None
        )
        for row in read_csv(path)
    }


def of_group(numbers: Mapping[Key, Number], method: str, group: Group, metric: str) -> Number | None:
    """The number printed for a group, or the plain mean of those printed for its parts."""
    halves = [part for part in (OBJECT, TEXTURE, single(MTD)) if set(part.members) <= set(group.members)]
    for parts in ([group], [single(member) for member in group.members], halves):
        found = [numbers.get(Key(method, part.dataset, part.category, metric)) for part in parts]
        sizes = [len(part.members) for part in parts]
        if sum(sizes) == len(group.members) and all(found):
            if len(parts) == 1:
                return found[0]
            return Number(sum(size * n.value for size, n in zip(sizes, found, strict=True) if n) / sum(sizes))
    return None


def of_members(numbers: Mapping[Key, Number], method: str, members: Sequence[Category], metric: str) -> Number | None:
    """The plain mean of the numbers printed for some categories, each by itself; None if one was not printed."""
    some = Group("", "", "", tuple(members))
    return of_group(numbers, SAME_RUNS.get(method, method), some, metric)
