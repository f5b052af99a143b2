"""Looking at images in a browser: the lens, heat maps, the map, more like one, and what a screen reader is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labelling_page import name, section, tile
from PIL import Image
from planted import many, one_more, planted

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.report.curves import curves
from anomaly_clustering.report.likeness import most_alike

pytestmark = pytest.mark.slow


def test_scores_that_are_no_numbers_do_not_stop_it(open_report):
    tab = open_report(planted(scores=np.array([np.inf, -np.inf, np.nan, 1, 2, 3, 4])))
    name(tab, 2, "scratch")
    assert section(tab, 2).locator(".title").text_content() == "scratch"


def test_more_like_this_one_keeps_the_focus_and_leads_back(open_report):
    tab = open_report(planted(alike=most_alike(planted().places)))
    tile(tab, 5).press("Enter")
    tab.locator("#view-like").click()
    tab.wait_for_timeout(200)
    assert tab.evaluate("document.activeElement.dataset.like") == "5"
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "5"


def test_the_lens_and_the_strength_of_heat_maps(open_report):
    tab = open_report(planted())
    tile(tab, 5).press("Enter")
    frames = tab.locator("dialog .frame")
    width = frames.first.bounding_box()["width"]
    tab.keyboard.press("+")
    assert [frame.bounding_box()["width"] for frame in frames.all()] == pytest.approx([2 * width] * 2, rel=0.01)
    panes = tab.locator(".pane")
    # The middle of the image stays in the middle of both panes.
    middle = "pane => (pane.scrollLeft + pane.clientWidth / 2) / pane.scrollWidth"
    tab.keyboard.press("+")
    assert [pane.evaluate(middle) for pane in panes.all()] == pytest.approx([0.5] * 2, abs=0.01)
    # Arrow keys walk from image to image, but move the lens where it has the focus.
    panes.first.focus()
    before = panes.first.evaluate("pane => pane.scrollLeft")
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function("before => document.querySelector('.pane').scrollLeft < before", arg=before)
    tab.wait_for_timeout(500)  # The key scrolls smoothly, and would go on below.
    tab.keyboard.press("-")
    panes.first.evaluate("pane => pane.scrollTo(40, 0)")
    tab.locator("dialog .opacity").fill("40")
    tab.wait_for_timeout(400)  # The other pane follows, and the map fades.
    assert panes.last.evaluate("pane => pane.scrollLeft") == 40
    opacity = tab.locator("dialog .heat").evaluate("heat => getComputedStyle(heat).opacity")
    assert float(opacity) == pytest.approx(0.4)
    assert tab.locator(".bar .opacity").input_value() == "40"
    # On a slider its arrows are its own; other keys go on.
    tab.locator("dialog .opacity").focus()
    tab.keyboard.press("u")
    assert tab.locator("#view-about").text_content().endswith("Unsure")


def test_a_frame_on_the_map_selects_what_is_in_it(open_report):
    tab = open_report(planted())
    tab.get_by_role("link", name="Map").click()
    box = tab.locator("#map").bounding_box()
    tab.mouse.move(box["x"] + 2, box["y"] + 2)
    tab.mouse.down()
    # Images 0, 2 and 3 lie at the left edge of the map, 5 below them.
    tab.mouse.move(box["x"] + 0.12 * box["width"], box["y"] + 0.2 * box["height"])
    tab.mouse.up()
    chosen = tab.locator("figure.selected").evaluate_all("figures => figures.map(figure => figure.dataset.index)")
    assert sorted(chosen) == ["0", "2", "3"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_nothing_to_object_to(open_report, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab = open_report(planted())
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    name(tab, 2, "scratch")
    tile(tab, 1).press("x")
    tab.locator(".keys summary").click()
    assert axe.Axe().run(tab).response["violations"] == []
    tile(tab, 1).press("Enter")
    tab.wait_for_selector("dialog[open]")
    assert axe.Axe().run(tab).response["violations"] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_colours_are_those_of_light(open_report):
    tab = open_report(planted())
    colours = "names => names.map(name => getComputedStyle(document.body).getPropertyValue(`--${name}`))"
    found = {}
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "light"), ("print", "dark")):
        tab.emulate_media(media=media, color_scheme=scheme)
        found[media, scheme] = tab.evaluate(colours, ["accent", "warn", "warn-ground", "tint"])
    assert found["print", "dark"] == found["print", "light"] == found["screen", "light"] != found["screen", "dark"]


def test_long_words_and_a_narrow_window_cut_nothing_off(open_report):
    tab = open_report(planted(sound=np.array([True] * 7)))
    name(tab, 2, "W" * 1000)
    wider = "element => element.scrollWidth > element.clientWidth"
    for width in (1280, 360):
        tab.set_viewport_size({"width": width, "height": 800})
        assert not tab.locator("html").evaluate(wider)
        assert not tab.locator(".top .summary").evaluate(wider)
        tile(tab, 2).press("Enter")
        assert not tab.locator("#view").evaluate(wider)
        tab.keyboard.press("Escape")
        section(tab, 0).locator("[data-do='merge']").press("Enter")
        assert not tab.locator("#compare").evaluate(wider)
        tab.keyboard.press("Escape")
        tab.locator("[data-do='merge']").last.press("Enter")
        assert not tab.locator("#compare").evaluate(wider)
        tab.locator("#merge").click()
        assert not tab.locator("#said").evaluate(wider)
        tab.locator("#undo").click()


def test_a_report_of_one_image_has_curves_without_a_scale(open_report):
    one = planted(
        paths=[Path("0.png")],
        names=["0.png"],
        labels=np.zeros(1, dtype=int),
        distances=np.zeros(1),
        heat=np.zeros((1, 2, 2)),
        target=np.array([-1]),
        tree=np.empty((0, 4)),
        places=np.zeros((1, 2)),
    )
    tab = open_report(replace(one, curves=curves(one.tree, None, one.target)))
    tab.locator("#fold-number > summary").click()
    drawn = tab.locator("#curves").inner_html()
    assert "polyline" in drawn
    assert "NaN" not in drawn
    assert "Infinity" not in drawn


def test_what_has_no_name_is_counted_however_many_names_there_are(open_report):
    embeddings = np.arange(22.0)[:, None] * [1, 0]
    report = many(embeddings, np.arange(22), ward(embeddings))
    small = replace(report, read=lambda path: Image.new("RGB", (8, 8)), metadata={"batch": ["x"] * 22})
    tab = open_report(small)
    for cluster in range(21):
        section(tab, cluster).locator(".naming").fill(f"n{cluster}")
        tab.keyboard.press("Enter")
    tab.locator("#fold-metadata > summary").click()
    assert tab.locator("#counts thead th").all_text_contents()[-3:] == ["n19", "not named", "Total"]
    assert tab.locator("#counts p").all_text_contents() == ["1 rarer name is left out."]


def test_the_line_of_the_run_counts_clusters_the_same_way_before_and_after_a_decision(open_report, tmp_path):
    more = one_more(tmp_path / "later.png") | {"labels": np.append(planted().labels, -1)}
    tab = open_report(planted(**more, read=lambda path: Image.new("RGB", (8, 8))))
    assert "3 clusters" in tab.locator(".summary").text_content()
    name(tab, 0, "dent")
    assert tab.locator("#now").text_content() == "now 3 clusters"


def test_a_copied_summary_holds_no_formula(open_report):
    tab = open_report(planted())
    name(tab, 0, "=1+1")
    tab.locator("#summary > summary").click()
    tab.evaluate("""() => {
        const own = DataTransfer.prototype.setData;
        window.copied = {};
        DataTransfer.prototype.setData = function (kind, text) {
            copied[kind] = text;
            return own.call(this, kind, text);
        };
    }""")
    tab.locator("#copy-summary").click()
    assert "\n'=1+1\t2\t" in tab.evaluate("copied['text/plain']")
    assert ">'=1+1<" in tab.evaluate("copied['text/html']")
