"""What a person decided on the images of a run, and which groups were proposed, kept in its folder; read, and made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int

from anomaly_clustering.runs.file_names import DECISIONS
from anomaly_clustering.runs.labels import LARGEST, Labelled, read_labels
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.mark import check_unchanged
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.system.files import whole_file


@dataclass(frozen=True)
class Decisions:
    """Where images are by decision. Images that came later are told by the SHA-256 of their files.

    Attributes:
        labels: cluster of each image of the run [N]; -1 where it was taken out of all.
        names: of clusters that have one.
        later: cluster of images that came later, which hold as those of the run do.
        not_in: clusters that images must not be put in.
        proposed: group of images that are unknown, until a person decides.
        unsure: images that were marked as unsure.
        groups: numbers of all groups that were ever proposed, so that none means two things.

    Example:
        >>> Decisions(np.array([0, 0, 1])).known_clusters
        {0, 1}
    """

    labels: Int[np.ndarray, " n"]
    names: Mapping[int, str] = field(default_factory=dict)
    later: Mapping[str, int] = field(default_factory=dict)
    not_in: Mapping[str, Sequence[int]] = field(default_factory=dict)
    proposed: Mapping[str, int] = field(default_factory=dict)
    groups: Sequence[int] = ()
    unsure: Sequence[str] = ()

    @property
    def known_clusters(self) -> set[int]:
        """Numbers of the clusters that images can be assigned to."""
        return {*self.labels[self.labels >= 0].tolist(), *self.later.values()}

    def save(self, folder: Path) -> None:
        """Write them to the folder of the run.

        Args:
            folder: of the run.
        """
        content = {
            "labels": self.labels.tolist(),
            "names": {str(cluster): name for cluster, name in self.names.items()},
            "later": dict(self.later),
            "not_in": {content: list(clusters) for content, clusters in self.not_in.items()},
            "proposed": dict(self.proposed),
            "groups": list(self.groups),
            "unsure": list(self.unsure),
        }
        with whole_file(folder / DECISIONS) as part:
            part.write_text(json.dumps(content) + "\n", encoding="utf-8")


def load_decisions(folder: Path, run: StoredRun) -> Decisions:
    """Read the decisions that earlier calls were given; where there are none, the clusters of the run.

    Args:
        folder: of the run.
        run: as it is stored there.

    Raises:
        ValueError: the file that keeps them is damaged.
    """
    path = folder / DECISIONS
    if not path.is_file():
        return Decisions(run.labels)
    check_unchanged(path, way_out="delete it, and give --labels again")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        labels = np.array([_cluster(value) for value in told["labels"]], dtype=np.int64)
        if len(labels) != len(run.paths):
            raise ValueError(f"it is of {len(labels)} images, and the run has {len(run.paths)}")
        return Decisions(
            labels,
            {_cluster(int(cluster)): _text(name) for cluster, name in told["names"].items()},
            {_text(content): _cluster(value) for content, value in told["later"].items()},
            {_text(content): [_cluster(value) for value in found] for content, found in told["not_in"].items()},
            {_text(content): _cluster(value) for content, value in told["proposed"].items()},
            [_cluster(value) for value in told["groups"]],
            [_text(content) for content in told["unsure"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; delete it, and give --labels again") from None


def decided(run: StoredRun, later: LaterImages, file: Path, before: Decisions) -> Decisions:
    """The decisions in a file of labels, as the report saves it.

    An image that came later is where the file has it from now on, unless it is marked as unsure, is in no cluster, or
    in a group that was proposed and got no name.

    Args:
        run: whose report saved the file.
        later: images that came after it.
        file: labels.csv or labels.json.
        before: earlier decisions, of which proposed groups are kept.

    Raises:
        ValueError: the labels are those of another run.
    """
    rows = {image.path: image for image in read_labels(file)}
    missing = [path for path in run.paths if path not in rows]
    if missing:
        raise ValueError(
            f"{str(file)!r} is not of this run: {len(missing)} of its images are not in it, {str(missing[0])!r} for one"
        )
    seen = zip([*run.paths, *later.paths], [*run.digests, *later.digests], strict=True)
    of_content = {content: rows[path] for path, content in seen if path in rows}
    later_rows = {content: of_content[content] for content in later.digests if content in of_content}
    held = {content: row.cluster for content, row in later_rows.items() if _holds(row, before)}
    return Decisions(
        labels=np.array([rows[path].cluster for path in run.paths]),
        names={row.cluster: row.label for row in rows.values() if row.label and row.cluster >= 0},
        later=held,
        not_in={content: row.not_in for content, row in of_content.items() if row.not_in},
        proposed={content: group for content, group in before.proposed.items() if content not in held},
        groups=before.groups,
        unsure=[content for content, row in of_content.items() if row.unsure],
    )


def labels_of(run: StoredRun, later: LaterImages, decisions: Decisions) -> list[Labelled]:
    """The decisions as a report opens with them: images whose cluster is decided.

    Args:
        run: as it is stored.
        later: images that came after it.
        decisions: none where nobody has named or moved anything.
    """
    if not (decisions.names or decisions.not_in or (decisions.labels != run.labels).any()):
        return []
    held = [*decisions.labels.tolist(), *(decisions.later.get(content) for content in later.digests)]
    seen = zip([*run.paths, *later.paths], [*run.digests, *later.digests], held, strict=True)
    return [
        Labelled(
            path, k, decisions.names.get(k, ""), content in decisions.unsure, tuple(decisions.not_in.get(content, ()))
        )
        for path, content, k in seen
        if k is not None
    ]


def _holds(row: Labelled, before: Decisions) -> bool:
    return row.cluster >= 0 and not row.unsure and (bool(row.label) or row.cluster not in before.groups)


def _cluster(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= LARGEST:
        raise ValueError(f"{str(value)[:60]!r} is no number of a cluster")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:60]!r} is no text")
    return value
