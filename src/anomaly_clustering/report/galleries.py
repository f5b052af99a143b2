"""A report and the pictures of its images in; its galleries, siblings of the dendrogram side by side, out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import leaves_list

from anomaly_clustering.report.confusion import Confusion
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.pictures import Picture
from anomaly_clustering.report.texts import text

UNKNOWN = -1


@dataclass(frozen=True)
class Card:
    """One image in a gallery.

    Attributes:
        index: of the image in the report.
        name: how the page calls it.
        distance: to the centre of its cluster.
        class_name: its class; None where unknown.
        differs: whether its class is another than that of the cluster's majority.
        sound: whether it is known to be without a finding.
        later: whether it is not of the run.
        original: address of its file; empty where none is reached.
        score: how far it is from what is usual; None where that is not known.
        picture: its thumbnail.
        heat: address of its heat map.
    """

    index: int
    name: str
    distance: float
    class_name: str | None
    differs: bool
    sound: bool
    later: bool
    original: str
    score: float | None
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
        >>> picture = Picture("thumbnails/0.jpg", 1.5)
        >>> card = Card(0, "a.png", 0.5, "dent", False, False, False, "../a.png", None, picture, "thumbnails/0.png")
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
        return text("unknown") if self.number == UNKNOWN else text("cluster_number", number=self.number)


def galleries(report: Report, shown: Sequence[tuple[Picture, str]], confusion: Confusion | None) -> list[Cluster]:
    """Put the images of each cluster together.

    Args:
        report: whose images they are.
        shown: thumbnail of each image and the address of its heat map.
        confusion: of clusters and classes; None where no class is known.

    Returns:
        Proposed groups first, then clusters in the order of the leaves of the dendrogram, the unknown images last;
        numbers that no image has are left out.
    """
    rows = {row.number: row for row in confusion.rows} if confusion else {}

    def gallery(number: int) -> Cluster:
        members = np.flatnonzero(report.labels == number)
        central_first = members[np.argsort(report.distances[members], kind="stable")]
        row = rows.get(number)
        majority = row.majority if row else None
        return Cluster(
            number=number,
            cards=[_card(report, int(i), shown[i], majority) for i in central_first],
            majority=None if majority is None else report.class_names[majority],
            purity=row.purity if row else None,
            unknown=row.unknown if row else len(members),
        )

    return [gallery(number) for number in order_of_leaves(report)]


def _card(report: Report, i: int, shown: tuple[Picture, str], majority: int | None) -> Card:
    picture, heat = shown
    known = int(report.target[i])
    score = math.nan if report.scores is None else float(report.scores[i])
    return Card(
        index=i,
        name=report.names[i],
        distance=float(report.distances[i]),
        class_name=report.class_names[known] if known >= 0 else None,
        differs=known >= 0 and known != majority,
        sound=report.sound is not None and bool(report.sound[i]),
        later=i >= report.num_leaves,
        original=report.originals[i] if report.originals else "",
        score=None if math.isnan(score) else score,
        picture=picture,
        heat=heat,
    )


def order_of_leaves(report: Report) -> list[int]:
    """Clusters from left to right under the dendrogram, by the mean place of their images; js/labels.js does the same.

    Args:
        report: of the run.

    Returns:
        Numbers of the clusters, of proposed groups first, that of the unknown images last.
    """
    places = np.empty(report.num_leaves)
    places[leaves_list(report.tree) if len(report.tree) else [0]] = np.arange(report.num_leaves)
    below = places[[*range(report.num_leaves), *report.nearest]]
    mean = {int(k): below[report.labels == k].mean() for k in np.unique(report.labels)}
    return sorted(mean, key=lambda k: (k == UNKNOWN, k not in report.proposed, mean[k], k))
