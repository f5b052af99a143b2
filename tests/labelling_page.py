"""A report in a browser in; what a person sees of clusters and names on it, and does to them, out."""

import json
from pathlib import Path


def galleries(tab) -> dict[int, set[int]]:
    """Images by cluster, as the page shows them."""
    found = tab.evaluate(
        "[...document.querySelectorAll('section[data-cluster]')].map(s => [s.dataset.cluster, "
        "[...s.querySelectorAll('figure')].map(f => f.dataset.index)])"
    )
    return {int(cluster): {int(i) for i in images} for cluster, images in found}


def tile(tab, index: int):
    return tab.locator(f"figure[data-index='{index}'] .tile")


def section(tab, cluster: int):
    return tab.locator(f"section[data-cluster='{cluster}']")


def name(tab, cluster: int, text: str) -> None:
    section(tab, cluster).locator(".naming").fill(text)
    tab.keyboard.press("Enter")


def merge(tab, cluster: int, *, into: int) -> None:
    section(tab, cluster).locator("[data-do='merge']").click()
    tab.locator("#merge-into").select_option(str(into))
    tab.locator("#merge").click()


def frame_all(tab) -> None:
    """Draw a frame on the map around all points."""
    tab.get_by_role("link", name="Map").click()
    box = tab.locator("#map").bounding_box()
    tab.mouse.move(box["x"] + 2, box["y"] + 2)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    tab.mouse.up()


def saved(tab, button: str, folder: Path) -> Path:
    with tab.expect_download() as download:
        tab.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def json_of(tab, folder: Path) -> Path:
    """A file of labels as the page of an earlier version saved it."""
    key, kept = tab.evaluate(
        "() => { const { key } = JSON.parse(document.getElementById('run').textContent);"
        "return [key, localStorage.getItem(`anomaly-clustering ${key}`)]; }"
    )
    file = folder / "labels.json"
    file.write_text(json.dumps({"run": key, "title": "Screws", "images": [], "decisions": json.loads(kept or "[]")}))
    return file


def ask(tab, field: str, value: str) -> None:
    element = tab.locator(f"#find-{field}")
    if field in ("text", "least", "most"):
        element.fill(value)
    else:
        element.select_option(value)


def progress(tab) -> str:
    return tab.locator("#progress-text").text_content()


def titles(tab) -> set[str]:
    return set(tab.locator("section[data-cluster] .title").all_text_contents())
