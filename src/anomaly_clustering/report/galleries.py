"""A report and the pictures of its images in; its galleries, siblings of the dendrogram side by side, out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy.cluster.hierarchy import leaves_list

from anomaly_clustering.report.confusion import Confusion
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.pictures import Shown
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
        shown: its thumbnail and its heat map.
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
    shown: Shown


@dataclass(frozen=True)
class Cluster:
    """One gallery, most central image first.

    Attributes:
        number: of the cluster; -1 for later images that are like none of the run.
        title: heading of the gallery.
        cards: one an image; of a page with sheets those that are seen first alone.
        size: how many images it has.
        majority: name of the class that most of its images are of; None where no class is known.
        purity: share of the majority, from 0 to 1; None where no class is known.
        unknown: how many of its images are of unknown class.

    Example:
        >>> shown = Shown("thumbnails/0.jpg", "thumbnails/0.svg", 1.5)
        >>> card = Card(0, "a.png", 0.5, "dent", False, False, False, "../a.png", None, shown)
        >>> Cluster(3, "Cluster 3", [card], 1, "dent", 1.0, 0).cards[0].name
        'a.png'
    """

    number: int
    title: str
    cards: Sequence[Card]
    size: int
    majority: str | None
    purity: float | None
    unknown: int


def galleries(
    report: Report,
    members: Mapping[int, Int[np.ndarray, " members"]],
    shown: Mapping[int, Shown],
    confusion: Confusion | None,
) -> list[Cluster]:
    """Put the images of each cluster together.

    Args:
        report: whose images they are.
        members: of each cluster, see `central_first`.
        shown: the pictures of those that have a card.
        confusion: of clusters and classes; None where no class is known.

    Returns:
        A gallery for each cluster.
    """
    rows = {row.number: row for row in confusion.rows} if confusion else {}

    def gallery(number: int, images: Sequence[int]) -> Cluster:
        row = rows.get(number)
        majority = row.majority if row else None
        return Cluster(
            number=number,
            title=title_of(report, number),
            cards=[_card(report, i, shown[i], majority) for i in images if i in shown],
            size=len(images),
            majority=None if majority is None else report.class_names[majority],
            purity=row.purity if row else None,
            unknown=row.unknown if row else len(images),
        )

    return [gallery(number, images.tolist()) for number, images in members.items()]


def title_of(report: Report, number: int) -> str:
    """What a cluster without a name is called; js/words.js does the same.

    Args:
        report: that has the cluster.
        number: of the cluster.
    """
    if number in report.proposed:
        return text("proposed_number", number=number)
    return text("unknown") if number == UNKNOWN else text("cluster_number", number=number)


def _card(report: Report, i: int, shown: Shown, majority: int | None) -> Card:
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
        score=score if math.isfinite(score) else None,
        shown=shown,
    )


def central_first(report: Report) -> dict[int, Int[np.ndarray, " members"]]:
    """The images of each cluster, the most central one first.

    Args:
        report: of the run.

    Returns:
        Proposed groups first, then clusters in the order of the leaves of the dendrogram, the unknown images last;
        numbers that no image has are left out.
    """
    by_distance = np.argsort(report.distances, kind="stable")
    labels = report.labels[by_distance]
    return {number: by_distance[labels == number] for number in order_of_leaves(report)}


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
