"""What every public function and class of the library's rooms says of itself: what it does, its arguments, an example.

The examples run as tests of their own, where pytest collects them from the source.
"""

import ast
import inspect
from importlib import import_module
from itertools import pairwise
from textwrap import dedent

import pytest

ROOMS = ("search", "features", "clustering", "metrics", "mic", "data")
# Files whose functions and classes are read one by one in the documentation, exported from their room or not.
FILES = (
    *("mic.weights", "mic.distances", "mic.pooling", "mic.recipe"),
    *("metrics.agreement", "metrics.tree_purity"),
    *("report.places", "report.curves", "report.confusion", "report.pictures", "report.heat"),
    "report.contact_sheets",
    *("runs.assign", "runs.assigned", "runs.labels", "runs.export", "runs.store", "runs.assignments"),
    *("estimator", "system.files", "system.locks", "system.tables", "system.full_disk"),
)
WITHOUT_EXAMPLE = {
    "mic.distances.DirectedDistances": "what `directed_distances` returns, whose example shows it",
    "mic.recipe.NewImages": "what `embed_new` returns, whose example shows it",
    "runs.assign.Fitted": "an argument of `assign`, whose example makes one",
    "runs.assign.Embedded": "an argument of `assign`, whose example makes one",
    "runs.assign.Assignment": "what `assign` returns, whose example shows it",
    "runs.assigned.Assigned": "what `assign_to_run` returns",
    "runs.assigned.assign_to_run": "needs a run that is stored",
    "runs.assigned.what_to_know": "needs a run that is stored",
    "runs.store.StoredRun": "is all that a run leaves",
    "runs.store.load_run": "needs a run that is stored",
}
# The order in which a docstring has its sections, where it has them.
ORDER = ("", "Args", "Attributes", "Returns", "Raises", "Example")


def exported() -> dict[str, object]:
    """Public names of rooms, and of some files the functions and classes that are defined there."""
    found = {}
    for room in ROOMS:
        module = import_module(f"anomaly_clustering.{room}")
        found |= {f"{room}.{name}": getattr(module, name) for name in module.__all__}
    for file in FILES:
        module = import_module(f"anomaly_clustering.{file}")
        for name, value in vars(module).items():
            public = (inspect.isfunction(value) or inspect.isclass(value)) and name[0] not in "_"
            if public and value.__module__ == module.__name__:
                found[f"{file}.{name}"] = value
    return found


EXPORTED = exported()


def sections(docstring: str) -> dict[str, list[str]]:
    """Lines beneath 'Args:', 'Returns:' and so on; those before them beneath ''."""
    found: dict[str, list[str]] = {"": []}
    lines = found[""]
    for line in docstring.splitlines():
        if line.rstrip(":").isalpha() and line.endswith(":") and not line.startswith(" "):
            lines = found[line.removesuffix(":")] = []
        else:
            lines.append(line)
    return found


def arguments(value: object) -> list[str]:
    return [name.lstrip("*") for name in inspect.signature(value).parameters if name != "self"]  # type: ignore[arg-type]


def described_beneath(value: object) -> set[str]:
    """Fields of a class that have a docstring of their own."""
    if not inspect.isclass(value):
        return set()
    (definition,) = ast.parse(dedent(inspect.getsource(value))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_a_docstring_says_what_goes_in_and_shows_an_example(name: str) -> None:
    value = EXPORTED[name]
    docstring = value.__doc__
    assert docstring, "no docstring of its own"
    found = sections(inspect.cleandoc(docstring))
    first = " ".join(found[""]).split("\n\n")[0].strip()
    assert first[:1].isupper() or first[:1] == "`", f"the first sentence starts with {first[:20]!r}"
    assert not first.startswith("Of "), f"the first sentence does not run forwards: {first!r}"
    assert "." in first, "the first sentence does not end"
    assert sorted(found, key=ORDER.index) == list(found), "sections in another order"
    has_example = any(line.strip().startswith(">>>") for line in found.get("Example", []))
    assert has_example != (name in WITHOUT_EXAMPLE), "no example" if not has_example else "an example after all"
    # Fields of a tuple or a dataclass are arguments and attributes in one.
    told = found.get("Args", []) + found.get("Attributes", [])
    described = {line.strip().partition(":")[0] for line in told} | described_beneath(value)
    missing = [argument for argument in arguments(value) if argument not in described]
    assert not missing, f"says nothing of {missing}"
