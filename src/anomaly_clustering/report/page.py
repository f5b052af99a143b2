"""Images with their clusters, weights and, where known, classes -> one HTML page that holds all that it shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from anomaly_clustering.report.confusion import confusion, purity
from anomaly_clustering.report.pictures import Thumbnail, heat_map, thumbnail


@dataclass(frozen=True)
class Report:
    """What the page is made of; entry i of each array and sequence is image i."""

    title: str
    paths: Sequence[Path]
    read: Callable[[Path], Image.Image]  # an RGB image
    names: Sequence[str]
    labels: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]  # to the centre of the image's cluster
    weights: Float[np.ndarray, "n h w"]
    target: Int[np.ndarray, " n"]  # -1 where unknown
    class_names: Sequence[str]
    facts: Mapping[str, str]  # shown as 'About this run'
    notices: Sequence[str] = ()

    def __post_init__(self) -> None:
        per_image = ("paths", "names", "labels", "distances", "weights", "target")
        lengths = {field: len(getattr(self, field)) for field in per_image}
        if len(set(lengths.values())) > 1 or not len(self.labels):
            raise ValueError(f"a report needs at least one image and one entry an image in each field, got {lengths}")
        if self.labels.min() < 0:
            raise ValueError(f"labels must be cluster numbers from 0 on, got {self.labels.min()}")
        if self.target.max() >= len(self.class_names):
            raise ValueError(
                f"target holds class {self.target.max()}, but class_names has {len(self.class_names)} names"
            )


@dataclass(frozen=True)
class Card:
    """One image in a gallery."""

    index: int
    name: str
    distance: float
    class_name: str | None
    differs: bool  # from the cluster's majority
    picture: Thumbnail
    heat: str


@dataclass(frozen=True)
class Cluster:
    """One gallery, most central image first, and one row of the confusion table."""

    number: int
    cards: Sequence[Card]
    counts: Sequence[int]  # per class
    majority: str | None
    purity: float | None

    @property
    def size(self) -> int:
        return len(self.cards)

    @property
    def unknown(self) -> int:
        return self.size - sum(self.counts)


def write_report(path: Path, report: Report, *, progress: Callable[[Iterable[Path]], Iterable[Path]] = iter) -> None:
    """Write the page; `progress` wraps the paths while their images are read (`tqdm`, `rich.progress.track`)."""
    pictures = [thumbnail(report.read(image)) for image in progress(report.paths)]
    counts = confusion(report.labels, report.target, num_classes=len(report.class_names))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html.jinja").render(
        report=report, clusters=_clusters(report, pictures, counts), purity=purity(counts)
    )
    # File names need not be valid Unicode; what is not is shown as an escape.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def _clusters(report: Report, pictures: Sequence[Thumbnail], counts: Int[np.ndarray, "k c"]) -> list[Cluster]:
    """Largest first; numbers that no image has are left out."""
    numbers, sizes = np.unique(report.labels, return_counts=True)
    return [_cluster(report, pictures, int(k), counts[k]) for k in numbers[np.argsort(-sizes, kind="stable")]]


def _cluster(report: Report, pictures: Sequence[Thumbnail], number: int, counts: Int[np.ndarray, " c"]) -> Cluster:
    majority = int(counts.argmax()) if counts.any() else None
    members = np.flatnonzero(report.labels == number)

    def card(i: int) -> Card:
        known = int(report.target[i])
        return Card(
            index=i,
            name=report.names[i],
            distance=float(report.distances[i]),
            class_name=report.class_names[known] if known >= 0 else None,
            differs=known >= 0 and known != majority,
            picture=pictures[i],
            heat=heat_map(report.weights[i]),
        )

    return Cluster(
        number=number,
        cards=[card(int(i)) for i in members[np.argsort(report.distances[members], kind="stable")]],
        counts=counts.tolist(),
        majority=None if majority is None else report.class_names[majority],
        purity=purity(counts[None]),
    )
