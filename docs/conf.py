"""How Sphinx builds these pages: `sphinx-build -W --keep-going -b html docs build/docs`, without a network."""

import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.application import Sphinx

REPOSITORY = Path(__file__).resolve().parents[1]
# For `baselines`, which is not installed, and for the package where that is not installed either.
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from anomaly_clustering import __version__  # noqa: E402

project = "anomaly-clustering"
author = "the authors of anomaly-clustering"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns: list[str] = []

html_theme = "furo"
html_title = "Anomaly clustering"
html_math_renderer = "mathml"
html_show_copyright = False
html_copy_source = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# REPRODUCTION.md goes from tables straight to their blocks.
suppress_warnings = ["myst.header"]

# Single backquotes in docstrings are code.
default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 88
napoleon_use_rtype = False
# Attributes are listed with their class, which names them; fields of a NamedTuple are not described twice.
napoleon_use_ivar = True


def _visit_inline(translator: Any, node: Any) -> None:
    translator.body.append(convert(node.astext()))
    raise SkipNode


def _visit_block(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def _as_written(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """In docstrings an indented block after a colon is a drawing or code, and |z| is a length."""
    margin: int | None = None  # Of the text around an indented block.
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if margin is not None and line.strip() and indent <= margin:
            margin = None
        if margin is not None or line.lstrip().startswith(">>>"):
            continue
        opens = line.rstrip().endswith(":") and "".join(lines[i + 1 : i + 2]).strip() == ""
        if opens and any(lines[i + 2 : i + 3]) and lines[i + 2].startswith(" " * (indent + 4)):
            margin, line = indent, f"{line.rstrip()}:"
        # Outside of backquotes.
        parts = line.split("`")
        lines[i] = "`".join([part if k % 2 else part.replace("|", "\\|") for k, part in enumerate(parts)])


def setup(app: Sphinx) -> None:
    # MathML is read by all browsers, so formulas need neither JavaScript nor fonts from elsewhere.
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("autodoc-process-docstring", _as_written, priority=400)
