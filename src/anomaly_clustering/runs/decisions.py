"""What a person decided on the images of a run, and which groups were proposed, as its folder keeps them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from anomaly_clustering.report.content import Given
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS, check_false_alarms
from anomaly_clustering.runs.file_names import DECISIONS
from anomaly_clustering.runs.labels import LARGEST
from anomaly_clustering.runs.mark import check_unchanged
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.system.files import whole_file

# Groups that are proposed are numbered from the next multiple on, so that clusters which a person makes in the report,
# and has not saved yet, take none of these numbers.
APART = 100


@dataclass(frozen=True)
class Decisions:
    """Where images are by decision. Images that came later are told by the SHA-256 of their files.

    Attributes:
        labels: cluster of each image of the run [N]; -1 where it was taken out of all.
        names: of clusters that have one.
        later: cluster of images that came later, which hold as those of the run do.
        not_in: clusters that images must not be put in; images are told as `told_apart` has it.
        proposed: group of images that are unknown, until a person decides.
        groups: numbers of all groups that were ever proposed, so that none means two things.
        unsure: images that were marked as unsure, as `told_apart` has it.
        false_alarms: share of known images that may be taken for unknown, as an `assign`, `update` or `watch` was
            given it last.
        files_given: how many files of labels the run was given so far.
        told: what to know of the table of labels that they come from; not saved.

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
    false_alarms: float = FALSE_ALARMS
    files_given: int = 0
    told: Sequence[str] = ()

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
            "false_alarms": self.false_alarms,
            "files_given": self.files_given,
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
            _share(told["false_alarms"]),
            # Earlier versions did not count them.
            _count(told.get("files_given", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; delete it, and give --labels again") from None


def told_apart(digests: Sequence[str]) -> list[str]:
    """What tells images of a run from one another, exact copies too: the SHA-256, and of all but the first the place.

    Args:
        digests: SHA-256 of the images of a run, and maybe of later ones after them.

    Example:
        >>> told_apart(["9f86", "60303a", "9f86"])
        ['9f86', '60303a', '9f86#2']
    """
    first = {content: i for i, content in reversed(list(enumerate(digests)))}
    return [content if first[content] == i else f"{content}#{i}" for i, content in enumerate(digests)]


def moved_by_hand(found: Int[np.ndarray, " n"], decided: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which images of a run a person has moved to a cluster, other than with all of theirs or a part that was cut off.

    Clusters that were joined or cut in the report have other numbers than they had. So an image was moved if most of
    those that it was found with are in another cluster by now, and most of those that it is with came from another.

    Args:
        found: cluster of each image, as the run found it [N].
        decided: the same in the end, -1 where it was taken out of all [N].

    Example:
        >>> found = np.array([0, 0, 0, 1, 1, 1, 2, 2])
        >>> first_moved_and_others_joined = np.array([1, 0, 0, 1, 1, 1, 1, 1])
        >>> moved_by_hand(found, first_moved_and_others_joined).tolist()
        [True, False, False, False, False, False, False, False]
    """
    goes_to, comes_from = _mostly(found, decided), _mostly(decided, found)
    return (decided >= 0) & (decided != goes_to) & (found != comes_from)


def _mostly(of: Int[np.ndarray, " n"], what: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """For each image the most frequent value among those that are of the same."""
    groups, inverse = np.unique(of, return_inverse=True)
    values, chosen = np.unique(what, return_inverse=True)
    counts = np.zeros((len(groups), len(values)), dtype=np.int64)
    np.add.at(counts, (inverse, chosen), 1)
    return values[counts.argmax(1)][inverse]


def given_to_page(run: StoredRun, digests: Sequence[str], decisions: Decisions) -> Given | None:
    """The decisions as a page opens with them.

    Args:
        run: as it is stored.
        digests: of the images of the page: those of the run, then later ones.
        decisions: on these, and maybe others.

    Returns:
        None where nobody has decided anything, and no file of labels was given.
    """
    later = [decisions.later.get(content) for content in digests[len(run.digests) :]]
    images, unsure = told_apart(digests), set(decisions.unsure)
    given = Given(
        clusters=[*decisions.labels.tolist(), *later],
        names=decisions.names,
        unsure=[i for i, image in enumerate(images) if image in unsure],
        not_in={i: decisions.not_in[image] for i, image in enumerate(images) if image in decisions.not_in},
        files_given=decisions.files_given,
    )
    moved = bool((decisions.labels != run.labels).any()) or any(cluster is not None for cluster in later)
    return given if moved or given.names or given.unsure or given.not_in or given.files_given else None


def _cluster(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= LARGEST:
        raise ValueError(f"{str(value)[:60]!r} is no number of a cluster")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{str(value)[:60]!r} is no count")
    return value


def _share(value: object) -> float:
    check_false_alarms(value)  # type: ignore[arg-type]
    return float(value)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:60]!r} is no text")
    return value
