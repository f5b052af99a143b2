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
            if (name, network) != ("ground-truth masks", RESNET):  # Of the edition before.
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
