"""Images with their clusters, weights and, where known, classes -> one HTML page to look at and to label them in."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from anomaly_clustering.clustering.trees import is_tree
from anomaly_clustering.report.confusion import Confusion, against_classes
from anomaly_clustering.report.pictures import PALETTE, Picture, Pictures, coarse
from anomaly_clustering.report.scripts import hash_of, script

# The slider over the number of clusters ends here; any number can be typed.
MOST_CLUSTERS = 150
UNKNOWN, FOLLOWS = -1, -2


class Curve(NamedTuple):
    """A number for each K, to choose the number of clusters by.

    Attributes:
        title: what the number is.
        points: the number for each K.
        best: the K that the criterion prefers; None where it prefers none.

    Example:
        >>> curve = Curve("Silhouette", {2: 0.4, 3: 0.7}, best=3)
        >>> curve.points[curve.best]
        0.7
    """

    title: str
    points: Mapping[int, float]
    best: int | None = None


@dataclass(frozen=True)
class Report:
    """What the page is made of; entry i of each array and sequence is image i.

    The first N images are those of the run, the leaves of its tree. Later ones may follow.

    Attributes:
        title: heading of the page.
        paths: files of the images, as the saved labels name them.
        read: opens one of them as an RGB image.
        names: how the page calls each image.
        labels: cluster of each image; -1 for a later image that is like none of the run.
        distances: from each image to the centre of its cluster.
        weights: of the patches of each image [n, H, W].
        target: known class of each image, -1 where unknown.
        class_names: names of the classes.
        tree: merges of the images of the run, as scipy's linkage matrix [N - 1, 4].
        places: of each image on the map [n, 2], in any unit.
        facts: what is told about the run, by name.
        map_name: the method that made the places.
        curves: by which to choose the number of clusters.
        nearest: for each later image the image of the run that it is most like. It goes with that one in all that is
            decided, where both are in one cluster.
        proposed: numbers of groups of later images that are unlike the run, which come first.
        notices: what a reader should know before reading on.

    Raises:
        ValueError: there are no images, a field has more or fewer entries than there are images, the tree is none, or
            a label or a class is out of range.

    Example:
        >>> report = Report(
        ...     title="two images",
        ...     paths=[Path("a.png"), Path("b.png")],
        ...     read=lambda path: Image.new("RGB", (8, 8)),
        ...     names=["a", "b"],
        ...     labels=np.array([0, 1]),
        ...     distances=np.zeros(2),
        ...     weights=np.ones((2, 1, 1)),
        ...     target=np.array([-1, -1]),
        ...     class_names=[],
        ...     tree=np.array([[0, 1, 3.0, 2]]),
        ...     places=np.array([[0.0, 0], [3, 0]]),
        ...     facts={},
        ... )
        >>> report.num_clusters
        2
    """

    title: str
    paths: Sequence[Path]
    read: Callable[[Path], Image.Image]
    names: Sequence[str]
    labels: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, "n h w"]
    target: Int[np.ndarray, " n"]
    class_names: Sequence[str]
    tree: Float[np.ndarray, "leaves_minus_1 4"]
    places: Float[np.ndarray, "n 2"]
    facts: Mapping[str, str]
    map_name: str = ""
    curves: Sequence[Curve] = ()
    nearest: Sequence[int] = ()
    proposed: Sequence[int] = ()
    notices: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        per_image = ("paths", "names", "labels", "distances", "weights", "target", "places")
        lengths = {field: len(getattr(self, field)) for field in per_image}
        if len(set(lengths.values())) > 1 or not len(self.labels):
            raise ValueError(f"a report needs at least one image and one entry an image in each field, got {lengths}")
        if len(self.labels) != len(self.tree) + 1 + len(self.nearest):
            raise ValueError(
                f"{len(self.labels)} images need a tree and nearest images to match, got {len(self.tree)} merges and "
                f"{len(self.nearest)} nearest images"
            )
        if not is_tree(self.tree):
            raise ValueError("tree must join each node but the last once, after it was made")
        if self.labels[: self.num_leaves].min() < 0:
            raise ValueError(f"labels must be cluster numbers from 0 on, got {self.labels[: self.num_leaves].min()}")
        if self.target.max() >= len(self.class_names):
            raise ValueError(
                f"target holds class {self.target.max()}, but class_names has {len(self.class_names)} names"
            )

    @property
    def num_leaves(self) -> int:
        """How many images are of the run."""
        return len(self.tree) + 1

    @property
    def num_clusters(self) -> int:
        """How many clusters the images of the run are in."""
        return len(np.unique(self.labels[: self.num_leaves]))


@dataclass(frozen=True)
class Card:
    """One image in a gallery.

    Attributes:
        index: of the image in the report.
        name: how the page calls it.
        distance: to the centre of its cluster.
        class_name: its class; None where unknown.
        differs: whether its class is another than that of the cluster's majority.
        later: what is said of an image that is not of the run; empty for those of the run.
        picture: its thumbnail.
        heat: address of its heat map.
    """

    index: int
    name: str
    distance: float
    class_name: str | None
    differs: bool
    later: str
    picture: Picture
    heat: str


@dataclass(frozen=True)
class Cluster:
    """One gallery, most central image first.

    Attributes:
        number: of the cluster; -1 for later images that are like none of the run.
        cards: one an image.
        majority: name of the class that most of its images are of; None where no class is known.
        purity: share of the majority, from 0 to 1; None where no class is known.
        unknown: how many of its images are of unknown class.

    Example:
        >>> card = Card(0, "a.png", 0.5, "dent", False, "", Picture("thumbnails/0.jpg", 1.5), "thumbnails/0.png")
        >>> cluster = Cluster(3, [card], "dent", 1.0, 0)
        >>> cluster.title, cluster.size
        ('Cluster 3', 1)
    """

    number: int
    cards: Sequence[Card]
    majority: str | None
    purity: float | None
    unknown: int

    @property
    def size(self) -> int:
        """How many images it has."""
        return len(self.cards)

    @property
    def title(self) -> str:
        """Heading of the gallery."""
        return "Unknown" if self.number == UNKNOWN else f"Cluster {self.number}"


def write_report(path: Path, report: Report, *, progress: Callable[[Iterable[Path]], Iterable[Path]] = iter) -> None:
    """Write the page, and beside it a folder of thumbnails where there are too many for the page to hold.

    Args:
        path: of the page; its folder must be there.
        report: what it shows.
        progress: wraps the paths while their images are read (`tqdm`, `rich.progress.track`).

    Raises:
        OSError: the page cannot be written.
    """
    pictures = Pictures(path.parent, count=len(report.paths))
    shown = [
        (pictures.photo(i, report.read(image)), pictures.heat(i, report.weights[i]))
        for i, image in enumerate(progress(report.paths))
    ]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    confusion = against_classes(report.labels, report.target, num_classes=len(report.class_names))
    code = script()
    html = environment.get_template("page.html.jinja").render(
        report=report,
        confusion=confusion,
        clusters=_clusters(report, shown, confusion),
        beside=pictures.beside,
        most=min(report.num_leaves, MOST_CLUSTERS),
        num_leaves=report.num_leaves,
        data=_data(report),
        script=code,
        script_hash=hash_of(code),
    )
    # File names need not be valid Unicode; what is not is shown as an escape.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def _data(report: Report) -> dict[str, Any]:
    """What the scripts of the page start from."""
    n, later = report.num_leaves, report.labels[report.num_leaves :]
    levels, scale = coarse(report.weights)
    low, high = report.places.min(0), report.places.max(0)
    places = (report.places - low) / np.maximum(high - low, 1e-9)
    return {
        "key": run_key(report.paths[:n], report.labels[:n], report.tree),
        "title": _valid(report.title),
        "paths": [_valid(str(path)) for path in report.paths],
        "numClusters": report.num_clusters,
        # A later image stays with the one that it is most like, so that it goes where that one is put.
        "labels": [
            *report.labels[:n].tolist(),
            *(FOLLOWS if k == report.labels[i] else k for k, i in zip(later.tolist(), report.nearest, strict=True)),
        ],
        "leaves": [*range(n), *report.nearest],
        "target": report.target.tolist(),
        "classNames": [_valid(name) for name in report.class_names],
        "tree": [[int(a), int(b), float(f"{height:.5g}")] for a, b, height, _ in report.tree],
        "curves": [
            {
                "title": curve.title,
                "points": [[k, float(f"{value:.5g}")] for k, value in curve.points.items()],
                **({} if curve.best is None else {"best": curve.best}),
            }
            for curve in report.curves
        ],
        "map": {"places": np.round(places, 4).tolist()},
        "mean": {"side": levels.side, "levels": levels.base64, "scale": scale},
        "palette": PALETTE,
    }


def run_key(paths: Sequence[Path], labels: Int[np.ndarray, " n"], tree: Float[np.ndarray, "n_minus_1 4"]) -> str:
    """Name the result of a run, so that labels of one are not taken for those of another.

    Args:
        paths: files of its images.
        labels: cluster of each image [N].
        tree: linkage matrix of scipy [N - 1, 4].

    Returns:
        16 hexadecimal digits.

    Example:
        >>> run_key([Path("a.png"), Path("b.png")], np.array([0, 1]), np.array([[0, 1, 3.0, 2]]))
        'c8b00e10cc6ab1b7'
    """
    content = json.dumps([[str(path) for path in paths], labels.tolist(), tree[:, :2].tolist()])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _valid(text: str) -> str:
    """Names of files need not be valid Unicode; what is not becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _clusters(report: Report, shown: Sequence[tuple[Picture, str]], confusion: Confusion | None) -> list[Cluster]:
    """Proposed ones first, then the largest, the unknown images last; numbers that no image has are left out."""
    numbers, sizes = np.unique(report.labels, return_counts=True)
    order = np.lexsort((-sizes, ~np.isin(numbers, report.proposed), numbers == UNKNOWN))
    rows = {row.number: row for row in confusion.rows} if confusion else {}

    def cluster(number: int) -> Cluster:
        members = np.flatnonzero(report.labels == number)
        row = rows.get(number)
        majority = row.majority if row else None
        said = "new, unlike the run" if number == UNKNOWN or number in report.proposed else "new"

        def card(i: int) -> Card:
            known = int(report.target[i])
            return Card(
                index=i,
                name=report.names[i],
                distance=float(report.distances[i]),
                class_name=report.class_names[known] if known >= 0 else None,
                differs=known >= 0 and known != majority,
                later="" if i < report.num_leaves else said,
                picture=shown[i][0],
                heat=shown[i][1],
            )

        return Cluster(
            number=number,
            cards=[card(int(i)) for i in members[np.argsort(report.distances[members], kind="stable")]],
            majority=None if majority is None else report.class_names[majority],
            purity=row.purity if row else None,
            unknown=row.unknown if row else len(members),
        )

    return [cluster(int(number)) for number in numbers[order]]
