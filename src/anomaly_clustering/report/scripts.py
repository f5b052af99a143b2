"""The scripts of the page: a folder of modules -> one script of them all, which its policy names by its hash."""

import re
from base64 import b64encode
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import Path

SCRIPTS = Path(__file__).parent / "js"
# The scripts are written so that these lines are all that a module needs, see tests/test_report_scripts.py.
IMPORT = re.compile(r'^import (?:(?P<names>\{[^}]*\}) from )?"(?P<module>[^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|function) (\w+))", re.MULTILINE)


def script() -> str:
    """All modules in one, each a function that gives what it exports, after those that it imports.

    A browser then needs no import map, and a policy can name the one script by its hash: a page whose script is in
    several modules would have to allow any script that is written as an address.

    Returns:
        The text of a script of type 'module'.

    Example:
        >>> script()[:25]
        'const modules = new Map()'
    """
    sources = {f"report/{path.name}": path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js")}
    imported = {name: {line["module"] for line in IMPORT.finditer(source)} for name, source in sources.items()}
    # By name where the order is free, so that the page is the same everywhere.
    order = TopologicalSorter({name: sorted(imported[name]) for name in sorted(sources)}).static_order()
    return "\n".join(["const modules = new Map();", *(_as_function(name, sources[name]) for name in order)])


def hash_of(text: str) -> str:
    """What a content security policy calls a script by.

    Args:
        text: all that is between the tags.

    Example:
        >>> hash_of("")
        'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _as_function(name: str, source: str) -> str:
    body = IMPORT.sub(_from_map, source)
    assert "</script" not in body, name
    exported = ", ".join(EXPORT.findall(body))
    return f'modules.set("{name}", (() => {{\n{EXPORT.sub("", body)}return {{ {exported} }};\n}})());\n'


def _from_map(line: re.Match[str]) -> str:
    # What gives nothing has done its work by then.
    return f'const {line["names"]} = modules.get("{line["module"]}");' if line["names"] else ""
