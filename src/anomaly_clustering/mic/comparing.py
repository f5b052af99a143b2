"""Compares the images of this process with those of all processes: scores and weights, or distances."""

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.mic.batch import weigh_by_scores
from anomaly_clustering.mic.distance_names import PATCHWISE, bag_of_words, directed_rows
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.processes import gather, ring
from anomaly_clustering.mic.progress import Advance, Progress
from anomaly_clustering.mic.references import mean_scores, sample
from anomaly_clustering.mic.resampling import all_nearest, rarity_within
from anomaly_clustering.mic.run import Run
from anomaly_clustering.mic.scores import rarity, top_means
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.weights import choose_tau, effective_number


def compare(own: dict[str, Tensor], options: Options, run: Run, progress: Progress) -> dict[str, Tensor]:
    """`embeddings` and, where patches are weighed, scores, means of scores, and `weights`; or `distance` to all images.

    Args:
        own: rows of the images of this process, their `bags` among them.
        options: of the run.
        run: is told tau, where it is chosen, and what later images and subsets are weighed from.
        progress: shows how many pairs of images were compared.

    Returns:
        The rows, without the bags.
    """
    shard = Shard(own["bags"], own["index"])
    rows = {name: tensor for name, tensor in own.items() if name != "bags"}
    pairs = len(shard.bags) * sum(map(len, gather(shard.positions)))
    if options.distance == "bag_of_words":
        return rows | {"embeddings": bag_of_words(shard, options.seed)}
    if options.distance in PATCHWISE:
        with progress("Comparing images", pairs) as advance:
            return rows | {"distance": directed_rows(options.distance, shard, options.precision, advance)}
    if "scores" not in rows:
        with progress("Comparing images", pairs) as advance:
            rows["scores"] = _rarity(shard, options, run, advance)
        rows["mean_scores"] = mean_scores(rows["scores"], options.reduce)
        kept = sample(shard)
        run.reference_bags = kept.bags
        keeps_all = len(shard.bags) * len(kept.bags) == pairs
        rows["top_scores"] = top_means(rows["scores"]) if keeps_all else _top_scores(shard, kept, options)
    if options.effective_patches is not None:
        scores = torch.cat(gather(rows["scores"]))
        run.tau = choose_tau(scores, effective_number(options.effective_patches, scores.shape[1]))
    return rows | weigh_by_scores(shard.bags, rows["scores"], run.tau, options)


def _rarity(shard: Shard, options: Options, run: Run, advance: Advance) -> Float[Tensor, "n m"]:
    if options.weighs_subsets:
        nearest = _nearest(shard, options, run, advance)
        run.bags_and_nearest = shard.bags, nearest
        return rarity_within(nearest, torch.arange(len(nearest), device=nearest.device), options.reduce)
    return rarity(
        shard.bags,
        options.reduce,
        positions=shard.positions,
        references=ring(shard),
        precision=options.precision,
        advance=advance,
    )


def _top_scores(shard: Shard, kept: Shard, options: Options) -> Float[Tensor, "n 4"]:
    """Against what is kept, as later images are scored: of a mean over fewer images the extremes are larger."""
    references = [Shard(kept.bags.to(shard.bags), kept.positions)]
    scores = rarity(
        shard.bags, options.reduce, positions=shard.positions, references=references, precision=options.precision
    )
    return top_means(scores)


def _nearest(shard: Shard, options: Options, run: Run, advance: Advance) -> Float[Tensor, "n n m"]:
    """All nearest distances, from which each subset is weighed anew; of one process."""
    if (shard.positions.diff() < 0).any():
        raise ValueError("resamples need the images in the order of the data set, but the loader shuffles them")
    if (known := run.results.load()) is not None:
        nearest = known["nearest"].to(shard.bags.device)
        advance(len(nearest) ** 2)
        return nearest
    nearest = all_nearest(shard.bags, precision=options.precision, advance=advance)
    run.results.save({"nearest": nearest})
    return nearest
