"""Texts are UTF-8 on every system: whatever reads or writes one says so, since Windows would take its own code page."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("src", "baselines", "experiments", "benchmarks", "examples")


def test_files_of_text_say_their_encoding() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    unsaid = [f"{file}:{line}" for file in files for line in _unsaid(file.read_text(encoding="utf-8"))]
    assert files
    assert unsaid == []


def test_an_encoding_that_is_not_said_is_found() -> None:
    lines = [
        *("import os", "from PIL import Image", "path.read_text()", "path.write_text(text, errors='replace')"),
        *("open(path, 'w')", "(folder / name).open()", "os.open(path, 0)", "Image.open(path)", "path.open('rb')"),
        "path.read_text(encoding='utf-8')",
    ]
    assert list(_unsaid("\n".join(lines))) == [3, 4, 5, 6]


def _unsaid(source: str) -> Iterator[int]:
    """Numbers of the lines that open a file as text, and leave its encoding to the system."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {name.asname or name.name for node in imports for name in node.names}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        match call.func:
            case ast.Attribute(ast.Name(module), "open") if module in imported:
                continue
            case ast.Attribute(attr="read_text" | "write_text"):
                text = True
            case ast.Name("open") | ast.Attribute(attr="open"):
                text = not any("b" in str(mode.value) for mode in call.args if isinstance(mode, ast.Constant))
            case _:
                continue
        if text and "encoding" not in {word.arg for word in call.keywords}:
            yield call.lineno
