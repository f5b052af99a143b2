"""Who may import whom: ARCHITECTURE in executable form."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "anomaly_clustering"
MODULES = {path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): path for path in SOURCE.rglob("*.py")}
MATH = ("bags", "nearest", "weights", "distances", "pooling", "clustering", "num_clusters", "grouping", "assign")
MATH_MAY_IMPORT = {"torch", "numpy", "scipy", "sklearn", "kmedoids", "einops", "jaxtyping", "anomaly_clustering"}


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
        "nearest": set(),
        "bags": set(),
        "clustering": set(),
        "num_clusters": {"clustering"},
        "grouping": {"clustering", "num_clusters"},
        "pooling": set(),
        "metrics": set(),
        "purity_curve": {"metrics"},
        "localisation": {"metrics"},
        "distances": {"nearest"},
        "backbone": set(),
        "weights": {"nearest"},
        "ring": {"weights"},
        "comparison": {"distances", "pooling", "ring", "weights"},
        "mic": {
            *("backbone", "bags", "clustering", "comparison", "grouping", "localisation", "metrics", "progress"),
            *("purity_curve", "resampling", "ring", "weights"),
        },
        "resampling": {"metrics", "nearest", "weights"},
        "assign": {"weights"},
        "layout": set(),
        "curves": {"num_clusters", "purity_curve", "report"},
        "stored_run": {"report"},
        "run_report": {"data", "report", "stored_run"},
        "labels": set(),
        "export": {"labels"},
    }
    assert {module: own(MODULES[module]) for module in allowed} == {
        module: own(MODULES[module]) & may for module, may in allowed.items()
    }
    for name, path in MODULES.items():
        if name.startswith(("data", "report")):
            assert own(path) <= {name.split(".")[0]}, f"{name} imports {own(path)}"


def test_each_library_has_its_room() -> None:
    for name, path in MODULES.items():
        found = {imported.split(".")[0] for imported in imports(path)}
        assert "wandb" not in found or name == "tracking"
        assert "timm" not in found or name == "backbone"
        assert not found & {"baselines", "experiments"}


@pytest.mark.parametrize("path", MODULES.values(), ids=MODULES)
def test_the_first_line_says_what_a_file_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20
