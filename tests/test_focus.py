"""The focus in a browser: whoever works by keys goes on where they were, whatever is hidden, moved or drawn anew."""

import pytest
from labelling_page import ask, galleries, merge, name, progress, section, tile
from planted import planted

from anomaly_clustering.report.likeness import most_alike

pytestmark = pytest.mark.slow


def focused(tab) -> str:
    """The image, the tool of a cluster, the link or the button that has the focus."""
    return tab.evaluate(
        """() => {
            const e = document.activeElement, figure = e.closest("figure");
            const cluster = e.closest("section")?.dataset.cluster;
            if (figure) return `image ${figure.dataset.index}`;
            if (cluster) return `${e.dataset.do ?? "name"} of ${cluster}`;
            if (e.matches("nav a, .leaves a")) return `${e.closest("nav") ? "link" : "leaf"} ${e.hash}`;
            return e.id || e.closest("[id]")?.id || e.tagName;
        }"""
    )


def order_of(tab, cluster: int) -> list[int]:
    return [
        int(i) for i in section(tab, cluster).locator("figure").evaluate_all("all => all.map(f => f.dataset.index)")
    ]


def test_images_are_reviewed_by_keys_under_a_filter_that_each_one_leaves(open_report):
    tab = open_report(planted())
    order = order_of(tab, 2)
    ask(tab, "unsure", "sure")
    tile(tab, order[0]).focus()
    # After the last of a gallery, the first of another.
    for following in [*order[1:], order_of(tab, 0)[0]]:
        tab.keyboard.press("u")
        assert focused(tab) == f"image {following}"


def test_in_the_large_view_arrows_go_on_from_an_image_that_a_filter_hides(open_report):
    tab = open_report(planted())
    names = [f"part/{i}.png" for i in (6, *order_of(tab, 0), *order_of(tab, 2))]
    shown = tab.locator("#view-name")
    ask(tab, "unsure", "sure")
    for key, step in (("ArrowRight", 1), ("ArrowLeft", -1)):
        tile(tab, order_of(tab, 2)[1]).press("Enter")
        place = names.index(shown.text_content())
        tab.keyboard.press("u")
        tab.keyboard.press(key)
        assert shown.text_content() == names[place + step]
        tab.keyboard.press("Control+z")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog", state="hidden")


def test_undo_and_redo_leave_the_focus_where_it_was_or_with_the_same_image_or_cluster(open_report):
    tab = open_report(planted())
    # An image that goes back to its gallery.
    tile(tab, 5).press("m")
    tab.locator("#move-to").select_option("0")
    tab.keyboard.press("Enter")
    tile(tab, 5).focus()
    for keys in ("Control+z", "Control+y"):
        tab.keyboard.press(keys)
        assert focused(tab) == "image 5"
    # All of a gallery.
    tile(tab, 6).press("m")
    tab.locator("#move-to").select_option("0")
    tab.keyboard.press("Enter")
    assert 3 not in galleries(tab)
    for keys in ("Control+z", "Control+y", "Control+z"):
        tab.keyboard.press(keys)
        assert focused(tab) == "image 6"
    # A tool of a cluster that is gone again, and one that cannot be used any more.
    section(tab, 2).locator("[data-do='split']").press("Enter")
    section(tab, 1).locator("[data-do='merge']").focus()
    tab.keyboard.press("Control+z")
    assert focused(tab) == "merge of 2"
    section(tab, 0).locator("[data-do='split']").focus()
    for _ in range(2):
        tab.keyboard.press("Enter")
    assert focused(tab) == "name of 0"
    # Links, which are made anew.
    for link, expected in (("nav a >> nth=1", "link #cluster-0"), (".leaves a >> nth=1", "leaf #cluster-0")):
        tab.locator("#fold-number").evaluate("fold => { fold.open = true; }")
        tab.locator(link).focus()
        assert focused(tab) == expected
        tab.keyboard.press("Control+z")
        assert focused(tab) == expected
    # The button itself, when nothing is left to undo.
    tab.locator("#undo").focus()
    while tab.locator("#undo").get_attribute("aria-disabled") == "false":
        tab.keyboard.press("Enter")
    assert focused(tab) == "undo"


def test_what_a_filter_hides_leaves_the_focus_to_what_it_shows(open_report):
    tab = open_report(planted(alike=most_alike(planted().places)))
    # The image from which others were asked for.
    tile(tab, 5).press("s")
    ask(tab, "text", "part/3")
    tab.locator("#similar [data-close]").press("Enter")
    assert focused(tab) == "image 3"
    ask(tab, "text", "")
    ask(tab, "names", "unnamed")
    # Moved out of sight, all that its gallery shows.
    name(tab, 0, "dent")
    tile(tab, 6).press("m")
    tab.locator("#move-to").select_option("0")
    tab.keyboard.press("Enter")
    assert focused(tab).startswith("image ")
    merge(tab, 2, into=0)
    assert focused(tab) == "begin"


def test_in_a_field_in_which_nothing_was_typed_since_undo_is_that_of_decisions(open_report):
    tab = open_report(planted())
    fields = "[...document.querySelectorAll('.naming')].map(field => field.value)"
    tab.keyboard.press("n")
    for text in ("dent", "flip"):
        tab.keyboard.type(text)
        tab.keyboard.press("Enter")
    for keys, expected in (("z", ["dent", "", ""]), ("z", ["", "", ""]), ("y", ["dent", "", ""])):
        tab.keyboard.press(f"Control+{keys}")
        assert tab.evaluate(fields) == expected
        assert focused(tab) == "name of 2"
    tab.keyboard.press("Tab")
    assert progress(tab).startswith("1 of 7 images labelled · 1 decision made")
    # The field that has the focus tells its own name as well, but typing in it undoes itself.
    section(tab, 3).locator(".naming").focus()
    tab.keyboard.press("Control+z")
    assert tab.evaluate(fields) == ["", "", ""]
    tab.keyboard.type("hole")
    tab.keyboard.press("Control+y")
    assert tab.evaluate(fields) == ["hole", "", ""]
    tab.keyboard.press("Control+z")
    assert tab.evaluate(fields) == ["", "", ""]
    assert progress(tab).startswith("0 of 7 images labelled · 0 decisions made")
    merge(tab, 3, into=0)
    tab.keyboard.press("Control+z")
    assert galleries(tab) == {3: {6}, 0: {1, 4}, 2: {0, 2, 3, 5}}
    tab.locator("#k-number").fill("6")
    tab.keyboard.press("Enter")
    assert len(galleries(tab)) == 6
    tab.keyboard.press("Control+z")
    tab.keyboard.press("Tab")
    assert len(galleries(tab)) == 3


def test_links_lead_the_focus_to_what_they_unfold_and_tell_what_is_in_sight_after_a_decision_too(open_report):
    tab = open_report(planted())
    for link in ("Map", "Summary"):
        tab.get_by_role("link", name=link).press("Enter")
        tab.wait_for_timeout(200)  # A jump of the browser's own would come with the next frame.
        assert tab.evaluate("document.activeElement.matches('summary')")
        assert focused(tab) == {"Map": "fold-map", "Summary": "summary"}[link]
    name(tab, 2, "scratch")
    section(tab, 2).evaluate("section => window.scrollTo(0, section.offsetTop - innerHeight / 4 + 20)")
    tab.wait_for_selector("nav [data-cluster='2'][aria-current='true']")
    tab.locator("#undo").click()
    assert tab.locator("nav [aria-current='true']").evaluate_all("links => links.map(a => a.dataset.cluster)") == ["2"]
