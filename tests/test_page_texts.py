"""What the page says: one table of texts in three languages, each of them in all, and each used somewhere."""

import re
from collections import Counter

import pytest
from planted import page, planted

from anomaly_clustering.report.page import FACTS, PAGE
from anomaly_clustering.report.scripts import SCRIPTS
from anomaly_clustering.report.templates import FOLDER
from anomaly_clustering.report.texts import LANGUAGES, text, texts

TEMPLATE = FOLDER / PAGE
SOURCES = [TEMPLATE, *SCRIPTS.glob("*.js")]
WORDS = re.compile(r"\{(\w+)\}")


def used() -> set[str]:
    """Names that stand where a text is asked for."""
    template = TEMPLATE.read_text(encoding="utf-8")
    found = set(re.findall(r'data-t(?:-\w+)?="(\w+)"', template))
    for call in re.findall(r"\b(?:text|said)\(([^(]*?)[,)]", template):
        found |= set(re.findall(r'"(\w+)"', call))
    for source in SOURCES[1:]:
        code = source.read_text(encoding="utf-8")
        for call in re.findall(r"\bt\(((?:[^(),{]|\([^()]*\))*)", code):
            found |= set(re.findall(r'"(\w+)"', call.partition("?")[2] or call))
    code = (SCRIPTS / "curves.js").read_text(encoding="utf-8")
    found |= set(re.findall(r': "(curve_\w+)"', code))
    code = (SCRIPTS / "summary.js").read_text(encoding="utf-8")
    (columns,) = re.findall(r"for \(const name of \[([^\]]*)\]\) head", code)
    return found | set(re.findall(r'"(\w+)"', columns)) | {"unknown", "cluster_number"} | set(FACTS.values())


def test_every_text_is_in_all_languages_and_used_and_every_used_one_is_there():
    assert all(set(words) == set(LANGUAGES) for words in texts().values())
    assert used() == set(texts())


@pytest.mark.parametrize("name", texts())
def test_all_languages_tell_the_same_values(name):
    told = {
        language: {frozenset(WORDS.findall(form)) for form in (words if isinstance(words, list) else [words])}
        for language, words in texts()[name].items()
    }
    assert all(len(values) == 1 for values in told.values()), told
    assert len({next(iter(values)) for values in told.values()}) == 1, told
    assert all(words for words in texts()[name].values())


def test_one_thing_is_told_from_several():
    assert [text("images", n=n) for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_a_page_without_scripts_is_in_english(tmp_path):
    html = page(tmp_path, planted()).html
    assert Counter(re.findall(r'data-t="\w+"[^<>]*></', html)) == Counter()
    assert ">Name each group</button>" in html
    assert 'placeholder="File name"' in html


@pytest.mark.slow
@pytest.mark.parametrize(
    ("locale", "language", "begin", "first"),
    [
        ("fr-FR", "en", "Name each group", "Cluster 3"),
        ("de-AT", "de", "Jede Gruppe benennen", "Cluster 3"),
        ("zh-CN", "zh", "为每组命名", "聚类 3"),
    ],
)
def test_the_language_is_that_of_the_browser_until_another_is_chosen(browser, tmp_path, locale, language, begin, first):
    page(tmp_path, planted())
    context = browser.new_context(locale=locale)
    tab = context.new_page()
    complaints = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto((tmp_path / "report.html").as_uri())
    seen = "[document.documentElement.lang, document.getElementById('begin').textContent, "
    seen += "document.querySelector('section[data-cluster] .title').textContent]"
    assert tab.evaluate(seen) == [language, begin, first]
    tab.locator("#language").select_option("de")
    assert tab.evaluate(seen) == ["de", "Jede Gruppe benennen", "Cluster 3"]
    tab.locator("section[data-cluster='0'] .naming").fill("Delle")
    tab.keyboard.press("Enter")
    assert tab.locator("#said").text_content() == "Cluster 0 heißt jetzt Delle"
    tab.reload()
    assert tab.evaluate(seen) == ["de", "Jede Gruppe benennen", "Cluster 3"]
    tab.locator("#language").select_option("en")
    assert tab.locator("#progress-text").text_content().startswith("2 of 7 images labelled · 1 decision made")
    assert tab.locator("#save-csv").get_attribute("title").startswith("For anomaly-clustering export")
    assert complaints == []
    context.close()
