"""The scripts of the page: a folder of modules -> an import map that holds them all, so that one file is enough."""

from base64 import b64encode
from pathlib import Path

SCRIPTS = Path(__file__).parent / "js"


def import_map() -> dict[str, dict[str, str]]:
    """Each module as a `data:` URL, under the name by which the others import it: `report/tree.js`.

    Returns:
        The import map, as the page holds it in JSON.

    Example:
        >>> modules = import_map()["imports"]
        >>> modules["report/tree.js"][:27]
        'data:text/javascript;base64'
    """
    return {"imports": {f"report/{path.name}": _data_url(path) for path in sorted(SCRIPTS.glob("*.js"))}}


def _data_url(path: Path) -> str:
    # A browser's debugger and its messages then show the name instead of the URL.
    source = f"{path.read_text(encoding='utf-8')}//# sourceURL=report/{path.name}\n"
    return f"data:text/javascript;base64,{b64encode(source.encode()).decode()}"
