"""Labelling in a browser, by mouse and by keys: what each decision does, undone, saved, and read back by `export`."""

import re
from pathlib import Path

import numpy as np
import pytest
from labelling_page import frame_all, galleries, merge, name, progress, saved, section, tile
from PIL import Image
from planted import planted

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.labels import read_labels

pytestmark = pytest.mark.slow


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


def test_keys_go_on_where_the_mouse_left_the_focus(open_report):
    tab = open_report(planted())
    box = tab.locator("figure[data-index='2'] .pick")
    selected = tab.locator("#selection-text")
    box.click()
    assert tab.evaluate("document.activeElement.className") == "pick"
    tab.keyboard.press(" ")  # A checkbox has this key from the browser, and it is not pressed twice.
    assert not box.is_checked()
    tab.keyboard.press("x")
    assert box.is_checked()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "5"
    tab.keyboard.press(" ")
    assert selected.text_content() == "2 images selected"
    # Selected boxes and sliders have a use for few keys, and the page for the others.
    box.click()
    box.click()
    tab.keyboard.press("m")
    assert tab.evaluate("document.activeElement.id") == "move-to"
    tab.locator("#size").focus()
    tab.keyboard.press("u")
    assert tab.locator("figure[data-unsure]").count() == 2
    tab.keyboard.press("Escape")
    assert not selected.is_visible()
    box.click()
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "find-text"
    tab.keyboard.press("x")
    assert tab.locator("#find-text").input_value() == "x"
    tab.locator("#find-text").fill("")
    tab.locator("#size").focus()
    tab.keyboard.press("n")
    assert tab.evaluate("document.activeElement.className") == "naming"


def test_a_frame_on_the_map_is_moved_by_keys(open_report):
    tab = open_report(planted())
    frame_all(tab)
    assert tab.locator("#selection-text").text_content() == "7 images selected"
    tab.keyboard.press("m")
    tab.keyboard.type("Cluster 3")
    tab.keyboard.press("Enter")
    assert galleries(tab) == {3: set(range(7))}


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
    # However often it was moved, it is one decision to undo.
    assert tab.evaluate('Object.values(localStorage).some(kept => kept.endsWith(\'"dent"},{"do":"cut","k":2}]\'))')
    tab.locator("#undo").click()
    assert galleries(tab) == {0: {1, 4}, 2: {0, 2, 3, 5}, 3: {6}}


def test_a_proposed_group_is_called_by_the_number_that_tables_and_commands_have_for_it(open_report):
    tab = open_report(planted(groups=[2, 3]))
    assert section(tab, 3).locator(".title").text_content() == "Proposed 3"
    assert tab.locator("a[href='#cluster-3'] b").text_content() == "P3"
    name(tab, 0, "dent")
    assert section(tab, 3).locator(".title").text_content() == "Proposed 3"


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
