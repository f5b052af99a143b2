"""Labelling in a browser, by mouse and by keys: decisions, kept over a reload, saved, and read back by `export`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report import planted

from anomaly_clustering.cli.main import main
from anomaly_clustering.report.content import Given
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.page import write_report
from anomaly_clustering.runs.labels import read_labels

pytestmark = pytest.mark.slow


def galleries(tab) -> dict[int, set[int]]:
    """Images by cluster, as the page shows them."""
    found = tab.evaluate(
        "[...document.querySelectorAll('section[data-cluster]')].map(s => [s.dataset.cluster, "
        "[...s.querySelectorAll('figure')].map(f => f.dataset.index)])"
    )
    return {int(cluster): {int(i) for i in images} for cluster, images in found}


def tile(tab, index: int):
    return tab.locator(f"figure[data-index='{index}'] .tile")


def section(tab, cluster: int):
    return tab.locator(f"section[data-cluster='{cluster}']")


def name(tab, cluster: int, text: str) -> None:
    section(tab, cluster).locator(".naming").fill(text)
    tab.keyboard.press("Enter")


def merge(tab, cluster: int, *, into: int) -> None:
    section(tab, cluster).locator("[data-do='merge']").click()
    tab.locator("#merge-into").select_option(str(into))
    tab.locator("#merge").click()


def saved(tab, button: str, folder: Path) -> Path:
    with tab.expect_download() as download:
        tab.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def json_of(tab, folder: Path) -> Path:
    """A file of labels as the page of an earlier version saved it."""
    key, kept = tab.evaluate(
        "() => { const { key } = JSON.parse(document.getElementById('run').textContent);"
        "return [key, localStorage.getItem(`anomaly-clustering ${key}`)]; }"
    )
    file = folder / "labels.json"
    file.write_text(json.dumps({"run": key, "title": "Screws", "images": [], "decisions": json.loads(kept or "[]")}))
    return file


def progress(tab) -> str:
    return tab.locator("#progress-text").text_content()


def test_name_merge_move_split_undo_reload_and_export(open_report, tmp_path, monkeypatch):
    images = [tmp_path / f"{i}.png" for i in range(7)]
    for i, path in enumerate(images):
        Image.new("RGB", (40, 20), (30 * i, 90, 60)).save(path)
    tab = open_report(planted(paths=images, read=lambda path: Image.open(path)))
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4}, 3: {6}}
    assert progress(tab) == "0 of 7 images labelled · 0 decisions made · 0 decisions spared"

    name(tab, 2, "scratch")
    assert progress(tab) == "4 of 7 images labelled · 1 decision made · 3 decisions spared"
    merge(tab, 3, into=0)
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4, 6}}
    tile(tab, 5).drag_to(section(tab, 0).locator("h2"))
    assert galleries(tab) == {2: {0, 2, 3}, 0: {1, 4, 5, 6}}
    # The dendrogram joins image 6 to the others last.
    section(tab, 0).locator("[data-do='split']").click()
    assert galleries(tab) == {2: {0, 2, 3}, 0: {1, 4, 5}, 1: {6}}
    tab.keyboard.press("Control+z")
    assert galleries(tab) == {2: {0, 2, 3}, 0: {1, 4, 5, 6}}
    tab.locator("#redo").click()
    assert galleries(tab) == {2: {0, 2, 3}, 0: {1, 4, 5}, 1: {6}}
    name(tab, 0, 'dent, "deep"')
    tile(tab, 4).press("u")

    tab.reload()
    assert galleries(tab) == {2: {0, 2, 3}, 0: {1, 4, 5}, 1: {6}}
    assert section(tab, 2).locator(".title").text_content() == "scratch"
    assert progress(tab) == "5 of 7 images labelled · 6 decisions made · 0 decisions spared"

    table = saved(tab, "#save-csv", tmp_path)
    expected = [(images[i], 2, "scratch") for i in (0, 2, 3)] + [(images[i], 0, 'dent, "deep"') for i in (1, 4, 5)]
    labels = read_labels(table)
    assert sorted((i.path, i.cluster, i.label) for i in labels) == sorted([*expected, (images[6], 1, "")])
    assert [i.path for i in labels if i.unsure] == [images[4]]
    monkeypatch.chdir(tmp_path)
    name(tab, 0, "dent")
    main(["export", "--labels", str(saved(tab, "#save-csv", tmp_path)), "--out", "classes"])
    assert sorted(p.relative_to("classes").as_posix() for p in Path("classes").rglob("*.png")) == [
        *("dent/1.png", "dent/5.png"),
        *("scratch/0.png", "scratch/2.png", "scratch/3.png"),
    ]


def test_all_of_it_works_by_keys_alone(open_report):
    tab = open_report(planted())
    tile(tab, 2).focus()
    for key in ("x", "ArrowRight", "x", "m"):
        tab.keyboard.press(key)
    assert tab.locator("#selection-text").text_content() == "2 images selected"
    tab.keyboard.type("a new")  # Lists go to what is typed.
    tab.keyboard.press("Enter")
    assert galleries(tab) == {2: {0, 3}, 0: {1, 4}, 1: {2, 5}, 3: {6}}
    # The focus went to an image that stayed.
    assert tab.evaluate("document.activeElement.closest('section').dataset.cluster") == "2"
    tab.keyboard.press("n")
    tab.keyboard.type("scratch")
    tab.keyboard.press("Enter")
    assert section(tab, 2).locator(".title").text_content() == "scratch"
    section(tab, 2).locator("[data-do='split']").focus()
    tab.keyboard.press("Enter")
    assert galleries(tab) == {2: {0}, 0: {1, 4}, 1: {2, 5}, 3: {6}, 4: {3}}
    tile(tab, 0).press("Control+z")
    tab.keyboard.press("Control+z")
    tab.keyboard.press("Control+z")
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4}, 3: {6}}
    assert progress(tab) == "0 of 7 images labelled · 0 decisions made · 0 decisions spared"


def test_two_clusters_are_seen_side_by_side_before_they_are_merged(open_report):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    section(tab, 0).locator("[data-do='merge']").click()
    # That which the dendrogram joins to it first, by name and number.
    assert (
        tab.locator("#merge-into").evaluate("list => list.selectedOptions[0].text") == "scratch (Cluster 2), 4 images"
    )
    sides = tab.locator("#compare .side")
    assert [side.locator("h3").text_content() for side in sides.all()] == [
        "Cluster 0, 2 images",
        "scratch (Cluster 2), 4 images",
    ]
    assert [side.locator("img").count() for side in sides.all()] == [2, 4]
    tab.keyboard.press("Escape")
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4}, 3: {6}}
    section(tab, 0).locator("[data-do='merge']").press("Enter")
    tab.keyboard.type("Cluster 3")
    assert sides.last.locator("h3").text_content() == "Cluster 3, 1 image"
    tab.keyboard.press("Enter")
    assert galleries(tab) == {2: {0, 2, 3, 5}, 3: {1, 4, 6}}
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Name of Cluster 3"


def test_a_merge_keeps_the_one_name_there_is_and_else_that_of_the_cluster_it_goes_into(open_report):
    tab = open_report(planted())
    name(tab, 3, "dent")
    merge(tab, 3, into=0)
    assert section(tab, 0).locator(".title").text_content() == "dent"
    name(tab, 2, "scratch")
    merge(tab, 0, into=2)
    assert section(tab, 2).locator(".title").text_content() == "scratch"
    assert progress(tab).startswith("7 of 7 images labelled · 4 decisions made")


def test_moving_images_to_where_they_are_is_no_decision(open_report):
    tab = open_report(planted())
    tile(tab, 2).press("x")
    tab.locator("#move-to").select_option("2")
    tab.locator("#move").click()
    assert progress(tab) == "0 of 7 images labelled · 0 decisions made · 0 decisions spared"
    tab.get_by_text("Already in Cluster 2").wait_for()


def test_what_is_split_off_lies_below_what_stays(open_report):
    tab = open_report(planted())
    assert list(galleries(tab)) == [3, 0, 2]
    section(tab, 2).locator("[data-do='split']").click()
    assert list(galleries(tab)) == [3, 0, 2, 1]
    tab.get_by_text("Split Cluster 2: 2 images made Cluster 1").wait_for()
    section(tab, 0).locator("[data-do='split']").click()
    assert list(galleries(tab)) == [3, 0, 4, 2, 1]


def test_the_slider_cuts_the_dendrogram_and_leaves_alone_what_was_decided(open_report):
    tab = open_report(planted())
    name(tab, 0, "dent")
    tab.locator("#k-number").fill("6")
    tab.locator("#k-number").press("Enter")
    # The run's images 0 and 2 (and then 3) lie closest; 1 and 4 have a name by now.
    assert galleries(tab) == {0: {1, 4}, 1: {0, 2}, 2: {3}, 3: {5}, 4: {6}}
    tab.locator("#k").fill("2")
    assert galleries(tab) == {0: {1, 4}, 1: {0, 2, 3, 5}, 2: {6}}
    assert progress(tab).startswith("2 of 7 images labelled · 1 decision made")


def test_labels_go_on_from_their_json_and_not_from_that_of_another_run(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 0, "dent")
    file = json_of(tab, tmp_path)
    tab.locator("#undo").click()
    assert section(tab, 0).locator(".title").text_content() == "Cluster 0"
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("Labels loaded").wait_for()
    assert section(tab, 0).locator(".title").text_content() == "dent"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(file.read_text()) | {"run": "another"}))
    tab.locator("#load").set_input_files(other)
    tab.get_by_text("other.json was not loaded: it belongs to another run").wait_for()
    assert section(tab, 0).locator(".title").text_content() == "dent"


MOVE = {"do": "move", "images": [0], "into": 0}


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([{"do": "cut", "k": 1e9}], "decision 1, cut: k cannot be 1000000000"),
        ([{"do": "cut", "k": 2.5}], "decision 1, cut: k cannot be 2.5"),
        ([{"do": "cut", "k": "3"}], "decision 1, cut: k cannot be 3"),
        ([{"do": "cut"}], "decision 1, cut: k cannot be undefined"),
        ([MOVE, MOVE | {"into": 4294967294}], "decision 2, move: into cannot be 4294967294"),
        ([MOVE, MOVE | {"into": -2}], "decision 2, move: into cannot be -2"),
        ([MOVE, MOVE | {"images": [4294967294]}], "decision 2, move: images cannot be what it is"),
        ([MOVE, MOVE | {"images": [1, 1]}], "decision 2, move: images cannot be"),
        ([MOVE, MOVE | {"images": [7]}], "decision 2, move: images cannot be"),
        ([MOVE, MOVE | {"images": []}], "decision 2, move: images cannot be"),
        ([MOVE, MOVE | {"images": {"length": 2**32 - 1}}], "decision 2, move: images cannot be"),
        ([MOVE, {"do": "merge", "from": 0, "into": 4294967294}], "decision 2, merge: into cannot be 4294967294"),
        ([MOVE, {"do": "merge", "from": 0, "into": 0}], "decision 2, merge: into cannot be 0"),
        ([MOVE, {"do": "name", "cluster": 0, "name": {"a": 1}}], "decision 2, name: name cannot be what it is"),
        ([MOVE, {"do": "name", "cluster": 0, "name": "x" * 10**7}], "decision 2, name: name cannot be xxxxx"),
        ([MOVE, {"do": "name", "cluster": "0", "name": "x"}], "decision 2, name: cluster cannot be 0"),
        ([MOVE, {"do": "unsure", "images": [1], "value": "yes"}], "decision 2, unsure: value cannot be yes"),
        ([MOVE, {"do": "split", "cluster": 9}], "decision 2, split: cluster cannot be 9"),
        ([MOVE, {"do": "constructor"}], "decision 2 is none of name, merge, move"),
        ([MOVE, {"do": "__proto__"}], "decision 2 is none of"),
        ([MOVE, None], "decision 2 is none of"),
        ([MOVE, [MOVE]], "decision 2 is none of"),
        ({"0": MOVE, "length": 1}, "it holds no list of decisions"),
        ("cut", "it holds no list of decisions"),
        (None, "it holds no list of decisions"),
    ],
)
def test_a_file_is_loaded_whole_or_not_at_all(open_report, tmp_path, decisions, message):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    file = json_of(tab, tmp_path)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"decisions": decisions}))
    unchanged_by(tab, file, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "it belongs to another run"),
        ("[" * 200_000 + "]" * 200_000, ""),
        ("{", ""),
        ('{"run": {"a": 1}, "title": {"b": 2}}', "it belongs to another run"),
    ],
)
def test_neither_is_one_that_is_no_file_of_labels(open_report, tmp_path, text, message):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    (tmp_path / "labels.json").write_text(text)
    unchanged_by(tab, tmp_path / "labels.json", message)


def unchanged_by(tab, file: Path, message: str) -> None:
    """Loading fails with the message, and the page is as it was, what it keeps for a reload too."""
    seen = "[document.querySelector('main').innerHTML, {...localStorage}, document.getElementById('undo').disabled]"
    before = tab.evaluate(seen)
    tab.locator("#load").set_input_files(file)
    tab.get_by_text(f"{file.name} was not loaded: {message}").wait_for(timeout=5000)
    assert tab.evaluate(seen) == before
    tab.reload()
    assert section(tab, 2).locator(".title").text_content() == "scratch"


def test_fields_that_are_deep_and_that_no_decision_has_are_not_taken_over(open_report, tmp_path):
    tab = open_report(planted())
    file = json_of(tab, tmp_path)
    key = json.loads(file.read_text())["run"]
    deep = "[" * 100_000 + "]" * 100_000
    file.write_text(f'{{"run": "{key}", "decisions": [{{"do": "cut", "k": 3, "more": {deep}}}]}}')
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("Labels loaded").wait_for()
    assert "more" not in tab.evaluate("JSON.stringify({...localStorage})")


def test_what_the_browser_kept_is_checked_alike_and_never_lost(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    kept = '[{"do": "cut", "k": 1e9}]'
    tab.evaluate("kept => Object.keys(localStorage).forEach((key) => { localStorage[key] = kept; })", kept)
    tab.reload()
    tab.get_by_text("What this browser kept is set aside: decision 1, cut: k cannot be 1000000000").wait_for()
    assert progress(tab) == "0 of 7 images labelled · 0 decisions made · 0 decisions spared"
    name(tab, 2, "dent")
    assert kept in tab.evaluate("Object.values(localStorage)")


def test_decisions_on_unknown_images_outlast_them(open_report):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    decisions = '[{"do": "name", "cluster": 2, "name": "scratch"}, {"do": "merge", "from": -1, "into": 2}]'
    tab.evaluate("kept => Object.keys(localStorage).forEach((key) => { localStorage[key] = kept; })", decisions)
    tab.reload()
    assert section(tab, 2).locator(".title").text_content() == "scratch"
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4}, 3: {6}}


def test_decisions_on_a_proposed_group_outlast_it(open_report):
    tab = open_report(planted(groups=[100, 101]))
    decisions = '[{"do": "name", "cluster": 2, "name": "scratch"}, {"do": "merge", "from": 101, "into": 2}]'
    name(tab, 2, "x")
    tab.evaluate("kept => Object.keys(localStorage).forEach((key) => { localStorage[key] = kept; })", decisions)
    tab.reload()
    assert section(tab, 2).locator(".title").text_content() == "scratch"


def test_wrong_labels_in_the_page_do_not_stop_it(open_report):
    tab = open_report(planted(given=Given([0] * 7, {0: "x" * 1001})))
    tab.get_by_text("it opens without them: decision 1, take: names cannot be what it is").wait_for()
    name(tab, 2, "scratch")
    assert section(tab, 2).locator(".title").text_content() == "scratch"


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


def test_proposed_groups_are_counted_from_one(open_report):
    tab = open_report(planted(groups=[3]))
    assert section(tab, 3).locator(".title").text_content() == "Proposed 1"


def test_names_that_a_spreadsheet_would_compute_are_saved_as_text_and_read_back(open_report, tmp_path):
    names = ['=HYPERLINK("http://a")', "-crack", "+1", "@dent; =1+1", "'=quoted", "plain", "'plain'"]
    paths = [Path(text.replace("/", "_") + ".png") for text in names]
    tab = open_report(planted(paths=paths, read=lambda path: Image.new("RGB", (40, 20))))
    tab.locator("#k-number").fill("7")
    tab.locator("#k-number").press("Enter")
    for cluster, text in enumerate(names):
        name(tab, cluster, text)
    table = saved(tab, "#save-csv", tmp_path)
    lines = table.read_text().splitlines()[1:]
    cells = [cell for line in lines for cell in re.split(r"[;,]", line)]
    assert not [cell for cell in cells if re.match(r'[ "]*[=+@-]', cell)]
    labels = read_labels(table)
    assert [image.path for image in labels] == paths
    assert {image.cluster: image.label for image in labels} == dict(enumerate(names))


def test_a_later_image_goes_where_the_one_it_resembles_goes_until_it_is_moved_itself(open_report):
    base = planted()
    later = {
        "paths": [*base.paths, Path("5.png"), Path("6.png")],
        "names": [*base.names, "new.png", "strange.png"],
        "labels": np.append(base.labels, [0, -1]),
        "distances": np.append(base.distances, [0.3, 9.0]),
        "heat": np.concatenate([base.heat, base.heat[:2]]),
        "target": np.append(base.target, [-1, -1]),
        "places": np.concatenate([base.places, base.places[:2]]),
        "nearest": [4, 4],
    }
    tab = open_report(planted(**later))
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4, 7}, 3: {6}, -1: {8}}
    tile(tab, 4).drag_to(section(tab, 3).locator("h2"))
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1}, 3: {4, 6, 7}, -1: {8}}
    tile(tab, 7).drag_to(section(tab, 0).locator("h2"))
    tile(tab, 4).drag_to(tab.locator("nav a[data-cluster='2']"))
    assert galleries(tab) == {2: {0, 2, 3, 4, 5}, 0: {1, 7}, 3: {6}, -1: {8}}


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


def titles(tab) -> set[str]:
    return set(tab.locator("section[data-cluster] .title").all_text_contents())


def test_what_loaded_labels_replace_comes_back_by_undo(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 0, "dent")
    file = json_of(tab, tmp_path)
    for cluster, text in ((0, "crack"), (2, "scratch")):
        name(tab, cluster, text)
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("Labels loaded in place of yours, which Undo brings back").wait_for()
    assert titles(tab) == {"dent", "Cluster 2", "Cluster 3"}
    name(tab, 3, "hole")
    for expected in ({"dent", "Cluster 2", "Cluster 3"}, {"crack", "scratch", "Cluster 3"}):
        tab.locator("#undo").click()
        assert titles(tab) == expected
    for expected in ({"dent", "Cluster 2", "Cluster 3"}, {"dent", "Cluster 2", "hole"}):
        tab.locator("#redo").click()
        assert titles(tab) == expected
    for _ in range(6):
        tab.keyboard.press("Control+z")
    assert titles(tab) == {"Cluster 0", "Cluster 2", "Cluster 3"}


def test_two_windows_lose_nothing_of_one_another(browser, tmp_path):
    write_report(tmp_path / "report.html", planted())
    context = browser.new_context()
    first, second = context.new_page(), context.new_page()
    for tab in (first, second):
        tab.goto((tmp_path / "report.html").as_uri())
    name(first, 0, "dent")
    second.get_by_text("Another window has decided").wait_for()
    assert section(second, 0).locator(".title").text_content() == "dent"
    name(second, 2, "scratch")
    first.get_by_text("Another window has decided").wait_for()
    assert titles(first) == titles(second) == {"dent", "scratch", "Cluster 3"}
    first.locator("#undo").click()
    section(second, 2).get_by_text("Cluster 2").wait_for()
    first.reload()
    assert titles(first) == {"dent", "Cluster 2", "Cluster 3"}
    context.close()
