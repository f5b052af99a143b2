"""How soon the report of so many images is drawn, opens in Chromium from its file, and answers.

    python benchmarks/report.py --images 20000 --out /tmp/many

Images are noise in 25 groups; what takes a user's time is the same with photographs. Needs playwright and Chromium.
"""

import argparse
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from fastcluster import linkage_vector
from PIL import Image
from playwright.sync_api import sync_playwright

from anomaly_clustering.clustering.trees import by_size, cut
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.page import write_report

# Milliseconds until a change is laid out and the page answers again.
CHANGE = """([id, value, type]) => {
    const field = document.getElementById(id);
    field.value = value;
    const start = performance.now();
    field.dispatchEvent(new Event(type, { bubbles: true }));
    document.body.offsetHeight;
    return Math.round(performance.now() - start);
}"""
CHANGES = {
    "search": ("find-text", "0123", "input"),
    "search no more": ("find-text", "", "input"),
    "filter by name": ("find-names", "unnamed", "input"),
    "filter no more": ("find-names", "", "input"),
    "filter by batch": ("find-value", "7", "input"),
    "all batches": ("find-value", "", "input"),
    "drag the slider": ("k", "20", "input"),
    "cut into 20": ("k", "20", "change"),
    "cut into 60": ("k", "60", "change"),
    "sort by name": ("find-sort", "name", "change"),
    "larger thumbnails": ("size", "160", "input"),
}


def planted(count: int) -> Report:
    """A report of images in 25 groups."""
    rng = np.random.default_rng(0)
    means = 4 * rng.normal(size=(25, 8))
    embeddings = rng.normal(size=(count, 8)) + means[rng.integers(0, 25, count)]
    tree = linkage_vector(embeddings, "ward")
    labels = by_size(cut(tree, 30))
    centres = np.stack([embeddings[labels == k].mean(0) for k in range(30)])
    noise = [Image.fromarray(rng.integers(90, 255, (96, 96, 3)).astype(np.uint8)) for _ in range(200)]
    numbers = range(count)
    return Report(
        title=f"{count} images",
        paths=[Path(f"/photos/line {i % 7}/image-{i:06d}.png") for i in numbers],
        read=lambda path: noise[int(path.stem[-6:]) % len(noise)],
        names=[f"line {i % 7}/image-{i:06d}.png" for i in numbers],
        labels=labels,
        distances=np.linalg.norm(embeddings - centres[labels], axis=1),
        heat=(rng.random((count, 8, 8)) ** 4).astype(np.float16),
        target=np.full(count, -1),
        class_names=[],
        tree=tree,
        places=embeddings[:, :2],
        facts={},
        scores=rng.random(count),
        alike=most_alike(embeddings),
        metadata={"batch": [str(i % 20) for i in numbers]},
    )


def main() -> None:
    """Draw, open, and use the page; print seconds and milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--out", type=Path, required=True, help="a folder to write to, which is emptied")
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    report = planted(args.images)
    start = time.perf_counter()
    page = args.out / "report.html"
    write_report(page, report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    files = len(list((args.out / "thumbnails").glob("*")))
    size = page.stat().st_size / 1e6
    print(
        f"drawn in {time.perf_counter() - start:.1f} s, {size:.1f} MB and {files} files beside it, peak {peak:.2f} GB"
    )
    with sync_playwright() as driver:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        use(browser.new_page(viewport={"width": 1280, "height": 900}), page.resolve())
        browser.close()


def use(tab: Any, page: Path) -> None:
    """Open the page and change what a person would; print how long each takes."""
    start = time.perf_counter()
    tab.goto(page.as_uri())
    print(f"opens in {time.perf_counter() - start:.2f} s")
    took: dict[str, int] = {}
    for change, arguments in [*CHANGES.items()] * 3:
        took[change] = min(took.get(change, 10**9), tab.evaluate(CHANGE, list(arguments)))
    print("milliseconds, the best of three:", took)


if __name__ == "__main__":
    main()
