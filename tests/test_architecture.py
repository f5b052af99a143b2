"""Who may import whom: ARCHITECTURE in executable form."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "anomaly_clustering"
MODULES = {path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): path for path in SOURCE.rglob("*.py")}
MATH = (
    "bags",
    "argmin",
    "precision",
    "float_products",
    "integer_products",
    "nearest",
    "weights",
    "distances",
    "pooling",
    "clustering",
    "num_clusters",
    "grouping",
    "assign",
)
MATH_MAY_IMPORT = {
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "fastcluster",
    "kmedoids",
    "numba",
    "einops",
    "jaxtyping",
    "anomaly_clustering",
}
BASELINES = {path.stem: path for path in (SOURCE.parents[1] / "baselines").glob("*.py")}
METHODS = {"gatcluster", "iic", "scan", "temi"}
EXPERIMENTS = sorted((SOURCE.parents[1] / "experiments").glob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(str(node.module))
    return found


def own(path: Path) -> set[str]:
    """Names of this package's modules that a file imports, the first part only."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("anomaly_clustering.")}


@pytest.mark.parametrize("module", MATH)
def test_math_is_pure(module: str) -> None:
    foreign = {name.split(".")[0] for name in imports(MODULES[module])} - set(sys.stdlib_module_names)
    assert foreign <= MATH_MAY_IMPORT
    calls = [node.func for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "open"}


def test_imports_run_in_one_direction() -> None:
    allowed = {
        "argmin": set(),
        "precision": set(),
        "threads": set(),
        "float_products": {"argmin", "precision"},
        "integer_products": {"argmin"},
        "nearest": {"argmin", "float_products", "integer_products", "precision", "threads"},
        "bags": set(),
        "clustering": set(),
        "num_clusters": {"clustering"},
        "grouping": {"clustering", "num_clusters"},
        "pooling": set(),
        "metrics": set(),
        "purity_curve": {"metrics"},
        "localisation": {"metrics"},
        "distances": {"nearest", "precision", "threads"},
        "backbone": set(),
        "cache": set(),
        "drawing": set(),
        "features": {"backbone", "bags", "cache"},
        "last_and_best": set(),
        "training_folder": {"data", "last_and_best", "run_folder"},
        "weights": {"nearest", "precision"},
        "ring": {"weights"},
        "comparison": {"distances", "pooling", "precision", "ring", "weights"},
        "mic": {
            *(
                "backbone",
                "cache",
                "clustering",
                "comparison",
                "drawing",
                "features",
                "grouping",
                "num_clusters",
            ),
            *("precision", "progress", "references", "resampling", "ring", "rows", "scoring", "weights"),
        },
        "references": {"drawing", "precision", "ring", "weights"},
        "rows": set(),
        "scoring": {"grouping", "localisation", "metrics", "purity_curve"},
        "resampling": {"metrics", "nearest", "precision", "weights"},
        "artefacts": {"data", "metrics", "report"},
        "tracking": {"artefacts", "data", "mic", "ring"},
        "assign": {"weights"},
        "layout": set(),
        "curves": {"num_clusters", "purity_curve", "report"},
        "stored_run": {"report"},
        "run_report": {"data", "report", "stored_run"},
        "labels": set(),
        "accelerator": set(),
        "console": {"data"},
        "whole_folder": set(),
        "export": {"labels", "whole_folder"},
        "options": {"export"},
    }
    assert {module: own(MODULES[module]) for module in allowed} == {
        module: own(MODULES[module]) & may for module, may in allowed.items()
    }
    for name, path in MODULES.items():
        if name.startswith(("data", "report")):
            assert own(path) <= {name.split(".")[0]}, f"{name} imports {own(path)}"


def test_baselines_stand_on_data_metrics_and_backbone_and_never_on_each_other() -> None:
    for name, path in BASELINES.items():
        assert own(path) <= {"data", "metrics", "backbone"}, f"{name} imports {own(path)}"
        beside = {imported.partition(".")[2] for imported in imports(path) if imported.startswith("baselines.")}
        assert name == "__init__" or not beside & METHODS, f"{name} imports {beside}"
        assert len(path.read_text().splitlines()) <= 300, name


def test_each_library_has_its_room() -> None:
    for path in EXPERIMENTS:
        assert not {"wandb", "timm"} & {imported.split(".")[0] for imported in imports(path)}, path
    for name, path in MODULES.items():
        found = {imported.split(".")[0] for imported in imports(path)}
        assert "wandb" not in found or name == "tracking"
        assert "timm" not in found or name == "backbone"
        assert "faiss" not in found
        assert not found & {"baselines", "experiments"}


@pytest.mark.parametrize("path", [*MODULES.values(), *BASELINES.values(), *EXPERIMENTS], ids=str)
def test_the_first_line_says_what_a_file_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20
