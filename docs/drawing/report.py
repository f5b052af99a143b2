"""The report of a run, open in a browser and used as a person would -> screenshots of its parts."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image


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


def centre(part: Any) -> tuple[float, float]:
    box = part.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
