"""2,000 images in a browser: how soon the report opens and answers, and that scrolling shows no blanks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import planted

from anomaly_clustering.clustering.methods import distance_to_center, ward
from anomaly_clustering.clustering.trees import by_size, cut
from anomaly_clustering.report.content import Report

pytestmark = pytest.mark.slow

NUM_IMAGES = 2000


def many() -> Report:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(NUM_IMAGES, 8)) + 6 * rng.integers(0, 2, (NUM_IMAGES, 8))
    tree = ward(embeddings)
    labels = by_size(cut(tree, 30))
    noise = [Image.fromarray(rng.integers(90, 255, (192, 192, 3)).astype(np.uint8)) for _ in range(4)]
    return planted(
        paths=[Path(f"{i}.png") for i in range(NUM_IMAGES)],
        read=lambda path: noise[int(path.stem) % 4],
        names=[f"{i}.png" for i in range(NUM_IMAGES)],
        labels=labels,
        distances=distance_to_center(embeddings, labels),
        heat=rng.dirichlet(np.ones(64) / 8, NUM_IMAGES).reshape(-1, 8, 8),
        target=np.full(NUM_IMAGES, -1),
        class_names=[],
        tree=tree,
        places=embeddings[:, :2],
    )


# Milliseconds until a change is laid out and the page answers again.
CHANGE = """([id, value, type]) => {
    const field = document.getElementById(id);
    field.value = value;
    const start = performance.now();
    field.dispatchEvent(new Event(type, { bubbles: true }));
    document.body.offsetHeight;
    return performance.now() - start;
}"""
# No thumbnail in the window is missing. Only clusters in sight are asked, since asking lays them out.
DRAWN = """() => {
    const inSight = element => {
        const box = element.getBoundingClientRect();
        return box.bottom > 0 && box.top < innerHeight && box.left < innerWidth;
    };
    const sections = [...document.querySelectorAll('section[data-cluster]')].filter(inSight);
    return sections
        .flatMap(section => [...section.querySelectorAll('figure:not([hidden]) .photo')])
        .every(photo => !inSight(photo) || (photo.complete && photo.naturalWidth));
}"""


def test_2000_images_open_in_3_seconds_and_answer_in_a_fifth_of_one(open_report, tmp_path):
    tab = open_report(many())
    took = {"open": tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")}
    assert len(list((tmp_path / "thumbnails").glob("*.jpg"))) == NUM_IMAGES / 16
    changes = {
        "search": ("find-text", "12", "input"),
        "search no more": ("find-text", "", "input"),
        "filter by name": ("find-names", "named", "input"),
        "filter no more": ("find-names", "", "input"),
        "drag the slider": ("k", "20", "input"),
        "cut into 20": ("k", "20", "change"),
        "cut into 60": ("k", "60", "change"),
        "larger thumbnails": ("size", "160", "input"),
        "smaller thumbnails": ("size", "96", "input"),
    }
    # The best of three rounds: other programs may take the machine for a moment.
    for change, arguments in [*changes.items()] * 3:
        took[change] = min(took.get(change, 1e9), tab.evaluate(CHANGE, list(arguments)))
    print({change: round(milliseconds) for change, milliseconds in took.items()})
    assert took.pop("open") < 3000
    assert max(took.values()) < 200, took


def test_scrolling_through_2000_images_shows_no_blanks_and_a_decision_is_quick(open_report, tmp_path):
    tab = open_report(many())
    tab.evaluate("document.querySelectorAll(\"[data-do='open']:not([hidden])\").forEach(button => button.click())")
    height = tab.evaluate("document.documentElement.scrollHeight")
    for share in (0.1, 0.35, 0.6, 0.85, 0.5, 0.2):
        tab.evaluate("y => scrollTo(0, y)", share * height)
        tab.wait_for_function(DRAWN, timeout=3000)
        screen = np.asarray(Image.open(_shot(tab, tmp_path)).convert("L"), dtype=float)
        # Noise has a large spread in each tile; an empty tile has none.
        assert np.median(screen.std(axis=1)) > 20

    took = tab.evaluate(
        """() => {
            const naming = document.querySelector("section[data-cluster='0'] .naming");
            naming.value = "dent";
            const start = performance.now();
            naming.dispatchEvent(new Event("change", { bubbles: true }));
            document.body.offsetHeight;
            return performance.now() - start;
        }"""
    )
    assert tab.locator("section[data-cluster='0'] .title").text_content() == "dent"
    print(f"a decision takes {took:.0f} ms")
    assert took < 1000


def _shot(tab, folder: Path) -> Path:
    tab.screenshot(path=folder / "screen.png")
    return folder / "screen.png"
