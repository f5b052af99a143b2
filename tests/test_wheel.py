"""What `pip install` gives a user: the wheel holds all that the package needs, and works away from the clone."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from anomaly_clustering import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "anomaly_clustering"
pytestmark = pytest.mark.slow


def done(*command: object, **environment: str) -> str:
    """The output of a command that sees neither the clone nor a path that was set for the tests."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    words = [str(word) for word in command]
    run = subprocess.run(words, capture_output=True, text=True, env=inherited | environment, cwd=ROOT.root)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (file,) = dist.glob("*.whl")
    return file


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        f"anomaly_clustering/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    # hatchling leaves out what .gitignore names, which once was a whole room.
    assert names == wanted
    assert {Path(name).suffix for name in names} == {".py", ".pyi", ".typed", ".jinja", ".css", ".js", ".json", ".txt"}
    assert {"anomaly_clustering/py.typed", "anomaly_clustering/data/mtd_normals.txt"} <= names
    assert {f"anomaly_clustering/report/page.{kind}" for kind in ("html.jinja", "css")} <= names


def test_the_source_distribution_holds_what_the_wheel_is_built_from(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
    files = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "PKG-INFO"}
    assert top - {".gitignore"} == {"src", *files}


def test_an_installed_wheel_groups_the_synthetic_product(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    done(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    # The libraries are those of the environment that runs this test. A folder that is named in a .pth file is searched
    # last, and the .pth files in it are not read, so an editable install in it stays out of sight.
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (own,) = (tmp_path / "fresh").glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text("\n".join(libraries))

    found = done(python, "-c", "import anomaly_clustering; print(anomaly_clustering.__file__)").strip()
    assert Path(found).is_relative_to(tmp_path / "fresh")
    command = python.with_name("anomaly-clustering")
    assert done(command, "--version") == f"anomaly-clustering {__version__}\n"
    out = tmp_path / "clusters"
    done(command, "cluster", "--synthetic", "--out", out, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (out / "report.html").stat().st_size > 100_000
    assert (out / "assignments.csv").is_file()


def test_the_version_stands_in_one_place_and_in_the_citation(wheel: Path) -> None:
    assert wheel.name.split("-")[1] == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
