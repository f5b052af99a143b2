"""The product in; the figures of the method by default, signed residuals, out: weights, residuals, views and trees."""

from collections.abc import Callable

import matplotlib
import numpy as np
import torch
from drawing.look import ACCENT, MUTED, WARN, figure, overlay, save, show, trimmed
from drawing.maps import maps
from drawing.product import NUM_CLASSES, Product

from anomaly_clustering.clustering import cut, ward
from anomaly_clustering.clustering.bagging import BAGS, SHARE
from anomaly_clustering.features.views import turn
from anomaly_clustering.mic.scores import INTERVAL, interval_mean
from anomaly_clustering.search import nearest_distances


def method_heat(product: Product) -> None:
    """Photographs, and what weighs in them."""
    examples = ["crack", "fibre", "hole", "scratch", "scuff", "stain"]
    made, axes = figure(9.6, 3.5, nrows=2, ncols=len(examples))
    for column, name in zip(axes.T, examples, strict=True):
        i = product.example(name, 1)
        show(column[0], product.images[i], name)
        overlay(column[1], product.images[i], product.seen[i], product.side)
    save(trimmed(made), "method-heat")


def method_interval(product: Product) -> None:
    """Distances from three patches to the nearest patch of each other image, in order, and which of them count."""
    made, (left, right) = figure(9.6, 3.3, ncols=2, width_ratios=(1, 2.2))
    i, side = product.example("scratch", 1), product.side
    others = product.bags[[j for j in range(len(product.bags)) if j != i]]
    distances = nearest_distances(product.bags[i : i + 1], others)[0]  # [N - 1, M]
    scores = interval_mean(distances)
    step = product.images.shape[2] / side
    show(left, product.images[i])
    chosen = {
        "defect": (int(scores.argmax()), WARN),
        "groove": (26 * side + 23, ACCENT),
        "plain": (5 * side + 6, MUTED),
    }
    total = len(distances)
    for name, (patch, colour) in chosen.items():
        y, x = divmod(patch, side)
        box = ((x * step - 2, y * step - 2), step + 4, step + 4)
        left.add_patch(matplotlib.patches.Rectangle(*box, fill=False, ec=colour, lw=2.5))
        right.plot(np.arange(1, total + 1), distances[:, patch].sort().values, color=colour, lw=2)
        right.text(total + 1, distances[:, patch].max(), name, color=colour, va="center")
    right.axvspan(INTERVAL[0] * total, INTERVAL[1] * total, color=ACCENT, alpha=0.12, lw=0)
    right.text(np.mean(INTERVAL) * total, 0.02, "count", color=ACCENT, ha="center")
    right.set(xlabel="other images, the closest first", ylabel="distance to the nearest patch", ylim=(0, None))
    save(trimmed(made), "method-interval")


def method_levels(product: Product) -> None:
    """The weights of an image on the grid of each level."""
    levels = ["weights, stride 8", "levels 1 and 2: stride 16", "level 3: stride 32"]
    made, axes = figure(9.6, 2.6, ncols=len(levels) + 1)
    i = product.example("scratch", 1)
    show(axes[0], product.images[i], "image")
    weights = product.seen[i].view(1, 1, product.side, product.side)
    for axis, title, factor in zip(axes[1:], levels, (1, 2, 4), strict=True):
        here = torch.nn.functional.avg_pool2d(weights, factor)[0, 0]
        axis.imshow(here.sqrt(), cmap="inferno")
        axis.set(title=title, xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    save(trimmed(made), "method-levels")


def method_residual(product: Product) -> None:
    """The same images, by averages of patches, of what differs, and by signed roots."""
    ways = {
        "patches, three levels": product.averages,
        "residuals": product.residuals,
        "residuals, signed roots": product.rooted,
    }
    maps(product, {title: found.numpy() for title, found in ways.items()}, "method-residual")


def method_views(product: Product) -> None:
    """An image, turned by quarters, with the weights of each view; and their mean, turned back."""
    i = product.example("scratch", 1)
    index = torch.tensor([i])
    made, axes = figure(9.6, 2.4, ncols=5)
    for view, axis in enumerate(axes[:4]):
        image = turn(product.images[i], view)
        with torch.no_grad():
            found = product.stream(share=None, views=1, turned=view)({"image": image[None], "index": index})
        overlay(axis, image, found["weights"][0].flatten(), product.side)
        axis.set_title(f"{90 * view}°")
    overlay(axes[4], product.images[i], product.seen[i], product.side)
    axes[4].set_title("mean, turned back")
    save(trimmed(made), "method-views")


def method_bagged(product: Product) -> None:
    """How often two images are together in clusters of random subsets, beside Ward's one answer."""
    embeddings = product.rooted.numpy()
    n, order = len(embeddings), np.argsort(product.target, kind="stable")
    once = cut(ward(embeddings), NUM_CLASSES)
    together, met = np.zeros((n, n)), np.zeros((n, n))
    for number in range(BAGS):
        chosen = np.random.default_rng([0, number]).permutation(n)[: round(SHARE * n)]
        labels = cut(ward(embeddings[chosen]), NUM_CLASSES)
        together[np.ix_(chosen, chosen)] += labels[:, None] == labels
        met[np.ix_(chosen, chosen)] += 1
    made, axes = figure(9.6, 4.4, ncols=2)
    shares = {"one Ward": once[:, None] == once, f"share of {BAGS} Wards": together / np.maximum(met, 1)}
    edges = np.cumsum(np.bincount(product.target))
    for axis, (title, values) in zip(axes, shares.items(), strict=True):
        axis.imshow(values[np.ix_(order, order)], cmap="Greens", vmin=0, vmax=1)
        axis.hlines(edges[:-1] - 0.5, -0.5, n - 0.5, colors=MUTED, lw=0.5)
        axis.vlines(edges[:-1] - 0.5, -0.5, n - 0.5, colors=MUTED, lw=0.5)
        centres = edges - np.bincount(product.target) / 2
        axis.set(title=title, xticks=centres, yticks=centres)
        axis.set_xticklabels(product.names, rotation=45)
        axis.set_yticklabels(product.names)
    save(trimmed(made), "method-bagged")


FIGURES: dict[str, Callable[[Product], None]] = {
    "method-heat": method_heat,
    "method-interval": method_interval,
    "method-levels": method_levels,
    "method-residual": method_residual,
    "method-views": method_views,
    "method-bagged": method_bagged,
}
