"""What a page shows -> one HTML page to look at images and to label them in, in three languages."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from anomaly_clustering.report.confusion import against_classes
from anomaly_clustering.report.content import Given, Report
from anomaly_clustering.report.drawing import AT_EDGE, IN_STRIP, ON_PAPER, Drawn, Progress, draw
from anomaly_clustering.report.galleries import Card, central_first, galleries
from anomaly_clustering.report.likeness import packed
from anomaly_clustering.report.palette import PALETTE
from anomaly_clustering.report.pictures import Shown, coarse
from anomaly_clustering.report.scripts import hash_of, script
from anomaly_clustering.report.sheets import Grid
from anomaly_clustering.report.templates import template
from anomaly_clustering.report.texts import LANGUAGES, text, texts

# The slider over the number of clusters ends here; any number can be typed.
MOST_CLUSTERS = 150
# The cluster of a later image that goes where the one is put that it is most like.
FOLLOWS = -2
# A figure with all that one may have, from which a script makes the figures of other images.
PATTERN = Card(0, "/", 0.0, "class", False, True, True, "#", 0.0, Shown("", "", 1.0, (0, 0)))
# Texts of what every run tells, by the name that it has there; others stay as they are.
FACTS = {
    "Network": "fact_network",
    "Image size": "fact_size",
    "Images compared by": "fact_compared",
    "Nearest patches": "fact_nearest",
    "Clustering": "fact_clustering",
    "Number of clusters": "fact_number",
    "Without a finding": "fact_sound",
    "Stability of the clusters": "fact_stability",
}
PAGE = "page.html.jinja"


def write_report(path: Path, report: Report, *, progress: Progress = iter) -> None:
    """Write the page, and beside it sheets of thumbnails where there are too many for the page to hold.

    Args:
        path: of the page; its folder must be there.
        report: what it shows.
        progress: wraps the paths while their images are read (`tqdm`, `rich.progress.track`).

    Raises:
        OSError: the page cannot be written.
    """
    members = central_first(report)
    drawn = draw(path.parent, report, members.values(), progress=progress)
    confusion = against_classes(report.labels, report.target, num_classes=len(report.class_names))
    code = script()
    html = template(PAGE).render(
        report=report,
        confusion=confusion,
        clusters=galleries(report, members, {i: drawn.of[i] for i in drawn.seen_first}, confusion),
        grid=drawn.grid,
        pattern=PATTERN,
        fact_texts=FACTS,
        text=text,
        texts=texts(),
        languages=LANGUAGES,
        in_strip=IN_STRIP,
        at_edge=AT_EDGE,
        palette=PALETTE,
        most=min(report.num_leaves, MOST_CLUSTERS),
        data=_data(report, drawn),
        script=code,
        script_hash=hash_of(code),
    )
    # File names need not be valid Unicode; what is not is shown as an escape.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def _data(report: Report, drawn: Drawn) -> dict[str, Any]:
    """What the scripts of the page start from."""
    n, later = report.num_leaves, report.labels[report.num_leaves :]
    levels = coarse(report.heat)
    low, high = report.places.min(0), report.places.max(0)
    places = (report.places - low) / np.maximum(high - low, 1e-9)
    return {
        "key": run_key(report.paths[:n], report.labels[:n], report.tree),
        "title": _valid(report.title),
        "paths": [_valid(str(path)) for path in report.paths],
        "contents": list(report.contents),
        "numClusters": report.num_clusters,
        "names": [_end_of(path, name) for path, name in zip(report.paths, report.names, strict=True)],
        "distances": [_rounded(distance) for distance in report.distances.tolist()],
        "groups": sorted(report.groups),
        "proposed": report.proposed,
        # A later image stays with the one that it is most like, so that it goes where that one is put.
        "labels": [
            *report.labels[:n].tolist(),
            *(FOLLOWS if k == report.labels[i] else k for k, i in zip(later.tolist(), report.nearest, strict=True)),
        ],
        "leaves": [*range(n), *report.nearest],
        "target": report.target.tolist(),
        "classNames": [_valid(name) for name in report.class_names],
        "tree": [[int(a), int(b), float(f"{height:.5g}")] for a, b, height, _ in report.tree],
        "curves": [
            {
                "title": curve.title,
                "points": [[k, float(f"{value:.5g}")] for k, value in curve.points.items() if math.isfinite(value)],
                **({} if curve.best is None else {"best": curve.best}),
            }
            for curve in report.curves
        ],
        "map": {"places": np.round(places, 4).tolist()},
        "mean": {"side": levels.side, "levels": levels.base64},
        "palette": PALETTE,
        "inStrip": IN_STRIP,
        "atEdge": AT_EDGE,
        "onPaper": ON_PAPER,
        **({} if report.alike is None else {"alike": packed(report.alike)._asdict()}),
        **({} if report.sound is None else {"sound": report.sound.astype(int).tolist()}),
        **({} if report.scores is None else {"scores": [_rounded(score) for score in report.scores.tolist()]}),
        **({} if report.given is None else {"given": _given(report.given, report)}),
        **({} if not report.metadata else {"metadata": [_column(*column) for column in report.metadata.items()]}),
        **({} if drawn.grid is None else {"sheets": _sheets(report, drawn, drawn.grid)}),
    }


def _sheets(report: Report, drawn: Drawn, grid: Grid) -> dict[str, Any]:
    """What figures are made from of which the page holds none when it opens."""
    return {
        "names": drawn.sheets,
        "columns": grid.columns,
        "positions": drawn.position.tolist(),
        "ratios": [_rounded(drawn.of[i].ratio) for i in range(len(report.paths))],
        "originals": [_valid(address) for address in report.originals],
    }


def _end_of(path: Path, name: str) -> int | str:
    """A name as the number of characters at the end of the path, as scripts count them, where it is there."""
    whole, text = _valid(str(path)), _valid(name)
    return len(text.encode("utf-16-le")) // 2 if text and whole.endswith(text) else text


def _column(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Each text once, and which of them is that of each image."""
    found = sorted(set(texts))
    number = {text: k for k, text in enumerate(found)}
    return {"name": _valid(name), "texts": [_valid(text) for text in found], "of": [number[text] for text in texts]}


def _rounded(value: float) -> float | None:
    """None, too, for what JSON has no word for."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _given(given: Given, report: Report) -> dict[str, Any]:
    """As the one decision that labels.csv is to the page, see js/labels.js, and a name to keep what follows under."""
    decision = {
        "do": "take",
        "clusters": list(given.clusters),
        "names": [[cluster, _valid(name)] for cluster, name in given.names.items()],
        "unsure": list(given.unsure),
        "notIn": [[image, list(clusters)] for image, clusters in given.not_in.items()],
    }
    # Images that come later, on which nothing is decided, leave what the browser keeps under this name where it is.
    told_by = [*range(report.num_leaves), *(report.contents or map(str, report.paths[report.num_leaves :]))]
    said = {
        "clusters": [pair for pair in zip(told_by, given.clusters, strict=True) if pair[1] is not None],
        "names": decision["names"],
        "unsure": [told_by[image] for image in given.unsure],
        "notIn": [[told_by[image], list(clusters)] for image, clusters in given.not_in.items()],
        "filesGiven": given.files_given,
    }
    return {"id": hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16], "decisions": [decision]}


def run_key(paths: Sequence[Path], labels: Int[np.ndarray, " n"], tree: Float[np.ndarray, "n_minus_1 4"]) -> str:
    """Name the result of a run, so that labels of one are not taken for those of another.

    Args:
        paths: files of its images.
        labels: cluster of each image [N].
        tree: linkage matrix of scipy [N - 1, 4].

    Returns:
        16 hexadecimal digits.

    Example:
        >>> run_key([Path("a.png"), Path("b.png")], np.array([0, 1]), np.array([[0, 1, 3.0, 2]]))
        'c8b00e10cc6ab1b7'
    """
    content = json.dumps([[str(path) for path in paths], labels.tolist(), tree[:, :2].tolist()])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _valid(text: str) -> str:
    """Names of files need not be valid Unicode; what is not becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
