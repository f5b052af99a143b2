"""Later images on the page of a run: what is decided on them is theirs, whatever others come or go."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from labelling_page import galleries, merge, name, saved, section, tile, titles
from PIL import Image
from planted import planted

from anomaly_clustering.report.content import Given, Report
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.page import write_report

pytestmark = pytest.mark.slow


def and_later(*files: str, nearest: int | Sequence[int] = 4, **changes: object) -> Report:
    """The planted images, and later ones behind them that go where image `nearest` is; a file's name is its content."""
    base, n = planted(), len(files)
    like = np.broadcast_to(nearest, n)
    return planted(
        **{
            "paths": [*base.paths, *map(Path, files)],
            "names": [*base.names, *files],
            "read": lambda path: Image.new("RGB", (40, 20)),
            "labels": np.append(base.labels, base.labels[like]),
            "distances": np.append(base.distances, [0.3] * n),
            "heat": np.concatenate([base.heat, base.heat[:1].repeat(n, axis=0)]),
            "target": np.append(base.target, [-1] * n),
            "places": np.concatenate([base.places, base.places[:1].repeat(n, axis=0)]),
            "nearest": like.tolist(),
            "contents": [file.partition(".")[0] * 8 for file in files],
        }
        | changes
    )


@pytest.fixture
def shown(browser, tmp_path):
    """Draws one page after another in the same place, in one window, and fails where the page complained."""
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 900}), []
    tab = context.new_page()
    tab.on("pageerror", lambda error: complaints.append(str(error)))

    def show(report: Report):
        write_report(tmp_path / "report.html", report)
        tab.goto((tmp_path / "report.html").as_uri())
        return tab

    yield show
    context.close()
    assert complaints == []


def move_to_a_new_cluster(tab, image: int) -> None:
    tile(tab, image).press("x")
    tab.locator("#move-to").select_option("new")
    tab.locator("#move").click()


def unsure(tab) -> list[int]:
    return [int(figure.get_attribute("data-index")) for figure in tab.locator("figure[data-unsure]").all()]


def test_decisions_stay_with_their_images_when_others_come_and_wait_when_they_are_gone(shown, tmp_path):
    tab = shown(and_later("aa.png", "bb.png"))
    move_to_a_new_cluster(tab, 8)
    name(tab, 1, "crack")
    tile(tab, 7).press("u")
    tab = shown(and_later("cc.png", "aa.png"))
    tab.get_by_text("Decisions on 1 image that is not on this page are kept until it is").wait_for()
    assert galleries(tab) == {2: {0, 2, 3, 5}, 0: {1, 4, 7, 8}, 3: {6}}
    assert unsure(tab) == [8]
    # The number of a cluster that waits for its image is taken.
    move_to_a_new_cluster(tab, 6)
    name(tab, 4, "hole")
    copy = saved(tab, "#save-named", tmp_path)
    expected = {2: {0, 2, 3, 5}, 0: {1, 4}, 1: {7}, 4: {6}}
    tab = shown(and_later("bb.png"))
    assert galleries(tab) == expected
    assert titles(tab) == {"Cluster 2", "Cluster 0", "crack", "hole"}
    # A copy of the page holds what waits as well, and opens with it.
    tab.goto(copy.as_uri())
    assert titles(tab) == {"Cluster 2", "Cluster 0", "hole"}
    assert unsure(tab) == [8]


def test_a_table_that_was_loaded_is_kept_alike(shown, tmp_path):
    tab = shown(and_later("aa.png", "bb.png"))
    move_to_a_new_cluster(tab, 8)
    tile(tab, 7).press("u")
    tile(tab, 7).press("r")
    before = saved(tab, "#save-csv", tmp_path).read_text().splitlines()
    tab.locator("#load").set_input_files(tmp_path / "labels.csv")
    tab.get_by_text("Labels loaded").wait_for()
    tab = shown(and_later("bb.png", "cc.png", "aa.png"))
    after = saved(tab, "#save-csv", tmp_path).read_text().splitlines()
    assert sorted(after) == sorted([*before, "cc.png,0,,0,,sha256:cccccccccccccccc"])


def test_later_images_that_an_earlier_version_kept_by_number_are_set_aside(shown):
    kept = '[{"do":"move","images":[0,7],"into":null},{"do":"name","cluster":1,"name":"crack"}]'
    tab = shown(and_later("aa.png"))
    name(tab, 2, "scratch")
    tab.evaluate("kept => Object.keys(localStorage).forEach((key) => { localStorage[key] = kept; })", kept)
    tab.reload()
    tab.get_by_text("set aside: an earlier version told later images by their numbers").wait_for()
    assert galleries(tab) == {2: {2, 3, 5}, 0: {1, 4, 7}, 3: {6}, 1: {0}}
    assert "crack" in titles(tab)
    name(tab, 2, "scratch")
    assert kept in tab.evaluate("Object.values(localStorage)")


def test_a_file_of_an_earlier_version_tells_later_images_by_their_paths(shown, tmp_path):
    tab = shown(and_later("aa.png", "bb.png"))
    key = tab.evaluate("JSON.parse(document.getElementById('run').textContent).key")
    images = [{"path": path} for path in (*(f"{i}.png" for i in range(7)), "cc.png", "aa.png", "bb.png")]
    for image, said in ((9, "Labels loaded"), (7, "move: images cannot be what it is")):
        decisions = [{"do": "move", "images": [image], "into": None}]
        (tmp_path / "labels.json").write_text(json.dumps({"run": key, "images": images, "decisions": decisions}))
        tab.locator("#load").set_input_files(tmp_path / "labels.json")
        tab.locator("#said", has_text=said).wait_for()
        assert galleries(tab)[1] == {8}


def test_what_is_kept_and_damaged_is_told(shown):
    tab = shown(and_later("aa.png"))
    name(tab, 2, "scratch")
    take = {"do": "take", "clusters": [2, 0, 2, 2, 0, 2, 3], "names": [], "unsure": [], "notIn": []}
    for later in ([[1e9, 1]], [["x"]], 7):
        kept = json.dumps([take | {"later": later}])
        tab.evaluate("kept => Object.keys(localStorage).forEach((key) => { localStorage[key] = kept; })", kept)
        tab.reload()
        tab.get_by_text("is set aside: decision 1, take: clusters cannot be").wait_for()
        assert section(tab, 2).locator(".title").text_content() == "Cluster 2"


def test_an_image_that_was_taken_out_of_a_cluster_stays_where_it_was_seen_to_go(shown):
    alike = most_alike(np.array([0.0, 10, 1, 2.5, 11.5, 4, 30])[:, None])
    tab = shown(planted(alike=alike))
    tile(tab, 4).press("r")
    assert galleries(tab) == {2: {0, 2, 3, 4, 5}, 0: {1}, 3: {6}}
    # What came since is most like this one, and in another cluster.
    alike = np.vstack([np.column_stack([[7] * 7, alike]), np.arange(7)])
    tab = shown(and_later("aa.png", nearest=6, alike=alike))
    assert galleries(tab) == {2: {0, 2, 3, 4, 5}, 0: {1}, 3: {6, 7}}


@pytest.mark.parametrize("larger", [1, 4])
def test_after_a_split_the_larger_part_keeps_the_name_and_later_images_count(shown, larger):
    files = ("aa.png", "bb.png")
    tab = shown(and_later(*files, nearest=larger))
    name(tab, 0, "dent")
    section(tab, 0).locator("[data-do='split']").click()
    tab.get_by_text("Split dent: 1 image made Cluster 1").wait_for()
    expected = {2: {0, 2, 3, 5}, 0: {larger, 7, 8}, 1: {5 - larger}, 3: {6}}
    assert galleries(tab) == expected
    # Those that come later go with those that they are like, and the name stays.
    more = [larger, larger, *[5 - larger] * 4]
    tab = shown(and_later(*files, *(f"{letter * 2}.png" for letter in "cdef"), nearest=more))
    assert galleries(tab) == expected | {1: {5 - larger, 9, 10, 11, 12}}
    assert "dent" in section(tab, 0).locator(".title").text_content()


def test_no_new_cluster_gets_the_number_of_a_proposed_group(shown):
    tab = shown(and_later("aa.png", labels=np.append(planted().labels, 1), groups=[1]))
    merge(tab, 1, into=2)
    tab.locator("#k-number").fill("6")
    tab.locator("#k-number").press("Enter")
    assert 1 not in galleries(tab)


def test_the_message_counts_those_that_follow(shown):
    tab = shown(and_later("aa.png", "bb.png", nearest=[4, 6]))
    move_to_a_new_cluster(tab, 4)
    assert message(tab) == "Moved 1 image; 1 later image that is alike follows"
    move_to_a_new_cluster(tab, 7)
    assert message(tab) == "Moved 1 image"


def test_taking_images_out_says_what_became_of_them(shown):
    # Image 4 is known to be like images of its cluster alone, and 6 like one of another.
    alike = np.array([[1], [4], [0], [0], [1], [0], [4], [4], [4]])
    tab = shown(and_later("aa.png", "bb.png", nearest=4, labels=np.append(planted().labels, [0, -1]), alike=alike))
    tile(tab, 4).press("x")
    tile(tab, 6).press("x")
    tile(tab, 6).press("r")
    assert message(tab) == (
        "1 image, not in Cluster 3, is now where the most alike images are. "
        "1 image, not in Cluster 0, made Cluster 1; 1 later image that is alike follows"
    )
    tile(tab, 8).press("r")
    assert message(tab) == "Unknown images are in no cluster: move them to one"


def message(tab) -> str:
    return tab.locator("#said").text_content()


def test_what_a_browser_keeps_with_labels_of_the_page_stays_when_more_images_come(shown):
    clusters = planted().labels.tolist()
    tab = shown(and_later("bb.png", given=Given([*clusters, 3], {3: "hole"}, unsure=[7])))
    name(tab, 2, "scratch")
    tab = shown(and_later("aa.png", "bb.png", given=Given([*clusters, None, 3], {3: "hole"}, unsure=[8])))
    assert titles(tab) == {"scratch", "Cluster 0", "hole"}
    assert unsure(tab) == [8]
    assert message(tab) == ""


def test_taking_a_later_image_out_leaves_other_clusters_their_numbers_where_it_is_not_on_the_page(shown):
    alike = np.array([[7, 2, 3], [4, 7, 2], [0, 3, 5], [2, 0, 5], [1, 7, 2], [2, 3, 0], [5, 2, 3], [4, 1, 2]])
    tab = shown(and_later("aa.png", nearest=0, alike=alike))
    tile(tab, 7).press("r")
    tab.locator("#k-number").fill("6")
    tab.locator("#k-number").press("Enter")
    for cluster in list(galleries(tab)):
        name(tab, cluster, f"name {cluster}")
    expected = {cluster: images - {7} for cluster, images in galleries(tab).items()}
    tab = shown(and_later("bb.png", nearest=0, alike=alike))
    assert {cluster: images - {7} for cluster, images in galleries(tab).items()} == expected
    assert titles(tab) == {f"name {cluster}" for cluster in expected}


def test_an_image_that_was_taken_out_keeps_the_cluster_that_it_is_not_in(shown, tmp_path):
    tab = shown(and_later("aa.png", nearest=4))
    tile(tab, 7).press("r")
    assert saved(tab, "#save-csv", tmp_path).read_text().splitlines()[8].split(",")[4] == "0"
    # By itself it would be unknown now.
    unknown = and_later("aa.png", nearest=4, labels=np.append(planted().labels, [-1]))
    tab = shown(unknown)
    assert saved(tab, "#save-csv", tmp_path).read_text().splitlines()[8].split(",")[4] == "0"


@pytest.mark.parametrize("away", ["aa.png", "bb.png"])
def test_decisions_on_clusters_that_another_page_has_do_nothing_and_stay(shown, away):
    proposed = {"groups": [100], "labels": np.append(planted().labels, [100])}
    tab = shown(and_later("aa.png", **proposed))
    name(tab, 2, "scratch")
    name(tab, 100, "dent")
    merge(tab, 100, into=0)
    move_to_a_new_cluster(tab, 6)
    name(tab, 1, "hole")
    expected = galleries(tab)
    other = shown(and_later(away, nearest=4))
    assert {"scratch", "hole"} <= titles(other)
    assert galleries(other) == expected
    assert "set aside" not in other.locator("#said").text_content()
    tab = shown(and_later("aa.png", **proposed))
    assert galleries(tab) == expected
    assert {"scratch", "hole"} <= titles(tab)


def test_a_split_that_takes_off_images_of_another_page_alone_leaves_the_rest_as_it_was(shown):
    tab = shown(and_later("aa.png", nearest=6))
    tile(tab, 7).press("x")
    tile(tab, 0).press("x")
    tab.locator("#move-to").select_option("new")
    tab.locator("#move").click()
    section(tab, 1).get_by_text("Split").click()
    named = {cluster: f"name {cluster}" for cluster in galleries(tab)}
    for cluster, text in named.items():
        name(tab, cluster, text)
    tab = shown(and_later("bb.png", nearest=6))
    assert titles(tab) <= set(named.values())
    assert len(titles(tab)) == len(named) - 1
    assert "set aside" not in tab.locator("#said").text_content()


def test_a_split_is_made_again_where_all_images_of_the_page_are_in_the_part_that_leaves(shown):
    proposed = {"groups": [100], "nearest": [0, 4]}
    tab = shown(and_later("aa.png", "bb.png", **proposed, labels=np.append(planted().labels, [100, 100])))
    section(tab, 100).locator("[data-do='split']").click()
    (part,) = [images for cluster, images in galleries(tab).items() if cluster not in (0, 2, 3, 100)]
    one = "aa.png" if part == {7} else "bb.png"
    alone = {"groups": [100], "nearest": [0 if part == {7} else 4]}
    tab = shown(and_later(one, **alone, labels=np.append(planted().labels, [100])))
    before = galleries(tab)
    tab.locator("#undo").click()
    assert galleries(tab)[100] == {7}
    tab.locator("#redo").click()
    assert galleries(tab) == before


def test_unknown_images_that_were_merged_are_those_that_were_there(shown):
    labels = np.append(planted().labels, [-1])
    tab = shown(and_later("aa.png", labels=labels))
    merge(tab, -1, into=2)
    tab = shown(and_later("aa.png", "bb.png", labels=np.append(labels, [-1])))
    assert galleries(tab) == {2: {0, 2, 3, 5, 7}, 0: {1, 4}, 3: {6}, -1: {8}}


def test_a_name_of_unknown_images_goes_with_them_when_they_are_merged(shown):
    tab = shown(and_later("aa.png", labels=np.append(planted().labels, [-1])))
    name(tab, -1, "nut")
    merge(tab, -1, into=2)
    assert galleries(tab) == {2: {0, 2, 3, 5, 7}, 0: {1, 4}, 3: {6}}
    assert titles(tab) == {"nut", "Cluster 0", "Cluster 3"}


def test_a_named_report_opens_elsewhere_with_all_that_is_kept_here(shown, browser, tmp_path):
    tab = shown(and_later("aa.png", groups=[100], labels=np.append(planted().labels, [100])))
    name(tab, 100, "burr")
    name(tab, 0, "dent")
    # By now the group has no image.
    tab = shown(and_later("aa.png"))
    file = saved(tab, "#save-named", tmp_path)
    other = browser.new_context().new_page()
    other.goto(file.as_uri())
    assert titles(other) == titles(tab) == {"dent", "Cluster 2", "Cluster 3"}
    other.context.close()


def test_what_the_browser_kept_is_read_however_long_it_takes(shown):
    tab = shown(planted())
    for cluster in (0, 2, 3):
        name(tab, cluster, f"name {cluster}")
    tab.add_init_script("let now = 0; Date.now = () => (now += 8000);")
    tab.reload()
    assert titles(tab) == {"name 0", "name 2", "name 3"}


@pytest.mark.parametrize("how", ["merged", "moved"])
def test_no_image_is_told_to_be_out_of_the_cluster_that_it_follows_into(shown, tmp_path, how):
    tab = shown(and_later("aa.png", nearest=4, given=Given([*planted().labels.tolist(), 0], {}, not_in={7: [2]})))
    if how == "merged":
        merge(tab, 2, into=0)
    else:
        tile(tab, 4).press("x")
        tab.locator("#move-to").select_option("2")
        tab.locator("#move").click()
    of_later = saved(tab, "#save-csv", tmp_path).read_text().splitlines()[8].split(",")
    assert of_later[1] == ("0" if how == "merged" else "2")
    assert of_later[4] == ""


def test_a_proposed_group_that_was_made_known_is_a_cluster_as_any_other(shown):
    labels = planted().labels
    proposed = {"groups": [100, 101], "labels": np.append(labels, [100, 101])}
    tab = shown(and_later("aa.png", "bb.png", **proposed, given=Given([*labels.tolist(), 100, None], {100: "stain"})))
    assert [figure_text(tab, image) for image in (7, 8)] == ["new", "new, unlike the run"]
    assert "4 clusters" in tab.locator(".summary").text_content()
    assert "1 new image unlike the run" in tab.locator(".summary").text_content()
    assert tab.locator("#now").text_content() == "now 4 clusters"


def figure_text(tab, image: int) -> str:
    return tab.locator(f"figure[data-index='{image}'] .later").text_content()
