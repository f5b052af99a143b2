"""Names travel: labels.csv is saved and opened again, a named report brings its names along, and so does `assign`."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelling_page import galleries, name, progress, saved, section, tile, titles
from planted import one_more, planted

from anomaly_clustering.report.content import Given
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.page import write_report
from anomaly_clustering.runs.labels import read_labels

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(browser) -> Callable:
    """Opens a file in a browser that has kept nothing, and fails where the page complained."""
    contexts, complaints = [], []

    def open_file(file: Path):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(file.as_uri())
        return tab

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []


def decide(tab) -> None:
    """A name, a doubt, an image moved, and one that is not where it was."""
    name(tab, 2, 'scratch, "deep"')
    tile(tab, 3).press("u")
    tile(tab, 5).drag_to(section(tab, 0).locator("h2"))
    tile(tab, 4).press("r")


def test_labels_csv_is_opened_again_in_a_fresh_browser_with_all_that_was_decided(open_report, fresh, tmp_path):
    tab = open_report(planted(alike=planted_alike()))
    decide(tab)
    table = saved(tab, "#save-csv", tmp_path)
    # Image 4 is most like 1, which is in the cluster that it is not in, and then like 5 and 0.
    assert {i.path.name: i.not_in for i in read_labels(table) if i.not_in} == {"4.png": (0,)}
    other = fresh(tmp_path / "report.html")
    assert progress(other).startswith("0 of 7")
    other.locator("#load").set_input_files(table)
    other.get_by_text("Labels loaded").wait_for()
    assert galleries(other) == galleries(tab) == {3: {6}, 0: {1, 5}, 2: {0, 2, 3, 4}}
    assert titles(other) == titles(tab)
    assert progress(other).startswith("3 of 7 images labelled")
    assert saved(other, "#save-csv", tmp_path).read_text() == table.read_text()
    # The slider leaves named clusters alone also after a file was opened.
    other.locator("#k").fill("7")
    assert galleries(other)[2] == {0, 2, 3, 4}


def planted_alike():
    """The nearest images by where they were planted."""
    return most_alike(np.array([0.0, 10, 1, 2.5, 11.5, 4, 30])[:, None])


def test_a_named_report_opens_with_all_names_and_goes_on_by_itself(open_report, fresh, tmp_path):
    tab = open_report(planted(alike=planted_alike()))
    decide(tab)
    copy = saved(tab, "#save-named", tmp_path)
    assert copy.name == "report-named.html"
    tab.get_by_text("Saved report-named.html to the downloads of this browser: 3 of 7 images labelled").wait_for()
    other = fresh(copy)
    assert galleries(other) == galleries(tab)
    assert titles(other) == titles(tab)
    assert progress(other) == progress(tab)
    # All decisions are there, and can be undone; what is decided further stays with this copy.
    for _ in range(4):
        other.keyboard.press("Control+z")
    assert galleries(other) == {3: {6}, 0: {1, 4}, 2: {0, 2, 3, 5}}
    name(other, 3, "hole")
    other.reload()
    assert titles(other) == {"hole", "Cluster 0", "Cluster 2"}
    other.goto((tmp_path / "report.html").as_uri())
    assert titles(other) == {"Cluster 3", "Cluster 0", "Cluster 2"}
    # A copy of the copy is made of the same page.
    other.goto(copy.as_uri())
    again = fresh(saved(other, "#save-named", tmp_path))
    assert titles(again) == {"hole", "Cluster 0", "Cluster 2"}


def test_names_are_no_markup_in_a_named_report(open_report, fresh, tmp_path):
    tab = open_report(planted())
    hostile = "</script><img src=x onerror='window.ran = 1'><!--"
    name(tab, 2, hostile)
    other = fresh(saved(tab, "#save-named", tmp_path))
    assert section(other, 2).locator(".title").text_content() == hostile
    assert other.evaluate("window.ran") is None


GIVEN = Given([2, 0, 2, 2, 0, 2, 3], {2: "scratch"}, unsure=[5], not_in={6: [0]})


def test_labels_that_a_page_is_drawn_with_are_there_in_any_browser(fresh, tmp_path):
    write_report(tmp_path / "report.html", planted())
    tab = fresh(tmp_path / "report.html")
    name(tab, 0, "dent")
    write_report(tmp_path / "report.html", planted(given=GIVEN))
    other = fresh(tmp_path / "report.html")
    assert titles(other) == {"scratch", "Cluster 0", "Cluster 3"}
    assert progress(other).startswith("3 of 7 images labelled")
    # The browser that has decided before sees them too, and Undo brings back its own.
    tab.reload()
    assert titles(tab) == {"scratch", "Cluster 0", "Cluster 3"}
    tab.locator("#undo").click()
    assert titles(tab) == {"dent", "Cluster 2", "Cluster 3"}


def test_images_that_came_later_and_are_not_in_the_labels_go_where_those_like_them_are(fresh, tmp_path):
    given = Given([2, 0, 2, 2, 3, 2, 3, None], {3: "dent"})
    write_report(tmp_path / "report.html", planted(**one_more(Path("5.png")), given=given))
    assert galleries(fresh(tmp_path / "report.html"))[3] == {4, 6, 7}


HEAD = "path,cluster,label,unsure\n"
ROWS = [f"{i}.png,{k},,0\n" for i, k in enumerate([2, 0, 2, 2, 0, 2, 3])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + "".join(ROWS[:5]), "2 images of the run are not in it, '5.png' for one"),
        (HEAD + "".join([*ROWS, "7.png,0,,0\n"]), "'7.png', in line 9, is not an image of this page"),
        (HEAD + "".join([*ROWS, ROWS[2]]), "'2.png' is listed twice, in line 9 again"),
        (HEAD + "".join([*ROWS[:6], "6.png,1.5,,0\n"]), "cluster in line 8 must be a whole number"),
        (HEAD + "".join([*ROWS[:6], "6.png,3,,yes\n"]), "unsure in line 8 must be a whole number from 0 to 1"),
        ("path,cluster,label,unsure,not_in\n" + "".join([*ROWS[:6], "6.png,3,,0,x\n"]), "not_in in line 8 must be"),
        ("path,cluster,label\n" + "".join(ROWS), "it has no column 'unsure'"),
        (
            HEAD + "".join([*ROWS[:6], f"6.png,3,{'x' * 1001},0\n"]),
            "the label in line 8 has 1001 characters",
        ),
        ("", "it has no column 'path'"),
    ],
)
def test_a_table_is_taken_over_whole_or_not_at_all(open_report, tmp_path, content, message):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    seen = "[document.querySelector('main').innerHTML, {...localStorage}]"
    before = tab.evaluate(seen)
    (tmp_path / "labels.csv").write_text(content)
    tab.locator("#load").set_input_files(tmp_path / "labels.csv")
    tab.get_by_text(f"labels.csv was not loaded: {message}").wait_for(timeout=5000)
    assert tab.evaluate(seen) == before


def test_a_table_of_another_encoding_is_refused_and_no_letter_is_replaced(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 2, "Riß")
    table = saved(tab, "#save-csv", tmp_path)
    table.write_bytes(table.read_text(encoding="utf-8").encode("cp1252"))
    tab.locator("#load").set_input_files(table)
    tab.get_by_text("labels.csv was not loaded: it is not UTF-8; save it as 'CSV UTF-8'").wait_for(timeout=5000)
    assert "Riß" in titles(tab)


def test_page_and_commands_read_a_table_alike_whatever_a_spreadsheet_made_of_it(open_report, tmp_path):
    names = ["=1+1.png", "a;b.png", "-new/c,d.png", 'q"u.png', "plain.png", "x\ny.png", "z.png"]
    paths = [Path(text) for text in names]
    tab = open_report(planted(paths=paths, read=lambda path: planted().read(Path("1.png"))))
    tile(tab, 4).press("r")
    name(tab, 2, "dent; deep")
    table = saved(tab, "#save-csv", tmp_path)
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    # One image of the cluster got another label in the spreadsheet, which wrote semicolons and a mark of the order.
    rows[1][2] = "scratch"
    # Rows were sorted, an unknown image was named, and as many images of a cluster have one label as have another.
    rows[2][1:3] = ["-1", "new"]
    rows[3][1:3], rows[4][1:3] = ["8", "stain"], ["8", "hole"]
    rows[1:] = reversed(rows[1:])
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([[head.upper() for head in rows[0]], *rows[1:]])
    tab.locator("#load").set_input_files(table)
    tab.get_by_text("Labels loaded in place of yours").wait_for()
    assert titles(tab) >= {"dent; deep", "scratch"}
    assert sorted(read_labels(saved(tab, "#save-csv", tmp_path / ".."))) == sorted(read_labels(table))


def test_a_name_given_by_hand_names_no_group_that_the_file_does_not_list(open_report, tmp_path):
    """The file is older than the image that came later and is proposed as a group of its own."""
    more = one_more(tmp_path / "later.png") | {"labels": np.append(planted().labels, 4)}
    tab = open_report(planted(**more, groups=[4], read=lambda path: planted().read(Path("1.png"))))
    table = tmp_path / "labels.csv"
    table.write_text(HEAD + "".join(["0.png,2,scratch,0\n", *ROWS[1:]]))
    tab.locator("#load").set_input_files(table)
    tab.get_by_text("Labels loaded").wait_for()
    assert galleries(tab)[4] == {7}
    assert galleries(tab)[5] == {0}


TOLD = [
    ("sep=;\r\n" + (HEAD + "".join(ROWS)).replace(",", ";").replace("\n", "\r\n"), ""),
    ("sep=,\n" + HEAD + "".join(ROWS), ""),
    ("\n \r\n" + (HEAD + "".join(ROWS)).replace(",", ";"), ""),
    (HEAD.strip().replace(",", ";") + ';"a, b, c, d, e"\n' + "".join(ROWS).replace(",", ";"), ""),
    (HEAD.strip().replace(",", ";") + ';"a, b\nc, d"\n' + "".join(ROWS).replace(",", ";"), ""),
    (HEAD.strip() + ",,\n,,,,,\n" + "".join(row.strip() + ",,\n" for row in ROWS) + ",,,,,\n" * 3, ""),
    ("\ufeff" + HEAD + "".join(ROWS) + " , , ,\n\n\n", ""),
    (HEAD + "".join(ROWS).replace(",0\n", ",FALSE\n").replace("5.png,2,,FALSE", "5.png,2,,True"), ""),
    (HEAD + "".join(ROWS).replace(",0\n", ",FALSCH\n").replace("5.png,2,,FALSCH", "5.png,2,,WAHR"), ""),
    (HEAD + "".join(ROWS).replace(",,0\n", ",,\n").replace("5.png,2,,", "5.png,2"), ""),
    ((HEAD + "".join(ROWS)).replace(",2,,0", ",2.0,,1.0").replace(",0,,0", ",+0.,dent, 0 "), ""),
    ((HEAD + "".join(ROWS)).replace(",", ";").replace(";2;;0", ";2,0;;1,0"), ""),
    ((HEAD + "".join(ROWS)).replace("\n", "\r"), ""),
    (HEAD + "\n,,,\n" + "".join([*ROWS[:6], "6.png,3.5,,0\n"]), "cluster in line 10 must"),
    (HEAD + "".join(['0.png,2,"two\r\nlines",0\n', *ROWS[1:6], "6.png,1_0,,0\n"]), "cluster in line 9 must"),
    (HEAD + "".join([*ROWS[:6], '6.png,"3,00",,0\n']), ""),
    (HEAD + "".join([*ROWS[:6], '6.png,"1,000",,0\n']), "cluster in line 8 must"),
    (HEAD + "".join([*ROWS[:6], "6.png,1.000,,0\n"]), "cluster in line 8 must"),
    (HEAD + "".join([*ROWS[:6], "6.png,3,,constructor\n"]), "unsure in line 8 must"),
    (HEAD + "".join([*ROWS[:6], "6.png,,,0\n"]), "cluster in line 8 must"),
    (HEAD + "".join([*ROWS[:6], "6.png,3,,2\n"]), "unsure in line 8 must"),
    (HEAD + "".join([*ROWS[:6], f"6.png,3,{'x' * 1000},0\n"]), ""),
    (HEAD + "".join([*ROWS[:6], f"6.png,3,{'x' * 999}\N{PARTY POPPER},0\n"]), "label in line 8 has 1001"),
    ("sep=;\n" + HEAD + "".join(ROWS), "no "),
    (HEAD.replace("unsure", "unsure,Label") + "".join(ROWS), "several columns are called 'label', capitals aside"),
]


def test_page_and_commands_take_and_refuse_the_same_and_name_the_same_line(open_report, tmp_path):
    tab = open_report(planted())
    for number, (content, why) in enumerate(TOLD):
        table = tmp_path / f"labels{number}.csv"
        table.write_bytes(content.encode())
        if why:
            with pytest.raises(ValueError, match=why):
                read_labels(table)
        tab.locator("#load").set_input_files(table)
        said = f"{table.name} was not loaded" if why else "Labels loaded"
        tab.locator("#said", has_text=said).wait_for(timeout=5000)
        if why:
            assert why in tab.locator("#said").text_content()
        else:
            read = [image._replace(not_in=()) for image in sorted(read_labels(table))]
            assert sorted(read_labels(saved(tab, "#save-csv", tmp_path / ".."))) == read
            tab.locator("#undo").click()


def test_the_message_of_a_saved_table_says_what_it_holds_and_where_it_is(open_report, tmp_path):
    tab = open_report(planted())
    name(tab, 2, "scratch")
    saved(tab, "#save-csv", tmp_path)
    tab.get_by_text("Saved labels.csv to the downloads of this browser: 7 images, 4 labelled").wait_for()
    assert re.fullmatch(
        r"path,cluster,label,unsure,not_in,content", (tmp_path / "labels.csv").read_text().splitlines()[0]
    )
