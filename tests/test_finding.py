"""Working on many images in a browser: the first screen, searching, filtering, more like this one, a summary, paper."""

import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from labelling_page import ask, galleries, name, progress, section, tile
from planted import many, planted
from test_label_files import planted_alike

from anomaly_clustering.clustering.methods import ward

pytestmark = pytest.mark.slow


def shown(tab) -> set[int]:
    """Images that can be seen."""
    return set(
        tab.evaluate(
            "[...document.querySelectorAll('figure')].filter(f => f.getClientRects().length).map(f => +f.dataset.index)"
        )
    )


@pytest.mark.parametrize("width", [1280, 400])
def test_the_first_photograph_is_within_300_pixels_of_the_top(open_report, width):
    long = "left out as unreadable: " + ", ".join(f"photographs/of/some/camera/{i}.png" for i in range(30))
    tab = open_report(planted(notices=[long, "another notice"], title="Screws of line 7, night shift, " * 4))
    tab.set_viewport_size({"width": width, "height": 900})
    tab.reload()
    top = tab.evaluate("document.querySelector('.photo').getBoundingClientRect().top")
    print(f"{width} pixels wide: the first photograph is {top:.0f} pixels from the top")
    assert top <= 300
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_every_cluster_is_named_by_the_keyboard_alone_from_the_first_screen(open_report):
    tab = open_report(planted())
    tab.keyboard.press("n")
    for text in ("hole", "dent", "scratch"):
        tab.keyboard.type(text)
        tab.keyboard.press("Enter")
    assert [tab.locator(".title").nth(k).text_content() for k in range(1, 4)] == ["hole", "dent", "scratch"]
    assert progress(tab).startswith("7 of 7 images labelled · 3 decisions made")


def test_a_strip_shows_twelve_images_and_the_edge_and_all_when_asked_also_by_walking_on(open_report):
    embeddings = np.arange(30.0)[:, None] * [1, 0]
    report = many(embeddings, np.zeros(30, dtype=int), ward(embeddings))
    tab = open_report(replace(report, read=lambda path: planted().read(path)))
    assert shown(tab) == {*range(12), 27, 28, 29}
    tab.get_by_role("button", name="Show all 30").click()
    assert shown(tab) == set(range(30))
    tab.get_by_role("button", name="Show fewer").click()
    tile(tab, 11).press("ArrowRight")
    assert shown(tab) == set(range(30))
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "12"


def test_filters_go_together_and_what_is_hidden_is_not_selected_with_the_rest(open_report):
    scores = np.array([0.1, 0.9, 0.5, np.nan, 0.7, 0.6, 0.2])
    tab = open_report(planted(scores=scores))
    name(tab, 2, "scratch")
    tile(tab, 3).press("u")
    everything = set(range(7))
    for asked, images in [
        ({"text": "T/3"}, {3}),
        ({"text": ""}, everything),
        ({"cluster": "0"}, {1, 4}),
        ({"cluster": ""}, everything),
        ({"names": "named"}, {0, 2, 3, 5}),
        ({"unsure": "unsure"}, {3}),
        ({"unsure": "sure"}, {0, 2, 5}),
        ({"least": "0.5"}, {2, 5}),
        ({"names": "unnamed"}, {1, 4}),
        ({"most": "0.8"}, {4}),
    ]:
        for field, value in asked.items():
            ask(tab, field, value)
        assert shown(tab) == images, asked
    assert tab.locator("#find-count").text_content() == "1 of 7 images is shown"
    tile(tab, 4).press("a")
    assert tab.locator("#selection-text").text_content() == "1 image selected"
    tab.locator("#find-clear").click()
    assert shown(tab) == everything


def test_images_are_ordered_by_score_or_by_name_and_those_without_a_score_come_last(open_report):
    tab = open_report(planted(scores=np.array([0.1, 0.9, 0.5, np.nan, 0.7, 0.6, 0.2])))
    order = "[...document.querySelectorAll(\"section[data-cluster='2'] figure\")].map(f => +f.dataset.index)"
    assert tab.evaluate(order) == [2, 5, 3, 0]
    ask(tab, "sort", "score")
    assert tab.evaluate(order) == [5, 2, 0, 3]
    ask(tab, "sort", "name")
    assert tab.evaluate(order) == [0, 2, 3, 5]
    assert tab.locator("figure[data-index='1'] .score").text_content() == "0.9"
    assert tab.locator("figure[data-index='3'] .score").count() == 0


def test_without_scores_nothing_asks_for_them(open_report):
    assert open_report(planted()).locator(".for-scores").count() == 0


def test_more_like_this_one_shows_the_nearest_of_all_clusters_and_selects_them(open_report):
    tab = open_report(planted(alike=planted_alike()))
    tile(tab, 4).press("s")
    like = tab.locator("#similar [data-like]")
    # Planted at 11.5: the others by their distance, itself first.
    assert like.evaluate_all("found => found.map(button => +button.dataset.like)") == [4, 1, 5, 3, 2, 0, 6]
    assert like.locator("span").all_text_contents()[:3] == ["Cluster 0", "Cluster 0", "Cluster 2"]
    for k in (2, 3):
        like.nth(k).click()
    assert tab.locator("#selection-text").text_content() == "2 images selected"
    tab.locator("#move-to").select_option("0")
    tab.locator("#move").click()
    assert galleries(tab) == {3: {6}, 0: {1, 3, 4, 5}, 2: {0, 2}}
    assert like.locator("span").all_text_contents()[2] == "Cluster 0"
    tab.locator("#similar [data-close]").click()
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "4"


def test_what_is_not_in_a_cluster_goes_where_it_is_most_alike_and_comes_back_by_undo(open_report):
    tab = open_report(planted(alike=planted_alike()))
    before = galleries(tab)
    tile(tab, 4).press("r")
    assert galleries(tab) == {3: {6}, 0: {1}, 2: {0, 2, 3, 4, 5}}
    tile(tab, 4).press("Enter")
    assert tab.locator("#view-about").text_content().endswith("dent differs · not in Cluster 0")
    tab.keyboard.press("r")
    # In neither of both: the one that is left.
    assert galleries(tab) == {3: {4, 6}, 0: {1}, 2: {0, 2, 3, 5}}
    for _ in range(2):
        tab.keyboard.press("Control+z")
    assert galleries(tab) == before


def test_a_moved_image_is_in_the_cluster_that_it_was_moved_to_whatever_was_said_before(open_report):
    tab = open_report(planted(alike=planted_alike()))
    tile(tab, 4).press("r")
    tile(tab, 4).press("x")
    tab.locator("#move-to").select_option("0")
    tab.locator("#move").click()
    tile(tab, 4).press("Enter")
    assert "not in" not in tab.locator("#view-about").text_content()


def test_the_summary_says_how_many_images_of_named_defects_trends_count_otherwise(open_report):
    tab = open_report(planted(sound=np.array([True, True, True, False, False, False, False])))
    for cluster, text in ((2, "scratch"), (0, "Good")):
        name(tab, cluster, text)
    tab.get_by_role("link", name="Summary").click()
    assert tab.locator("#pareto caption").text_content() == (
        "Screws · 4 images with a named defect · 2 of them without a finding, which trends counts as 'No finding' "
        "unless you moved them · 1 not labelled"
    )


def test_the_summary_counts_named_defects_and_can_be_copied(open_report):
    tab = open_report(planted())
    for cluster, text in ((2, "scratch"), (0, "Good"), (3, "scratch")):
        name(tab, cluster, text)
    tile(tab, 0).press("u")
    tab.get_by_role("link", name="Summary").click()
    rows = tab.locator("#pareto tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].slice(0, 4).map(c => c.textContent))"
    )
    assert rows[1:] == [["scratch", "4", "100.0 %", "100.0 %"], ["Good (no defect)", "2", "", ""]]
    assert tab.locator("#pareto caption").text_content() == "Screws · 4 images with a named defect · 1 not labelled"
    assert tab.locator("#pareto tbody tr").first.locator("img").count() == 3
    name(tab, 3, "hole")
    assert tab.locator("#pareto tbody th").all_text_contents() == ["scratch", "hole", "Good (no defect)"]
    copied = tab.evaluate(
        """() => new Promise((done) => {
            addEventListener("copy", ({ clipboardData }) => {
                done([clipboardData.getData("text/plain"), clipboardData.getData("text/html")]);
            });
            document.getElementById("copy-summary").click();
        })"""
    )
    assert copied[0].splitlines()[2] == "scratch\t3\t75.0 %\t75.0 %"
    assert copied[1].count("<img") == 3 + 1 + 2


def test_on_paper_the_summary_comes_first_and_then_a_page_for_each_cluster(open_report):
    embeddings = np.arange(80.0)[:, None] * [1, 0]
    labels = np.repeat([0, 1], [70, 10])
    report = many(embeddings, labels, ward(embeddings))
    tab = open_report(replace(report, read=lambda path: planted().read(path)))
    name(tab, 0, "scratch")
    for paper in ("A4", "Letter"):
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", tab.pdf(format=paper))) == 3
    assert section(tab, 0).locator(".more").text_content() == "and 40 more"
    assert tab.evaluate("document.getElementById('summary').open") is False


def test_names_are_found_however_their_accents_are_written(open_report):
    tab = open_report(planted(names=[unicodedata.normalize("NFD", f"Prüfung/{i}.png") for i in range(7)]))
    for form in ("NFC", "NFD"):
        ask(tab, "text", unicodedata.normalize(form, "PRÜFUNG/3"))
        assert shown(tab) == {3}
