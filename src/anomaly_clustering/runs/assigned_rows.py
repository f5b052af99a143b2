"""Images, and where they belong, in; rows of `assigned.csv` out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomaly_clustering.clustering.unknown import findings
from anomaly_clustering.runs.assign import Assignment, Embedded, Fitted, assign
from anomaly_clustering.runs.decisions import Decisions
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.store import StoredRun

COLUMNS_OF_LATER = ("path", "cluster", "label", "distance_to_center", "unknown", "p_value", "finding", "same_as")


class Asked(NamedTuple):
    """A file, and what is in it.

    Attributes:
        path: of the file.
        content: SHA-256 of it.
        same_as: the file in which that was seen before; empty where it is new.
        finding: whether it is more unusual than normal images are; None where none tell.
    """

    path: Path
    content: str
    same_as: str
    finding: bool | None


def rows_of(asked: Sequence[Asked], found: Assignment, decisions: Decisions) -> list[dict[str, Any]]:
    """A row for each file.

    Args:
        asked: the files.
        found: where each belongs.
        decisions: which names clusters have, and which groups unknown images.
    """
    rows = []
    for i, (path, content, same_as, finding) in enumerate(asked):
        unknown, cluster = bool(found.unknown[i]), int(found.labels[i])
        if unknown:
            cluster = decisions.proposed.get(content, cluster)
        rows.append(
            {
                "path": path,
                "cluster": cluster if cluster >= 0 else "",
                "label": "" if unknown else decisions.names.get(cluster, ""),
                "distance_to_center": float(found.distances[i]),
                "unknown": unknown,
                "p_value": "" if np.isnan(found.p_values[i]) else float(found.p_values[i]),
                "finding": "" if finding is None else finding,
                "same_as": same_as,
            }
        )
    return rows


def findings_of(run: StoredRun, later: LaterImages, false_alarms: float) -> dict[str, bool]:
    """Whether each image is a finding, by the SHA-256 of its file; later ones as it was found when they came.

    Args:
        run: with embeddings.
        later: images that came after it.
        false_alarms: see `findings`.
    """
    own = findings(run.top_scores, run.normal_top_scores, false_alarms)
    return dict(zip([*run.digests, *later.digests], [*own.tolist(), *later.finding.tolist()], strict=True))


def all_rows(
    run: StoredRun,
    later: LaterImages,
    given: Mapping[Path, str],
    new: Embedded,
    fitted: Fitted,
    decisions: Decisions,
    false_alarms: float,
) -> list[dict[str, Any]]:
    """Rows of the given images that are of the run, of all that came later, and of given copies of these.

    Args:
        run: with embeddings.
        later: images that came after it.
        given: files of this call, and the SHA-256 of each.
        new: see `new_to`.
        fitted: see `fitted_to`.
        decisions: see `rows_of`.
        false_alarms: see `assign`.
    """
    of_run, tells = set(run.digests), len(run.normal_top_scores) > 0
    contents, is_finding = [*run.digests, *later.digests], findings_of(run, later, false_alarms)
    first = dict(reversed(list(zip(contents, [*run.paths, *later.paths], strict=True))))

    def asked(path: Path, content: str) -> Asked:
        seen = content in of_run or first[content] != path
        return Asked(path, content, str(first[content]) if seen else "", is_finding[content] if tells else None)

    own = [asked(path, content) for path, content in given.items() if content in of_run]
    came = [asked(path, content) for path, content in zip(later.paths, later.digests, strict=True)]
    again = [asked(path, content) for path, content in given.items() if first[content] != path]
    files = [*own, *came, *(file for file in again if file.content not in of_run)]
    found = assign([file.content for file in files], new, fitted, false_alarms=false_alarms)
    return rows_of(files, found, decisions)
