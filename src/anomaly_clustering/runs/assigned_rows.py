"""Images, and where they belong, in; rows of `assigned.csv` out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomaly_clustering.clustering.unknown import findings
from anomaly_clustering.runs.assign import Assignment
from anomaly_clustering.runs.decisions import Decisions
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
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


def findings_of(run: StoredRun, later: LaterImages) -> dict[str, bool]:
    """Whether each image is a finding, by the SHA-256 of its file: as the report has the images of the run.

    Later ones are as it was found when they came, by the share of false alarms of that call.

    Args:
        run: with embeddings.
        later: images that came after it.
    """
    own = findings(run.top_scores, run.normal_top_scores, FALSE_ALARMS)
    return dict(zip([*run.digests, *later.digests], [*own.tolist(), *later.finding.tolist()], strict=True))


def first_files(run: StoredRun, later: LaterImages) -> dict[str, Path]:
    """The file that each image is known by, by its SHA-256; any other one with that content is a copy.

    Args:
        run: with its images.
        later: images that came after it.
    """
    contents = zip([*run.digests, *later.digests], [*run.paths, *later.paths], strict=True)
    return dict(reversed(list(contents)))


def all_asked(run: StoredRun, later: LaterImages) -> list[Asked]:
    """The files that have a row: all images that came later, then all copies of these or of images of the run.

    A copy that is gone has no row.

    Args:
        run: with embeddings.
        later: images that came after it.
    """
    first, is_finding = first_files(run, later), findings_of(run, later)
    there = [(path, content, str(first[content])) for path, content in later.copies.items() if path.is_file()]
    files = [*zip(later.paths, later.digests, [""] * len(later.paths), strict=True), *there]
    tells = len(run.normal_top_scores) > 0
    return [Asked(path, content, same, is_finding[content] if tells else None) for path, content, same in files]
