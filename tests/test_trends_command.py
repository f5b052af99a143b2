"""Runs, and what came later, in; their trends by the command, as a table and a page, out."""

import csv
import re
import shutil
from datetime import time
from pathlib import Path

import pytest
from conftest import MakeImage

from anomaly_clustering.cli.main import main
from anomaly_clustering.cli.options import trends_options
from anomaly_clustering.report.trends_page import Chart


def test_all_rows_of_a_period_add_up_where_images_of_the_run_were_taken_out(run: Path, capsys) -> None:
    own = [(row["path"], row["cluster"], "") for row in rows(run / "assignments.csv")]
    (out, *_), *others = sorted(own)
    # New ones too, lest they are taken for good ones.
    later = [(f"new/later{day}.png", "-1", "0;1;2") for day in (6, 7)]
    lines = [f"{path},{cluster},,0,{barred}" for path, cluster, barred in [(out, "-1", "0;1;2"), *others, *later]]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure,not_in", *lines]))
    for by in ("day", "batch"):
        capsys.readouterr()
        main(["trends", "--run", str(run), "--by", by, "--labels", "labels.csv"])
        assert re.search(r"Taken out\W+1\W+5\.9%", capsys.readouterr().out)
        found = rows(run / "trends.csv")
        counted = {row["period"]: 0 for row in found}
        for row in found:
            counted[row["period"]] += int(row["images"]) if row["defect"] != "All images" else 0
        assert counted == {row["period"]: int(row["images"]) for row in found if row["defect"] == "All images"}
        defects = {row["defect"] for row in found}
        assert defects == {"All images", "Cluster 0", "Cluster 1", "Cluster 2", "Taken out", "Unknown"}
        page = (run / "trends.html").read_text()
        counts = page[page.index("<summary>All counts") : page.index("<summary>How changes")]
        for line in re.findall(r"<tr><th.*?</tr>", counts)[1:]:
            images, *parts = map(int, re.findall(r"<td>(\d+)</td>", line))
            assert sum(parts) == images


def test_an_image_of_the_run_that_was_put_to_the_unknown_ones_is_taken_out_and_so_are_its_copies(run: Path) -> None:
    own = sorted((row["path"], row["cluster"]) for row in rows(run / "assignments.csv"))
    (out, _), *others = own
    lines = [f"{path},{cluster},dent,0" for path, cluster in [(out, "-1"), *others]]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]).replace("-1,dent", "-1,"))
    Path("copies").mkdir()
    shutil.copy(out, "copies")
    main(["assign", "copies", "--run", str(run), "--labels", "labels.csv"])
    (copy,) = [row for row in rows(run / "assigned.csv") if row["path"].startswith("copies")]
    assert [copy[name] for name in ("cluster", "label", "unknown", "p_value")] == ["", "", "1", ""]
    main(["trends", "--run", str(run), "--by", "batch"])
    assert sum(int(row["images"]) for row in rows(run / "trends.csv") if row["defect"] == "Taken out") == 1


def test_a_gap_in_time_breaks_the_curve(run: Path, capsys) -> None:
    table = Path("made.csv").read_text()
    Path("made.csv").write_text(table.replace("2026-03-07", "2026-03-17"))
    capsys.readouterr()
    main(["trends", "--run", str(run), "--by", "day", "--metadata", "made.csv"])
    output = " ".join(capsys.readouterr().out.split())
    assert "10 days without an image are left out, up to 10 on end, between 2026-03-06 and 2026-03-17" in output
    page = (run / "trends.html").read_text()
    charts = page.count('role="img"')
    assert page.count('class="gap"') == charts
    # The marks of an axis differ where nothing was found.
    assert Chart("dent", [0.0, 0.0], str, None).top == 1
    assert Chart("dent", [0.1, 0.2, 0.3], str, None, gaps=[2]).lines == ["48.0,90.0 199.0,70.0", "350.0,50.0"]


@pytest.fixture
def run(flat_photos: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Days 1 to 5 are of the run; 6 and 7 came later."""
    monkeypatch.chdir(flat_photos.parent)
    rows = [
        f"{image.name},2026-03-0{1 + int(image.stem[1])} 08:00,=B{image.stem[0]}" for image in flat_photos.iterdir()
    ]
    for day in (6, 7):
        make_image(Path(f"new/later{day}.png"), 1, seed=20 + day)
        rows.append(f"later{day}.png,2026-03-0{day} 08:00,=B9")
    Path("made.csv").write_text("\n".join(["path,time,batch", *rows]))
    common = ["--metadata", "made.csv"]
    main(["cluster", "flat", "--clusters", "3", "--image-size", "64", "--method", "paper", *common])
    main(["assign", "new", "--run", "flat-clusters", *common])
    return Path("flat-clusters")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_command_counts_the_run_and_what_came_later(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["trends", "--run", str(run)])
    said = capsys.readouterr().out
    assert "Notice: times of 17 images: 17 by the metadata" in said
    assert "7 periods, by day" in said
    found = rows(run / "trends.csv")
    assert [(row["period"], row["images"]) for row in found if row["defect"] == "All images"] == [
        *((f"2026-03-0{day}", "3") for day in range(1, 6)),
        ("2026-03-06", "1"),
        ("2026-03-07", "1"),
    ]
    assert {row["defect"] for row in found} == {"All images", "Cluster 0", "Cluster 1", "Cluster 2", "Unknown"}
    assert {row["changed"] for row in found} == {"0"}
    page = (run / "trends.html").read_text()
    assert "Nothing has changed beyond chance" in page

    own = rows(run / "assignments.csv")
    lines = [f"{row['path']},{row['cluster']},=1+{row['cluster']},0" for row in own]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]))
    main(["trends", "--run", str(run), "--labels", "labels.csv", "--by", "batch"])
    found = rows(run / "trends.csv")
    # As a spreadsheet gets them, no formulas.
    assert {row["period"] for row in found} == {"'=B0", "'=B1", "'=B2", "'=B9"}
    assert {row["defect"] for row in found} >= {"'=1+0", "'=1+1", "'=1+2"}
    # What was told of images holds when they are moved, and what `assign` was given when nothing is given here.
    Path("new").rename("moved")
    main(["assign", "moved", "--run", str(run)])
    told = {Path(row["path"]): row["batch"] for row in rows(run / "metadata.csv")}
    assert told[Path("moved/later6.png")] == "'=B9"
    Path("moved").rename("new")
    main(["assign", "new", "--run", str(run), "--metadata", "made.csv", "--labels", "labels.csv"])
    main(["trends", "--run", str(run)])
    assert {row["defect"] for row in rows(run / "trends.csv")} >= {"'=1+0", "'=1+1", "'=1+2"}
    # They are of the run: a new one in its place takes them away.
    capsys.readouterr()
    main(["cluster", "flat", "--clusters", "3", "--image-size", "64", "--method", "paper", "--overwrite"])
    assert not (run / "trends.csv").exists()
    said = " ".join(capsys.readouterr().out.split())
    lost = "assigned.csv, decisions.json, trends.csv, metadata.csv, pictures.tar"
    assert f"goes with it when this one is done: {lost}; copy the folder" in said


def test_a_table_for_one_call_leaves_the_times_that_are_known(run: Path, capsys) -> None:
    Path("lines.csv").write_text("path,line\n00.png,2\n")
    kept = (run / "metadata.csv").read_text()
    capsys.readouterr()
    main(["trends", "--run", str(run), "--by", "day", "--metadata", "lines.csv"])
    assert "times of 17 images: 17 by the metadata" in capsys.readouterr().out
    # It may go by what the run has kept, too.
    main(["trends", "--run", str(run), "--by", "batch", "--metadata", "lines.csv"])
    assert sum(int(row["images"]) for row in rows(run / "trends.csv") if row["defect"] == "All images") == 17
    assert (run / "metadata.csv").read_text() == kept


def test_unknown_images_are_those_of_the_table_whichever_command_wrote_it(run: Path, capsys) -> None:
    for command, share in (("watch", "0.6"), ("assign", "0.3"), ("watch", "0.05")):
        once = ["--once", "--every", "0.02"] if command == "watch" else []
        main([command, "new", "--run", str(run), "--false-alarms", share, *once])
        unknown = sum(row["unknown"] == "1" for row in rows(run / "assigned.csv"))
        capsys.readouterr()
        main(["trends", "--run", str(run)])
        assert f"is told at a share of false alarms of {share}, " in " ".join(capsys.readouterr().out.split())
        found = [int(row["images"]) for row in rows(run / "trends.csv") if row["defect"] == "Unknown"]
        assert (command, sum(found)) == (command, unknown)


def test_a_column_that_is_called_as_a_period_is_said_not_to_be_used(run: Path, capsys) -> None:
    table = Path("made.csv").read_text()
    Path("made.csv").write_text(table.replace("path,time,batch", "path,time,shift"))
    for by, said in (("shift", True), ("day", False)):
        capsys.readouterr()
        main(["trends", "--run", str(run), "--by", by, "--metadata", "made.csv"])
        output = " ".join(capsys.readouterr().out.split())
        assert ("column 'shift' is not used: --by shift goes by the times of the images; rename" in output) == said


def test_a_run_to_which_nothing_came_has_its_counts_and_one_period_no_charts(flat_photos: Path, monkeypatch) -> None:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", "--image-size", "64", "--method", "paper"])
    main(["trends", "--run", "flat-clusters", "--by", "month"])
    counts = {row["defect"]: row["images"] for row in rows(Path("flat-clusters/trends.csv"))}
    assert counts == {"All images": "15", "Cluster 0": "5", "Cluster 1": "5", "Cluster 2": "5"}
    page = Path("flat-clusters/trends.html").read_text()
    assert "One period alone shows no change" in page
    assert "Pareto" in page
    assert "Share of each defect" not in page


def test_a_copy_in_the_run_counts_where_it_was_put_and_not_where_the_first_one_is(
    flat_photos: Path, monkeypatch
) -> None:
    monkeypatch.chdir(flat_photos.parent)
    shutil.copy("flat/00.png", "flat/z.png")
    main(["cluster", "flat", "--clusters", "3", "--image-size", "64", "--method", "paper"])
    placed = {row["path"]: int(row["cluster"]) for row in rows(Path("flat-clusters/assignments.csv"))}
    assert placed["flat/00.png"] == placed["flat/z.png"]
    other = placed["flat/10.png"]
    for moved, cluster in {"flat/z.png": other, "flat/00.png": -1}.items():
        placed[moved] = cluster
        lines = [f"{path},{cluster},,0" for path, cluster in placed.items()]
        Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]))
        main(["trends", "--run", "flat-clusters", "--by", "month", "--labels", "labels.csv"])
        found = {row["defect"]: int(row["images"]) for row in rows(Path("flat-clusters/trends.csv"))}
        assert found[f"Cluster {other}"] == 6


def test_images_without_a_finding_are_told_apart_whether_they_are_of_the_run_or_came_later(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(20):
        make_image(Path(f"normal/{seed}.png"), 0, seed=100 + seed)
    for kind in range(3):
        for seed in range(4):
            make_image(Path(f"photos/{kind}{seed}.png"), kind, seed=seed)
            make_image(Path(f"new/{kind}{seed}.png"), kind, seed=50 + seed)
    main(["cluster", "photos", "--normal", "normal", "--clusters", "3", "--image-size", "64"])
    main(["assign", "new", "--run", "photos-clusters", "--false-alarms", "0.05"])
    Path("made.csv").write_text(
        "path,batch\n" + "".join(f"{f},{f.parent.name}\n" for f in [*Path("photos").iterdir(), *Path("new").iterdir()])
    )
    main(["trends", "--run", "photos-clusters", "--by", "batch", "--metadata", "made.csv"])
    found = {(row["period"], row["defect"]): int(row["images"]) for row in rows(Path("photos-clusters/trends.csv"))}
    later = [row["finding"] for row in rows(Path("photos-clusters/assigned.csv"))].count("0")
    assert later >= 2
    assert (found["photos", "No finding"], found["new", "No finding"]) == (4, later)
    counted = sum(count for (_, defect), count in found.items() if defect.startswith(("Cluster", "Unknown")))
    assert counted == 24 - 4 - later
    assert "No finding" in Path("photos-clusters/trends.html").read_text()
    assert re.search(r"No finding\W+" + str(4 + later), capsys.readouterr().out)
    # Another share of false alarms is for what comes later: those of the run are as its report has them.
    Path("copies").mkdir()
    for row in (own := rows(Path("photos-clusters/assignments.csv"))):
        shutil.copy(row["path"], "copies")
    main(["assign", "copies", "--run", "photos-clusters", "--false-alarms", "0.5"])
    same = {row["same_as"]: row["finding"] for row in rows(Path("photos-clusters/assigned.csv")) if row["same_as"]}
    assert same == {row["path"]: row["finding"] for row in own}
    main(["trends", "--run", "photos-clusters", "--by", "batch", "--metadata", "made.csv"])
    again = {(row["period"], row["defect"]): int(row["images"]) for row in rows(Path("photos-clusters/trends.csv"))}
    assert again["photos", "No finding"] == 4

    # A person who moves one of them to another cluster says that it is a defect, and calls another cluster good.
    placed = {row["path"]: int(row["cluster"]) for row in own}
    good = placed["photos/00.png"]
    other = next(cluster for cluster in placed.values() if cluster != good)
    labels = {path: other if path == "photos/00.png" else cluster for path, cluster in placed.items()}
    names = {other: "dent"}

    def defects() -> dict[str, int]:
        lines = [f"{path},{cluster},{names.get(cluster, '')},0" for path, cluster in labels.items()]
        Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *lines]))
        main(
            ["trends", "--run", "photos-clusters", "--by", "batch", "--metadata", "made.csv", "--labels", "labels.csv"]
        )
        table = rows(Path("photos-clusters/trends.csv"))
        return {row["defect"]: int(row["images"]) for row in table if row["period"] == "photos"}

    dents = sum(cluster == other for cluster in placed.values())
    assert (defects()["No finding"], defects()["dent"]) == (3, dents + 1)
    assert "whose cluster has a name" not in capsys.readouterr().out
    # A name of the whole cluster moves none of its images; the report counts them by it.
    names[good] = "stain"
    assert (defects()["No finding"], defects()["dent"]) == (3, dents + 1)
    assert "No finding has 3 images of the run whose cluster has a name, 'stain' for one" in " ".join(
        capsys.readouterr().out.split()
    )
    del names[good]
    names[other] = "OK"
    assert "OK" not in defects()
    assert defects()["No finding"] == 3 + dents + 1


def test_what_is_wrong_is_one_sentence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("labels.csv").write_text("path,cluster,label,unsure\nflat/00.png,0,a,0\n")
    for argv, message in [
        (["--by", "station"], "--by 'station' is none of hour, day, week, month, shift, and no column of the metadata"),
        (["--labels", "labels.csv"], "'labels.csv' is not of this run: 14 of its images are not in it"),
        (
            ["--shifts", "6 am"],
            "shifts are times of the day with commas between, such as 06:00,14:00,22:00, got '6 am'",
        ),
        (["--shifts", "06:00", "--by", "day"], "--shifts says when shifts begin; give --by shift in place of --by day"),
        (["--metadata", "none.csv"], "metadata 'none.csv' does not exist"),
    ]:
        with pytest.raises(SystemExit):
            main(["trends", "--run", str(run), *argv])
        assert message in capsys.readouterr().err
    assert trends_options(["--run", str(run), "--shifts", "22:00, 06:00"]).shifts == [time(6), time(22)]
    (run / "trends.html").write_text("mine")
    with pytest.raises(SystemExit):
        main(["trends", "--run", str(run)])
    assert "trends.html' is not the run's, so it was not replaced" in capsys.readouterr().err
