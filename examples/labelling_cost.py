"""What labelling costs (section 4.4): accuracy against the number of decisions, on any run whose classes are known.

    python examples/labelling_cost.py mtd-clusters --decisions 16 32 64 128

The classes are hidden from the clusters and only used to play the person who decides. With K decisions:

    majority   the person names each of K clusters (Ward) by what most of its images are
    central    the person looks at one image of each of K clusters, the nearest to its mean, and names the cluster by it
    random     the person names K images drawn at random; each other image takes the name of its nearest neighbour
               among them, by the same embeddings (mean over 50 draws, and their standard deviation)
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from sklearn.neighbors import KNeighborsClassifier

from anomaly_clustering.clustering.methods import distance_to_center
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.runs.store import load_run

DRAWS = 50


def by_majority(labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"]) -> float:
    """Share of images of the most frequent class of their cluster."""
    return sum(np.bincount(target[labels == k]).max() for k in np.unique(labels)) / len(target)


def by_central_image(
    embeddings: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], target: Int[np.ndarray, " n"]
) -> float:
    """Share of images of the class of the image nearest to the mean of their cluster."""
    distances = distance_to_center(embeddings, labels)
    right = 0
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        right += int((target[members] == target[members[distances[members].argmin()]]).sum())
    return right / len(target)


def by_random_images(
    embeddings: Float[np.ndarray, "n d"], target: Int[np.ndarray, " n"], decisions: int, seed: int
) -> float:
    """Share of images of the class of their nearest neighbour among so many labelled ones, themselves included."""
    chosen = np.random.default_rng(seed).choice(len(target), decisions, replace=False)
    nearest = KNeighborsClassifier(1).fit(embeddings[chosen], target[chosen])
    return float(nearest.score(embeddings, target))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that `anomaly-clustering cluster` or `test` wrote")
    parser.add_argument("--decisions", type=int, nargs="+", default=[16, 32, 64, 128])
    options = parser.parse_args()
    run = load_run(options.run)
    if run.embeddings is None or (run.target < 0).any():
        parser.error(f"{options.run} needs embeddings and a known class for each image")
    print(f"{len(run.target)} images, {len(run.class_names)} classes")
    print("decisions  majority  central  random")
    for decisions in options.decisions:
        labels = cut(run.tree, decisions)
        draws = [by_random_images(run.embeddings, run.target, decisions, seed) for seed in range(DRAWS)]
        print(
            f"{decisions:9}  {by_majority(labels, run.target):8.3f}  "
            f"{by_central_image(run.embeddings, labels, run.target):7.3f}  {np.mean(draws):.3f} ± {np.std(draws):.3f}"
        )


if __name__ == "__main__":
    main()
