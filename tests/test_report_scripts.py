"""The scripts of the report are modules that share nothing by accident: what they import is there and runs one way."""

import re
from base64 import b64encode
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import Path

import pytest
from planted import planted

from anomaly_clustering.report.page import write_report
from anomaly_clustering.report.scripts import SCRIPTS, script

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


def test_the_page_runs_one_script_that_holds_all_modules_and_names_it_by_its_hash(tmp_path):
    write_report(tmp_path / "report.html", planted())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    (held,) = re.findall(r'<script type="module">(.*?)</script>', html, flags=re.DOTALL)
    assert held == script()
    for source in SOURCES.values():
        below = re.split(r'^import .*";\n', source, flags=re.MULTILINE)[-1]
        assert re.sub(r"^export ", "", below, flags=re.MULTILINE) in held
    assert not re.findall(r"^(?:import|export)\b", held, flags=re.MULTILINE)
    # Each module after those that it imports.
    made = re.findall(r'^modules\.set\("([^"]+)"', held, flags=re.MULTILINE)
    assert sorted(made) == sorted(SOURCES)
    assert all(made.index(other) < made.index(module) for module in SOURCES for other in imports(SOURCES[module]))
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', html)[1]
    digest = b64encode(sha256(held.encode()).digest()).decode()
    assert dict(part.split(" ", 1) for part in policy.split("; ")) == {
        "default-src": "'none'",
        "img-src": "data: file: 'self'",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.slow
def test_in_a_browser_no_other_script_runs_whatever_gets_into_the_page(open_report, browser):
    path = Path(open_report(planted()).evaluate("decodeURI(location.pathname)"))
    hostile = (
        "<img src=x onerror='window.ran = 1'><script>window.ran = 2</script>"
        "<script src='data:text/javascript,window.ran = 3'></script><a href='javascript:window.ran = 4'>a link</a>"
        "<script type='module' src='data:text/javascript,window.ran = 5'></script>"
    )
    html = path.read_text(encoding="utf-8").replace("<main>", f"{hostile}<main>")
    path.with_name("hostile.html").write_text(html, encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.with_name("hostile.html").as_uri())
    tab.get_by_text("a link").click()
    assert tab.evaluate("window.ran") is None
    assert tab.locator("#progress-text").text_content().startswith("0 of 7 images")  # Its own script runs.
    tab.close()


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
