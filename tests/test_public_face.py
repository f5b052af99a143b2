"""What the package offers at its door: names that load when they are used, and paths that users have written down."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import anomaly_clustering
from anomaly_clustering.cli.main import _check_configs
from anomaly_clustering.data import Folder
from anomaly_clustering.mic.module import MIC

SOURCE = Path(anomaly_clustering.__file__).parent
PACKAGES = [path.parent for path in SOURCE.rglob("__init__.pyi")]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", anomaly_clustering.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(anomaly_clustering, name).__doc__


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_list_of_names_is_what_is_imported(package: Path) -> None:
    stub = ast.parse((package / "__init__.pyi").read_text())
    imported = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (listed,) = (node.value for node in stub.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(listed) == sorted(
        imported, key=lambda name: (not name.isupper(), name.lower() == name, name)
    )


def test_importing_the_package_imports_nothing_large() -> None:
    large = "{'torch', 'lightning', 'timm', 'wandb', 'sklearn', 'matplotlib'}"
    assert python(f"import sys, anomaly_clustering; print(sorted({large} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("argv", [["export", "--labels", "labels.csv"], ["cluster", "absent"], ["fit", "-c", "absent"]])
def test_commands_that_need_no_network_and_slips_of_the_pen_import_none(tmp_path: Path, argv: list[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"any bytes")
    (tmp_path / "labels.csv").write_text("path,cluster,label,unsure\na.png,0,dent,0\n")
    code = f"""
import os, sys
from anomaly_clustering.cli.main import main
os.chdir({str(tmp_path)!r})
try:
    main({argv!r})
except SystemExit:
    pass
print(sorted({{'torch', 'lightning', 'timm', 'sklearn'}} & set(sys.modules)))
"""
    assert python(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize("config", ["model: {class_path: a.B}", "{model: {}}", "/dev/stdin"])
def test_options_in_place_of_a_config_are_not_taken_for_a_file(config: str) -> None:
    _check_configs(["fit", "-c", config, f"--config={config}"])


@pytest.mark.parametrize("words", [["fit", "-c", "absent.yaml"], ["fit", "--config=absent.yaml"]])
def test_a_missing_config_is_named_at_once(words: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"config 'absent.yaml' does not exist"):
        _check_configs(words)


def test_class_paths_of_old_configs_are_the_classes() -> None:
    assert anomaly_clustering.mic.MIC is MIC is anomaly_clustering.MIC
    assert anomaly_clustering.data.Folder is Folder
    assert anomaly_clustering.metrics.clustering_metrics() is not None
