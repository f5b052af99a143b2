"""The name of a text and its values in; what the page says, in English until a browser has another language, out."""

import json
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

# Of each text the words in each language; two of them where one thing is told from several.
TABLE = Path(__file__).with_name("texts.json")
LANGUAGES = {"en": "English", "de": "Deutsch", "zh": "中文"}
# In the template: what an element says, and what stands in its attributes.
CONTENT = re.compile(r'data-t="(\w+)"([^<>]*)>(?=</)')
ATTRIBUTE = re.compile(r'data-t-(label|title|placeholder)="(\w+)"')


@cache
def texts() -> dict[str, dict[str, Any]]:
    """All texts of the page by name and language."""
    found: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def text(name: str, /, **values: object) -> str:
    """What the page says in English; js/texts.js does the same for all languages.

    Args:
        name: of the text.
        values: by the names that stand in braces in the text; `n` is the number that decides between one and several.

    Example:
        >>> text("images", n=1), text("images", n=3)
        ('1 image', '3 images')
    """
    found = texts()[name]["en"]
    if isinstance(found, list):
        found = found[0 if values.get("n") == 1 else -1]
    return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), found)


def in_english(template: str) -> str:
    """Fill in the English texts where a template names them, before any data is.

    Args:
        template: elements that say something have `data-t="NAME"` and no content; attributes are named by
            `data-t-label` (what is read aloud), `data-t-title` and `data-t-placeholder`.

    Returns:
        The template with texts and names, so that a script can put another language in their place.

    Example:
        >>> in_english('<b data-t="undo"></b>')
        '<b data-t="undo">Undo</b>'
        >>> in_english('<i data-t-label="undo"></i>')
        '<i data-t-label="undo" aria-label="Undo"></i>'
    """
    filled = ATTRIBUTE.sub(_attribute, template)
    return CONTENT.sub(lambda match: f"{match[0]}{escape(text(match[1]))}", filled)


def _attribute(match: re.Match[str]) -> str:
    name = "aria-label" if match[1] == "label" else match[1]
    return f'{match[0]} {name}="{escape(text(match[2]))}"'
