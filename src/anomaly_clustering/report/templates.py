"""Name of a page -> its template, compiled once."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from anomaly_clustering.report.texts import in_english

FOLDER = Path(__file__).parent


@cache
def template(name: str) -> Template:
    """Autoescape is on, a name that is not given is an error, and texts are in English until a browser has another.

    A command that draws a page again and again, as `watch` does, compiles it once: that takes a tenth of a small run.

    Args:
        name: of a file in this folder.

    Example:
        >>> template("trends.html.jinja").name
        'trends.html.jinja'
    """
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: in_english((FOLDER / name).read_text(encoding="utf-8"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment
