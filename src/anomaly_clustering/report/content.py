"""What the page shows of a run: images with their clusters, heat, places and, where known, classes and names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from anomaly_clustering.clustering.trees import is_tree
from anomaly_clustering.report.pictures import Outline

# Of the SHA-256 of a file: no two images share as many.
CONTENT_DIGITS = 16


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


class Given(NamedTuple):
    """Labels as a file holds them, for a page to open with.

    Attributes:
        clusters: the cluster of each image of the page; None for one that the file does not list.
        names: of clusters.
        unsure: images that were marked as unsure.
        not_in: clusters that an image is not of, by image.
        files_given: how many files of labels the run was given so far: the same labels, given again, are new ones, and
            take the place of what a browser decided since.

    Example:
        >>> Given([0, 0, None], {0: "dent"}, unsure=[1], not_in={0: [2]}).names[0]
        'dent'
    """

    clusters: Sequence[int | None]
    names: Mapping[int, str]
    unsure: Sequence[int] = ()
    not_in: Mapping[int, Sequence[int]] = MappingProxyType({})
    files_given: int = 0


def _none(image: int) -> Sequence[Outline]:
    return ()


@dataclass(frozen=True)
class Report:
    """What the page is made of; entry i of each array and sequence is image i.

    The first N images are those of the run, the leaves of its tree. Later ones may follow.

    Attributes:
        title: heading of the page.
        paths: files of the images, as the saved labels name them.
        read: opens one of them as an RGB image; several threads may ask at once.
        names: how the page calls each image.
        labels: cluster of each image; -1 for a later image that is like none of the run.
        distances: from each image to the centre of its cluster.
        heat: of the patches of each image [n, H, W], from 0 (usual) to 1.
        target: known class of each image, -1 where unknown.
        class_names: names of the classes.
        tree: merges of the images of the run, as scipy's linkage matrix [N - 1, 4].
        places: of each image on the map [n, 2], in any unit.
        facts: what is told about the run, by name.
        map_name: the method that made the places.
        curves: by which to choose the number of clusters.
        nearest: for each later image the image of the run that it is most like. It goes with that one in all that is
            decided, where both are in one cluster.
        groups: numbers of all groups of later images that were ever proposed, of which those that are there come first;
            decisions on others are void, and no reason to forget the rest.
        notices: what a reader should know before reading on.
        originals: address of each image's file, from where the page lies; empty where no file is reached.
        scores: how far each image is from what is usual [n], on the scale of the heat, which is then one for all, NaN
            where that is not known; None where each image has a scale of its own.
        sound: whether each image is without a finding [n]; None where no image is known to be good.
        outlines: gives the corners of the regions of defects of an image, by its number; threads may ask at once.
        alike: the other images that are most like each one, the most alike first [n, k]; None where that is not known.
        given: labels that the page opens with; None where nobody has labelled yet.
        contents: of each later image the first digits of the SHA-256 of its file, by which saved labels tell it though
            the file was moved or overwritten; empty where that is not known.
        metadata: other things that are known of the images, by the name of each: a text for each image, '' where it is
            not told. What is under 'time' is the beginning of a time as ISO 8601 writes it.

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
        ...     heat=np.ones((2, 1, 1)),
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
    heat: Float[np.ndarray, "n h w"]
    target: Int[np.ndarray, " n"]
    class_names: Sequence[str]
    tree: Float[np.ndarray, "leaves_minus_1 4"]
    places: Float[np.ndarray, "n 2"]
    facts: Mapping[str, str]
    map_name: str = ""
    curves: Sequence[Curve] = ()
    nearest: Sequence[int] = ()
    groups: Sequence[int] = ()
    notices: Sequence[str] = ()
    originals: Sequence[str] = ()
    scores: Float[np.ndarray, " n"] | None = None
    sound: Bool[np.ndarray, " n"] | None = None
    outlines: Callable[[int], Sequence[Outline]] = _none
    alike: Int[np.ndarray, "n k"] | None = None
    given: Given | None = None
    contents: Sequence[str] = ()
    metadata: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        per_image = ("paths", "names", "labels", "distances", "heat", "target", "places")
        lengths = {field: len(getattr(self, field)) for field in per_image}
        not_always = ("originals", "scores", "sound", "alike")
        lengths |= {field: len(values) for field in not_always if (values := getattr(self, field)) is not None}
        lengths |= {f"metadata {name!r}": len(texts) for name, texts in self.metadata.items()}
        lengths = {field: number for field, number in lengths.items() if number or field != "originals"}
        if len(set(lengths.values())) > 1 or not len(self.labels):
            raise ValueError(f"a report needs at least one image and one entry an image in each field, got {lengths}")
        if len(self.labels) != len(self.tree) + 1 + len(self.nearest):
            raise ValueError(
                f"{len(self.labels)} images need a tree and nearest images to match, got {len(self.tree)} merges and "
                f"{len(self.nearest)} nearest images"
            )
        if len(self.contents) not in (0, len(self.nearest)):
            raise ValueError(f"contents must be of {len(self.nearest)} later images, got {len(self.contents)}")
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

    @property
    def proposed(self) -> list[int]:
        """Numbers of the groups that are proposals still: by what is given, no image is in them for good."""
        known = set(self.given.clusters) if self.given else set()
        return sorted(set(self.groups) - known)
