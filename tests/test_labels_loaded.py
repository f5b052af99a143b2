"""Decisions from a file, the browser's memory or another window: taken whole or not at all, and nothing is lost."""

import json
from pathlib import Path

import pytest
from labelling_page import galleries, json_of, name, progress, section, titles
from planted import planted

from anomaly_clustering.report.content import Given
from anomaly_clustering.report.page import write_report

pytestmark = pytest.mark.slow


def test_labels_go_on_from_their_json_and_not_from_that_of_another_run(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 0, "dent")
    file = json_of(tab, tmp_path)
    tab.locator("#undo").click()
    assert section(tab, 0).locator(".title").text_content() == "Cluster 0"
    tab.locator("#load").set_input_files(file)
    tab.get_by_text("Labels loaded").wait_for()
    assert section(tab, 0).locator(".title").text_content() == "dent"
    other = tmp_path / "other.JSON"
    other.write_text(json.dumps(json.loads(file.read_text()) | {"run": "another"}))
    tab.locator("#load").set_input_files(other)
    tab.get_by_text("other.JSON was not loaded: it belongs to another run").wait_for()
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
    seen = "[document.querySelector('main').innerHTML, {...localStorage}, document.getElementById('undo').ariaDisabled]"
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
    tab.get_by_text(
        "it opens with those alone that come before: decision 1, take: names cannot be what it is"
    ).wait_for()
    name(tab, 2, "scratch")
    assert section(tab, 2).locator(".title").text_content() == "scratch"


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


def test_labels_that_a_later_report_brings_along_say_what_they_take_the_place_of(browser, tmp_path):
    """Those of the second report are decided on in the browser; a third one knows nothing of it."""
    context = browser.new_context()
    tab = context.new_page()
    over = tab.get_by_text("in place of what you decided here last, which Undo brings back")

    def opened(given: Given | None) -> None:
        (tmp_path / "report.html").unlink(missing_ok=True)
        write_report(tmp_path / "report.html", planted(given=given))
        tab.goto((tmp_path / "report.html").as_uri())

    clusters = planted().labels.tolist()
    opened(None)
    name(tab, 0, "dent")
    opened(Given(clusters, {0: "dent"}))
    assert titles(tab) == {"dent", "Cluster 2", "Cluster 3"}
    assert over.count() == 0
    name(tab, 2, "scratch")
    opened(Given(clusters, {0: "dint"}))
    over.wait_for()
    assert titles(tab) == {"dint", "Cluster 2", "Cluster 3"}
    tab.locator("#undo").click()
    assert titles(tab) == {"dent", "scratch", "Cluster 3"}
    tab.reload()
    assert titles(tab) == {"dent", "scratch", "Cluster 3"}
    # The same labels, given once more, are there as they are given.
    opened(Given(clusters, {0: "dint"}, files_given=3))
    over.wait_for()
    assert titles(tab) == {"dint", "Cluster 2", "Cluster 3"}
    context.close()


def test_what_is_decided_in_a_window_with_an_older_report_comes_back_by_undo(browser, tmp_path):
    context = browser.new_context()
    old, new = context.new_page(), context.new_page()
    write_report(tmp_path / "report.html", planted())
    old.goto((tmp_path / "report.html").as_uri())
    name(old, 0, "dent")
    write_report(tmp_path / "report.html", planted(given=Given(planted().labels.tolist(), {0: "dent"})))
    new.goto((tmp_path / "report.html").as_uri())
    name(new, 2, "scratch")
    old.get_by_text("Another window decides with another report of this run").wait_for()
    name(old, 3, "hole")
    new.get_by_text("Another window decides with another report of this run").wait_for()
    for tab in (old, new):
        tab.reload()
        tab.get_by_text("in place of what you decided here last, which Undo brings back").wait_for()
        assert titles(tab) == {"dent", "scratch", "Cluster 3"}
    new.locator("#undo").click()
    assert titles(new) == {"dent", "Cluster 2", "hole"}
    new.locator("#redo").click()
    new.reload()
    assert titles(new) == {"dent", "scratch", "Cluster 3"}
    context.close()


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
