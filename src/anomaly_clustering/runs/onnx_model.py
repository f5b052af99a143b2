"""A stored run in; one ONNX file out, which tells the clusters of images under any engine, without this package.

Network, references, means of the clusters and their names are in the file. Its outputs are those of `ClusterNetwork`:
whoever adds one adds it there, and to `OUTPUTS`.
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from anomaly_clustering.clustering.methods import cluster_means
from anomaly_clustering.mic.network import EmbeddingNetwork, network_of
from anomaly_clustering.runs.assign import Fitted
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.system.files import whole_file

INPUT = "images"
OUTPUTS = {
    "cluster": "number of the cluster with the nearest mean embedding [B]",
    "distances": "to the mean of each cluster, in the order of `clusters` [B, K]",
    "embeddings": "one vector an image [B, D]",
    "scores": "how unusual each patch is, in rows and columns, zero where patches were not weighed [B, h, w]",
}
PREPARED = (
    "images [B, 3, {side}, {side}]: red, green and blue from 0 to 1, float32, each image squeezed into {side} x {side} "
    "pixels by Pillow's bicubic resize; mean and std of the network are taken inside"
)
SHIFTED = "; of files of 16 bits {bits} count, so shift each value right by {shift} before anything else"
# Of the operations of ONNX; onnxruntime knows it from 1.14 on.
OPSET = 18


class ClusterOutputs(NamedTuple):
    """See `OUTPUTS`."""

    cluster: Int[Tensor, " b"]
    distances: Float[Tensor, "b k"]
    embeddings: Float[Tensor, "b d"]
    scores: Float[Tensor, "b h w"]


class ClusterNetwork(nn.Module):
    """Embeds images as those of a run were embedded, and tells the cluster of each.

    Args:
        embedding: the network of the run.
        means: mean embedding of each cluster [K, D].
        numbers: of the clusters [K].
    """

    means: Tensor
    numbers: Tensor

    def __init__(self, embedding: EmbeddingNetwork, means: Float[Tensor, "k d"], numbers: Int[Tensor, " k"]):
        super().__init__()
        self.embedding = embedding
        self.register_buffer("means", means)
        self.register_buffer("numbers", numbers)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> ClusterOutputs:
        """What there is to tell of images.

        Args:
            images: red, green and blue in [0, 1] [B, 3, height, width].
        """
        scores, embeddings = self.embedding(images)
        distances = torch.linalg.vector_norm(embeddings[:, None] - self.means, dim=2)
        return ClusterOutputs(self.numbers[distances.argmin(1)], distances, embeddings, scores)


def cluster_network(run: StoredRun, fitted: Fitted, *, half: bool = False) -> ClusterNetwork:
    """The network that tells the clusters of a run.

    Args:
        run: with embeddings.
        fitted: the images whose clusters are known.
        half: whether references are held in half precision.

    Raises:
        ValueError: the run compared images in a way that one image alone does not allow, or kept their aspect.
    """
    numbers, means = cluster_means(fitted.embeddings, fitted.labels)
    embedding = network_of(run.recipe, run.references, center=run.center, half=half)
    return ClusterNetwork(embedding, torch.from_numpy(means).float(), torch.from_numpy(numbers.astype(np.int64)))


def described(run: StoredRun, fitted: Fitted, names: Mapping[int, str]) -> dict[str, str]:
    """What the file says about itself, as its metadata: texts, or JSON.

    Args:
        run: as it is stored.
        fitted: the images whose clusters are known.
        names: of clusters that have one.

    Returns:
        `title`, `clusters` (number, name and how many images are known to be of it, in the order of `distances`),
        `image_size`, `bits` (of a value in files of 16; 8 where there were none), `input`, and `outputs`.
    """
    side, bits = run.recipe.image_size, run.recipe.bits
    shifted = SHIFTED.format(bits=bits, shift=bits - 8) if bits > 8 else ""
    clusters = [
        {"cluster": int(number), "name": names.get(int(number), ""), "images": int(count)}
        for number, count in zip(*np.unique(fitted.labels, return_counts=True), strict=True)
    ]
    return {
        "title": run.title,
        "clusters": json.dumps(clusters),
        "image_size": str(side),
        "bits": str(bits),
        "input": PREPARED.format(side=side) + shifted,
        "outputs": json.dumps(OUTPUTS),
    }


def write_onnx(path: Path, network: ClusterNetwork, facts: Mapping[str, str]) -> None:
    """Write a network as one ONNX file, for any number of images at a time.

    Args:
        path: of the file; one that is there is replaced.
        network: of a run.
        facts: its metadata.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: an operation of the network has no counterpart in ONNX.
    """
    check_exporter()
    side = network.embedding.recipe.image_size
    # More than one: of a single image the exporter would take the number for fixed.
    example = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    try:
        # Two steps, since the exporter alone would fall back on a fixed number of images in silence.
        # The limit is one for PyTorch before 2.8, which else takes the largest number of 64 bits for an exception.
        batch = torch.export.Dim("batch", max=2**31 - 1)
        program: Any = torch.export.export(network, (example,), dynamic_shapes=({0: batch},), strict=False)
        found: Any = torch.onnx.export(
            program,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ValueError(
            f"the network {network.embedding.recipe.backbone!r} cannot be exported: {str(error).splitlines()[0]}; "
            "cluster with another one (--backbone)"
        ) from error
    found.model.metadata_props.update(facts)
    with whole_file(path) as part:
        found.save(part)


def check_exporter() -> None:
    """Fail if PyTorch lacks what it writes ONNX with.

    Raises:
        ImportError: it is not installed.

    Example:
        >>> check_exporter()
    """
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise ImportError(f'{missing[0]} is not installed; pip install "anomaly-clustering[onnx]"')
