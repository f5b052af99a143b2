"""The result of a run in; how far its scores move out: over random subsets of the images, and over a band of tau.

nearest [N, N, M] --subset--> scores [S, M] --taus--> weights [S, T, M] --> embeddings [S, T, D] --> labels --> metrics
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.clustering.grouping import labels_of
from anomaly_clustering.clustering.methods import cluster_distance
from anomaly_clustering.metrics.agreement import FUNCTIONS
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.resampling import rarity_within, subset_size, subsets
from anomaly_clustering.mic.residuals import mean_of, signed_root
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.weights import band_of, soften, weighted_averages

# Subsets are the same whatever seed a run has, so that two runs can be compared subset by subset.
SEED = 0
# Of more subsets the first so many are clustered at each tau of the band too.
SUBSETS_OF_BAND = 20


class Spread(NamedTuple):
    """How one metric of a run moves.

    Args:
        subsets: on each random subset of the images that has one of a known class [R], at the tau of the run.
        taus: at each tau of the band [T], the mean over those of the first 20 subsets; empty where no weight depends on
            tau, and where images are embedded as they come (`residual_share`, `views` or several levels).

    Example:
        >>> Spread([0.5, 0.7], []).subsets
        [0.5, 0.7]
    """

    subsets: Sequence[float]
    taus: Sequence[float]


def spreads(
    grouping: Grouping,
    options: Options,
    bags_and_nearest: tuple[Float[Tensor, "n m d"], Float[Tensor, "n n m"]] | None,
    band: Float[np.ndarray, "n t d"] | None,
    note: Callable[[str], object],
) -> dict[str, Spread]:
    """Score random subsets of the images, and these at each tau of a band where weights depend on tau.

    Args:
        grouping: of all images, with their classes.
        options: of the run; they say how many subsets to draw.
        bags_and_nearest: all bags [N, M, D] and `all_nearest` of them, where weights depend on the other images.
        band: weighted averages of all images at each tau of `band_of` [N, T, D], where weights depend on tau alone.
        note: is told which subsets cannot be scored.

    Returns:
        The spread of each score that all methods share, by name; empty where fewer than two subsets can be scored.
    """
    drawn = _scored_subsets(grouping, options, note)
    subset_scores: dict[str, list[float]] = {name: [] for name in FUNCTIONS}
    band_scores: dict[str, list[list[float]]] = {name: [] for name in FUNCTIONS}
    if band is not None:
        band = np.stack([_rooted(torch.from_numpy(at_tau), options) for at_tau in band.swapaxes(0, 1)])  # [T, N, D]
    for number, chosen in drawn.items():
        taus = band_of(grouping.tau) if number < SUBSETS_OF_BAND else (grouping.tau,)
        if grouping.embeddings is None:
            embeddings = None
        elif bags_and_nearest is not None:
            embeddings = _reweighed(chosen, *bags_and_nearest, taus, options)
        elif band is not None and len(taus) > 1:
            embeddings = band[:, chosen]
        else:
            embeddings = grouping.embeddings[None, chosen]
        labels = _labels(chosen, grouping, options, embeddings)
        known = grouping.target[chosen] >= 0
        target = torch.from_numpy(grouping.target[chosen][known])
        for name, metric in FUNCTIONS.items():
            scores = [float(metric(torch.from_numpy(at_tau[known]), target)) for at_tau in labels]
            subset_scores[name].append(scores[len(scores) // 2])  # The tau of the run is in the middle.
            if len(scores) > 1:
                band_scores[name].append(scores)
    return {
        name: Spread(subset_scores[name], np.array(band_scores[name]).mean(0).tolist() if band_scores[name] else [])
        for name in FUNCTIONS
        if drawn
    }


def _scored_subsets(
    grouping: Grouping, options: Options, note: Callable[[str], object]
) -> dict[int, Int[np.ndarray, " s"]]:
    """Positions of the images of each subset that can be scored, by its number; none where these are fewer than two."""
    clusters, size = grouping.num_clusters, subset_size(len(grouping.target))
    if clusters > size:
        note(f"no spread of the scores: random subsets have {size} images, fewer than the {clusters} clusters")
        return {}
    drawn = enumerate(subsets(len(grouping.target), count=options.resamples, seed=SEED))
    scored = {number: chosen for number, chosen in drawn if (grouping.target[chosen] >= 0).any()}
    if len(scored) < 2:
        note(
            f"no spread of the scores: of {options.resamples} random subsets {len(scored)} have an image of a known "
            "class, and at least 2 are needed"
        )
        return {}
    if len(scored) < options.resamples:
        note(
            f"the spread of the scores is over {len(scored)} of {options.resamples} random subsets: the others have no "
            "image of a known class"
        )
    return scored


def _labels(
    chosen: Int[np.ndarray, " s"],
    grouping: Grouping,
    options: Options,
    embeddings: Float[np.ndarray, "t s d"] | None,
) -> list[Int[np.ndarray, " s"]]:
    """Clusters of a subset as if there were no other images, as many as the run has; by each of its embeddings."""
    k, method, seed = grouping.num_clusters, options.method, options.seed
    if embeddings is not None:
        return [labels_of(at_tau, k, method, seed=seed) for at_tau in embeddings]
    assert grouping.distance is not None
    return [cluster_distance(grouping.distance[np.ix_(chosen, chosen)], k, method, seed=seed)]


def _reweighed(
    chosen: Int[np.ndarray, " s"],
    bags: Float[Tensor, "n m d"],
    nearest: Float[Tensor, "n n m"],
    taus: Sequence[float],
    options: Options,
) -> Float[np.ndarray, "t s d"]:
    """Weighted averages of a subset, by the rarity of its patches among the images of the subset alone."""
    some = torch.from_numpy(chosen).to(bags.device)
    scores = rarity_within(nearest, some, options.reduce)  # [S, M]
    weights = torch.stack([soften(scores, tau, options.top_k) for tau in taus], dim=1)  # [S, T, M]
    averages = weighted_averages(bags[some], weights).unbind(1)  # T of [S, D]
    return np.stack([_rooted(at_tau, options) for at_tau in averages])


def _rooted(averages: Float[Tensor, "n d"], options: Options) -> Float[np.ndarray, "n d"]:
    """As the run makes embeddings of averages."""
    if options.signed_root:
        averages = signed_root(averages, mean_of(averages), (averages.shape[1],))
    return averages.cpu().numpy()


def means_and_errors(found: Mapping[str, Spread]) -> dict[str, Tensor]:
    """Mean ('nmi_mean') and standard error ('nmi_se') of each metric over the subsets, as Tables 9 and 10 have them.

    Args:
        found: the spread of each metric, by name.

    Returns:
        The two numbers of each metric, by name.

    Example:
        >>> {name: value.item() for name, value in means_and_errors({"nmi": Spread([0.0, 1.0], [])}).items()}
        {'nmi_mean': 0.5, 'nmi_se': 0.5}
    """
    both = {name: mean_and_standard_error(np.array(spread.subsets)) for name, spread in found.items()}
    return {
        f"{name}_{kind}": torch.tensor(value, dtype=torch.float32)
        for name, pair in both.items()
        for kind, value in zip(("mean", "se"), pair, strict=True)
    }


def mean_and_standard_error(values: Float[np.ndarray, " count"]) -> tuple[float, float]:
    """Mean, and the standard deviation of the sample over the root of its size.

    Args:
        values: at least two.

    Returns:
        The two numbers, in the unit of the values.

    Example:
        >>> mean_and_standard_error(np.array([1.0, 3.0]))
        (2.0, 1.0)
    """
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
