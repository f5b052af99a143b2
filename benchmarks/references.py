"""What comparing with a few references in place of all images costs in NMI, and gains in time.

    python -m benchmarks.references mtd data/mtd
    python -m benchmarks.references folder neu_det
    python -m benchmarks.references synthetic
    python -m benchmarks.references frequent

Images are embedded once. The paper's method looks up distances between all images that are computed once; signed
residuals compare anew with each set of references. References are drawn at random, or to cover the images: each is the
farthest from those before it, by the means of the patches (greedy k-centre). Distances to references become scores as
in the paper ('mean'), without those to the nearest tenth ('robust'), or as signed residuals do it ('interval'), which
leaves out the nearest tenth and the farthest half. Of 'frequent', generated images, half have one type of defect.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from anomaly_clustering.clustering.grouping import group_embeddings
from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sources import MTD, Folder, Synthetic
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.presets import SIGNED_RESIDUALS
from anomaly_clustering.mic.references import draw
from anomaly_clustering.mic.resampling import all_nearest
from anomaly_clustering.mic.residuals import signed_root
from anomaly_clustering.mic.scores import Reduce, interval_mean, rarity
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.streaming import Stream
from anomaly_clustering.mic.weights import soften, weighted_average

COUNTS = (16, 32, 64, 128, 256, 512)
TAU = 0.02
# Of the references, those that are left out by 'robust', the nearest ones.
DROPPED = 0.1
# Images that are timed.
TIMED = 16
FREQUENT, RARE = 48, 8
Drawing = Literal["random", "coverage"]


class How(NamedTuple):
    """What a stream has to know, see `mic.streaming.How`."""

    weights: str
    reduce: str
    top_k: int | None
    residual_share: float
    views: int


class Kept:
    """Takes the place of an `Embedder`: bags of all images are at hand, by view and level."""

    def __init__(self, backbone: Backbone, views: Sequence[Sequence[Float[Tensor, "n h w d"]]]):
        self.backbone = backbone
        self.views = views
        self.drawn = torch.empty(0, dtype=torch.int64)

    def levels(self, batch: Mapping[str, Any], view: int = 0) -> list[Float[Tensor, "b h w d"]]:
        """Of the images with these positions; of those that were drawn where a batch has none."""
        return [level[batch.get("index", self.drawn)] for level in self.views[view]]


def data_of(options: argparse.Namespace) -> DefectDataModule:
    """The images of a data set."""
    if options.data == "mtd":
        return MTD(options.folder)
    if options.data == "folder":
        return Folder(options.folder)
    if options.data == "synthetic":
        return Synthetic(per_class=24, normals=0)
    source = Synthetic(per_class=FREQUENT, normals=0)
    source.prepare_data()
    source.setup()

    def frequent() -> Listing:
        """All of the last class, and a few of each other one."""
        seen: Counter[int] = Counter()
        records, last = [], source.num_classes - 1
        for record in source.records:
            label = -1 if record.label is None else record.label
            seen[label] += 1
            if seen[label] <= (FREQUENT if label == last else RARE):
                records.append(record)
        return Listing(records, [*source.class_names])

    return DefectDataModule(frequent)


@torch.inference_mode()
def embedded(data: DefectDataModule, layer: str | None, views: int) -> tuple[Kept, Int[np.ndarray, " n"]]:
    """Bags of all images, and their classes."""
    embedder = Embedder(Backbone("embedded", layer=layer).folded())
    found: list[list[list[Tensor]]] = [[] for _ in range(views)]
    target = []
    for batch in track(data.test_dataloader(), "Embedding", transient=True):
        target.append(batch["target"])
        for view in range(views):
            found[view].append(embedder.levels(batch, view))
    joined = [[torch.cat(level) for level in zip(*parts, strict=True)] for parts in found]
    return Kept(embedder.backbone, joined), torch.cat(target).numpy()


def drawn_by(drawing: Drawing, means: Float[Tensor, "n d"], count: int, seed: int) -> Int[Tensor, " count"]:
    """Positions of references."""
    if drawing == "random":
        return draw(len(means), count, seed)
    chosen = [int(draw(len(means), 1, seed))]
    distance = torch.full((len(means),), torch.inf)
    while len(chosen) < count:
        distance = torch.minimum(distance, (means - means[chosen[-1]]).norm(dim=1))
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen).sort().values


def scores_of(distances: Float[Tensor, "total m"], reduce: str) -> Float[Tensor, " m"]:
    """Scores of the patches of an image, by distances to its references."""
    if reduce == "interval":
        return interval_mean(distances)
    dropped = max(1, round(DROPPED * len(distances))) if reduce == "robust" else 0
    return distances.sort(0).values[dropped:].mean(0) if dropped else distances.mean(0)


def by_paper(kept: Kept, nearest: Float[Tensor, "n n m"], positions: Int[Tensor, " r"], reduce: str) -> np.ndarray:
    """Weighted averages (Eq. 1 and 7)."""
    bags = kept.views[0][0].flatten(1, 2)
    scores = torch.stack([scores_of(nearest[i, positions[positions != i]], reduce) for i in range(len(bags))])
    return weighted_average(bags, soften(scores, TAU)).numpy()


def by_residuals(kept: Kept, positions: Int[Tensor, " r"], reduce: str) -> np.ndarray:
    """Signed residuals, as they come."""
    kept.drawn = positions
    how = How("rarity", reduce, None, SIGNED_RESIDUALS["residual_share"], len(kept.views))
    nothing = torch.zeros(len(positions), 3, 8, 8, dtype=torch.uint8)
    stream = Stream(kept, nothing, how, positions=positions, tau=TAU)  # type: ignore[arg-type]
    stream.choose_tau({"index": positions}, SIGNED_RESIDUALS["effective_patches"])
    batches = torch.arange(len(kept.views[0][0])).split(32)
    averages = torch.cat([stream({"index": batch})["embeddings"] for batch in batches])
    return signed_root(averages, averages.double().mean(0).float(), stream.channels).numpy()


def seconds_of(work: Callable[[], object]) -> float:
    """The best of three."""
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return min(took)


def paper_seconds(kept: Kept, count: int) -> float:
    """For 1000 images, by some of them."""
    bags = kept.views[0][0].flatten(1, 2)
    shard = Shard(bags[:count], torch.arange(count))
    reduce: Reduce = "mean"
    some, positions = bags[-TIMED:], torch.arange(len(bags))[-TIMED:]
    took = seconds_of(lambda: rarity(some, reduce, positions=positions, references=[shard], precision="auto"))
    return took / len(some) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("mtd", "folder", "synthetic", "frequent"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--methods", nargs="+", choices=("paper", "signed_residuals"))
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--views", type=int, default=4)
    options = parser.parse_args()
    data = data_of(options)
    data.prepare_data()
    data.setup()
    for method in options.methods or ("paper", "signed_residuals"):
        measure(method, data, options)


@torch.inference_mode()
def measure(method: str, data: DefectDataModule, options: argparse.Namespace) -> None:
    """Print the table of a method."""
    paper = method == "paper"
    kept, target = embedded(data, None if paper else SIGNED_RESIDUALS["layer"], 1 if paper else options.views)
    means = kept.views[0][0].mean((1, 2))
    total, classes = len(target), len(set(target.tolist()))
    counts = [count for count in options.counts if count < total]
    if paper:
        nearest = all_nearest(kept.views[0][0].flatten(1, 2), precision="auto")
    reduces = ("mean", "robust", "interval") if paper else ("interval", "mean")

    def nmi(positions: Int[Tensor, " r"], reduce: str, seed: int) -> float:
        vectors = by_paper(kept, nearest, positions, reduce) if paper else by_residuals(kept, positions, reduce)
        how: Any = "ward" if paper else SIGNED_RESIDUALS["method"]
        labels = group_embeddings(vectors, classes, how, seed=seed).labels
        return float(normalized_mutual_info_score(target, labels))

    names = [f"{drawing}, {reduce}" for drawing in ("random", "coverage") for reduce in reduces]
    table = Table("references", "s / 1000", *names, title=f"{options.data}, {method}: NMI, {total} images")
    for count in [*counts, *([total] if paper else [])]:
        row = []
        everything = torch.arange(total)
        took = paper_seconds(kept, count) if paper else 0.0
        for drawing in ("random", "coverage"):
            for reduce in reduces:
                start, found = time.perf_counter(), []
                for seed in range(options.seeds if count < total else 1):
                    chosen = everything if count == total else drawn_by(drawing, means, count, seed)
                    found.append(nmi(chosen, reduce, seed))
                took = took or (time.perf_counter() - start) / len(found) / total * 1000
                spread = f" ± {np.std(found):.3f}" if len(found) > 1 else ""
                row.append(f"{np.mean(found):.3f}{spread}")
                print(count, drawing, reduce, *(f"{value:.3f}" for value in found), flush=True)
        table.add_row(str(count), f"{took:.1f}", *row)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
