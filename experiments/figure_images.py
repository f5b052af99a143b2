"""Finished cells in; images out: weights over them (Figures 3, 12) and the clusters that they fall into (Figure 5)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch.nn.functional import one_hot

from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.data import DefectDataModule
from anomaly_clustering.data.images import FULL_BITS, read_image
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.bags import bag
from anomaly_clustering.metrics.counts import confusion
from anomaly_clustering.report.contact_sheets import contact_sheet, overlay
from anomaly_clustering.report.heat import excess
from anomaly_clustering.search.nearest import nearest_distances
from experiments.categories import GOOD, Category
from experiments.found import Found

SIDE = 256
CLUSTERS = 16
# In a row of the gallery.
SHOWN = 8
Maps = Callable[[Category, list[int]], Sequence[np.ndarray] | None]


def weight_maps(found: Found, methods: Sequence[str], hausdorff: str) -> Figure:
    """Rows of defective images; columns: the image, what decides its Hausdorff distances, the weights of methods."""
    columns: dict[str, Maps] = {hausdorff: partial(_deciding, found, hausdorff)}
    columns |= {method: partial(_weights, found, method) for method in methods}
    return _grid(found, columns, rows=max(1, 8 // len(found.categories)))


def operators(found: Found, methods: Sequence[str]) -> Figure:
    """Rows of defective images with weights by several operators (Eq. 5 and 10), and some of the other images."""
    columns: dict[str, Maps] = {method: partial(_weights, found, method) for method in methods}
    return _grid(found, columns, rows=max(1, 6 // len(found.categories)), others=4)


def _weights(found: Found, method: str, category: Category, chosen: list[int]) -> Sequence[np.ndarray] | None:
    arrays = found.arrays(method, category)
    return None if arrays is None else [arrays["weights"][i].astype(np.float32) for i in chosen]


@torch.inference_mode()
def _deciding(found: Found, method: str, category: Category, chosen: list[int]) -> Sequence[np.ndarray] | None:
    """For each patch the share of the other images to which it decides the distance (arg max of Eq. 4)."""
    cell = found.cell(method, category)
    if cell is None:
        return None
    options = cell.config["model"]["init_args"]
    checkpoint = Path(options["checkpoint"]) if options.get("checkpoint") else None
    backbone = Backbone(options["backbone"], layer=options.get("layer"), checkpoint=checkpoint).folded()
    data = found.data(category)
    dataset = data.test_dataloader().dataset
    feature_maps = backbone(torch.stack([dataset[i]["image"] for i in chosen]))
    grid = feature_maps.shape[-2:]
    shown = bag(feature_maps, backbone.kernel_size)
    counts = torch.zeros(len(chosen), shown.shape[1])
    for batch in data.test_dataloader():
        farthest = nearest_distances(shown, bag(backbone(batch["image"]), backbone.kernel_size)).argmax(2)
        other = torch.tensor(chosen)[:, None] != batch["index"]
        counts += (one_hot(farthest, shown.shape[1]) * other[..., None]).sum(1)
    return list((counts / counts.sum(1, keepdim=True)).reshape(len(chosen), *grid).numpy())


def _examples(data: DefectDataModule, count: int) -> list[int]:
    """Positions of the first defective images, of as many classes as possible."""
    by_class = [
        [i for i, record in enumerate(data.records) if record.label == label]
        for label, name in enumerate(data.class_names)
        if name.lower() not in GOOD
    ]
    turns = [positions[turn] for turn in range(count) for positions in by_class if turn < len(positions)]
    return turns[:count]


def _grid(found: Found, columns: dict[str, Maps], *, rows: int, others: int = 0) -> Figure:
    cells: list[tuple[str, list[Image.Image | None]]] = []
    for category in found.categories:
        data = found.data(category)
        chosen = _examples(data, rows)
        maps = [weigh(category, chosen) for weigh in columns.values()]
        spread = np.linspace(0, len(data.records) - 1, others).astype(int)
        beside = [_image(data, i) for i in spread]
        for position, i in enumerate(chosen):
            image = _image(data, i)
            name = f"{category}\n{data.class_names[data.records[i].label or 0]}"
            overlays = [overlay(image, excess(weights[position][None])[0]) if weights else None for weights in maps]
            cells.append((name, [image, *overlays, *beside]))
    heads = ["image", *columns, *(["other images"] + [""] * (others - 1) if others else [])]
    figure = Figure(figsize=(1.7 * len(heads), 1.75 * len(cells) + 0.3), layout="constrained")
    grid = figure.subplots(len(cells), len(heads), squeeze=False)
    for axes_row, (name, pictures) in zip(grid, cells, strict=True):
        for axes, picture in zip(axes_row, pictures, strict=True):
            axes.set(xticks=[], yticks=[])
            if picture:
                axes.imshow(picture)
            else:
                axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes, fontsize=7, color="grey")
        axes_row[0].set_ylabel(name, fontsize=8)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head.replace(" (", "\n("), fontsize=8)
    return figure


def _image(data: DefectDataModule, position: int) -> Image.Image:
    record = data.records[position]
    return read_image(record.image, record.bits or FULL_BITS).convert("RGB").resize((SIDE, SIDE))


def gallery(found: Found, method: str) -> Figure:
    """Each category cut into 16 clusters; images not of the majority framed red, of several defect types orange."""
    figure = Figure(figsize=(2 * SHOWN, 0.2 + 9.6 * len(found.categories)), layout="constrained")
    parts = figure.subfigures(len(found.categories), 1, squeeze=False)[:, 0]
    for part, category in zip(parts, found.categories, strict=True):
        arrays, data = found.arrays(method, category), found.data(category)
        assert arrays is not None
        labels = cut(arrays["tree"], min(CLUSTERS, len(arrays["target"])))
        counts = confusion(labels, arrays["target"], num_classes=data.num_classes)
        part.suptitle(f"{category}, {method}: {len(counts)} clusters", fontsize=11)
        for axes, (cluster, row) in zip(part.subplots(8, 2).ravel(), enumerate(counts), strict=False):
            members = np.flatnonzero(labels == cluster)
            majority = row.argmax()
            # Evenly, or the first ones would be of the first class alone.
            shown = members[np.linspace(0, len(members) - 1, min(SHOWN, len(members))).round().astype(int)]
            targets = arrays["target"][shown]
            frames = [None if t == majority else "red" for t in targets]
            frames = [
                "orange" if data.class_names[t] == "combined" else f for t, f in zip(targets, frames, strict=True)
            ]
            images = [_image(data, i) for i in arrays["index"][shown]]
            blank = [Image.new("RGB", (SIDE, SIDE), "white")] * (SHOWN - len(images))
            sheet = contact_sheet([*images, *blank], columns=SHOWN, frames=[*frames, *[None] * len(blank)], side=128)
            axes.imshow(sheet)
            title = f"{data.class_names[majority]} ({row.max() / row.sum():.2f}), {len(members)} images"
            axes.set_title(title, fontsize=8, loc="left", pad=2)
        for axes in part.axes:
            axes.axis("off")
    return figure
