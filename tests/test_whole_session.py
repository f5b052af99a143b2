"""A whole session on real images in a browser: names by the keyboard, moves, filters, files for other browsers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from labelling_page import galleries, progress, saved, section, tile
from PIL import Image
from test_finding import ask, shown
from test_label_files import fresh

from anomaly_clustering.cli.main import main

pytestmark = pytest.mark.slow
__all__ = ["fresh"]

TILES = SHARED / "data" / "mtd"
MOST_OF_A_CLASS = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a run on some 300 images of Magnetic Tile Defects."""
    if not TILES.is_dir():
        pytest.skip(f"{TILES} is not there")
    folder = tmp_path_factory.mktemp("session")
    for kind in sorted(TILES.glob("MT_*")):
        (folder / "tiles" / kind.name.removeprefix("MT_")).mkdir(parents=True)
        for image in sorted(kind.rglob("*.jpg"))[:MOST_OF_A_CLASS]:
            shutil.copy(image, folder / "tiles" / kind.name.removeprefix("MT_"))
    main(["cluster", str(folder / "tiles"), "--out", str(folder / "run"), "--method", "paper", "--clusters", "9"])
    return folder / "run"


def majorities(tab) -> list[str]:
    """What a person would call the clusters, from the top of the page."""
    texts = tab.locator("section[data-cluster] .majority").all_text_contents()
    return [text.removeprefix("mostly ") for text in texts]


def names(tab) -> list[tuple[str, str]]:
    seen = "sections => sections.map(section => [section.id, section.querySelector('.title').textContent])"
    return sorted(map(tuple, tab.locator("section[data-cluster]").evaluate_all(seen)))


def test_a_whole_session_on_300_tiles(run, fresh, tmp_path):
    tab = fresh(run / "report.html")
    assert tab.evaluate("document.querySelector('.photo').getBoundingClientRect().top") <= 300
    count = tab.locator("figure").count()
    assert count >= 300

    tab.keyboard.press("n")
    for text in majorities(tab):
        tab.keyboard.type(text)
        tab.keyboard.press("Enter")
    assert progress(tab).startswith(f"{count} of {count} images labelled · 9 decisions made")

    # One image is moved by keys, one is not in its cluster, one is unsure.
    first, second = list(galleries(tab))[:2]
    moved, doubtful, wrong = tab.evaluate(
        "id => [...document.querySelectorAll(`#cluster-${id} figure`)].slice(0, 3).map(f => +f.dataset.index)", first
    )
    tile(tab, moved).press("x")
    tile(tab, moved).press("m")
    tab.locator("#move-to").select_option(str(second))
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    assert moved in galleries(tab)[second]
    tile(tab, doubtful).press("u")
    tile(tab, wrong).press("r")
    assert wrong not in galleries(tab)[first]

    ask(tab, "unsure", "unsure")
    assert shown(tab) == {doubtful}
    tab.locator("#find-clear").click()
    tile(tab, doubtful).press("s")
    like = [int(i) for i in tab.locator("#similar [data-like]").evaluate_all("l => l.map(b => b.dataset.like)")]
    assert like[0] == doubtful
    assert len(set(like)) == 25
    tab.keyboard.press("Escape")

    table, copy = saved(tab, "#save-csv", tmp_path), saved(tab, "#save-named", tmp_path)
    another = fresh(run / "report.html")
    assert progress(another).startswith(f"0 of {count}")
    another.locator("#load").set_input_files(table)
    another.get_by_text("Labels loaded").wait_for()
    for other in (another, fresh(copy)):
        assert names(other) == names(tab)
        assert galleries(other) == galleries(tab)
        assert progress(other).startswith(f"{count - 1} of {count} images labelled")
    given = names(tab)
    # The file of an image, at its full size.
    tile(tab, moved).press("Enter")
    link = tab.locator("#view-original").get_attribute("href")
    tab.goto(link)
    assert tab.locator("img").evaluate("image => image.naturalWidth") > 0

    later = tmp_path / "later"
    later.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(later / "new.png")
    main(["assign", str(later), "--run", str(run), "--labels", str(table)])
    assigned = fresh(run / "report.html")
    found = [pair for pair in names(assigned) if pair[0] != "cluster--1"]
    assert found == given
    assert f"{count - 1} of" in progress(assigned)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_nothing_serious_in_any_view_of_it(run, fresh, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab = fresh(run / "report.html")
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    first = next(iter(galleries(tab)))
    section(tab, first).locator(".naming").fill("break")
    tab.keyboard.press("Enter")
    for fold in tab.locator("details > summary").all():
        fold.click()
    tab.locator("section[data-cluster] .tile").first.press("s")
    tab.locator("#similar [data-like]").nth(1).click()

    def serious() -> list[str]:
        found = axe.Axe().run(tab).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]

    assert serious() == []
    tab.locator("#unselect").click()
    tab.locator("[data-do='merge']").first.click()
    assert serious() == []
    tab.keyboard.press("Escape")
    tab.locator("section[data-cluster] .tile").first.press("Enter")
    assert serious() == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
