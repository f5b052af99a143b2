"""The source of the library in; its map, `architecture.md`, out: what each file is for and what it defines.

    python docs/architecture.py

The order of files within a room, and all text outside the tables, stay as they are in the page; a new file comes last.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "anomaly_clustering"
PAGE = Path(__file__).with_suffix(".md")
HEADER = "| file | what it is for | what it defines |\n|---|---|---|\n"
# A room, or a folder in one, is a heading with a slash; what stands beside the rooms is a room of its own.
ROOM = re.compile(r"^##+ (?:([\w/]+)/|Beside the rooms)$", re.MULTILINE)
TABLE = re.compile(r"^\| file \|.*\n(?:\|.*\n)*", re.MULTILINE)


def architecture(page: str) -> str:
    """The page with the tables of all rooms written anew."""
    starts = [*ROOM.finditer(page)]
    ends = [*(start.start() for start in starts[1:]), len(page)]
    parts = [page[: starts[0].start()]]
    for start, end in zip(starts, ends, strict=True):
        parts.append(_room(start[1], page[start.start() : end]))
    return "".join(parts)


def _room(name: str | None, text: str) -> str:
    return TABLE.sub(lambda table: _table(_folder(name), table[0]), text, count=1)


def _folder(room: str | None) -> Path:
    """A room of the library, the library itself, or a folder beside it."""
    folder = SOURCE / (room or "")
    return folder if folder.is_dir() else REPOSITORY / str(room)


def _table(folder: Path, old: str) -> str:
    """The rows of a room, in the order in which they were; rows of what is no Python file stay as they are."""
    names = [path.name for path in folder.glob("*.py") if not path.name.startswith("__")]
    before = re.findall(r"^\| `([^`]+)` \|", old, re.MULTILINE)
    rows = {name: row for name, row in re.findall(r"^(?:\| `([^`]+)` (\|.*))$", old, re.MULTILINE)}
    kept = [name for name in dict.fromkeys(before) if name in names or not name.endswith(".py")]
    listed = [*kept, *sorted(set(names) - set(kept))]
    return HEADER + "".join(f"| `{name}` {_row(folder / name) if name in names else rows[name]}\n" for name in listed)


def _row(path: Path) -> str:
    module = ast.parse(path.read_text(encoding="utf-8"))
    first = (ast.get_docstring(module) or "").splitlines()[0]
    return f"| {first} | {', '.join(f'`{name}`' for name in _defined(module))} |"


def _defined(module: ast.Module) -> Iterator[str]:
    """Public functions and classes, as they stand in the file."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


if __name__ == "__main__":
    PAGE.write_text(architecture(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
