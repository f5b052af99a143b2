"""Who may import whom: ARCHITECTURE in executable form. Every module is in a room, and every room is listed here."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "anomaly_clustering"
MODULES = {path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): path for path in SOURCE.rglob("*.py")}
BASELINES = {path.stem: path for path in (REPOSITORY / "baselines").glob("*.py")}
METHODS = {"gatcluster", "iic", "prototypes", "scan", "temi"}
# What is trained on top of our own method.
ON_REGIONS = {"prototypes", "regions"}
EXPERIMENTS = sorted((REPOSITORY / "experiments").glob("*.py"))

# In the order in which data flows: what stands above is never imported by what stands below, and nothing runs up.
ROOMS: dict[str, set[str]] = {
    "__init__": set(),
    "system": set(),
    "data": {"system"},
    "features": {"system"},
    "search": {"system"},
    "clustering": set(),
    "metrics": set(),
    "mic": {"system", "features", "search", "clustering", "metrics"},
    "report": {"clustering", "metrics"},
    "runs": {"system", "data", "search", "clustering", "metrics", "mic", "report"},
    "estimator": {"system", "data", "features", "clustering", "mic", "runs"},
    "cli": {"__init__", "system", "data", "features", "metrics", "mic", "report", "runs"},
    "__main__": {"cli"},
}
# Tensors in, tensors out: no files, no printing, no Lightning.
PURE = {"search", "clustering", "metrics", "mic.shard", "mic.scores", "mic.weights"}
PURE |= {"mic.residuals", "mic.distances", "mic.pooling", "features.bags", "features.views"}
PURE_MAY_IMPORT = {
    *("torch", "torchmetrics", "numpy", "scipy", "sklearn", "fastcluster", "kmedoids", "numba", "einops", "jaxtyping"),
    *("triton", "lazy_loader", "anomaly_clustering"),
}
# Lines: a file is one idea, and the wiring of the method can be read in one go.
LONGEST, LONGEST_WIRING = 350, 300


def room_of(module: str) -> str:
    return module.split(".")[0]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            # `from package import module` imports a module too.
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own(path: Path) -> set[str]:
    """Modules of this package that a file imports."""
    found = {
        name.removeprefix("anomaly_clustering.") for name in imports(path) if name.startswith("anomaly_clustering.")
    }
    return {name if name in MODULES else f"{name}.__init__" for name in found if name in MODULES or is_package(name)}


def is_package(name: str) -> bool:
    return f"{name}.__init__" in MODULES


def test_every_module_is_in_a_room_and_there_are_few_rooms() -> None:
    assert {room_of(module) for module in MODULES} == ROOMS.keys()
    assert sum((SOURCE / room).is_dir() for room in ROOMS) <= 10


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_its_room_and_the_rooms_below(module: str) -> None:
    allowed = {room_of(module), *ROOMS[room_of(module)]}
    assert {room_of(imported) for imported in own(MODULES[module])} <= allowed


def test_names_are_imported_from_where_they_are_defined() -> None:
    # What packages pass on to users is loaded lazily: imports through them, and circles, would not be seen here.
    passed_on = set()
    for stub in SOURCE.rglob("__init__.pyi"):
        (listed,) = (node.value for node in ast.parse(stub.read_text()).body if isinstance(node, ast.Assign))
        package = ".".join(["anomaly_clustering", *stub.parent.relative_to(SOURCE).parts])
        passed_on |= {f"{package}.{name}" for name in ast.literal_eval(listed)}
    assert "anomaly_clustering.mic.MIC" in passed_on
    assert {module: imports(path) & passed_on for module, path in MODULES.items() if imports(path) & passed_on} == {}


def test_rooms_stand_in_the_order_of_their_imports() -> None:
    order = list(ROOMS)
    for room, allowed in ROOMS.items():
        assert all(order.index(below) < order.index(room) for below in allowed), room


def test_no_module_is_imported_in_a_circle() -> None:
    reached = {module: own(path) for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for imported in reached[module]:
                visit(imported, (*way, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m in PURE or room_of(m) in PURE))
def test_math_is_pure(module: str) -> None:
    foreign = {name.split(".")[0] for name in imports(MODULES[module])} - set(sys.stdlib_module_names)
    assert foreign <= PURE_MAY_IMPORT
    calls = [node.func for node in ast.walk(ast.parse(MODULES[module].read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "open"}


def test_baselines_stand_on_the_lower_rooms_and_never_on_each_other() -> None:
    for name, path in BASELINES.items():
        allowed = {"system", "data", "features", "metrics"} | ({"mic"} if name in ON_REGIONS else set())
        assert {room_of(imported) for imported in own(path)} <= allowed, name
        beside = {imported.split(".")[1] for imported in imports(path) if imported.startswith("baselines.")}
        assert name == "__init__" or not beside & METHODS, f"{name} imports {beside}"
        assert len(path.read_text().splitlines()) <= 300, name


def test_each_library_has_its_room() -> None:
    for path in EXPERIMENTS:
        assert not {"wandb", "timm"} & {imported.split(".")[0] for imported in imports(path)}, path
    for name, path in MODULES.items():
        found = {imported.split(".")[0] for imported in imports(path)}
        assert "wandb" not in found or name == "runs.tracking"
        assert "timm" not in found or name == "features.plain_timm"
        assert "faiss" not in found
        assert not found & {"baselines", "experiments"}


@pytest.mark.parametrize("path", [*MODULES.values(), *BASELINES.values(), *EXPERIMENTS], ids=str)
def test_the_first_line_says_what_a_file_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20


def test_the_map_of_the_library_says_what_each_file_is_for_and_what_it_defines() -> None:
    script = runpy.run_path(str(REPOSITORY / "docs" / "architecture.py"))
    page = script["PAGE"].read_text()
    assert {f"## {room}/" for room in ROOMS if (SOURCE / room).is_dir()} <= set(page.splitlines())
    assert page == script["architecture"](page), "run python docs/architecture.py"


def test_no_file_is_long() -> None:
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > LONGEST} == {}
    assert lengths["mic.module"] <= LONGEST_WIRING


def test_images_are_opened_in_one_place_which_names_the_formats() -> None:
    # Of all that Pillow knows some start programs, such as PostScript.
    opening = re.compile(r"(?:\w+\.)*(?:Image\.open|imread|read_image|decode_image|ImageFile\.Parser)\(")
    own = {module: path for module, path in MODULES.items() if room_of(module) != "cli"}
    own |= {f"baselines.{name}": path for name, path in BASELINES.items()}
    own |= {f"experiments.{path.stem}": path for path in EXPERIMENTS}
    calls = {
        module: [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        for module, path in own.items()
    }
    found = {
        module: [call for call in lines if opening.match(call) and not call.startswith("read_image(")]
        for module, lines in calls.items()
    }
    assert {module: sorted(lines, reverse=True) for module, lines in found.items() if lines} == {
        "data.opening": ["Image.open(file, formats=FORMATS)", "Image.open(BytesIO(data), formats=['JPEG'])"]
    }
    for module, path in own.items():
        assert not {"cv2", "imageio", "skimage", "torchvision.io", "matplotlib.image"} & imports(path), module
