"""Every figure from tiny images, and the report over all that is finished."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import MakeImage
from PIL import Image

from experiments.__main__ import main
from experiments.categories import MTD, MVTEC, Group
from experiments.cells import Settings
from experiments.figure_lines import bars, sensitivity
from experiments.figures import FIGURES, Network
from experiments.plan import make_plan
from experiments.reproduction import REMARKS
from experiments.tables import TABLES

SMALL = ["--backbone", "embedded", "--image-size", "32", "--resamples", "2"]


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    """One category of MVTec AD, with images of several defects at once."""
    folder = tmp_path / "data" / "cable"
    for seed in range(3):
        make_image(folder / "train" / "good" / f"{seed}.png", seed=100 + seed)
        for kind, name in enumerate(("good", "bright", "bar", "combined")):
            make_image(folder / "test" / name / f"{seed}.png", kind, seed=seed)
            if kind:
                mask = np.zeros((64, 64), np.uint8)
                mask[:32, :32] = 255
                path = folder / "ground_truth" / name / f"{seed}_mask.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
    return tmp_path / "data"


def test_all_figures_are_there() -> None:
    assert list(FIGURES) == [f"figure{number}" for number in range(3, 14)]


@pytest.mark.parametrize("name", FIGURES)
def test_cells_of_figures_can_be_configured(name: str, tmp_path: Path, root: Path) -> None:
    figure = FIGURES[name]
    methods = figure.methods(Settings(), figure.networks)
    plan = make_plan(methods, [MVTEC[1]], 1, Settings(root, backbone="embedded"))
    assert not plan.unavailable
    assert len(plan.once()) >= len(methods) - 1  # A mean over images is the default and counts once.


@pytest.mark.parametrize("name", ["figure3", "figure5", "figure12", "figure13"])
def test_figures_are_drawn(name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([name, "--data-root", str(root), "--out", str(out), *SMALL]) == 0
    assert "Missing: " in capsys.readouterr().out
    picture = np.asarray(Image.open(out / "figures" / f"{name}-embedded-32px-2subsets.png").convert("L"))
    assert min(picture.shape) > 200
    assert picture.std() > 10
    assert (out / "figures" / f"{name}-embedded-32px-2subsets.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(("name", "only"), [("figure3", "maximum"), ("figure12", "max"), ("figure13", "average")])
def test_figures_show_what_was_measured(name: str, only: str, root: Path, tmp_path: Path) -> None:
    flags = ["--data-root", str(root), "--out", str(tmp_path), *SMALL]
    assert main([name, *flags, "--only", only]) == 0
    assert (tmp_path / "figures" / f"{name}-embedded-32px-2subsets.png").is_file()
    numbers = (tmp_path / "figures" / f"{name}-embedded-32px-2subsets.csv").read_text().splitlines()
    assert sum(",1," in line for line in numbers) == 1  # The mean over one category.


def test_all_bars_and_lines_are_of_the_same_categories_and_say_of_how_many() -> None:
    group = Group("object", "all", "all", MVTEC[:3])
    results = {("a", member): [{"metrics": {"nmi": 0.1}}] for member in MVTEC[:3]}
    results |= {("b", MVTEC[0]): [{"metrics": {"nmi": 0.9}}], ("a", MVTEC[0]): [{"metrics": {"nmi": 0.4}}]}
    found: Any = SimpleNamespace(results=results, groups=[group])
    (panel,) = bars(found, ["net"], ["a", "b", "c"], {("net", name): name for name in "abc"}).axes
    assert [bar.get_height() for bar in panel.patches] == [0.4, 0.9, 0]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["object (1 of 3)"]
    (panel,) = sensitivity(found, {"tau": {0.1: "b", 1.0: "b"}}, xlabel={"tau": "tau"}, dotted={"tau": "a"}).axes
    drawn = {line.get_label(): line.get_ydata()[0] for line in panel.lines}
    assert drawn["object (1 of 3), a"] == 0.4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["figure4", "figure6", "figure7", "figure8", "figure9", "figure10", "figure11"])
def test_curves_and_bars_are_drawn(name: str, root: Path, tmp_path: Path) -> None:
    flags = ["--backbones", "embedded"] if FIGURES[name].networks else []
    assert main([name, "--data-root", str(root), "--out", str(tmp_path), *SMALL, *flags]) == 0
    assert (tmp_path / "figures" / f"{name}-embedded-32px-2subsets.png").is_file()


def test_a_network_without_weights_is_missing(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "weights.safetensors"
    other.write_bytes(b"none")
    flags = ["--backbones", "embedded", f"resnet18={other}", "--only", "embedded: average", "resnet18: average"]
    assert main(["figure10", "--data-root", str(root), "--out", str(tmp_path), *SMALL, *flags]) == 0
    printed = capsys.readouterr().out
    assert "Missing: resnet18: Average (checkpoint" in printed
    assert "is not a file of weights" in printed


def test_networks_are_read_from_the_command_line(root: Path) -> None:
    file = root / "cable" / "test" / "good" / "0.png"
    methods = FIGURES["figure9"].methods(Settings(), [Network("resnet18", str(file), "layer3")])
    plan = make_plan(methods, [MVTEC[1]], 1, Settings(root))
    layers = {cell.config["model"]["init_args"]["layer"] for cell in plan.once()}
    assert layers == {"layer3"}
    # The last layer of the command's network is not that of another one.
    methods = FIGURES["figure9"].methods(Settings(), [Network("embedded"), Network("resnet18")])
    plan = make_plan(methods, [MVTEC[1]], 1, Settings(root, backbone="resnet18", last_layer="layer3"))
    found = {(cell.method[:8], cell.config["model"]["init_args"]["layer"]) for cell in plan.once()}
    assert found == {("embedded", "last"), ("resnet18", "layer3")}


def test_reproduction_is_made_of_what_is_finished(root: Path, tmp_path: Path) -> None:
    report = tmp_path / "REPRODUCTION.md"
    flags = ["--data-root", str(root), "--out", str(tmp_path / "out"), *SMALL]
    assert main(["reproduction", *flags, "--finished", "--report", str(report)]) == 0
    assert "No run is finished yet." in report.read_text()
    main(["table1", *flags])
    main(["figure13", *flags, "--only", "average"])
    cells = sorted((tmp_path / "out" / "cells").iterdir())
    assert main(["reproduction", *flags, "--finished", "--report", str(report)]) == 0
    text = report.read_text()
    assert sorted((tmp_path / "out" / "cells").iterdir()) == cells
    assert f"    python -m experiments table1 --data-root {root}" in text
    assert "## Table 1. " in text
    assert "object, 1 of 10" in text
    assert "## Figure 3. Weights over images\n\nNot measured yet." not in text  # Shares runs with Table 1.
    assert "## Table 9. Pooling against patches, on random subsets\n\nNot measured yet." not in text
    (picture,) = [line.split("`")[1] for line in text.splitlines() if "figures/figure13" in line]
    assert (tmp_path / picture).is_file()
    assert "- 4 runs, " in text
    assert str(MTD) in text
    commands = [line.split()[3:] for line in text.splitlines() if line.startswith("    python")]
    assert [name for name, *_ in commands] == [*TABLES, *FIGURES]
    # Figures of several networks take no network of their own.
    without = [flag for flag in flags if flag not in ("--backbone", "embedded")]
    several = {name for name, figure in FIGURES.items() if figure.networks}
    assert all(given == (without if name in several else flags) for name, *given in commands)


def test_reproduction_has_each_table_with_each_network(root: Path, tmp_path: Path) -> None:
    report, file = tmp_path / "REPRODUCTION.md", tmp_path / "weights.pth"
    file.write_bytes(b"none")
    flags = ["--data-root", str(root), "--out", str(tmp_path / "out"), *SMALL]
    main(["table1", *flags, "--only", "average"])
    networks = ["--backbones", "embedded", f"resnet18@layer3={file}"]
    assert main(["reproduction", *flags, *networks, "--finished", "--report", str(report)]) == 0
    text = report.read_text()
    commands = [line.split()[3:] for line in text.splitlines() if line.startswith("    python")]
    both = [["--backbone", "embedded"], ["--backbone", "resnet18", "--checkpoint", str(file), "--last-layer", "layer3"]]
    for name in (*TABLES, *FIGURES):
        given = [options[len(flags) :] for of, *options in commands if of == name]
        assert given == ([networks] if FIGURES.get(name) and FIGURES[name].networks else both), name
    first, second = text.split("## Table 1. ")[1:]
    assert first.startswith("Distances between images, clustered by Ward (embedded)\n\nMeasured on images of 32 pixels")
    assert second.startswith("Distances between images, clustered by Ward (resnet18)\n\nNot measured yet.")
    # A remark on one network stands below its table, one on all below the last of them.
    told = yaml.safe_load(REMARKS.read_text())
    table1 = [told["table1"][name].splitlines()[0] for name in ("embedded", "resnet18")]
    assert [[line in part for line in table1] for part in (first, second.partition("\n## ")[0])] == [
        [True, False],
        [False, True],
    ]
    assert [told["figure13"].strip() in part for part in text.split("## Figure 13. ")[1:]] == [False, True]


def test_reproduction_computes_what_is_missing_of_all_and_draws_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, out = tmp_path / "REPRODUCTION.md", tmp_path / "out"
    flags = ["--data-root", str(root), "--out", str(out), *SMALL, "--only", "average", "--report", str(report)]
    assert main(["reproduction", *flags, "--dry-run"]) == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" runs to compute")]
    missing = int(told.split()[1])
    assert main(["reproduction", *flags]) == 0
    assert len(list((out / "cells").glob("*.json"))) == missing > 1
    assert "object, 1 of 10" in report.read_text()
    assert (out / "figures" / "figure13-embedded-32px-2subsets.png").is_file()
    assert (out / "tables" / "table1-embedded-32px-2subsets.md").is_file()
