"""The scripts of the report are modules that share nothing by accident: what they import is there and runs one way."""

import json
import re
from base64 import b64decode
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from test_report import planted

from anomaly_clustering.report.page import write_report
from anomaly_clustering.report.scripts import SCRIPTS, import_map

SOURCES = {f"report/{path.name}": path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js")}
START = "report/start.js"


def imports(source: str) -> dict[str, set[str]]:
    """Names imported, by module."""
    found = re.findall(r'^import (?:\{([^}]*)\} from )?"([^"]+)";', source, flags=re.MULTILINE)
    assert len(found) == len(re.findall(r"^import\b|\bimport\(", source, flags=re.MULTILINE)), "imports are by name"
    return {module: set(re.findall(r"\w+", names)) for names, module in found}


def exports(source: str) -> set[str]:
    found = re.findall(r"^export (?:const|function) (\w+)", source, flags=re.MULTILINE)
    assert len(found) == len(re.findall(r"^export\b", source, flags=re.MULTILINE)), (
        "exports are constants and functions"
    )
    return set(found)


def at_the_top(source: str) -> set[str]:
    """Names that would be global if the file were no module."""
    return set(re.findall(r"^(?:export )?(?:async )?(?:const|let|function) (\w+)", source, flags=re.MULTILINE))


@pytest.mark.parametrize("module", SOURCES)
def test_the_first_line_says_what_a_script_is_for(module):
    first, second = SOURCES[module].splitlines()[:2]
    assert re.fullmatch(r"// [A-Z].{20,}", first)
    assert not second
    assert not re.search(r"base|common|helper|util|misc", module)


@pytest.mark.parametrize("module", SOURCES)
def test_what_a_script_imports_is_there_and_what_it_exports_is_used(module):
    for other, names in imports(SOURCES[module]).items():
        assert other in SOURCES
        assert names <= exports(SOURCES[other])
    used = {name for source in SOURCES.values() for name in imports(source).get(module, set())}
    assert exports(SOURCES[module]) == used
    assert module == START or any(module in imports(source) for source in SOURCES.values())


def test_imports_of_scripts_run_in_one_direction():
    order = list(TopologicalSorter({module: imports(source) for module, source in SOURCES.items()}).static_order())
    assert set(order) == set(SOURCES)
    assert order[-1] == START


def test_the_page_holds_every_script_and_its_policy_allows_no_others(tmp_path):
    write_report(tmp_path / "report.html", planted())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    held = json.loads(re.search(r'<script type="importmap">(.*?)</script>', html)[1])
    assert held == import_map()
    assert {
        module: b64decode(url.removeprefix("data:text/javascript;base64,")).decode().rpartition("//#")[0]
        for module, url in held["imports"].items()
    } == SOURCES
    assert re.search(r"script-src ([^;\"]*)", html)[1] == "'unsafe-inline' data:"


@pytest.mark.slow
def test_in_a_browser_no_script_leaves_a_global_behind(open_report):
    tab = open_report(planted())
    tab.locator("section[data-cluster='2'] .naming").fill("scratch")
    tab.keyboard.press("Enter")
    assert tab.locator("section[data-cluster='2'] .title").text_content() == "scratch"
    names = sorted(set().union(*map(at_the_top, SOURCES.values())))
    assert {"decide", "run", "labels"} <= set(names)
    # A global constant is no property of the window, so each name is asked for. Elements go by their id without a
    # script's doing, and some names (`history`) are the browser's own: a page without scripts has those as well.
    seen = """names => [Object.getOwnPropertyNames(window).sort(), names.filter(name => {
        const value = (0, eval)(`typeof ${name} === "undefined" ? undefined : ${name}`);
        return value !== undefined && value !== document.getElementById(name);
    })]"""
    properties, globals_ = tab.evaluate(seen, names)
    tab.goto(_without_scripts(Path(tab.evaluate("decodeURI(location.pathname)"))).as_uri())
    assert [properties, globals_] == tab.evaluate(seen, names)


def _without_scripts(page: Path) -> Path:
    bare = page.with_name("bare.html")
    html = page.read_text(encoding="utf-8")
    bare.write_text(re.sub(r'<script(?: type="module")?>.*?</script>', "", html, flags=re.DOTALL), encoding="utf-8")
    return bare
