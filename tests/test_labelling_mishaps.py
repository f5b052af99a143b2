"""What goes wrong while a person labels: clusters that are gone, windows that are behind, memory that is full."""

import json

import pytest
from labelling_page import ask, frame_all, galleries, name, progress, section, tile, titles
from planted import planted

from anomaly_clustering.report.page import write_report

pytestmark = pytest.mark.slow

STORE = "Object.keys(localStorage).find(key => !/replaced|set aside/.test(key))"


def kept(tab) -> list[dict]:
    return json.loads(tab.evaluate(f"localStorage.getItem({STORE})"))


def message(tab) -> str:
    return tab.locator("#said").text_content()


def test_undo_under_a_merge_closes_it(open_report):
    tab = open_report(planted())
    name(tab, 0, "dent")
    section(tab, 2).locator("[data-do='split']").click()
    section(tab, 1).locator("[data-do='merge']").click()
    tab.locator("#merge").focus()
    tab.keyboard.press("Control+z")
    assert not tab.locator("#compare").evaluate("dialog => dialog.open")
    tab.keyboard.press("Enter")
    name(tab, 2, "scratch")
    assert [decision["do"] for decision in kept(tab)] == ["name", "name"]
    tab.reload()
    assert titles(tab) == {"dent", "scratch", "Cluster 3"}


def test_a_name_for_a_cluster_that_another_window_took_away_is_not_kept(browser, tmp_path):
    write_report(tmp_path / "report.html", planted())
    context = browser.new_context()
    first, second = context.new_page(), context.new_page()
    complaints: list[str] = []
    for tab in (first, second):
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto((tmp_path / "report.html").as_uri())
    section(first, 2).locator("[data-do='split']").click()
    section(second, 1).locator(".naming").press_sequentially("half")
    first.locator("#undo").click()
    second.get_by_text("Not done: the cluster is not there any more").or_(
        second.get_by_text("Another window has decided")
    ).wait_for()
    name(second, 3, "hole")
    second.reload()
    assert titles(second) == {"Cluster 0", "Cluster 2", "hole"}
    assert kept(second) == [{"do": "name", "cluster": 3, "name": "hole"}]
    assert complaints == []
    context.close()


def test_a_window_that_is_behind_leaves_what_a_newer_report_keeps(open_report):
    tab = open_report(planted())
    name(tab, 0, "dent")
    newer = [{"do": "name", "cluster": 0, "name": "dent"}, {"do": "unsure", "images": [60], "value": True}]
    tab.evaluate(f"kept => localStorage.setItem({STORE}, JSON.stringify(kept))", newer)
    name(tab, 2, "scratch")
    for _ in range(2):
        assert message(tab) == "Another window has a newer report and keeps its decisions: reload this page to go on"
        tab.locator("#undo").click()
    assert kept(tab) == newer
    # Opened again, this page goes on from what it can read, and sets the whole aside.
    tab.reload()
    assert titles(tab) == {"dent", "Cluster 2", "Cluster 3"}
    name(tab, 2, "scratch")
    assert json.dumps(newer, separators=(",", ":")) in tab.evaluate("Object.values(localStorage)")


def test_all_that_is_set_aside_stays(open_report):
    tab = open_report(planted())
    name(tab, 0, "dent")
    wrong = [json.dumps([{"do": "cut", "k": k}]) for k in (1000, 2000)]
    for content in wrong:
        tab.evaluate(f"kept => localStorage.setItem({STORE}, kept)", content)
        tab.reload()
        tab.get_by_text("What this browser kept is set aside").wait_for()
    name(tab, 0, "dent")
    assert set(wrong) < set(tab.evaluate("Object.values(localStorage)"))


def test_with_full_memory_no_decision_is_lost_while_the_page_is_open(open_report):
    tab = open_report(planted())
    name(tab, 0, "dent")
    tab.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }")
    name(tab, 2, "scratch")
    name(tab, 3, "hole")
    assert "This browser keeps nothing: save labels.csv" in message(tab)
    assert titles(tab) == {"dent", "scratch", "hole"}


def test_what_labels_replaced_comes_back_after_a_reload(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 0, "crack")
    name(tab, 2, "scratch")
    with tab.expect_download() as download:
        tab.locator("#save-csv").click()
    download.value.save_as(tmp_path / "labels.csv")
    name(tab, 3, "hole")
    tab.locator("#load").set_input_files(tmp_path / "labels.csv")
    tab.get_by_text("Labels loaded in place of yours, which Undo brings back").wait_for()
    tab.reload()
    assert titles(tab) == {"crack", "scratch", "Cluster 3"}
    tab.locator("#undo").click()
    assert titles(tab) == {"crack", "scratch", "hole"}


def test_labels_for_which_there_is_no_room_leave_what_is_kept_as_it_was(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 0, "crack")
    (labels := tmp_path / "labels.csv").write_text(
        "path,cluster,label,unsure\n" + "".join(f"{i}.png,{k},,0\n" for i, k in enumerate(planted().labels))
    )
    tab.locator("#load").set_input_files(labels)
    tab.get_by_text("Labels loaded in place of yours").wait_for()
    name(tab, 2, "scratch")
    before = tab.evaluate("({...localStorage})")
    tab.evaluate(f"""() => {{
        const own = Storage.prototype.setItem, store = {STORE};
        Storage.prototype.setItem = function (key, text) {{
            if (key === store) throw new DOMException('', 'QuotaExceededError');
            return own.call(this, key, text);
        }};
    }}""")
    tab.locator("#load").set_input_files(labels)
    tab.get_by_text("This browser keeps nothing: save labels.csv").first.wait_for()
    assert tab.evaluate("({...localStorage})") == before


def test_coming_back_to_the_page_shows_no_filter_that_does_not_hold(open_report):
    tab = open_report(planted())
    ask(tab, "names", "named")
    ask(tab, "sort", "name")
    tab.locator("#size").fill("200")
    address = tab.url
    tab.goto("about:blank")
    tab.go_back()
    assert tab.url == address
    assert [tab.locator(f"#{field}").input_value() for field in ("find-names", "find-sort", "size")] == ["", "", "104"]
    assert section(tab, 0).is_visible()


def test_keys_of_the_browser_are_no_decisions_in_the_large_view(open_report):
    tab = open_report(planted())
    tile(tab, 1).click()
    for key in ("Control+u", "Alt+u"):
        tab.locator("#view").press(key)
    assert progress(tab) == "0 of 7 images labelled · 0 decisions made · 0 decisions spared"
    tab.locator("#view").press("u")
    assert "Unsure" in tab.locator("#view-about").text_content()
    tab.locator("#view").press("Control+z")
    assert "Unsure" not in tab.locator("#view-about").text_content()


def test_an_image_that_leaves_the_filter_while_it_is_seen_large_leaves_the_focus_to_the_next(open_report):
    tab = open_report(planted())
    ask(tab, "unsure", "sure")
    focused = "near => near.includes(document.activeElement.closest('figure')?.dataset.index)"
    # Another of its gallery; then one of another gallery, since its own has none left.
    for image, near in ((1, ["4"]), (4, ["0", "2", "3", "5", "6"])):
        tile(tab, image).click()
        tab.locator("#view").press("u")
        tab.locator("#view").press("Escape")
        # The browser closes the view a moment after the key.
        tab.wait_for_function(focused, arg=near, timeout=5000)


def test_shift_selects_from_the_last_choice_in_the_same_gallery(open_report):
    tab = open_report(planted())
    order = tab.evaluate(
        "[...document.querySelectorAll(\"section[data-cluster='2'] figure\")].map(f => +f.dataset.index)"
    )
    selected = "[...document.querySelectorAll('figure.selected')].map(f => +f.dataset.index).sort()"
    tile(tab, 1).click(modifiers=["Control"])
    tile(tab, order[2]).click(modifiers=["Shift"])
    assert tab.evaluate(selected) == sorted([1, order[2]])
    tile(tab, order[3]).click(modifiers=["Shift"])
    assert tab.evaluate(selected) == sorted([1, order[2], order[3]])


def test_a_frame_on_the_map_takes_what_is_shown_and_what_a_filter_hides_is_told(open_report):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    tab.locator("#find-names").select_option("unnamed")
    frame_all(tab)
    text = tab.locator("#selection-text")
    assert text.text_content() == "3 images selected"
    tab.locator("#find-names").select_option("named")
    assert text.text_content() == "3 images selected, 3 of them hidden"


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_messages_stand_above_the_bar_of_the_selection(open_report, width):
    tab = open_report(planted())
    tab.set_viewport_size({"width": width, "height": 800})
    tile(tab, 1).press("x")
    tile(tab, 1).press("u")
    said, bar = (tab.locator(place).bounding_box() for place in ("#said", "#selection"))
    assert said["y"] + said["height"] <= bar["y"]
    assert bar["x"] >= 0
    assert bar["x"] + bar["width"] <= width
    assert bar["y"] + bar["height"] <= 800


def test_an_emptied_number_of_clusters_is_none(open_report):
    tab = open_report(planted())
    before, field = galleries(tab), tab.locator("#k-number")
    for wrong in ("", "0"):
        field.fill(wrong)
        field.press("Tab")
        assert field.input_value() == str(len(before))
        assert galleries(tab) == before
    field.fill("2")
    field.press("Tab")
    assert len(galleries(tab)) == 2


def test_a_browser_that_keeps_nothing_is_told_of_on_opening_and_as_long_as_that_is_so(open_report):
    tab = open_report(planted())
    line = tab.get_by_text("This browser keeps nothing: save labels.csv before you close the page.", exact=True)
    tab.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); }; }")
    name(tab, 0, "dent")
    assert line.is_visible()
    tab.reload()
    assert not line.is_visible()
    tab.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new DOMException(''); } })")
    tab.reload()
    assert line.is_visible()
    name(tab, 0, "dent")
    assert titles(tab) == {"dent", "Cluster 2", "Cluster 3"}
    assert line.is_visible()
