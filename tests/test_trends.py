"""What became of defects over time: periods, counts, marks where a change is, a page that loads and runs nothing."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from anomaly_clustering.report.trends_page import Chart, Stretch, TrendsPage, write_trends_page
from anomaly_clustering.runs.periods import Periods
from anomaly_clustering.runs.trends import ImagesOverTime, trends


def a_month(*, change: bool) -> tuple[ImagesOverTime, Periods]:
    """A run of ten days, and twenty of later images; from day 20 on dents are twice as many, if anything changes."""
    rng = np.random.default_rng(4)
    day = np.repeat(np.arange(30), 30)
    shares = np.where((day >= 20) & change, 0.4, 0.2)
    cluster = (rng.random(900) < shares).astype(int)
    embeddings = 6 * np.eye(8)[cluster] + rng.normal(size=(900, 8))
    unknown = (day >= 10) & (rng.random(900) < 0.05)
    seen = ImagesOverTime([Path(f"{i}.png") for i in range(900)], cluster, day >= 10, unknown, embeddings)
    start = datetime(2026, 3, 1)
    names = [(start + timedelta(days=i)).strftime("%Y-%m-%d") for i in range(30)]
    return seen, Periods(names, day, np.arange(900), "day")


def test_a_change_is_marked_with_the_shares_before_and_after_and_a_month_without_one_has_no_mark() -> None:
    found = trends(*a_month(change=True), {0: "fine", 1: "dent"})
    fine, dent = found.defects
    assert (fine.name, dent.name) == ("fine", "dent")
    assert abs(dent.change.first - 20) <= 1
    assert dent.change.last == 29
    assert dent.change.within == pytest.approx(0.4, abs=0.06)
    assert dent.change.elsewhere == pytest.approx(0.2, abs=0.06)
    assert found.unknown.change is None
    assert found.drift_change is None
    # Unknown images are counted apart, of those that came later.
    assert fine.counts.sum() + dent.counts.sum() + found.unknown.counts.sum() == 900
    assert found.unknown.of.tolist() == [0] * 10 + [30] * 20
    still = trends(*a_month(change=False), {0: "fine", 1: "dent"})
    assert all(course.change is None for course in (*still.defects, still.unknown))
    assert still.drift_change is None


def test_a_type_that_came_later_only_is_marked_itself_and_not_the_one_that_it_is_most_like() -> None:
    seen, periods = a_month(change=False)
    cluster, embeddings = seen.cluster.copy(), seen.embeddings.copy()
    new = np.flatnonzero((periods.of >= 24) & ~seen.unknown)[::3]
    cluster[new] = 5
    embeddings[new] = 6 * np.eye(8)[1] + np.random.default_rng(1).normal(size=(len(new), 8))
    found = trends(seen._replace(cluster=cluster, embeddings=embeddings), periods, {0: "fine", 1: "dent", 5: "burr"})
    marks = {course.name: course.change for course in found.defects}
    assert marks["burr"] is not None
    assert marks["burr"].within > 0.2 > 0 == marks["burr"].elsewhere
    assert marks["dent"] is None or marks["dent"].within < marks["dent"].elsewhere


def test_a_defect_whose_own_share_falls_is_not_said_to_rise_by_unknown_images_that_are_nearest_to_it() -> None:
    day = np.repeat(np.arange(4), 200)
    later = day >= 2
    # On the last days fewer images of both, and many that are of neither, though nearer to the first.
    kind = np.concatenate([np.tile([0, 1], 200), np.tile(np.repeat([0, 1, 2], [60, 60, 80]), 2)])
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [2.0, 0.0]])
    embeddings = centres[kind] + np.random.default_rng(0).normal(size=(800, 2)) / 10
    seen = ImagesOverTime(
        [Path(f"{i}.png") for i in range(800)], np.minimum(kind, 1) * (kind < 2), later, kind == 2, embeddings
    )
    found = trends(seen, Periods(list("1234"), day, np.arange(800), "day"), {0: "dent", 1: "scratch"})
    marks = {course.name: course.change for course in found.defects}
    assert marks["dent"] is None
    assert marks["scratch"].within < marks["scratch"].elsewhere or marks["scratch"].first < 2


def test_clusters_of_one_name_are_one_defect_and_unnamed_ones_go_by_their_number() -> None:
    seen = ImagesOverTime(
        [Path(f"{i}.png") for i in range(6)], np.array([0, 1, 2, 2, 10, 9]), np.zeros(6, bool), np.zeros(6, bool), None
    )
    found = trends(seen, Periods(["a"], np.zeros(6, dtype=int), np.arange(6), "batch"), {0: "dent", 2: "dent", 1: ""})
    assert [(course.name, course.total) for course in found.defects] == [
        ("dent", 3),
        ("Cluster 1", 1),
        ("Cluster 9", 1),
        ("Cluster 10", 1),
    ]


def test_a_name_that_another_row_has_gets_the_number_of_its_cluster() -> None:
    unknown, later = np.arange(10) == 9, np.arange(10) >= 8
    seen = ImagesOverTime([Path(f"{i}.png") for i in range(10)], np.arange(10) % 9 - 1, later, unknown, None)
    names = {0: "Unknown", 1: "No finding", 2: "Cluster 3", 4: "unknown", 5: "Drift", 6: "Unknown", 7: "All images"}
    found = trends(seen, Periods(["a"], np.zeros(10, dtype=int), np.arange(10), "batch"), names)
    courses = [*found.defects, found.sound, found.unknown]
    assert {course.name: course.total for course in courses} == {
        "Unknown (cluster 0)": 2,
        "No finding (cluster 1)": 1,
        "Cluster 3 (cluster 2)": 1,
        "Cluster 3": 1,
        "unknown (cluster 4)": 1,
        "Drift (cluster 5)": 1,
        "All images (cluster 7)": 1,
        "No finding": 1,
        "Unknown": 1,
    }
    assert len(courses) == 9


def test_images_of_the_run_that_a_person_took_out_have_a_row_of_their_own() -> None:
    seen, periods = a_month(change=False)
    out = ~seen.later & (np.arange(900) % 50 == 0)
    found = trends(seen._replace(unknown=seen.unknown | out), periods, {0: "fine", 1: "dent"})
    assert sum(course.counts for course in (*found.defects, *found.others)).tolist() == [30] * 30
    others = [(course.name, course.total) for course in found.others]
    assert others == [("Taken out", 6), ("Unknown", seen.unknown.sum())]
    assert found.unknown.of.tolist() == [0] * 10 + [30] * 20
    # Where nothing came later too.
    none = np.zeros(300, dtype=bool)
    own = ImagesOverTime(seen.paths[:300], seen.cluster[:300], none, out[:300], seen.embeddings[:300])
    found = trends(own, Periods(periods.names[:10], periods.of[:300], np.arange(300), "day"), {})
    assert sum(course.total for course in found.defects) == 300 - 6
    assert [course.name for course in found.others] == ["Taken out"]


def test_the_page_shows_names_as_text_and_marks_what_has_changed(tmp_path: Path) -> None:
    name = '<script>alert("x")</script>'

    def share(value: float) -> str:
        return f"{value:.0%}"

    chart = Chart(name, [0.1, float("nan"), 0.4], share, Stretch(2, 2, 0.4, 0.1))
    page = TrendsPage(
        name, "batch", ["1", name, "3"], [10, 0, 10], [chart], [[1, 0, 4]], None, None, None, [name], 0.02, 3
    )
    write_trends_page(tmp_path / "trends.html", page)
    html = (tmp_path / "trends.html").read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5
    assert "default-src 'none'" in html
    assert "3: 40% in place of 10%" in html
    # No line goes over a period without images.
    assert chart.lines == ["48.0,90.0", "350.0,30.0"]
    assert chart.band == (pytest.approx(274.5), pytest.approx(75.5))
    assert not re.search(r'(?:href|src)="(?!data:)', html)
