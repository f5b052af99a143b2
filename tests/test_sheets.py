"""Beyond 500 images: photographs and heat maps in sheets, and the page finds each of them in its cell."""

import json
import re
import shutil
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import many, page

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.likeness import MANY, most_alike, packed

NUM_IMAGES = 520


def coloured() -> Report:
    """Images whose colour tells which they are, in one cluster; the last is twice as wide as high."""
    embeddings = np.arange(float(NUM_IMAGES))[:, None] * [1, 0]
    heat = np.zeros((NUM_IMAGES, 4, 4))
    heat[7, 0, 0] = 1
    return replace(
        many(embeddings, np.zeros(NUM_IMAGES, dtype=int), ward(embeddings)),
        distances=np.arange(float(NUM_IMAGES)),
        heat=heat,
        read=lambda path: Image.new("RGB", (60, 60 if int(path.stem) < NUM_IMAGES - 1 else 30), colour(int(path.stem))),
        outlines=lambda i: [[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]] if i == 7 else [],
        metadata={"batch": [str(i // 100) for i in range(NUM_IMAGES)], "time": ["2026-03-01T06:30:00"] * NUM_IMAGES},
    )


def colour(image: int) -> tuple[int, int, int]:
    return (image % 8 * 32, image // 8 % 8 * 32, image // 64 * 24)


def test_more_than_500_images_lie_in_sheets_those_that_are_seen_first_together(tmp_path):
    found = page(tmp_path, coloured())
    sheets = [*(tmp_path / "thumbnails").iterdir()]
    assert len(sheets) == 2 * -(-NUM_IMAGES // 16)
    # 30 for paper, then the three at the edge; the last figure is that from which others are made.
    assert found.galleries[0][:-1] == [*range(30), 517, 518, 519]
    first = found.attributes("img", "src")[0]
    sheet = Image.open(tmp_path / first)
    for position in range(16):
        middle = (position % 4 * 256 + 128, position // 4 * 256 + 128)
        assert np.abs(np.subtract(sheet.getpixel(middle), colour(position))).max() <= 3
    heat = (tmp_path / first).with_suffix(".svg").read_text()
    levels = np.asarray(Image.open(BytesIO(b64decode(re.search(r"base64,([^\"]+)", heat)[1]))).convert("RGBA"))[..., 3]
    # Image 7 is the last of the second row; its rim is as its edge.
    assert levels.shape == (24, 24)
    assert [tuple(place) for place in np.argwhere(levels)] == [(6, 18), (6, 19), (7, 18), (7, 19)]
    assert "M4750 1750L5750 1750L5750 2750Z" in heat


def one_later() -> Report:
    """One image more, the most typical of all, which comes before the others in the sheets."""
    base = coloured()
    return replace(
        base,
        paths=[*base.paths, Path(f"{NUM_IMAGES}.png")],
        names=[*base.names, f"{NUM_IMAGES}.png"],
        labels=np.append(base.labels, 0),
        distances=np.append(base.distances, -1.0),
        heat=np.concatenate([base.heat, base.heat[:1]]),
        target=np.append(base.target, -1),
        places=np.concatenate([base.places, base.places[:1]]),
        nearest=[0],
        contents=["ab" * 8],
        metadata={},
    )


def seen_on(page: Path) -> list[tuple[int, ...]]:
    """What a page shows in the middle of each image."""
    sheets = json.loads(re.search(r'id="run">(.*?)</script>', page.read_text(), re.DOTALL)[1])["sheets"]
    opened = [np.asarray(Image.open(page.parent / f"{name}.jpg")) for name in sheets["names"]]
    found = []
    for position in sheets["positions"]:
        sheet, cell = divmod(position, sheets["columns"] ** 2)
        row, column = divmod(cell, sheets["columns"])
        found.append(tuple(opened[sheet][row * 256 + 128, column * 256 + 128].tolist()))
    return found


def test_a_page_that_is_still_open_shows_its_own_images_when_the_next_report_is_written(tmp_path):
    page(tmp_path, coloured())
    shutil.copy(tmp_path / "report.html", tmp_path / "report-named.html")
    page(tmp_path, one_later())
    for shown, count in (("report-named.html", NUM_IMAGES), ("report.html", NUM_IMAGES + 1)):
        far = np.abs(np.subtract(seen_on(tmp_path / shown), [colour(i) for i in range(count)])).max()
        assert far <= 3, shown


@pytest.mark.slow
def test_a_page_without_its_sheets_says_so_and_shows_no_other_images(browser, tmp_path):
    page(tmp_path, coloured())
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.goto((tmp_path / "report.html").as_uri())
    tab.wait_for_timeout(300)
    missing = tab.locator("#missing-sheets")
    assert not missing.is_visible()
    for sheet in (tmp_path / "thumbnails").iterdir():
        sheet.unlink()
    tab.get_by_role("button", name="Show all 520").click()
    tab.get_by_text("Photographs are missing").wait_for()
    tab.reload()
    tab.get_by_text("Photographs are missing").wait_for()
    tab.close()


@pytest.mark.slow
def test_in_a_browser_each_image_is_seen_in_its_frame_whether_the_page_came_with_it_or_not(open_report, tmp_path):
    tab = open_report(coloured())
    tab.get_by_role("button", name="Show all 520").click()
    for image in (3, 29, 519):
        tab.locator("figure[data-index='0'] .tile").press("End") if image == 519 else tab.evaluate("scrollTo(0, 0)")
        tile = tab.locator(f"figure[data-index='{image}'] .frame")
        tile.scroll_into_view_if_needed()
        tab.wait_for_timeout(300)
        tab.mouse.move(0, 0)
        seen = Image.open(BytesIO(tile.screenshot())).convert("RGB")
        if image < 519:  # That which has the focus shows its heat map, which is empty here.
            assert np.abs(np.subtract(seen.getpixel((seen.width // 2, seen.height // 2)), colour(image))).max() <= 4
    assert seen.width == pytest.approx(2 * seen.height, abs=2)
    # Of all images only the rows near the window are there.
    assert tab.locator("figure").count() < 400
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "519"


@pytest.mark.slow
def test_metadata_are_shown_filter_and_are_counted(open_report):
    tab = open_report(coloured())
    tab.locator("#find-value").fill("5")
    assert tab.locator("#find-count").text_content() == "20 of 520 images are shown"
    tab.locator("figure:not([hidden]) .tile").first.press("Enter")
    assert tab.locator("#view-about").text_content().endswith("batch 5 · time 2026-03-01T06:30:00")
    tab.keyboard.press("Escape")
    tab.locator("section[data-cluster='0'] .naming").fill("dent")
    tab.keyboard.press("Enter")
    tab.locator("#fold-metadata > summary").click()
    rows = tab.locator("#counts tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["batch", "dent", "Total"],
        *([str(batch), "100", "100"] for batch in range(5)),
        ["5", "20", "20"],
    ]


@pytest.mark.slow
def test_labels_saved_of_many_images_are_opened_again_and_so_is_a_named_report(open_report, browser, tmp_path):
    tab = open_report(coloured())
    tab.locator("section[data-cluster='0'] .naming").fill("dent")
    tab.keyboard.press("Enter")
    for button, name in (("#save-csv", "labels.csv"), ("#save-named", "report-named.html")):
        with tab.expect_download() as download:
            tab.locator(button).click()
        download.value.save_as(tmp_path / name)
    other = browser.new_context().new_page()
    title = other.locator("section[data-cluster='0'] .title")
    other.goto((tmp_path / "report.html").as_uri())
    assert title.text_content() == "Cluster 0"
    other.locator("#load").set_input_files(tmp_path / "labels.csv")
    other.get_by_text("Labels loaded").wait_for()
    assert title.text_content() == "dent"
    other.goto((tmp_path / "report-named.html").as_uri())
    assert title.text_content() == "dent"
    other.context.close()


def test_of_many_images_nearly_all_of_the_nearest_are_found():
    rng = np.random.default_rng(0)
    # As of a network: much of what differs lies in few directions.
    noise = 0.1 * rng.normal(size=(MANY + 500, 64))
    vectors = (rng.normal(size=(MANY + 500, 12)) @ rng.normal(size=(12, 64)) + noise).astype(np.float32)
    found = most_alike(vectors)
    assert found.shape == (MANY + 500, 12)
    some = rng.integers(0, len(vectors), 50)
    apart = np.stack([((vectors - vectors[i]) ** 2).sum(1) for i in some])
    exact = np.argsort(apart, axis=1)[:, 1:13]
    assert np.mean([len({*a} & {*b}) / 12 for a, b in zip(exact.tolist(), found[some].tolist(), strict=True)]) > 0.9


def test_neighbours_of_more_than_65536_images_take_three_bytes():
    alike = np.zeros((1 << 17, 1), dtype=np.int64)
    alike[0] = 70_000
    found = packed(alike)
    assert found.bytes == 3
    assert int.from_bytes(b64decode(found.base64)[:3], "little") == 70_000
