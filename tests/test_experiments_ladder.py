"""The ladder from the paper's embedding to the default: its rows, its runs, and data sets of one's own."""

import hashlib
import inspect
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MakeImage

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC, method_arguments
from anomaly_clustering.mic.references import NORMAL_IMAGES, draw_positions
from anomaly_clustering.mic.streaming import IMAGES
from experiments.__main__ import main
from experiments.categories import SYNTHETIC, Category, fingerprint
from experiments.cells import Settings, Store, cell
from experiments.ladder import SUFFIX, ladder
from experiments.methods import REPOSITORY, SEMI, WEIGHTED, Method
from experiments.plan import make_plan
from experiments.tables import TABLES

SMALL = ["--backbone", "embedded", "--image-size", "64"]
DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(MIC).parameters.items()}
# Digests of the keys of all cells of a table on the synthetic product, by which results are found again.
KEYS = {
    "table1": "c616b9f05592",
    "table2": "991521f5aac5",
    "table3": "c616b9f05592",
    "table4": "a6b8d8b0c7d6",
    "table5": "cab7fdf9a60d",
    "table7": "6f77b61834a3",
    "table8": "72e11624c3ef",
    "table9": "b7c76682715e",
    "table10": "991521f5aac5",
    "localisation": "0917f4ceee9a",
    "later": "0b3e92820e26",
}


@pytest.fixture
def steel(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of three classes of four images each, and one of four normal images beside it."""
    for kind, name in enumerate(("good", "bright", "bar")):
        for seed in range(4):
            make_image(tmp_path / "steel" / name / f"{seed}.png", kind, seed=seed)
    for seed in range(4):
        make_image(tmp_path / "sound" / f"{seed}.png", seed=100 + seed)
    return tmp_path / "steel"


def arguments(method: Method) -> dict[str, Any]:
    """Arguments of MIC that differ from its defaults."""
    given = yaml.safe_load((REPOSITORY / method.config).read_text())["model"].get("init_args") or {}
    return {name: value for name, value in {**given, **method.options}.items() if value != DEFAULTS[name]}


@pytest.mark.parametrize(("file", "normals"), [("signed_residuals", False), ("signed_residuals_semi", True)])
def test_the_configs_of_signed_residuals_are_the_default_of_cluster(file: str, normals: bool) -> None:
    expected = method_arguments("signed_residuals", normals=normals)
    differing = {name: value for name, value in expected.items() if value != DEFAULTS[name]}
    assert arguments(Method(f"configs/mic/{file}.yaml")) == differing


@pytest.mark.parametrize("normals", [False, True])
def test_the_ladder_leads_from_the_paper_to_the_default_one_ingredient_at_a_time(normals: bool) -> None:
    rows = ladder(normals=normals)
    assert all(name.endswith(SUFFIX) for name in rows) is normals
    steps = [arguments(method) for name, method in rows.items() if not name.startswith("Default")]
    assert steps[0] == arguments(SEMI if normals else WEIGHTED)
    expected = method_arguments("signed_residuals", normals=normals)
    assert steps[-1] == {name: value for name, value in expected.items() if value != DEFAULTS[name]}
    for before, after in itertools.pairwise(steps):
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        # Several levels compare with as many references without being told.
        assert len(changed - {"num_references"}) <= 1
        assert changed


@pytest.mark.parametrize("normals", [False, True])
def test_each_ingredient_of_the_default_is_left_out_once(normals: bool) -> None:
    rows = ladder(normals=normals)
    default = arguments(Method(f"configs/mic/signed_residuals{'_semi' * normals}.yaml"))
    left_out = []
    for name, method in rows.items():
        if name.startswith("Default"):
            (changed,) = default.items() - arguments(method).items()
            left_out.append(changed[0])
    assert sorted(left_out) == sorted(default.keys() - {"weights", "effective_patches"})


def test_the_cells_of_the_papers_tables_keep_their_names() -> None:
    settings = Settings(synthetic=True, backbone="embedded")
    found = {}
    for name in KEYS:
        methods = TABLES[name].methods.items()
        keys = {method: cell(method, of, SYNTHETIC, 0, settings).key for method, of in methods}
        found[name] = hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()[:12]
    assert found == KEYS


def test_another_seed_is_a_run_where_references_are_drawn() -> None:
    settings = Settings(synthetic=True, backbone="embedded")
    plan = make_plan(TABLES["ladder"].methods, [SYNTHETIC], 3, settings)
    once = {name for (name, _), cells in plan.cells.items() if len(cells) == 1}
    assert once == {"Weighted Average", f"Weighted Average{SUFFIX}"}


def test_novelty_compares_with_no_more_normal_images_than_references_are_asked_for(steel: Path) -> None:
    data = Folder(steel, normals=steel.parent / "sound", image_size=64, num_workers=0)
    data.setup()

    def drawn(**options: Any) -> list[int]:
        positions = draw_positions(MIC("embedded", weights="novelty", **options).options, data)
        assert positions is not None
        return positions.tolist()

    assert drawn() == drawn(num_references=9) == [0, 1, 2, 3]
    assert len(drawn(num_references=2)) == 2
    assert drawn(num_references=3, normal_fraction=0.5) == drawn(normal_fraction=0.5)


def test_the_ladder_measures_folders_of_ones_own(
    steel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["ladder", *SMALL, "--out", str(out), "--folders", f"steel={steel}", f"wire={steel}"]
    command += ["--normals", f"wire={steel.parent / 'sound'}", "--seeds", "2", "--resamples", "3"]
    command += ["--only", "+ levels", "--categories", "steel", "wire"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    lines = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in printed.splitlines() if "|" in line}
    assert [name.strip() for name in lines[""]] == ["steel", "wire", "mean of 2"]
    assert "over 3 random subsets" in printed
    assert "[" not in printed.split("### NMI")[1]  # The paper has no numbers of this table.
    assert all(" ± " in number for number in lines["+ levels"])
    steel_semi, wire_semi, mean_semi = lines[f"+ levels{SUFFIX}"]
    assert steel_semi.strip() == "-"
    assert " ± " in wire_semi
    assert "(1/2)" in mean_semi
    records = Store(out / "cells").all()
    seeds = [(record["dataset"], record["seed"]) for record in records if record["method"] == "+ levels"]
    assert sorted(seeds) == [("steel", 0), ("steel", 1), ("wire", 0), ("wire", 1)]
    assert {record["num_images"] for record in records} == {12}
    assert main([*command, "--dry-run"]) == 0
    assert "ladder: 0 of " in capsys.readouterr().out


def test_the_name_of_a_cell_depends_on_images_and_normals_but_not_on_where_they_lie(
    steel: Path, tmp_path: Path
) -> None:
    settings, semi = Settings(backbone="embedded", image_size=64), ladder(normals=True)["Weighted Average (semi)"]
    sound = steel.parent / "sound"

    def key(folder: Path, normals: Path | None) -> str:
        fingerprint.cache_clear()
        return cell("", semi, Category("steel", folder=folder, normals=normals), 0, settings).key

    first = key(steel, sound)
    (tmp_path / "moved").mkdir()
    moved = (steel.rename(tmp_path / "moved" / "steel"), sound.rename(tmp_path / "moved" / "sound"))
    assert key(*moved) == first
    assert key(moved[0], None) != first
    (moved[1] / "3.png").unlink()
    assert key(*moved) != first


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folders", "steel"), "'steel' is not of the form NAME=VALUE"),
        (("--folders", "bottle=."), "--folders 'bottle': another data set is called so"),
        (("--folders", "steel=absent"), "there is no folder 'absent'"),
        (("--normals", "steel=."), "--normals 'steel': --folders names no such data set"),
    ],
)
def test_wrong_folders_say_so(flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ladder", *SMALL, *flags]) == 2
    assert message in capsys.readouterr().err


def test_reproduction_has_a_place_for_the_ladder(tmp_path: Path) -> None:
    report = tmp_path / "REPRODUCTION.md"
    assert main(["reproduction", *SMALL, "--out", str(tmp_path / "out"), "--report", str(report)]) == 0
    part = report.read_text().split("## From the paper's embedding to signed residuals")[1]
    assert "Not measured yet." in part
    assert "python -m experiments ladder --backbone embedded" in part
    assert "whitening by the covariance of usual residuals -.067" in " ".join(part.split())


def test_references_are_as_many_as_the_default_takes() -> None:
    assert arguments(ladder(normals=False)[f"+ {IMAGES} references"]) == {"num_references": IMAGES}
    assert arguments(ladder(normals=True)[f"+ {NORMAL_IMAGES} normal images{SUFFIX}"]) == {
        "weights": "novelty",
        "num_references": NORMAL_IMAGES,
    }
