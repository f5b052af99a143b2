"""Pictures on the page: thumbnails, heat maps and outlines, how large they are and what they show."""

import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from planted import HOSTILE_NAMES, page, planted

from anomaly_clustering.report.page import write_report
from anomaly_clustering.report.pictures import coarse, heat_map, in_page, thumbnail


def test_every_image_is_read_once_and_progress_sees_it(tmp_path):
    read, seen = [], []
    report = planted()

    def progress(paths):
        for path in paths:
            yield path
            seen.append(path)

    counted = replace(report, read=lambda path: read.append(path) or report.read(path))
    write_report(tmp_path / "report.html", counted, progress=progress)
    assert sorted(read) == seen == report.paths


def test_thumbnails_keep_the_aspect_and_never_grow():
    assert thumbnail(Image.new("RGB", (400, 200))).size == (256, 128)
    assert thumbnail(Image.new("RGB", (30, 40))).size == (30, 40)


def test_coarse_heat_is_the_mean_of_four_patches_to_a_255th():
    heat = np.random.default_rng(0).random((3, 32, 32))
    read = np.frombuffer(b64decode(coarse(heat).base64), np.uint8).reshape(3, 16, 16) / 255
    assert np.abs(read - heat.reshape(3, 16, 2, 16, 2).mean((2, 4))).max() < 1 / 255


def test_the_heat_map_is_strongest_and_brightest_where_the_heat_is_largest():
    heat = np.random.default_rng(0).random((8, 8))
    colours = np.asarray(heat_map(heat).convert("RGBA")).astype(int)
    assert colours.shape == (8, 8, 4)
    order = np.argsort(heat, axis=None)
    for value in (colours[..., 3], colours[..., :3].sum(-1)):
        assert (np.diff(value.flat[order]) >= 0).all()
    assert not np.asarray(heat_map(np.zeros((8, 8))).convert("RGBA"))[..., 3].any()


def test_scores_and_a_legend_are_shown_where_one_scale_holds_for_all_images(tmp_path):
    without, with_scores = page(tmp_path, planted()), page(tmp_path, planted(scores=np.arange(7) / 4))
    assert 'class="legend"' not in without.html
    assert 'class="score"' not in without.html
    assert 'class="legend"' in with_scores.html
    shown = re.findall(r'class="score"[^>]*>([\d.]+)<', with_scores.html)
    by_image = dict(zip(with_scores.attributes("figure", "data-index"), shown, strict=True))
    assert by_image["6"] == "1.5"


def test_regions_are_outlined_in_the_heat_map(tmp_path):
    region = [(0.25, 0.0), (0.5, 0.0), (0.5, 1.0)]
    shown = page(tmp_path, planted(outlines=lambda i: [region] if i == 6 else []))
    kinds = {uri.partition(";")[0] for uri in shown.attributes("img", "src")}
    assert kinds == {"data:image/jpeg", "data:image/png", "data:image/svg+xml"}
    (drawn,) = (uri for uri in shown.attributes("img", "src") if uri.startswith("data:image/svg"))
    assert "M250 0L500 0L500 1000Z" in b64decode(drawn.partition("base64,")[2]).decode()


def test_a_heat_map_of_32_by_32_patches_takes_at_most_2_kb():
    weights = np.random.default_rng(0).dirichlet(np.ones(32 * 32)).reshape(32, 32)
    assert len(in_page(Image.new("RGB", (8, 8)), weights).heat) < 2048


@pytest.mark.slow
def test_in_a_browser_the_switch_shows_all_heat_maps_and_hostile_names_do_nothing(open_report):
    tab = open_report(planted(names=[*HOSTILE_NAMES, "f.png", "g.png"], title=HOSTILE_NAMES[3]))
    sections, heat, switch = (tab.locator(q) for q in ("section[data-cluster]", "figure .heat", "#heat-toggle"))
    assert [section.is_visible() for section in sections.all()] == [True] * 3

    def opacities() -> list[str]:
        tab.wait_for_timeout(300)  # The maps fade in and out.
        return heat.evaluate_all("maps => maps.map(map => getComputedStyle(map).opacity)")

    assert opacities() == ["0"] * 7
    for pressed, opacity in (("true", "1"), ("false", "0")):
        switch.click()
        assert switch.get_attribute("aria-pressed") == pressed
        assert opacities() == [opacity] * 7

    assert tab.locator("figure .photo").first.evaluate("photo => photo.naturalWidth") == 256
    # The map lies over exactly the image's own box, which is twice as wide as high.
    image, overlay = (tab.locator(f"figure .{name}").first.bounding_box() for name in ("photo", "heat"))
    assert image == overlay
    assert image["width"] / image["height"] == pytest.approx(2, rel=0.02)


@pytest.mark.slow
def test_in_a_browser_an_image_opens_larger_and_arrow_keys_walk_on(open_report):
    tab = open_report(planted())
    view, about = tab.locator("#view"), tab.locator("#view-about")
    tab.locator("figure[data-index='5'] .tile").press("Enter")
    assert view.is_visible()
    assert about.text_content() == "Cluster 2 · 2 of 4 · distance 0.2 · dent differs"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#view-name").text_content() == "part/3.png"
    tab.keyboard.press("Escape")
    assert not view.is_visible()
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "3"
