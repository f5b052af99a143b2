"""Images, embedded in three ways -> three maps of them beside each other."""

import numpy as np
import torch
from drawing.look import COLOURS, figure, save, trimmed
from drawing.product import NUM_CLASSES, Product

from anomaly_clustering.clustering import cut, ward
from anomaly_clustering.metrics import normalized_mutual_information


def on_plane(embeddings: np.ndarray) -> np.ndarray:
    """The first two principal components, the sign of each such that its largest entry is positive."""
    left, lengths, _ = np.linalg.svd(embeddings - embeddings.mean(0), full_matrices=False)
    places = left[:, :2] * lengths[:2]
    return places * np.sign(places[abs(places).argmax(0), [0, 1]])


def maps(product: Product, ways: dict[str, np.ndarray], name: str) -> None:
    """The images, embedded in three ways, on their first two principal components."""
    made, axes = figure(9.6, 4.3, ncols=3)
    for axis, (title, embeddings) in zip(axes, ways.items(), strict=True):
        labels = torch.from_numpy(cut(ward(embeddings), NUM_CLASSES))
        nmi = float(normalized_mutual_information(labels, torch.from_numpy(product.target)))
        places = on_plane(embeddings)
        for k, (class_name, colour) in enumerate(zip(product.names, COLOURS, strict=True)):
            look = {"s": 26, "color": colour, "edgecolor": "white", "lw": 0.6}
            axis.scatter(*places[product.target == k].T, **look, label=class_name)
        axis.set(title=f"{title}\nNMI of Ward's {NUM_CLASSES} clusters: {nmi:.2f}", xticks=[], yticks=[])
        axis.spines[:].set_color("#cccccc")
        axis.spines[:].set_visible(True)
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=NUM_CLASSES, frameon=False)
    save(trimmed(made), name)
