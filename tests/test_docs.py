"""What the README and the pages in docs/ tell users to type works, and what they name exists."""

import re
import shlex
from inspect import signature
from itertools import pairwise
from pathlib import Path

import pytest
from lightning import Trainer
from PIL import Image

import baselines
from anomaly_clustering import data
from anomaly_clustering.cli import options
from anomaly_clustering.cli.main import COMMANDS, main
from anomaly_clustering.mic import MIC
from experiments.__main__ import main as experiments

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
TEXT = {page: page.read_text() for page in PAGES}
PICTURES = sorted((DOCS / "pictures").iterdir())
# Options of LightningCLI as we extend it.
OF_LIGHTNING = {"--model", "--data", "--out", "--overwrite", "--wandb", "--ckpt_path", "--version", "--config"}
OF_LIGHTNING |= {"--weights_only"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT[page], flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Lines to type, as words, without comments."""
    text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines()]


def ids(page: Path) -> str:
    return page.stem


# What the page on deployment shows runs without torch: tests/test_onnx.py.
WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page.stem != "deployment"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=ids)
def test_python_runs_block_after_block(page: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    names: dict[str, object] = {}
    for code in blocks(page, "python"):
        # That of a method of one's own is tested with the command line.
        if not code.startswith("# my_method.py"):
            exec(code, names)
    if page == README:
        assert names["clusterer"].n_clusters_ == 6  # type: ignore[attr-defined]
    if page.stem == "quickstart":
        assert names["mic"].grouping.num_clusters == 6  # type: ignore[attr-defined]
    if page.stem == "own":
        assert len(names["labels"]) == 15  # type: ignore[arg-type]


def test_the_readme_is_short() -> None:
    assert len(TEXT[README].split()) <= 700


def test_pictures_exist_are_used_have_a_text_and_are_small() -> None:
    shown = [
        (page.parent / picture, text)
        for page in PAGES
        for text, picture in re.findall(r"!\[(.*?)\]\((.*?)\)", TEXT[page], flags=re.DOTALL)
    ]
    assert {picture.resolve() for picture, _ in shown} == set(PICTURES)
    assert all(len(text) > 20 for _, text in shown)
    sizes = {picture.name: picture.stat().st_size for picture in PICTURES}
    assert max(sizes.values()) < 150_000, sizes
    assert sum(sizes.values()) < 1_500_000, sizes
    for picture in PICTURES:
        with Image.open(picture) as image:
            image.verify()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT[page]):
        assert (page.parent / link).is_file(), link


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_of_the_repository_exist(page: Path) -> None:
    folders = "configs|examples|experiments|benchmarks|baselines|src"
    for name in re.findall(rf"(?<![\w/.])(?:{folders})/[\w/]+\.(?:yaml|py)", TEXT[page]):
        assert (ROOT / name).is_file(), name


def test_all_pages_are_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^(\w+)$", "\n".join(blocks(DOCS / "index.md", "{toctree}")), flags=re.MULTILINE))
    assert listed == {page.stem for page in PAGES[1:]} - {"index"}


def options_in_help(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[\w-]+", text))


def options_of_commands(capsys: pytest.CaptureFixture[str]) -> dict[str, set[str]]:
    """By command, as its help or the signatures of its classes tell."""
    classes = [getattr(data, name) for name in data.__all__ if isinstance(getattr(data, name), type)]
    of_classes = {
        "model": [MIC, *(getattr(baselines, name) for name in baselines.__all__)],
        "data": [found for found in classes if issubclass(found, data.DefectDataModule)],
        "trainer": [Trainer],
    }
    research = OF_LIGHTNING | {
        f"--{group}.{name}"
        for group, found in of_classes.items()
        for one in found
        for name in signature(one).parameters
    }
    known = dict.fromkeys(("test", "validate", "predict", "fit"), research)
    for command in ("cluster", "export", "assign", "update", "watch", "trends", "export-onnx", "weights"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        known[command] = options_in_help(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        experiments(["--help"])
    known["experiments"] = options_in_help(capsys.readouterr().out)
    return known


def test_options_that_are_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    options_by_command = options_of_commands(capsys)
    of_anything = set().union(*options_by_command.values())
    seen = 0
    for page in PAGES:
        for words in commands(page):
            command = command_of(words)
            if command is None:
                continue
            for option in (word.partition("=")[0] for word in words if word.startswith("--")):
                assert option in options_by_command[command], (page.name, words)
                seen += 1
        # Those that sentences name.
        for code in re.findall(r"`([^`\n]+)`", TEXT[page]):
            if code.startswith(("--", "anomaly-clustering", "python -m experiments", "cluster")):
                for option in re.findall(r"(?<![\w-])--[a-z][\w.-]*", code):
                    assert option in of_anything, (page.name, code)
                    seen += 1
    assert seen > 100


def command_of(words: list[str]) -> str | None:
    """Which of our commands a line calls, if it calls one."""
    for first, second in pairwise(words):
        if first.endswith("anomaly-clustering"):
            assert second in COMMANDS, words
            return second
        if (first, second) == ("-m", "experiments"):
            return "experiments"
    return None


def test_options_of_cluster_are_all_in_the_quick_start(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.cluster_options(["--help"])
    known = options_in_help(capsys.readouterr().out) - {"--help"}
    assert [option for option in sorted(known) if option not in TEXT[DOCS / "quickstart.md"]] == []


def test_error_messages_are_those_of_the_code() -> None:
    """Between ellipses, which stand for what differs, the words of a message are in the source."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "baselines").glob("*.py")]
    # Strings that go over several lines, and their braces, as the user sees them.
    source = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))
    messages = re.findall(r"^### `(.*)`$", TEXT[DOCS / "faq.md"], flags=re.MULTILINE)
    assert len(messages) > 30
    for message in messages:
        for fragment in re.split(r"\s*…,?\s*", message):
            assert fragment in source, (message, fragment)
