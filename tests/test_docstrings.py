"""What every public function and class of the library's rooms says of itself: what it does, its arguments, an example.

The examples run as tests of their own, where pytest collects them from the source.
"""

import inspect
from importlib import import_module

import pytest

ROOMS = ("search", "features", "clustering", "metrics", "mic", "data")
# Files whose functions are read one by one in the documentation, exported from their room or not.
FILES = ("mic.weights", "mic.distances", "mic.pooling", "metrics.agreement", "metrics.tree_purity")


def exported() -> dict[str, object]:
    """Public names of rooms, and of some files the functions that are defined there."""
    found = {}
    for room in ROOMS:
        module = import_module(f"anomaly_clustering.{room}")
        found |= {f"{room}.{name}": getattr(module, name) for name in module.__all__}
    for file in FILES:
        module = import_module(f"anomaly_clustering.{file}")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] not in "_":
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


@pytest.mark.parametrize("name", sorted(EXPORTED))
def test_a_docstring_says_what_goes_in_and_shows_an_example(name: str) -> None:
    value = EXPORTED[name]
    docstring = value.__doc__
    assert docstring, "no docstring of its own"
    found = sections(inspect.cleandoc(docstring))
    first = " ".join(found[""]).split("\n\n")[0].strip()
    assert first[:1].isupper() or first[:1] == "`", f"the first sentence starts with {first[:20]!r}"
    assert "." in first, "the first sentence does not end"
    assert any(line.strip().startswith(">>>") for line in found.get("Example", [])), "no example"
    # Fields of a tuple or a dataclass are arguments and attributes in one.
    told = found.get("Args", []) + found.get("Attributes", [])
    described = {line.strip().partition(":")[0] for line in told}
    missing = [argument for argument in arguments(value) if argument not in described]
    assert not missing, f"says nothing of {missing}"
