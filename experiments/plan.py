"""Methods, categories and seeds in; the cells to compute out, with what cannot be computed and why."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, NamedTuple

from anomaly_clustering.clustering.methods import LINKAGES
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.resampling import subset_size
from anomaly_clustering.system.messages import counted
from experiments.categories import Category, has_masks, num_images, why_missing
from experiments.cells import Cell, Settings, Store, cell, is_mic
from experiments.compute import resolve
from experiments.methods import REPOSITORY, Method


@dataclass
class Plan:
    """What a table or figure is made of."""

    cells: dict[tuple[str, Category], list[Cell]] = field(default_factory=dict)
    """One for each seed."""
    missing: dict[Category, str] = field(default_factory=dict)
    """Categories that are not there."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """Methods that cannot be configured."""
    lacking: dict[str, str] = field(default_factory=dict)
    """Methods on categories that lack what they take."""
    needs: Collection[str] = ()
    """Metrics without which a run is not finished."""

    def once(self) -> list[Cell]:
        """All cells, each once, those that compare the same features in the same way beside each other."""
        unique: dict[str, Cell] = {}
        for cells in self.cells.values():
            for run in cells:
                unique.setdefault(run.key, run)
        categories = list(dict.fromkeys(category for _, category in self.cells))
        return sorted(unique.values(), key=lambda cell: (categories.index(cell.category), _features(cell)))


def make_plan(methods: Mapping[str, Method], categories: Iterable[Category], seeds: int, settings: Settings) -> Plan:
    """The cells of all methods on all categories, but for what takes normal images or masks where there are none."""
    plan = Plan()
    for category in categories:
        if why := why_missing(category, settings.data_root):
            plan.missing[category] = why
            continue
        for name, method in methods.items():
            if name not in plan.unavailable:
                try:
                    cells = _seeded(name, method, category, seeds, settings)
                except (ValueError, OSError, ImportError) as error:
                    plan.unavailable[name] = str(error)
                    continue
                weights = _weights(cells[0])
                if weights == "mask" and not has_masks(category, settings.data_root):
                    plan.lacking[f"{name} on {category}"] = "no masks"
                elif weights == "novelty" and not category.has_normals:
                    continue
                elif few := _too_few(cells[0]):
                    plan.lacking[f"{name} on {category}"] = few
                else:
                    plan.cells[name, category] = cells
    return plan


def _seeded(name: str, method: Method, category: Category, seeds: int, settings: Settings) -> list[Cell]:
    if not (REPOSITORY / method.config).is_file():
        raise FileNotFoundError(f"there is no {method.config}")
    first = cell(name, method, category, 0, settings)
    count = seeds if _draws(resolve(first.config)["model"]) else 1
    return [first, *(cell(name, method, category, seed, settings) for seed in range(1, count))]


def _draws(model: Mapping[str, Any]) -> bool:
    """Whether another seed could give another result."""
    if not is_mic(model["class_path"]):
        return True
    # JSON has no infinity, so that it is a text there.
    options = Options(**{**model["init_args"], "tau": float(model["init_args"]["tau"])})
    return bool(
        options.method not in LINKAGES
        or options.distance == "bag_of_words"
        or options.num_references
        or options.normal_fraction < 1
        or options.streams
    )


def _weights(cell: Cell) -> str:
    """By what MIC weighs patches; of other modules nothing."""
    model = resolve(cell.config)["model"]
    return str(model["init_args"]["weights"]) if is_mic(model["class_path"]) else ""


def _too_few(cell: Cell) -> str:
    """Why a row asks for more clusters than a folder of the user's own can give; nothing where it does not."""
    options, images = cell.config["model"]["init_args"], num_images(cell.category)
    asked, resampled = options.get("num_clusters"), options.get("resamples", 0)
    if images is None or not isinstance(asked, int) or asked <= (subset_size(images) if resampled else images):
        return ""
    drawn = f", of which a random subset has {subset_size(images)}" if resampled else ""
    return f"{str(cell.category.folder)!r} has {counted(images, 'image')}{drawn}, and the row needs at least {asked}"


def _features(cell: Cell) -> str:
    """All that comes before the clustering."""
    model = cell.config["model"]
    options = {name: value for name, value in model["init_args"].items() if name not in ("method", "tau", "top_k")}
    return json.dumps([model["class_path"], options], sort_keys=True)


class Estimate(NamedTuple):
    """How long cells will take, one after the other.

    Attributes:
        seconds: of those whose method was measured before with the same network on images of the same size, on the same
            data where that was; of a training by its epochs.
        unlike: names of the methods that never were so, whose cells the seconds leave out.
    """

    seconds: float
    unlike: list[str]


def estimate(cells: Sequence[Cell], store: Store) -> Estimate:
    """What cells will take, as like ones took."""
    took: dict[tuple[Any, ...], list[float]] = {}
    for record in store.all():
        of, epochs = _costs(record["config"])
        for dataset in (record["dataset"], None):
            took.setdefault((record["method"], dataset, *of), []).append(record["duration_s"] / epochs)
    seconds, unlike = 0.0, dict[str, None]()
    for asked in cells:
        of, epochs = _costs(resolve(asked.config))
        alike = (took.get((asked.method, dataset, *of)) for dataset in (asked.category.dataset, None))
        if found := next(filter(None, alike), None):
            seconds += fmean(found) * epochs
        else:
            unlike[asked.method] = None
    return Estimate(seconds, list(unlike))


def _costs(config: Mapping[str, Any]) -> tuple[tuple[Any, Any], int]:
    """What else than the method and the data decides how long a run takes: network and size of images, and epochs."""
    model, data = (config[part]["init_args"] for part in ("model", "data"))
    # Of a data set without one of its classes the size is that of the whole.
    data = data["whole"]["init_args"] if "whole" in data else data
    return (model.get("backbone"), data.get("image_size")), config["trainer"].get("max_epochs") or 1
