"""Clusters of images in; contact sheets, heat maps, a table of assignments and a matched confusion matrix out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from anomaly_clustering.data.decoding import needed_within
from anomaly_clustering.data.images import FULL_BITS, read_image
from anomaly_clustering.metrics.agreement import FUNCTIONS
from anomaly_clustering.metrics.counts import confusion, match_clusters
from anomaly_clustering.report.contact_sheets import contact_sheet, overlay
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.file_names import ASSIGNMENTS
from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.tables import write_csv

SIDE = 128
PER_ROW = 8
# Of each cluster, so that a sheet can be taken in.
SHOWN = 64


@dataclass(frozen=True)
class ClusteredImages:
    """What any method gives in the end, one row an image.

    Attributes:
        images: their files.
        labels: cluster of each image [N], from 0 on.
        target: true class of each image [N], -1 where unknown.
        class_names: names of the true classes; empty where none is known.
        heat: of each patch, from 0 (usual) to 1 [N, H, W], if the method weighs any.
        distances: from each image to the middle of its cluster [N], if the method knows one; the nearest are shown
            first.
        bits: of a value in images of 16 bits.

    Example:
        >>> images, labels, target = [Path("a.png"), Path("b.png")], np.array([0, 1]), np.array([1, 0])
        >>> found = ClusteredImages(images, labels, target, ["dent", "scratch"])
        >>> found.matched_names(), found.scores["accuracy"]
        (['scratch', 'dent'], 1.0)
    """

    images: Sequence[Path]
    labels: Int[np.ndarray, " n"]
    target: Int[np.ndarray, " n"]
    class_names: Sequence[str]
    heat: Float[np.ndarray, "n h w"] | None = None
    distances: Float[np.ndarray, " n"] | None = None
    bits: int = FULL_BITS

    @property
    def scores(self) -> dict[str, float]:
        """Scores by name, as the evaluator that all methods share gives them; empty where no class is known."""
        known = self.target >= 0
        if not known.any():
            return {}
        preds, target = torch.from_numpy(self.labels[known]), torch.from_numpy(self.target[known])
        return {name: float(function(preds, target)) for name, function in sorted(FUNCTIONS.items())}

    @cached_property
    def thumbnails(self) -> list[Image.Image]:
        """All images, their long sides at most 128 pixels."""
        small = []
        for path in self.images:
            image = read_image(path, self.bits, partial(needed_within, side=SIDE))
            image.thumbnail((SIDE, SIDE))
            small.append(image)
        return small

    def sheets(self) -> dict[str, Image.Image]:
        """Draw a contact sheet of each cluster, with up to 64 of its images.

        Returns:
            The images of each cluster by 'clusters/00' and so on, and the same with heat maps over them by
            'heat_maps/00' and so on, if the method weighs patches.
        """
        sheets = {}
        for cluster in np.unique(self.labels):
            members = np.flatnonzero(self.labels == cluster)
            if self.distances is not None:
                members = members[self.distances[members].argsort(kind="stable")]
            members = members[:SHOWN]
            columns = min(PER_ROW, len(members))
            images = [self.thumbnails[i] for i in members]
            sheets[f"clusters/{cluster:02d}"] = contact_sheet(images, columns=columns, side=SIDE)
            if self.heat is not None:
                heated = [overlay(image, self.heat[i]) for image, i in zip(images, members, strict=True)]
                sheets[f"heat_maps/{cluster:02d}"] = contact_sheet(heated, columns=columns, side=SIDE)
        return sheets

    def assignments(self) -> list[dict[str, object]]:
        """For each image its path, cluster, class, and the class that the cluster is matched to.

        Returns:
            A row an image, by the names of the columns of `assignments.csv`.
        """
        names = self.matched_names()
        return [
            {
                "path": str(path),
                "cluster": int(label),
                "class": self.class_names[target] if target >= 0 else "",
                "matched_class": names[label],
            }
            for path, target, label in zip(self.images, self.target, self.labels, strict=True)
        ]

    def matched_names(self) -> list[str]:
        """For each cluster the class that it is matched to one to one.

        Returns:
            A name for each cluster [K], empty where no class is left.
        """
        return [self.class_names[c] if c >= 0 else "" for c in self._matched]

    def matched_confusion(self) -> tuple[list[str], Int[np.ndarray, "k c"]]:
        """Count the images of each class (column) in each cluster (row).

        Returns:
            Names of the rows, and the counts [K, C]; clusters stand in the order of the classes that they are matched
            to, those without one last.
        """
        matched = self._matched
        order = sorted(range(len(matched)), key=lambda k: (matched[k] < 0, matched[k], k))
        names = self.matched_names()
        return [f"{k} ({names[k] or 'no class left'})" for k in order], self._counts[order]

    @cached_property
    def _counts(self) -> Int[np.ndarray, "k c"]:
        return confusion(self.labels, self.target, num_classes=len(self.class_names))

    @cached_property
    def _matched(self) -> list[int]:
        """The class of each cluster; -1 where none is left."""
        return match_clusters(torch.from_numpy(self._counts)).tolist()


def draw_confusion(rows: Sequence[str], columns: Sequence[str], counts: Int[np.ndarray, "k c"]) -> Image.Image:
    """Counts as a picture, dark where many are.

    Args:
        rows: names of the clusters.
        columns: names of the classes.
        counts: how many images are in each cluster and class [K, C].

    Returns:
        An RGB image that grows with the rows and columns.

    Example:
        >>> draw_confusion(["0 (dent)", "1 (good)"], ["dent", "good"], np.array([[3, 1], [0, 4]])).size
        (384, 228)
    """
    figure = Figure(figsize=(1.8 + 0.7 * len(columns), 1.2 + 0.35 * len(rows)), layout="constrained", dpi=120)
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set(xlabel="class", ylabel="cluster (matched class)")
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color="white" if dark else "black")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def write_artefacts(folder: Path, clusters: ClusteredImages, summary: Mapping[str, object]) -> None:
    """Write clusters as PNG and CSV: contact sheets, `assignments.csv`, `summary.csv`, and the matched confusion.

    Args:
        folder: where the files go; those of the same names are replaced.
        clusters: the images and what a method found.
        summary: what the run was and how well it did, one value a column.

    Raises:
        ValueError: an image cannot be read.
        OSError: a file cannot be written.
    """
    for name, sheet in clusters.sheets().items():
        with whole_file(folder / f"{name}.png", durable=False) as part:
            sheet.save(part, "PNG")
    write_assignments(folder / ASSIGNMENTS, clusters.assignments())
    write_csv(folder / "summary.csv", list(summary), [tuple(summary.values())])
    if clusters.class_names:
        rows, counts = clusters.matched_confusion()
        with whole_file(folder / "confusion.png", durable=False) as part:
            draw_confusion(rows, clusters.class_names, counts).save(part, "PNG")
        lines = [(row, *map(int, line)) for row, line in zip(rows, counts, strict=True)]
        write_csv(folder / "confusion.csv", ["cluster", *clusters.class_names], lines)
