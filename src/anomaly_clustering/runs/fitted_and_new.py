"""A run, images that came later and what was decided on them in; those whose cluster is known, and the others, out."""

from itertools import compress

import numpy as np
from jaxtyping import Int

from anomaly_clustering.runs.assign import Embedded, Fitted
from anomaly_clustering.runs.decisions import Decisions, told_apart
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.store import StoredRun


def _held(run: StoredRun, later: LaterImages, decisions: Decisions) -> Int[np.ndarray, " all"]:
    """Cluster of each image of the run, then of each later one, where that is decided; else -1."""
    return np.append(decisions.labels, [decisions.later.get(content, -1) for content in later.digests]).astype(np.int64)


def fitted_to(run: StoredRun, later: LaterImages, decisions: Decisions) -> Fitted:
    """The images whose clusters are known, as others are assigned to these.

    Args:
        run: with embeddings.
        later: images that came after it.
        decisions: by which images of the run, and maybe later ones, are of a cluster.

    Returns:
        What `assign` asks for, with images as `told_apart` has them: a copy in the run may be where the first one is
        not.

    Raises:
        ValueError: no image is of a cluster.
    """
    assert run.embeddings is not None
    held = _held(run, later, decisions)
    is_known = held >= 0
    if not is_known.any():
        raise ValueError(
            f"no image of run {run.title!r} is in a cluster any more, by the labels that it was given: put some back "
            "in the report, and give its labels.csv with --labels"
        )
    return Fitted(
        list(compress(told_apart([*run.digests, *later.digests]), is_known)),
        np.concatenate([run.embeddings, later.embeddings])[is_known],
        held[is_known],
        np.concatenate([run.top_scores, later.top_scores])[is_known],
        run.recipe.signed_root,
    )


def new_to(run: StoredRun, later: LaterImages, decisions: Decisions) -> Embedded:
    """The images whose clusters are not known, and those of the run that are in none.

    Args:
        run: with embeddings.
        later: images that came after it.
        decisions: see `fitted_to`.

    Returns:
        What `assign` asks for, with images as `told_apart` has them.
    """
    assert run.embeddings is not None
    is_new = _held(run, later, decisions) < 0
    images = list(compress(told_apart([*run.digests, *later.digests]), is_new))
    return Embedded(
        images,
        np.concatenate([run.embeddings, later.embeddings])[is_new],
        np.concatenate([run.top_scores, later.top_scores])[is_new],
        np.append(np.ones(len(run.digests), dtype=bool), later.finding)[is_new],
        [decisions.not_in.get(image, ()) for image in images],
        np.append(np.ones(len(run.digests), dtype=bool), np.zeros(len(later.digests), dtype=bool))[is_new],
    )
