"""What was found for a table or figure in; its files, and the text to print, out."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import Any

from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.tables import write_csv
from experiments.categories import MVTEC, SYNTHETIC, Category, Group, single
from experiments.figures import Figure, Network
from experiments.found import Found
from experiments.markdown import COLUMNS, legend, markdown, table_rows
from experiments.plan import Plan
from experiments.published import published
from experiments.summary import Entry, entries
from experiments.tables import Table

# Of a file, without its ending; folders may be many.
LONGEST_NAME = 120


def table_as_text(name: str, table: Table, found: Found, failed: Mapping[str, str]) -> tuple[str, list[Entry]]:
    """Markdown, and the numbers in it."""
    synthetic = found.settings.synthetic
    if synthetic and not table.leaves_out:
        table = replace(table, groups=(single(SYNTHETIC),))
    if not table.groups:
        table = replace(table, groups=_each(found.plan))
    # Means over subsets are not those on all images.
    singles = {} if synthetic or table.of_subsets else published("table7")
    numbers = entries(table, {} if synthetic else published(name), found.results, singles)
    parts = [
        _title(name, table.title, found),
        circumstances(found, failed),
        legend(table, numbers, found.settings.resamples),
        markdown(table, numbers),
        _note(table, found.settings.resamples),
    ]
    return "\n\n".join(filter(None, parts)), numbers


def _note(table: Table, resamples: int) -> str:
    if resamples or "{resamples}" not in table.note:
        return table.note.format(resamples=resamples)
    # Of a mean over none there is nothing to say.
    return f"Here all images are clustered at once (`--resamples 0`). By default: {table.note}".format(
        resamples=table.resamples
    )


def write_table(name: str, table: Table, found: Found, out: Path, failed: Mapping[str, str]) -> str:
    """Write a table as Markdown and CSV, but an empty one over no other; the Markdown, and where it lies."""
    text, numbers = table_as_text(name, table, found, failed)
    file = file_of(name, found, out)
    if not found.categories and file.with_name(f"{file.name}.md").exists():
        return f"{text}\n\nNothing of it was found, so {file}.md and .csv stay as they are"
    _write(file, text, table_rows(name, numbers))
    return f"{text}\n\nWritten to {file}.md and .csv"


def figure_as_text(
    name: str, figure: Figure, networks: Sequence[Network], found: Found, failed: Mapping[str, str]
) -> tuple[str, list[Entry]]:
    """Markdown of what it is drawn from, and the numbers in it."""
    head = [_title(name, figure.title, found), circumstances(found, failed)]
    if not found.categories:
        return "\n\n".join([*head, "There is nothing to draw."]), []
    methods = figure.methods(found.settings, networks)
    table = Table(figure.title, methods, metrics=figure.metrics, groups=tuple(found.groups))
    numbers = entries(table, {}, found.results)
    parts = [*head, legend(table, numbers, found.settings.resamples), markdown(table, numbers), figure.note]
    return "\n\n".join(filter(None, parts)), numbers


def write_figure(
    name: str, figure: Figure, networks: Sequence[Network], found: Found, out: Path, failed: Mapping[str, str]
) -> str:
    """Write a figure as PNG and SVG, its numbers as Markdown and CSV; the Markdown, and where they lie."""
    text, numbers = figure_as_text(name, figure, networks, found, failed)
    if not found.categories:
        return text
    drawing = figure.draw(found, networks)
    title = _title(name, figure.title, found).removeprefix("# ")
    drawing.suptitle(fill(title, int(12 * drawing.get_figwidth())), fontsize=10)
    file = file_of(name, found, out)
    for ending in ("png", "svg"):
        with whole_file(file.with_name(f"{file.name}.{ending}")) as part:
            drawing.savefig(part, format=ending, dpi=140)
    _write(file, text, table_rows(name, numbers))
    return f"{text}\n\nWritten to {file}.png, .svg, .md and .csv"


def _write(file: Path, text: str, rows: Sequence[Sequence[object]]) -> None:
    """As Markdown and CSV."""
    with whole_file(file.with_name(f"{file.name}.md")) as part:
        part.write_text(f"{text}\n", encoding="utf-8")
    write_csv(file.with_name(f"{file.name}.csv"), COLUMNS, rows)


def file_of(name: str, found: Found, out: Path) -> Path:
    """Without ending."""
    return out / ("figures" if name.startswith("figure") else "tables") / name_of(name, found)


def name_of(name: str, found: Found) -> str:
    """What tells a table or figure from that of another setting, other subsets, or folders that have other names."""
    plan = found.plan
    own = sorted({str(place.whole) for place in (*(of for _, of in plan.cells), *plan.missing) if place.folder})
    settings = "-".join([found.settings.name, *found.otherwise, *own])
    if len(settings) > LONGEST_NAME:
        settings = f"{found.settings.name}-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"
    return re.sub(r"[^\w.-]", "_", f"{name}-{settings}")


def _title(name: str, title: str, found: Found) -> str:
    kind = name.rstrip("0123456789")
    number = f"{kind.capitalize()} {name.removeprefix(kind)}. " if kind != name else ""
    return f"# {number}{title}{' (synthetic set, not the data of the paper)' * found.settings.synthetic}"


def circumstances(found: Found, failed: Mapping[str, str]) -> str:
    """What was measured with what, and what was not."""
    cells = found.plan.once()
    records = {record["key"]: record for records in found.results.values() for record in records}
    networks = sorted({_network(record["config"]["model"]["init_args"]) for record in records.values()})
    size = found.settings.image_size
    lines = [
        f"Measured on images of {size} pixels with {', '.join(networks) or found.settings.backbone}: "
        f"{len(records)} of {len(cells)} runs.",
        *(f"Missing: {what} ({why})." for what, why in absent(found.plan).items()),
    ]
    if broken := [cell for cell in cells if cell.key in failed]:
        lines.append(f"Failed: {'; '.join(map(str, broken))}.")
    done = {*records, *failed}
    left = [cell.method for cell in cells if cell.key not in done and cell.method not in found.plan.unavailable]
    if left:
        lines.append(f"Not computed yet: {', '.join(dict.fromkeys(left))}.")
    return "\n".join(lines)


def per_category(found: Found) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of all runs, one value each: for W&B. A run is named as in this table, by its first row."""
    runs: dict[str, dict[str, Any]] = {}
    for (method, _), records in found.results.items():
        for record in records:
            runs.setdefault(record["key"], {**record, "method": method})
    metrics = list(dict.fromkeys(name for run in runs.values() for name in run["metrics"]))
    left_out = ["left_out"] if any("left_out" in run for run in runs.values()) else []
    identity = ["method", "dataset", "category", *left_out, "seed"]
    rows = [
        [*(run.get(name) for name in identity), *(run["metrics"].get(name) for name in metrics)]
        for run in runs.values()
    ]
    return [*identity, *metrics], rows


def _network(options: Mapping[str, Any]) -> str:
    """The network whose features are taken; what trains one from scratch describes it in its configuration."""
    if not {"backbone", "checkpoint"} <= options.keys():
        return "networks of their own"
    details = [Path(options["checkpoint"]).name] if options.get("checkpoint") else []
    details += [options["layer"]] if options.get("layer") not in (None, "last") else []
    return options["backbone"] + (f" ({', '.join(details)})" if details else "")


def _each(plan: Plan) -> tuple[Group, ...]:
    """Each category that is there, and their mean; of those that lack one class each, the mean of a data set too."""
    there = tuple(dict.fromkeys(category for _, category in plan.cells))
    groups = []
    for whole in dict.fromkeys(category.whole for category in there):
        members = tuple(category for category in there if category.whole == whole)
        groups += [*map(single, members), *([_mean(members, f"{whole}, mean")] if members != (whole,) else [])]
    return (*groups, *([_mean(there, f"mean of {len(there)}")] if len(there) > 1 else []))


def _mean(members: tuple[Category, ...], name: str) -> Group:
    return Group(name, "all", "all", members)


def absent(plan: Plan) -> dict[str, str]:
    """Categories and methods that cannot be measured, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    # All of a data set, for one reason.
    whole = set(MVTEC) <= plan.missing.keys() and len({plan.missing[category] for category in MVTEC}) == 1
    categories = {category.dataset if whole else str(category): why for category, why in plan.missing.items()}
    for what, why in (categories | plan.unavailable | plan.lacking).items():
        reasons.setdefault(why, []).append(what)
    return {", ".join(names): why for why, names in reasons.items()}
