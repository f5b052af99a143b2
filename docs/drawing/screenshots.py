"""The synthetic product in; screenshots of its report, and of each step of labelling it, out."""

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drawing.look import WARN, drawn, save
from drawing.report import Report, centre
from matplotlib.figure import Figure
from PIL import Image

from anomaly_clustering.cli.main import main as anomaly_clustering
from anomaly_clustering.data import Synthetic


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


SCREENSHOTS: dict[str, Callable[[Any], None]] = {
    "report": report_overview,
    "report-heat": report_heat,
    "report-view": report_view,
    "report-confusion": report_confusion,
    "label-number": label_number,
    "label": label_steps,
    "label-assign": label_assign,
}
