"""Unknown images among those that came after a run in; groups of them for a person to decide on, out."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from anomaly_clustering.clustering.proposals import proposed_groups
from anomaly_clustering.runs.assign import Assignment
from anomaly_clustering.runs.decisions import APART, Decisions
from anomaly_clustering.runs.labels import LARGEST
from anomaly_clustering.runs.later_images import LaterImages


def proposed(later: LaterImages, found: Assignment, decisions: Decisions) -> Decisions:
    """Group the unknown ones anew; what a person said an image is not in, it is not in.

    Args:
        later: all images that came after the run.
        found: where they belong.
        decisions: so far.

    Returns:
        The decisions, with the groups that are proposed now.
    """
    before = groups_of(later, found, decisions)
    first = _first_number(decisions, int(found.unknown.sum()))
    groups = np.full(len(before), -1)
    groups[found.unknown] = proposed_groups(later.embeddings[found.unknown], before[found.unknown], first)
    return replace(
        decisions,
        proposed={
            content: int(group)
            for content, group in zip(later.digests, groups, strict=True)
            if group >= 0 and group not in decisions.not_in.get(content, ())
        },
        groups=sorted({*decisions.groups, *groups[groups >= 0].tolist()}),
    )


def _first_number(decisions: Decisions, most: int) -> int:
    """The number of the first group of at most so many, of which none means two things."""
    clusters = {*decisions.known_clusters, *decisions.names} - set(decisions.groups)
    first = max([*decisions.groups, APART * (max(clusters, default=0) // APART + 1) - 1]) + 1
    if first + most <= LARGEST + 1:
        return first
    # A person has given a number near the largest one.
    used = {*clusters, *decisions.groups}
    return next(first for first in range(APART, LARGEST, APART) if used.isdisjoint(range(first, first + most)))


def groups_of(later: LaterImages, found: Assignment, decisions: Decisions) -> Int[np.ndarray, " k"]:
    """The proposed group of each later image that is still unknown; else -1.

    Args:
        later: images that came after the run.
        found: where they belong.
        decisions: with the groups.
    """
    groups = np.array([decisions.proposed.get(content, -1) for content in later.digests], dtype=np.int64)
    return np.where(found.unknown, groups, -1)


def what_is_proposed(later: LaterImages, found: Assignment, decisions: Decisions) -> list[str]:
    """What a person is to decide on, or does not see.

    Args:
        later: images that came after the run.
        found: where they belong.
        decisions: with the groups.

    Returns:
        Sentences for the user.
    """
    groups, sizes = np.unique(groups_of(later, found, decisions), return_counts=True)
    shown = [f"{group} ({size})" for group, size in zip(groups, sizes, strict=True) if group >= 0]
    notices = []
    if shown:
        notices.append(
            f"unknown images fall into proposed groups, with so many images: {', '.join(shown)}; name or move them in "
            "the report, save labels.csv, and give it with --labels to make them known"
        )
    if good := int((~found.finding).sum()):
        are = "is like a normal one" if good == 1 else "are like normal ones"
        notices.append(f"{good} of the images that came later {are}: no finding, and not shown")
    return notices
