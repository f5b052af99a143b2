"""The synthetic product in; every picture of the README and of these pages out, as docs/pictures/NAME.webp.

    python docs/pictures.py                 # all of them, in some ten minutes
    python docs/pictures.py label method    # those whose names begin so

No licensed image is used. Screenshots are taken by Playwright with the Chromium on the PATH, from a run of
`anomaly-clustering cluster` on a flat folder of the generated images, as a user has them, and from one on the same
images in subfolders by class. Figures are drawn by matplotlib from the package's own functions.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy.cluster.hierarchy import dendrogram

from anomaly_clustering.cli.main import main as anomaly_clustering
from anomaly_clustering.clustering import choose_num_clusters, cut, ward
from anomaly_clustering.clustering.bagging import BAGS, SHARE
from anomaly_clustering.data import Synthetic
from anomaly_clustering.features import Backbone, Embedder, bag
from anomaly_clustering.features.views import turn
from anomaly_clustering.metrics import normalized_mutual_information
from anomaly_clustering.mic import effective_patches, novelty, rarity, signed_root, soften, weighted_average
from anomaly_clustering.mic.presets import SIGNED_RESIDUALS
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.references import draw
from anomaly_clustering.mic.scores import INTERVAL, interval_mean
from anomaly_clustering.mic.streaming import IMAGES, Stream
from anomaly_clustering.search import nearest_distances

PICTURES = Path(__file__).resolve().parent / "pictures"
REPOSITORY = PICTURES.parents[1]
MOST_BYTES = 150_000
TAU = 0.02
NUM_CLASSES = 7
# By Okabe and Ito: told apart by colour-blind readers too.
COLOURS = ["#999999", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7"]
INK, MUTED, ACCENT, WARN = "#1b201e", "#59625e", "#0c665b", "#b45309"
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def save(image: Image.Image, name: str) -> None:
    """Write a picture as WebP, in the best quality that keeps it small."""
    for quality in (90, 80, 70, 60, 50):
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() < MOST_BYTES:
            break
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / f"{name}.webp").write_bytes(buffer.getvalue())
    print(f"{name}.webp: {image.width} x {image.height}, {buffer.tell() / 1000:.0f} kB", flush=True)


# Screenshots of the report.


def flat_folder(data: Synthetic, folder: Path, *, first: int) -> None:
    """The images of the synthetic product in one folder, in a random order, as a camera would number them."""
    data.prepare_data()
    data.setup()
    paths = [record.image for record in data.records]
    random.Random(0).shuffle(paths)
    folder.mkdir()
    for number, path in enumerate(paths, start=first):
        shutil.copy(path, folder / f"{number:04d}.png")


def make_runs() -> None:
    """Runs on the same images without and with classes; a few images that come later.

    By the paper's method: the default leaves nothing to split, merge or move in the flat folder.
    """
    flat_folder(Synthetic(), Path("photos"), first=1)
    flat_folder(Synthetic(per_class=2, normals=1, seed=1), Path("new_photos"), first=85)
    anomaly_clustering(["cluster", "photos", "--method", "paper", "--clusters", "8"])
    anomaly_clustering(["cluster", "--synthetic", "--method", "paper", "--clusters", "8"])


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser that asks no host for anything."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        raise FileNotFoundError("screenshots need chromium, chromium-browser or google-chrome on the PATH; found none")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


IMAGES_IN_WINDOW = """
    const seen = (image) => {
        const box = image.getBoundingClientRect();
        return image.getClientRects().length && box.bottom > 0 && box.top < innerHeight;
    };
    const patience = new Promise((done) => setTimeout(done, 10000));
    Promise.race([patience, Promise.all([...document.images].filter(seen).map((image) => image.decode()))]);
"""


class Report:
    """A report in a browser, used as a person would: by roles and by what is written there.

    The window is as high as the page unless `height` is given, so that all of it is drawn. Strips are opened unless
    `opened` is false.
    """

    def __init__(self, browser: Any, folder: str, *, width: int = 900, height: int = 6000, opened: bool = True):
        self.page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        self.page.goto((Path(folder) / "report.html").resolve().as_uri())
        # The message in the corner comes and goes.
        self.page.add_style_tag(content="[role=status] { visibility: hidden; }")
        if opened:
            self.page.evaluate("document.querySelectorAll('[data-do=open]:not([hidden])').forEach(b => b.click())")

    def cluster(self, title: str) -> Any:
        """The part of the page that shows a cluster, by its number or name."""
        return self.page.get_by_role("region", name=re.compile(rf"^(✓ ?)?{re.escape(title)}\b"))

    def figure(self, file: str) -> Any:
        return self.page.locator("figure", has_text=file)

    def tile(self, file: str) -> Any:
        return self.figure(file).get_by_role("button").first

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True).first

    def leave(self) -> None:
        """No focus and no pointer on anything."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("document.activeElement.blur()")

    def name(self, title: str, name: str) -> None:
        box = self.page.get_by_label(f"Name of {title}", exact=True)
        box.fill(name)
        box.press("Enter")
        self.leave()

    def unfold(self, title: str) -> Any:
        """What lies folded below the clusters, by its heading."""
        fold = self.page.locator("details", has=self.page.get_by_role("heading", name=re.compile(f"^{title}")))
        fold.locator("summary").click()
        return fold

    def choose_merge(self, title: str, into: str) -> Any:
        self.cluster(title).get_by_role("button", name="Merge …").click()
        chooser = self.page.get_by_label("Merge into")
        chooser.select_option(label=next(text for text in chooser.locator("option").all_inner_texts() if into in text))
        return self.page.get_by_role("dialog").locator("> *").first

    def merge(self) -> None:
        self.page.get_by_role("button", name="Merge", exact=True).click()
        self.leave()

    def window(self) -> Image.Image:
        """What the window shows, once its images have come."""
        self.page.wait_for_timeout(500)
        self.page.evaluate(IMAGES_IN_WINDOW)
        return Image.open(BytesIO(self.page.screenshot()))

    def shot(self, *parts: Any, margin: int = 8, most: int = 10_000, across: bool = True) -> Image.Image:
        """The rectangle around parts of the page; as wide as the page if `across`."""
        window = self.window()
        boxes = [part.bounding_box() for part in parts]
        left, top = (min(box[edge] for box in boxes) - margin for edge in "xy")
        right = max(box["x"] + box["width"] for box in boxes) + margin
        bottom = min(max(box["y"] + box["height"] for box in boxes), top + most) + margin
        if across:
            left, right = 0, window.width
        return window.crop(tuple(map(round, (left, top, right, bottom))))


# What a person would call the clusters that the run finds. 'Cluster 5' mixes fibres and cracks, and 0017.png, a scuff,
# is in 'Cluster 0': what follows shows how such things are put right.
NAMES = {
    "Cluster 0": "stain",
    "Cluster 1": "good",
    "Cluster 2": "scratch",
    "Cluster 3": "hole",
    "Cluster 4": "scuff",
    "Cluster 6": "crack",
    "Cluster 7": "fibre",
}
MIXED, REST, MISPLACED, DOUBTFUL = "Cluster 5", "Cluster 8", "0017.png", "0067.png"


def report_overview(browser: Any) -> None:
    report = Report(browser, "photos-clusters", width=1180, height=1130, opened=False)
    for title, name in NAMES.items():
        report.name(title, name)
    report.page.evaluate("window.scrollTo(0, 0)")
    save(report.window(), "report")


def report_heat(browser: Any) -> None:
    report = Report(browser, "photos-clusters")
    report.button("Heat maps").click()
    report.leave()
    save(report.shot(report.cluster("Cluster 4")), "report-heat")


def report_view(browser: Any) -> None:
    report = Report(browser, "photos-clusters", width=960, height=720)
    report.tile("0074.png").click()
    report.page.evaluate("document.activeElement.blur()")
    save(report.shot(report.page.get_by_role("dialog").locator("> *").first, margin=-6, across=False), "report-view")


def report_confusion(browser: Any) -> None:
    report = Report(browser, "synthetic-clusters")
    save(report.shot(report.unfold("Clusters and known classes")), "report-confusion")


def label_number(browser: Any) -> None:
    """The slider is being moved."""
    report = Report(browser, "photos-clusters", width=640)
    part = report.unfold("Number of clusters")
    slider = report.page.get_by_role("slider", name="Clusters")
    slider.evaluate("(slider) => { slider.value = 12; slider.dispatchEvent(new Event('input', { bubbles: true })); }")
    save(report.shot(part, margin=0), "label-number")


def label_steps(browser: Any) -> None:
    """Each step of labelling, from the state that the last one left."""
    report = Report(browser, "photos-clusters")
    page = report.page

    box = page.get_by_label("Name of Cluster 0", exact=True)
    box.press_sequentially("stain")
    save(report.shot(report.cluster("Cluster 0"), most=230), "label-name")
    box.press("Enter")
    for title, name in list(NAMES.items())[1:]:
        report.name(title, name)

    save(report.shot(report.cluster(MIXED)), "label-split-before")
    report.cluster(MIXED).get_by_role("button", name="Split").click()
    report.leave()
    save(report.shot(report.cluster(MIXED), report.cluster(REST)), "label-split-after")

    page.set_viewport_size({"width": 900, "height": 700})
    save(report.shot(report.choose_merge(MIXED, "fibre"), margin=-6, across=False), "label-merge")
    report.merge()
    page.set_viewport_size({"width": 900, "height": 6000})
    report.name(REST, "crack")

    # Where the mouse has an image in hand, over the bar that stays in sight.
    page.set_viewport_size({"width": 900, "height": 560})
    page.evaluate("window.scrollTo(0, 0)")
    box = report.cluster("stain").bounding_box()
    page.evaluate(f"window.scrollTo(0, {box['y'] + 60})")
    start = centre(report.tile(MISPLACED))
    end = centre(page.get_by_role("link", name=re.compile("^scuff,")))
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] - 20, start[1] - 20, steps=3)
    page.mouse.move(*end, steps=20)
    page.mouse.move(end[0] + 30, end[1], steps=5)
    page.wait_for_timeout(300)
    save(with_arrow(report.window(), start, (end[0] + 30, end[1])), "label-drag")
    page.mouse.up()
    page.set_viewport_size({"width": 900, "height": 6000})
    report.leave()

    report.tile(DOUBTFUL).press("u")
    report.leave()
    save(report.shot(report.figure(DOUBTFUL).locator("xpath=..")), "label-unsure")
    page.set_viewport_size({"width": 1100, "height": 6000})
    save(report.shot(page.get_by_role("region", name="Labelling"), margin=2), "label-save")
    save_labels(report)


def save_labels(report: Report) -> None:
    with report.page.expect_download() as download:
        report.button("Save labels.csv").click()
    download.value.save_as("labels.csv")


def label_assign(browser: Any) -> None:
    """Images that came later, in the report that they were added to."""
    shutil.copytree("photos-clusters", "later")
    anomaly_clustering(["assign", "new_photos", "--run", "later"])
    report = Report(browser, "later")
    save(report.shot(report.cluster("Cluster 2")), "label-assign")


def centre(part: Any) -> tuple[float, float]:
    box = part.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def with_arrow(image: Image.Image, start: tuple[float, float], end: tuple[float, float]) -> Image.Image:
    """A screenshot has no mouse pointer; an arrow shows where it went."""
    figure = Figure(figsize=(image.width / 100, image.height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(image)
    axes.axis("off")
    look = {"arrowstyle": "-|>,head_width=0.5,head_length=0.9", "connectionstyle": "arc3,rad=-0.25"}
    for colour, width in (("white", 7), (WARN, 3)):
        axes.annotate("", end, start, arrowprops={**look, "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 8})
    return drawn(figure, dpi=100)


def drawn(figure: Figure, *, dpi: int = 150, **layout: Any) -> Image.Image:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", **layout)
    return Image.open(buffer)


SCREENSHOTS: dict[str, Callable[[Any], None]] = {
    "report": report_overview,
    "report-heat": report_heat,
    "report-view": report_view,
    "report-confusion": report_confusion,
    "label-number": label_number,
    "label": label_steps,
    "label-assign": label_assign,
}


# Figures of the method.


@dataclass
class Product:
    """The synthetic product, step by step as the method sees it; each step is computed when it is first asked for."""

    @cached_property
    def data(self) -> Synthetic:
        data = Synthetic(num_workers=0)
        data.prepare_data()
        data.setup()
        return data

    @cached_property
    def images(self) -> torch.Tensor:
        return torch.cat([batch["image"] for batch in self.data.test_dataloader()])

    @cached_property
    def masks(self) -> torch.Tensor:
        return torch.cat([batch["mask"] for batch in self.data.test_dataloader()])[:, 0]

    @cached_property
    def target(self) -> np.ndarray:
        return torch.cat([batch["target"] for batch in self.data.test_dataloader()]).numpy()

    @cached_property
    def names(self) -> list[str]:
        return list(self.data.class_names)

    @cached_property
    def backbone(self) -> Backbone:
        return Backbone("embedded")

    def bags_of(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([bag(self.backbone(part)) for part in images.split(8)])

    @cached_property
    def bags(self) -> torch.Tensor:
        return self.bags_of(self.images)

    @cached_property
    def rarity(self) -> torch.Tensor:
        return rarity(self.bags)

    @cached_property
    def novelty(self) -> torch.Tensor:
        normals = torch.cat([batch["image"] for batch in self.data.normal_dataloader()])
        return novelty(self.bags, self.bags_of(normals).flatten(0, 1))

    @cached_property
    def side(self) -> int:
        return round(self.bags.shape[1] ** 0.5)

    def embeddings(self, weights: torch.Tensor) -> np.ndarray:
        return weighted_average(self.bags, weights).numpy()

    @cached_property
    def tree(self) -> np.ndarray:
        return ward(self.embeddings(soften(self.rarity, TAU)))

    # What `cluster` makes of it by default, signed residuals.

    @cached_property
    def drawn(self) -> torch.Tensor:
        """Positions of the references."""
        return draw(len(self.images), IMAGES, 0)

    @cached_property
    def embedder(self) -> Embedder:
        return Embedder(Backbone("embedded", layer=SIGNED_RESIDUALS["layer"]))

    @torch.no_grad()
    def stream(self, *, share: float | None, views: Any, turned: int = 0) -> Stream:
        """What compares images with the references, in so many ways to look at them; all turned by quarters before."""
        recipe = Recipe(
            *("embedded", self.embedder.backbone.layer, None, 3, self.images.shape[2], "weighted_average", "rarity"),
            *(SIGNED_RESIDUALS["reduce"], TAU, None, share),
            views=views,
        )
        some = {"image": turn(self.images[self.drawn], turned), "index": self.drawn}
        pixels = (some["image"] * 255).round().to(torch.uint8)
        stream = Stream(self.embedder, pixels, recipe, positions=self.drawn, tau=TAU)
        stream.choose_tau(some, SIGNED_RESIDUALS["effective_patches"])
        return stream

    @torch.no_grad()
    def streamed(self, share: float | None) -> dict[str, torch.Tensor]:
        """Weights, and averages of all levels, of each image, looked at as it is."""
        stream = self.stream(share=share, views=1)
        return stream({"image": self.images, "index": torch.arange(len(self.images))})

    @cached_property
    def averages(self) -> torch.Tensor:
        """Of patches as they are."""
        return self.streamed(None)["embeddings"]

    @cached_property
    def residuals(self) -> torch.Tensor:
        """Averages of what differs."""
        return self.streamed(SIGNED_RESIDUALS["residual_share"])["embeddings"]

    @cached_property
    def rooted(self) -> torch.Tensor:
        return signed_root(self.residuals, self.residuals.mean(0), self.embedder.backbone.channels_of_levels)

    @cached_property
    def seen(self) -> dict[int, torch.Tensor]:
        """Weights of one image of each class, looked at in four ways."""
        chosen = torch.tensor([self.example(name, 1) for name in self.names])
        stream = self.stream(share=None, views=SIGNED_RESIDUALS["views"])
        with torch.no_grad():
            weights = stream({"image": self.images[chosen], "index": chosen})["weights"]
        return dict(zip(chosen.tolist(), weights.flatten(1), strict=True))

    def example(self, name: str, number: int = 0) -> int:
        """The position of an image of a class."""
        return int(np.flatnonzero(self.target == self.names.index(name))[number])


def show(axes: Any, image: torch.Tensor, title: str = "") -> None:
    axes.imshow(image.permute(1, 2, 0).numpy())
    axes.set_title(title)
    axes.set_axis_off()


def overlay(axes: Any, image: torch.Tensor, weights: torch.Tensor, side: int) -> None:
    """Weights over their image, as the report shows them: what weighs no more than the mean is transparent."""
    show(axes, image)
    grid = weights.view(side, side).numpy()
    above = np.clip(grid - grid.mean(), 0, None)
    above = above / above.max() if above.max() > 1e-3 * grid.mean() else above * 0
    colours = matplotlib.colormaps["inferno"](0.3 + 0.65 * above)
    colours[..., 3] = 0.9 * np.sqrt(above)
    axes.imshow(colours, extent=(0, image.shape[2], image.shape[1], 0), interpolation="bilinear")


def figure(width: float, height: float, **grid: Any) -> tuple[Figure, Any]:
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(**grid)


def trimmed(made: Figure, *, dpi: int = 150) -> Image.Image:
    """Drawn, with a narrow margin."""
    return drawn(made, dpi=dpi, bbox_inches="tight", pad_inches=0.08)


def method_heat(product: Product) -> None:
    """Photographs, and what weighs in them."""
    examples = ["crack", "fibre", "hole", "scratch", "scuff", "stain"]
    made, axes = figure(9.6, 3.5, nrows=2, ncols=len(examples))
    for column, name in zip(axes.T, examples, strict=True):
        i = product.example(name, 1)
        show(column[0], product.images[i], name)
        overlay(column[1], product.images[i], product.seen[i], product.side)
    save(trimmed(made), "method-heat")


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


def on_plane(embeddings: np.ndarray) -> np.ndarray:
    """The first two principal components, the sign of each such that its largest entry is positive."""
    left, lengths, _ = np.linalg.svd(embeddings - embeddings.mean(0), full_matrices=False)
    places = left[:, :2] * lengths[:2]
    return places * np.sign(places[abs(places).argmax(0), [0, 1]])


def method_average(product: Product) -> None:
    """The same images as plain and as weighted averages of their patches."""
    ways = {
        "uniform weights": torch.full_like(product.rarity, 1 / product.rarity.shape[1]),
        "weights by rarity (Eq. 5)": soften(product.rarity, TAU),
        "weights by novelty (Eq. 6)": soften(product.novelty, TAU),
    }
    maps(product, {title: product.embeddings(weights) for title, weights in ways.items()}, "method-average")


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
    "method-bag": method_bag,
    "method-scores": method_scores,
    "method-tau": method_tau,
    "method-average": method_average,
    "method-dendrogram": method_dendrogram,
    "method-knee": method_knee,
    "method-interval": method_interval,
    "method-levels": method_levels,
    "method-residual": method_residual,
    "method-views": method_views,
    "method-bagged": method_bagged,
}


# Figures of the paper, as `python -m experiments` draws them.

EXPERIMENTS = ("figure6", "figure13")


def experiment(name: str) -> None:
    out = Path("experiments").resolve()
    options = ["--data", "synthetic", "--backbone", "embedded", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "experiments", name, *options], cwd=REPOSITORY, check=True)
    with Image.open(out / "figures" / f"{name}-synthetic-embedded.png") as image:
        image.thumbnail((1400, 1400))
        save(image, f"experiments-{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[""], metavar="NAME", help="beginnings of names; all if not given")
    wanted = tuple(parser.parse_args().names)
    matplotlib.rcParams.update(STYLE)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        product = Product()
        for name, draw in FIGURES.items():
            if name.startswith(wanted):
                draw(product)
        for name in EXPERIMENTS:
            if f"experiments-{name}".startswith(wanted):
                experiment(name)
        screenshots = [take for name, take in SCREENSHOTS.items() if name.startswith(wanted)]
        if screenshots:
            make_runs()
            with chromium() as browser:
                for take in screenshots:
                    take(browser)


if __name__ == "__main__":
    main()
