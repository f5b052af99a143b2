"""The product in; the figures of the paper's method, from patches to the choice of the number of clusters, out."""

from collections.abc import Callable

import matplotlib
import numpy as np
import torch
from drawing.look import ACCENT, INK, MUTED, WARN, figure, overlay, save, show, trimmed
from drawing.maps import maps
from drawing.product import TAU, Product
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram

from anomaly_clustering.clustering import choose_num_clusters, cut
from anomaly_clustering.mic import effective_patches, soften


def method_bag(product: Product) -> None:
    """An image, its grid of patches, and the vectors of some of them."""
    made, (left, middle, right) = figure(9.6, 3.2, ncols=3, width_ratios=(1, 1, 1.3))
    i = product.example("scratch", 1)
    image, side = product.images[i], product.side
    step = image.shape[1] / side
    show(left, image, f"image, {image.shape[2]} x {image.shape[1]} pixels")
    show(middle, image, f"M = {side} x {side} = {side * side} patches")
    lines = np.arange(0, side + 1) * step
    middle.hlines(lines, 0, image.shape[2], colors="white", lw=0.4, alpha=0.7)
    middle.vlines(lines, 0, image.shape[1], colors="white", lw=0.4, alpha=0.7)
    middle.set(xlim=(0, image.shape[2]), ylim=(image.shape[1], 0))
    defect = int(product.rarity[i].argmax())
    plain = [5 * side + 6, 20 * side + 8, 26 * side + 20]
    chosen = [*plain, defect]
    vectors = product.bags[i][chosen].numpy()
    right.imshow(vectors, aspect="auto", cmap="PuOr", vmin=-abs(vectors).max(), vmax=abs(vectors).max())
    for row, patch in enumerate(chosen):
        colour = WARN if patch == defect else ACCENT
        y, x = divmod(patch, side)
        middle.add_patch(
            matplotlib.patches.Rectangle(
                (x * step - 2, y * step - 2), step + 4, step + 4, fill=False, ec=colour, lw=2.5
            )
        )
        right.text(-1, row, "defect" if patch == defect else "plain", ha="right", va="center", color=colour)
    right.set(title=f"four of them, D = {vectors.shape[1]} numbers each", yticks=[])
    right.set_xlabel("channel")
    right.spines[:].set_visible(False)
    save(trimmed(made), "method-bag")


def method_scores(product: Product) -> None:
    """How far the nearest like of each patch is, in the other images and in the normal ones."""
    examples = ["good", "crack", "scratch", "stain"]
    made, axes = figure(9.6, 6.6, nrows=3, ncols=len(examples))
    scores = {"rarity (Eq. 5)": product.rarity, "novelty (Eq. 6)": product.novelty}
    for column, name in zip(axes.T, examples, strict=True):
        i = product.example(name, 1)
        show(column[0], product.images[i], name)
        for axis, values in zip(column[1:], scores.values(), strict=True):
            drawn_map = axis.imshow(values[i].view(product.side, product.side), cmap="inferno", vmin=0.1, vmax=0.9)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for axis, name in zip(axes[1:, 0], scores, strict=True):
        axis.set_ylabel(name)
    bar = made.colorbar(drawn_map, ax=axes[1:], shrink=0.7, aspect=30)
    bar.set_label("distance to the nearest patch")
    bar.outline.set_visible(False)
    save(trimmed(made, dpi=110), "method-scores")


def method_tau(product: Product) -> None:
    """The same scores as weights, by tau."""
    taus = [0.005, TAU, 0.05, 0.2]
    made, axes = figure(9.6, 2.55, ncols=len(taus) + 1)
    i = product.example("scratch", 1)
    show(axes[0], product.images[i], "image")
    for axis, tau in zip(axes[1:], taus, strict=True):
        weights = soften(product.rarity, tau)
        overlay(axis, product.images[i], weights[i], product.side)
        counting = round(float(effective_patches(weights[i : i + 1])))
        axis.set_title(f"$\\tau$ = {tau:g}: {counting} patch{'' if counting == 1 else 'es'}")
    save(trimmed(made), "method-tau")


def method_average(product: Product) -> None:
    """The same images as plain and as weighted averages of their patches."""
    ways = {
        "uniform weights": torch.full_like(product.rarity, 1 / product.rarity.shape[1]),
        "weights by rarity (Eq. 5)": soften(product.rarity, TAU),
        "weights by novelty (Eq. 6)": soften(product.novelty, TAU),
    }
    maps(product, {title: product.embeddings(weights) for title, weights in ways.items()}, "method-average")


def method_dendrogram(product: Product) -> None:
    """All merges of Ward's method above the cut, with the images of each branch below it."""
    k, shown = 8, 3
    tree, labels = product.tree, cut(product.tree, k)
    made = Figure(figsize=(9.6, 5.4))
    top = made.add_axes((0.06, 0.53, 0.93, 0.46))
    with matplotlib.rc_context({"lines.linewidth": 1.4}):
        found = dendrogram(tree, p=k, truncate_mode="lastp", ax=top, no_labels=True, link_color_func=lambda _: INK)
    cut_height = (tree[-k, 2] + tree[-k + 1, 2]) / 2
    top.axhline(cut_height, color=WARN, ls=(0, (4, 3)), lw=1.3)
    top.text(20, cut_height, f"cut: {k} clusters", color=WARN, ha="center", va="bottom")
    top.set(ylabel="height of the merge", ylim=(0, None))
    top.spines["bottom"].set_visible(False)
    for place, leaf in enumerate(found["leaves"]):
        members = np.sort(leaves_below(tree, leaf))
        assert len(set(labels[members])) == 1
        for row, i in enumerate(members[:: max(1, len(members) // shown)][:shown]):
            width = 0.93 / k
            axis = made.add_axes((0.06 + (place + 0.05) * width, 0.355 - row * 0.175, 0.9 * width, 0.165))
            show(axis, product.images[i])
    save(trimmed(made), "method-dendrogram")


def leaves_below(tree: np.ndarray, node: int) -> list[int]:
    n = len(tree) + 1
    return [node] if node < n else [leaf for child in tree[node - n, :2] for leaf in leaves_below(tree, int(child))]


def method_knee(product: Product) -> None:
    """The height of each merge over the number of clusters that it leaves, and the two lines that fit best."""
    choice = choose_num_clusters(product.tree)
    heights = product.tree[::-1, 2]
    numbers = np.arange(2, max(choice.criterion) + 3)
    values, knee = heights[: len(numbers)], choice.num_clusters
    made, axis = figure(6.4, 3.2)
    axis.plot(numbers, values, "o", color=MUTED, ms=5)
    for part in (numbers <= knee, numbers > knee):
        slope, start = np.polyfit(numbers[part], values[part], 1)
        axis.plot(numbers[part], slope * numbers[part] + start, color=ACCENT, lw=2)
    axis.axvline(knee, color=WARN, ls=(0, (4, 3)), lw=1.3)
    axis.text(knee + 0.2, values.max(), f"knee: {knee} clusters", color=WARN, va="top")
    axis.set(xlabel="number of clusters before the merge", ylabel="height of the merge", xticks=numbers[::2])
    save(trimmed(made), "method-knee")


FIGURES: dict[str, Callable[[Product], None]] = {
    "method-bag": method_bag,
    "method-scores": method_scores,
    "method-tau": method_tau,
    "method-average": method_average,
    "method-dendrogram": method_dendrogram,
    "method-knee": method_knee,
}
