"""What a person decided is kept: what a page opens with, and what a file of labels makes of earlier decisions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_stored_run import stored

from anomaly_clustering.runs.assign import Assignment, assign
from anomaly_clustering.runs.decisions import (
    Decisions,
    given_to_page,
    load_decisions,
    moved_by_hand,
    told_apart,
)
from anomaly_clustering.runs.fitted_and_new import fitted_to, new_to
from anomaly_clustering.runs.given_labels import decided
from anomaly_clustering.runs.labels import LARGEST, read_labels
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.proposed import proposed
from anomaly_clustering.runs.store import StoredRun


def came(run: StoredRun, *names: str) -> LaterImages:
    """Images that came after a run, as far as their files are concerned."""
    return replace(LaterImages.of_none(run), paths=[Path(f"{name}.png") for name in names], digests=list(names))


def test_a_page_opens_with_all_that_was_decided_also_on_images_in_no_cluster() -> None:
    run = stored()
    digests = [*run.digests, "x", "y"]
    assert given_to_page(run, digests, Decisions(run.labels)) is None
    # Nobody named or moved anything, but what was marked must not be lost by the next file of labels.
    given = given_to_page(run, digests, Decisions(run.labels, not_in={"x": [1]}, unsure=["y"]))
    assert given.clusters == [*run.labels.tolist(), None, None]
    assert (given.unsure, given.not_in) == ([4], {3: [1]})
    given = given_to_page(run, digests, Decisions(run.labels, later={"y": 3}))
    assert given.clusters == [*run.labels.tolist(), None, 3]


def test_labels_that_are_given_again_are_other_ones_to_the_page(tmp_path: Path) -> None:
    run = replace(stored(), paths=[Path(f"{i}.png") for i in range(3)])
    later, decisions, file = LaterImages.of_none(run), Decisions(run.labels), written(tmp_path / "labels.csv")
    for number in (1, 2):
        decisions = decided(run, later, file, decisions)
        decisions.save(tmp_path)
        # A call without labels reads what was kept.
        assert given_to_page(run, run.digests, load_decisions(tmp_path, run)).files_given == number


@pytest.mark.parametrize(
    ("row", "groups"),
    [
        ("x.png,101,,0,", {"x": 101, "y": 101}),
        ("x.png,101,,0,100", {"x": 101, "y": 101}),
        ("x.png,-1,,0,", {"x": 100, "y": 101}),
        ("x.png,-1,,0,100", {"y": 101}),
    ],
)
def test_a_person_moves_images_between_groups_before_these_have_names(
    tmp_path: Path, row: str, groups: dict[str, int]
) -> None:
    run = replace(stored(), paths=[Path(f"{i}.png") for i in range(3)])
    before = Decisions(run.labels, proposed={"x": 100, "y": 101}, groups=[100, 101])
    rows = [f"{path},{k},,0," for path, k in zip(run.paths, run.labels, strict=True)]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["path,cluster,label,unsure,not_in", *rows, row]))
    found = decided(run, came(run, "x", "y"), file, before)
    assert found.proposed == groups
    assert found.later == {}


def test_a_group_that_an_image_of_the_run_was_moved_to_is_known_as_a_whole_and_its_name_is_asked_for(
    tmp_path: Path,
) -> None:
    run = replace(stored(), paths=[Path(f"{i}.png") for i in range(3)])
    before = Decisions(run.labels, proposed={"x": 101, "y": 101, "z": 100}, groups=[100, 101])
    own = ["0.png,101,{},0,", *(f"{path},{k},,0," for path, k in zip(run.paths[1:], run.labels[1:], strict=True))]
    later = ["x.png,101,{},0,", "y.png,101,{},1,", "z.png,100,,0,"]
    file = tmp_path / "labels.csv"
    for name in ("", "burr"):
        lines = [line.format(name) for line in [*own, *later]]
        file.write_text("\n".join(["path,cluster,label,unsure,not_in", *lines]))
        found = decided(run, came(run, "x", "y", "z"), file, before)
        assert (found.later, found.proposed) == ({"x": 101}, {"y": 101, "z": 100})
        told = [notice for notice in found.told if "no name yet" in notice]
        assert [("group 101" in notice, "'0.png'" in notice) for notice in told] == ([] if name else [(True, True)])


def test_labels_that_undo_what_another_person_decided_say_so(run: StoredRun, tmp_path: Path) -> None:
    later, file = came(run, "x", "y"), tmp_path / "labels.csv"
    first = old_rows("flip"), "x.png,100,bent,0,,", "y.png,1,,0,,"
    own, *rows = first
    before = decided(run, later, written(file, *rows, own=own), Decisions(run.labels, groups=[100]))
    assert before.told == []
    # Who goes on from there renames, joins, moves and marks.
    for own, *rows in [
        first,
        (old_rows("turned"), "x.png,100,dent,0,,", "y.png,1,,0,,"),
        (old_rows("bent"), "x.png,0,bent,0,,", "y.png,0,bent,0,,"),
        (old_rows("flip"), "y.png,1,,0,,"),
    ]:
        told = decided(run, later, written(file, *rows, own=own), before).told
        assert not [notice for notice in told if "differ" in notice]
    marked = decided(run, later, written(file, "x.png,100,bent,1,,", own=first[0]), before).told
    assert not [notice for notice in marked if "differ" in notice]
    for (own, *rows), said in [
        (
            (old_rows("turned"), "x.png,100,,0,,", "y.png,1,,0,,"),
            "3 images, '0.png' for one; 1 name is gone, 'bent' for",
        ),
        ((old_rows("flip"), "x.png,100,bent,0,,", "y.png,-1,,0,,"), "1 image, 'y.png' for one; if another person"),
        ((old_rows(""), "x.png,-1,,0,,", "y.png,1,,0,,"), "3 images, '0.png' for one; 2 names are gone, 'bent' for"),
    ]:
        (notice,) = decided(run, later, written(file, *rows, own=own), before).told
        assert said in notice
        assert notice.startswith("these labels differ from the ones given before on ")


def test_later_images_that_a_mark_keeps_from_where_the_file_has_them_are_told(run: StoredRun, tmp_path: Path) -> None:
    later, before = came(run, "w", "x", "y", "z"), Decisions(run.labels, groups=[100])
    # Nothing would hold one that is in no cluster, or in a group without a name.
    rows = ["w.png,-1,,1,,", "x.png,100,,1,,", "y.png,1,,0,,"]
    for marked, told in [("z.png,1,,0,,", []), ("z.png,1,,1,,", ["1 image marked as unsure is not held"])]:
        found = decided(run, later, written(tmp_path / "labels.csv", *rows, marked), before)
        assert [notice[: len("1 image marked as unsure is not held")] for notice in found.told] == told
    rows[2] = "y.png,1,,1,,"
    (notice,) = decided(run, later, written(tmp_path / "labels.csv", *rows, marked), before).told
    assert notice.startswith("2 images marked as unsure are not held where the labels have them, 'y.png' for one")


def test_exact_copies_in_a_run_have_marks_of_their_own(tmp_path: Path) -> None:
    run = replace(stored(), paths=[Path(f"{i}.png") for i in range(3)], digests=["00", "11", "00"])
    file, later = tmp_path / "labels.csv", came(run, "x")
    for marks in (["0,1", "0,", "0,"], ["0,", "0,", "1,2"], ["1,1;2", "0,", "0,0"], ["1,", "1,", "0,"]):
        rows = [f"{path},{k},,{told}" for path, k, told in zip(run.paths, run.labels, marks, strict=True)]
        file.write_text("\n".join(["path,cluster,label,unsure,not_in", *rows, "x.png,-1,,1,1"]))
        decided(run, later, file, Decisions(run.labels)).save(tmp_path)
        found = load_decisions(tmp_path, run)
        given = given_to_page(run, [*run.digests, *later.digests], found)
        told = [(int(i in given.unsure), tuple(given.not_in.get(i, ()))) for i in range(4)]
        read = {row.path: row for row in read_labels(file)}
        assert told == [(row.unsure, row.not_in) for row in (read[path] for path in [*run.paths, *later.paths])]


def test_of_exact_copies_that_are_in_no_cluster_the_first_tells_which_it_is_not_in() -> None:
    run = stored(digests=["00", "11", "00"])
    decisions = Decisions(np.array([-1, 1, -1]), not_in={"00": [1]})
    new, fitted = new_to(run, came(run), decisions), fitted_to(run, came(run), decisions)
    assert new.not_in == [[1], ()]
    assert assign(run.digests, new, fitted).unknown.tolist() == [True, False, True]
    new = new_to(run, came(run), replace(decisions, not_in={"00#2": [1]}))
    assert new.not_in == [(), [1]]


def test_an_image_of_the_run_that_was_put_to_the_unknown_ones_is_in_no_cluster() -> None:
    run = stored()
    decisions = Decisions(np.array([-1, *run.labels[1:]]))
    new, fitted = new_to(run, came(run), decisions), fitted_to(run, came(run), decisions)
    found = assign(run.digests, new, fitted)
    assert found.labels.tolist() == decisions.labels.tolist()
    assert found.unknown.tolist() == [True, *[False] * (len(run.labels) - 1)]
    assert np.isnan(found.p_values).all()


def test_an_image_that_was_taken_out_is_not_where_its_copy_is() -> None:
    run = stored(digests=["00", "11", "00"])
    decisions = Decisions(np.array([-1, 1, 0]), not_in={"00": [0, 1]})
    new, fitted = new_to(run, came(run), decisions), fitted_to(run, came(run), decisions)
    found = assign(told_apart(run.digests), new, fitted)
    assert found.labels.tolist() == [-1, 1, 0]
    assert found.unknown.tolist() == [True, False, False]


def test_a_run_of_which_all_images_were_taken_out_says_what_to_do() -> None:
    run = stored()
    with pytest.raises(ValueError, match=r"no image of run .* is in a cluster any more.*put some back in the report"):
        fitted_to(run, came(run), Decisions(np.full(len(run.paths), -1)))


def test_an_image_that_was_taken_out_of_all_clusters_was_moved_to_none() -> None:
    found = np.array([0, 0, 0, 1, 1, 1])
    assert moved_by_hand(found, np.array([0, 0, 1, 1, 1, -1])).tolist() == [False, False, True, False, False, False]
    # A cluster that was cut by the slider is no move of its images, and neither are other numbers.
    assert not moved_by_hand(found, np.array([5, 5, 7, 0, 0, 0])).any()


def written(file: Path, *rows: str, own: str = "") -> Path:
    """A file of labels of the three images of a run, and of later ones."""
    known = own or "0.png,0,,0,,\n1.png,0,,0,,\n2.png,1,,0,,"
    file.write_text("\n".join(["path,cluster,label,unsure,not_in,content", known, *rows]))
    return file


def unknown(run: StoredRun, *names: str) -> tuple[LaterImages, Assignment]:
    """Images that came later, all unlike one another and those of the run."""
    k = len(names)
    arrays = {"weights": np.ones((k, 2, 2), np.float16), "scores": np.ones((k, 2, 2), np.float16)}
    arrays |= {"mean_scores": np.ones(k, np.float32), "top_scores": np.ones((k, 4), np.float32)}
    arrays |= {"embeddings": np.eye(k, 5, dtype=np.float32), "finding": np.ones(k, bool)}
    later = replace(LaterImages.of_none(run), paths=[Path(f"{name}.png") for name in names], digests=names, **arrays)
    nothing, yes = np.full(k, -1), np.ones(k, bool)
    return later, Assignment(nothing, np.zeros(k), nothing, yes, np.zeros(k), yes)


@pytest.fixture
def run() -> StoredRun:
    return replace(stored(), paths=[Path(f"{i}.png") for i in range(3)], labels=np.array([0, 0, 1]))


def test_what_a_spreadsheet_split_has_the_same_numbers_however_often_it_is_given(
    run: StoredRun, tmp_path: Path
) -> None:
    own = "0.png,0,dent,0,,\n1.png,0,speck,0,,\n2.png,1,,0,,"
    file, later, found = (
        written(tmp_path / "labels.csv", "x.png,-1,odd,0,,", own=own),
        came(run, "x"),
        Decisions(run.labels),
    )
    first = decided(run, later, file, found)
    assert (first.names, first.later) == ({0: "dent", 3: "speck", 2: "odd"}, {"x": 2})
    for groups in ([], [100], [100, 101, 200]):
        found = decided(run, later, file, replace(found, groups=groups))
        assert (found.names, found.later, found.labels.tolist()) == (first.names, first.later, first.labels.tolist())


def test_a_name_of_images_that_are_not_there_names_no_group(run: StoredRun, tmp_path: Path) -> None:
    file = written(tmp_path / "labels.csv", f"flip.png,100,flip,0,,sha256:{'f' * 16}", "x.png,-1,,0,,SHA256:X")
    found = decided(run, came(run, "x"), file, Decisions(run.labels))
    assert (found.names, found.later) == ({}, {})
    assert found.told == [
        "1 row of the labels, such as 'flip.png', is of no image that this run has seen, and counts for nothing"
    ]


def test_digits_of_a_content_may_be_capitals(run: StoredRun, tmp_path: Path) -> None:
    later = replace(came(run, "x"), digests=["ab" * 32])
    found = decided(run, later, written(tmp_path / "labels.csv", f"y.png,1,,0,,{'AB' * 8}"), Decisions(run.labels))
    assert (found.later, found.told) == ({"ab" * 32: 1}, [])


def test_groups_without_a_name_are_not_known_where_it_was_lost_that_they_were_proposed(
    run: StoredRun, tmp_path: Path
) -> None:
    file = written(tmp_path / "labels.csv", "x.png,100,,0,,", "y.png,101,dent,0,,", "z.png,2,,0,,")
    found = decided(run, came(run, "x", "y", "z"), file, Decisions(run.labels))
    # The last was put into a cluster of its own by hand.
    assert found.later == {"y": 101, "z": 2}
    assert (found.proposed, found.groups) == ({"x": 100}, [100])


def test_numbers_near_the_largest_leave_decisions_that_can_be_read(run: StoredRun, tmp_path: Path) -> None:
    own = f"0.png,{LARGEST},dent,0,,\n1.png,{LARGEST},speck,0,,\n2.png,1,,0,,"
    later, assignment = unknown(run, "x", "y")
    found = decided(run, later, written(tmp_path / "labels.csv", own=own), Decisions(run.labels))
    assert found.names == {LARGEST: "dent", 0: "speck"}
    for groups in ([], [100], [LARGEST - 1]):
        again = proposed(later, assignment, replace(found, groups=groups))
        again.save(tmp_path)
        assert load_decisions(tmp_path, run).proposed == again.proposed
        assert set(again.proposed.values()).isdisjoint({*groups, *found.names})


def test_no_group_gets_the_number_of_a_name(run: StoredRun) -> None:
    assert proposed(*unknown(run, "x"), Decisions(run.labels, names={100: "flip"})).proposed == {"x": 200}


def test_a_file_from_before_images_came_leaves_what_was_decided_on_them(run: StoredRun, tmp_path: Path) -> None:
    old = written(tmp_path / "old.csv", own="0.png,0,dent,0,,\n1.png,0,dent,0,,\n2.png,1,,0,,")
    new = written(
        tmp_path / "new.csv", "x.png,100,flip,0,,", "y.png,-1,,1,1,", "z.png,0,bend,0,,", own=old_rows("bend")
    )
    later, before = came(run, "x", "y", "z"), Decisions(run.labels, proposed={"x": 100, "y": 100}, groups=[100])
    known = decided(run, later, new, before)
    assert known.told == []
    found = decided(run, later, old, known)
    # The file has another name for the cluster of z, which stays in one of its own.
    assert (found.later, found.not_in, found.unsure) == ({"x": 100, "z": 101}, {"y": (1,)}, ["y"])
    assert found.names == {0: "dent", 100: "flip", 101: "bend"}
    assert found.proposed == {"y": 100}
    counted, renumbered = found.told
    assert counted == "the labels do not list 3 images that came later, on which earlier ones decided: that stays"
    assert renumbered.startswith("the labels give cluster 0, which was 'bend', another name: images that came later")
    # What it lists is as it has it.
    some = written(tmp_path / "some.csv", "x.png,1,,0,,", own=old_rows("dent"))
    again = decided(run, later, some, known)
    assert (again.later, again.names) == ({"x": 1, "z": 101}, {0: "dent", 100: "flip", 101: "bend"})
    none = written(tmp_path / "none.csv", "x.png,-1,,0,,", "y.png,-1,,0,,", "z.png,-1,,0,,")
    assert decided(run, later, none, known).later == {}


def test_an_image_that_a_file_does_not_list_stays_in_a_cluster_of_its_name(run: StoredRun, tmp_path: Path) -> None:
    before = Decisions(run.labels, names={5: "scratch", 6: "crack", 7: "chip"}, later={"x": 5, "y": 6, "z": 7})
    file = written(tmp_path / "labels.csv", own="0.png,5,dent,0,,\n1.png,6,,0,,\n2.png,8,scratch,0,,")
    found = decided(run, came(run, "x", "y", "z"), file, before)
    assert found.later == {"x": 8, "y": 6, "z": 7}
    assert found.names == {5: "dent", 7: "chip", 8: "scratch"}
    # The same file again changes nothing, and has nothing new to say.
    again = decided(run, came(run, "x", "y", "z"), file, found)
    assert (again.later, again.names, len(again.told)) == (found.later, found.names, 1)


def old_rows(name: str) -> str:
    return f"0.png,0,{name},0,,\n1.png,0,{name},0,,\n2.png,1,,0,,"
