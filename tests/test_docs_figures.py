"""Results that README and docs tell are cells of REPRODUCTION.md, number by number."""

import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LADDER = "From the paper's embedding to signed residuals, NMI"
PAPER, DEFAULT = "Weighted Average", "+ 4 views, the default"
LITE, RESNET = "embedded", "resnet18"
NORMALS = ", with normal images"
COLUMNS = {
    "Magnetic Tile Defects": "MTD",
    "NEU-DET (40 a class)": "NEU-DET",
    "mean of the five": "mean of 5",
    "mean of the four": "mean of 5",  # NEU-DET has no normal images.
}
WEIGHTS = {
    "uniform ('average')": "Average",
    "maximum Hausdorff distance": "Maximum Hausdorff",
    "unsupervised (Eq. 5)": PAPER,
    "semi-supervised (Eq. 6)": f"{PAPER} (semi)",
    "ground-truth masks": f"{PAPER} (mask)",
}
# Of tables in the docs: the file, how the head begins, and of each column the row of the ladder, with its network.
TABLES = {
    "README": ("README.md", "| set | paper's method |", [(PAPER, LITE), (DEFAULT, LITE)]),
    "what it brings": (
        "docs/method.md",
        "| set | Lite0, paper |",
        [(PAPER, LITE), (DEFAULT, LITE), (PAPER, RESNET), (DEFAULT, RESNET)],
    ),
    "which network": (
        "docs/networks.md",
        "| | embedded | ResNet-18 | embedded, normals |",
        [(DEFAULT, LITE), (DEFAULT, RESNET), (f"{DEFAULT} (semi)", LITE), (f"{DEFAULT} (semi)", RESNET)],
    ),
}


def rows_of(text: str) -> list[list[str]]:
    """The first table of a text: its head and its rows."""
    (table,) = re.findall(r"(?:^\|.*\n)+", text[text.index("\n|") + 1 :], re.MULTILINE)[:1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [rows[0], *rows[2:]]


@lru_cache
def block(section: str, network: str, metric: str = "NMI") -> dict[str, dict[str, str]]:
    """Rows and columns of a section of REPRODUCTION.md."""
    text = (ROOT / "REPRODUCTION.md").read_text()
    part = text[text.index(f"{section} ({network})\n") :].partition("\n## ")[0]
    head, *rows = rows_of(part[part.index(f"\n#### {metric}\n") :])
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


@pytest.mark.parametrize("name", TABLES)
def test_results_are_those_of_the_ladder(name: str) -> None:
    file, begin, sources = TABLES[name]
    text = (ROOT / file).read_text()
    checked = 0
    for place, *told in rows_of(text[text.index(f"\n{begin}") :])[1:]:
        suffix = " (semi)" if place.endswith(NORMALS) or place == "mean of the four" else ""
        place = place.removesuffix(NORMALS).removeprefix("MVTec AD ")
        for number, (row, network) in zip(told, sources, strict=True):
            if number:
                found = block(LADDER, network)[row + suffix][COLUMNS.get(place, place)]
                assert number == found.split()[0], f"{file}: {place}, {row}{suffix} with {network}"
                checked += 1
    assert checked >= 10


def test_what_each_part_brings_is_the_mean_over_the_sets() -> None:
    text = (ROOT / "docs/method.md").read_text()
    names = {"paper": PAPER, "two views": "+ 2 views", "four views, the default": DEFAULT}
    names |= {"$\\tau$ by 6% of the patches": "+ tau by 6% of the patches"}
    sources = [(LITE, ""), (RESNET, ""), (LITE, " (semi)"), (RESNET, " (semi)")]
    for name, *told in rows_of(text[text.index("\n| | Lite0 | ResNet-18 | Lite0, normals |") :])[1:]:
        for number, (network, suffix) in zip(told, sources, strict=True):
            begin = f"Default {name}" if name.startswith("with") else names.get(name, f"+ {name}")
            if name.startswith("32 references"):
                begin = "+ 100 normal images" if suffix else "+ 32 references"
            if number:
                assert number == block(LADDER, network)[begin + suffix]["mean of 5"].split()[0], (name, network, suffix)


def on_all_images(category: str, weights: str, network: str, metric: str = "NMI") -> tuple[str, str]:
    """Ours and the paper's, of Table 7."""
    rows = block("## Table 7. Distances between images, by category", network, metric)
    return re.search(r"(?:all )?(\.\d+) \[(\.\d+)\]", rows[category][WEIGHTS[weights]]).groups()


def test_categories_of_mvtec_stand_beside_the_papers_as_in_table_7() -> None:
    text = (ROOT / "docs/experiments.md").read_text()
    head, *told = rows_of(text[text.index("\n| weights | bottle |") :])
    for name, *numbers in told:
        for category, number in zip(head[1:], numbers, strict=True):
            if number:
                assert number == "{} ({})".format(*on_all_images(category, name, LITE)), (name, category)


@pytest.mark.parametrize("file", ["docs/experiments.md", "docs/networks.md"])
def test_tiles_by_the_papers_method_are_those_of_table_7(file: str) -> None:
    text = (ROOT / file).read_text()
    metrics = ("NMI", "ARI", "F1") if file == "docs/experiments.md" else ("NMI",)
    for name, resnet, lite, papers in rows_of(text[text.index("\n| weights | ResNet-18") :])[1:]:
        name = name.partition(", 761")[0].rstrip(")") + ")" * ("(" in name)
        for network, told in ((RESNET, resnet), (LITE, lite)):
            both = [on_all_images("MTD", name, network, metric) for metric in metrics]
            assert (told, papers) == tuple(" / ".join(numbers) for numbers in zip(*both, strict=True)), name


def test_what_normal_images_bring_is_told_as_it_was_measured() -> None:
    told = " ".join((ROOT / "docs/quickstart.md").read_text().split())
    rows = block(LADDER, LITE)
    for name, column in (("Magnetic Tile Defects", "MTD"), *((name, name) for name in ("metal_nut", "pill", "bottle"))):
        with_normals, without = (rows[DEFAULT + suffix][column].split()[0] for suffix in (" (semi)", ""))
        assert f"{with_normals} in place of {without} on {name}" in told
    with_normals, without = (rows[PAPER + suffix]["MTD"].split()[0] for suffix in (" (semi)", ""))
    assert f"the tiles more: {with_normals} in place of {without}." in told


def test_gatcluster_on_three_categories_is_told_as_it_was_measured() -> None:
    told = " ".join((ROOT / "docs/baselines.md").read_text().split())
    rows = block("Table 8. Clustering methods", LITE)
    last, best = (rows[name]["object, 3 of 10"] for name in ("GATCluster", "GATCluster (best epoch)"))
    assert f"the mean NMI is {last.split()[0]} and that of the best epoch {best.split()[0]} (the paper's" in told
    papers = [text.partition("of 10: ")[2].rstrip("]") for text in (last, best)]
    assert f"over ten objects, {papers[0]} and {papers[1]})" in told


def test_what_cluster_takes_stands_beside_what_it_brings() -> None:
    text, rows = (ROOT / "docs/speed.md").read_text(), block(LADDER, LITE)
    names = {"paper": PAPER, "views 1": "+ bagged Ward", "four views": DEFAULT}
    for name, _, nmi in rows_of(text[text.index("\n| on Magnetic Tile Defects") :])[1:]:
        (row,) = [row for words, row in names.items() if words in name]
        assert nmi == rows[row]["MTD"].split()[0]


def test_what_references_cost_is_told_as_it_was_measured() -> None:
    text, rows = (ROOT / "docs/speed.md").read_text(), block(SECTIONS["references"], LITE)
    for count, _, *told in rows_of(text[text.index("\n| R | seconds, paper") :])[1:]:
        what = f"{count} images" if count == "all" else f"{count} references"
        names = [f"Weighted averages, {what}", f"Signed residuals, one view, {what}"]
        found = [
            rows.get(name, {}).get(column, "").partition(" ")[0] for name in names for column in ("MTD", "mean of 5")
        ]
        assert told == found, count
    every, few = (
        rows[f"Weighted averages (semi), {what}"]["mean of 5"].split()
        for what in ("all patches of normal images", "a quarter of these")
    )
    assert f"mean NMI of four sets {few[0]} in place of {every[0]}" in text
    assert few[-1] == every[-1] == "(4/5)"


def test_how_often_the_more_stable_network_is_the_better_one() -> None:
    told = " ".join((ROOT / "docs/networks.md").read_text().split())
    stability, nmi = (
        [block(SECTIONS["stability"], network, metric) for network in (LITE, RESNET)] for metric in ("Stability", "NMI")
    )
    right = []
    for row, columns in nmi[0].items():
        for column in {*columns} - {"mean of 5", ""}:
            if columns[column] != "-":
                first, second = ([_first(of_network[row][column]) for of_network in of] for of in (stability, nmi))
                right.append((first[0] > first[1]) == (second[0] > second[1]))
    assert f"the higher NMI in {sum(right)} of {len(right)} comparisons" in told
    pill = [
        of_network["Signed residuals, four views"]["pill"].split()[0] for of in (stability, nmi) for of_network in of
    ]
    assert "is the more stable, {1} to {0}, and its NMI is the lower one, {3} to {2}".format(*pill) in told


def _first(cell: str) -> float:
    return float(cell.split()[0].strip("*,"))


SECTIONS = {
    "references": "With how many images each is compared, NMI",
    "stability": "Are more stable clusters better ones?",
    "report": "What the report shows of good images, and where it outlines defects",
    "names": "Clusters to name, where nobody says how many there are",
    "labelling": "What labelling costs: accuracy of all labels after so many decisions",
    "normals": "A few normal images, NMI",
    "aspect": "Images that keep their aspect, NMI",
    "unknown": "Types of defects that come later",
    "rival": "Training on top of the same regions",
    "localisation": "Do weights that localise defects better group better? (section 4.3)",
}
RESIDUALS, SEMI = "Signed residuals", "Signed residuals (semi)"


def value(section: str, metric: str, row: str, column: str) -> float:
    """The first number of a cell of the embedded network: a mean where there are several."""
    return float(block(SECTIONS[section], LITE, metric)[row][COLUMNS.get(column, column)].split()[0].strip("*,"))


def short(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".removeprefix("0" if number < 1 else "")


def table_of(file: str, begin: str) -> list[list[str]]:
    """The rows of a table in the docs, without its head."""
    text = (ROOT / file).read_text()
    return rows_of(text[text.index(f"\n{begin}") :])[1:]


def test_clusters_to_name_are_as_pure_as_measured() -> None:
    rows = table_of("docs/method.md", "| set | 15 clusters |")
    assert len(rows) == 6
    for place, *told in rows:
        column = "mean of 5" if place == "mean" else place
        fifteen, named = (f"{RESIDUALS}, {what}" for what in ("15 clusters", "clusters to name"))
        purities = [short(value("names", "Purity", row, column)) for row in (fifteen, named)]
        assert told == [purities[0], f"{purities[1]} with {value('names', 'Number of clusters', named, column):.0f}"]


def test_labelling_costs_what_was_measured() -> None:
    rows = table_of("docs/labelling.md", "| set | decisions on |")
    assert len(rows) == 12
    hows = {"clusters": "majority", "images at random": "random images"}
    counts = (8, 16, 32, 64)

    def measured(count: int, how: str, row: str, column: str) -> str:
        return short(value("labelling", f"{count} decisions, {how}", row, column))

    for place, how, *told in rows:
        assert told == [measured(count, hows[how], RESIDUALS, place) for count in counts], (place, how)
    text = " ".join((ROOT / "docs/labelling.md").read_text().split())
    few, many = (measured(count, "central image", RESIDUALS, "mean of 5") for count in (8, 64))
    assert f"comes to {few} with 8 and {many} with 64" in text
    clusters, images = (measured(8, how, PAPER, "mean of 5") for how in ("majority", "random images"))
    assert f"eight clusters give {clusters}, and eight images {images}." in text


def test_heat_and_scores_are_as_measured() -> None:
    rows = table_of("docs/method.md", "| set | normal images | mean heat, good |")
    assert len(rows) == 8
    metrics = ("Mean heat of good images", "Mean heat of defective images")
    metrics += ("AUROC of the score, defective against good images",)
    for place, normals, *told in rows:
        row = RESIDUALS if normals == "none" else SEMI
        expected = [short(value("report", metric, row, place)) for metric in metrics]
        found = ("Good images without a finding", "Defective images without a finding")
        expected += [f"{value('report', metric, row, place):.0%}" if row == SEMI else "" for metric in found]
        assert told == expected, (place, normals)


def test_good_images_are_in_the_clusters_that_were_measured() -> None:
    rows = table_of("docs/method.md", "| | share of good images | paper |")
    assert len(rows) == 8
    metrics = ("Purity of the cluster of good images", "Share of the good images in this cluster")
    for place, _, *told in rows:
        methods = (f"{PAPER} (semi)", SEMI) if place.endswith(NORMALS) else (PAPER, RESIDUALS)
        place = place.removesuffix(NORMALS)
        assert told == [
            " / ".join(short(value("report", metric, method, place), 2) for metric in metrics) for method in methods
        ], place


def test_what_a_few_normal_images_bring_is_as_measured() -> None:
    text = (ROOT / "docs/method.md").read_text()
    head, *rows = rows_of(text[text.index("\n| normal images | none | 5 |") :])
    for place, *told in rows:
        column = {"mean of the four": "mean of 4 of 16"}.get(place, place)
        for count, number in zip(head[1:], told, strict=True):
            row = RESIDUALS if count == "none" else f"{RESIDUALS} ({count} normal images)"
            assert number == short(value("normals", "NMI", row, column)), (place, count)
    assert len(rows) == 5


def test_weights_localise_as_was_measured() -> None:
    told = " ".join((ROOT / "docs/method.md").read_text().split())
    nut, pill, tile = (
        tuple(short(value("localisation", "Localisation AUROC", row, place)) for row in (RESIDUALS, PAPER))
        for place in ("metal_nut", "pill", "MTD")
    )
    assert f"is {nut[0]} (paper {nut[1]}) on metal_nut, {pill[0]} ({pill[1]}) on pill and {tile[0]} ({tile[1]})" in told


def test_regions_lie_where_they_were_measured() -> None:
    rows = table_of("docs/labelling.md", "| set | regions in a defective image |")
    assert len(rows) == 6
    metrics = ("Share of these regions that are on a defect", "Defective images with a region on a defect")
    metrics += ("Good images with a region",)
    for place, count, *told in rows:
        row, place = SEMI if place.endswith(NORMALS) else RESIDUALS, place.removesuffix(NORMALS)
        assert count == f"{value('report', 'Regions in a defective image', row, place):.1f}"
        assert told == [f"{value('report', metric, row, place):.0%}" for metric in metrics], place


def test_aspects_are_told_as_they_were_measured() -> None:
    rows = table_of("docs/quickstart.md", "| NMI on Magnetic Tile Defects, embedded network, 6 clusters")
    for (name, *told), row in zip(rows, (PAPER, RESIDUALS), strict=True):
        assert told == [short(value("aspect", "NMI", of, "MTD")) for of in (row, f"{row}, aspect kept")], name


def test_types_that_come_later_are_told_as_they_were_measured() -> None:
    metrics = ("AUROC of p, unknown against known images", "Unknown images that are flagged")
    blocks = [block(SECTIONS["unknown"], LITE, metric) for metric in (*metrics, "Known images that are flagged")]
    rows = table_of("docs/production.md", "| set, type left out |")
    assert len(rows) == 29
    for place, *told, _ in rows:
        column = f"{place.strip('*')}, mean" if place.startswith("*") else place
        for number, row in zip(told, (RESIDUALS, SEMI), strict=True):
            area, flagged, alarms = (found[column][row].split()[0] for found in blocks)
            expected = "" if area == "-" else f"{short(float(area), 2)} {short(float(flagged), 2)}"
            if place.startswith("*") and expected:
                expected = f"**{expected}**, {float(alarms):.1%}"
            assert number == expected, place


def test_what_training_brings_is_told_as_it_was_measured() -> None:
    rows = table_of("docs/baselines.md", "| NMI / ARI / F1 | images |")
    assert len(rows) == 10
    blocks = [block(SECTIONS["rival"], LITE, metric) for metric in ("NMI", "ARI", "F1")]
    for name, _, ours, trained in rows:
        place, _, features = name.partition(", ")
        column = COLUMNS.get(place, place)
        what = RESIDUALS if features == "signed residuals" else "Weighted averages"
        assert ours == " / ".join(found[f"{what}, bagged Ward"][column].partition("all ")[2] for found in blocks), name
        assert trained == " / ".join(found[f"{what}, prototypes"][column] for found in blocks), name
