"""Planted clusters of a few images, or embeddings, in; their report, and what stands on its page, out."""

from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.page import write_report

HOSTILE_NAMES = [
    '"><script>alert(1)</script>.png',
    "' onerror='alert(2)' x='.png",
    '" onload="alert(3)" x=".png',
    "line\nbreak</title></style><img src=x onerror=alert(4)>.png",
    "{{ 7 * 7 }}{% raw %}&lt;script&gt;.png",
]


@dataclass
class Page(HTMLParser):
    """The elements of a page in order, and the texts of headings, table cells and captions."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    galleries: dict[int, list[int]] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._texts: list[str] | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag == "section" and "data-cluster" in values:
            self.galleries[int(values["data-cluster"])] = []
        if tag == "figure":
            list(self.galleries.values())[-1].append(int(values["data-index"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("h2", "figcaption", "th", "td"):
            cells = self.rows[-1] if self.rows else []
            self._texts = {"h2": self.headings, "figcaption": self.captions}.get(tag, cells)
            self._texts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "figcaption", "th", "td"):
            self._texts[-1] = " ".join(self._texts[-1].split())
            self._texts = None

    def handle_data(self, data: str) -> None:
        if self._texts is not None:
            self._texts[-1] += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [values[name] for element, values in self.elements if element == tag and name in values]

    def skeleton(self) -> list[tuple[str, list[str]]]:
        """Tags and names of attributes: what a page has in common with any other page of the same clusters."""
        return [(tag, sorted(values)) for tag, values in self.elements]


def planted(**changes: object) -> Report:
    """Seven images in clusters 0 (two), 2 (four) and 3 (one): clusters are neither in order nor without a gap."""
    heat = np.zeros((7, 3, 4))
    heat[:, 2, 1] = 0.89
    report = Report(
        title="Screws",
        paths=[Path(f"{i}.png") for i in range(7)],
        read=lambda path: Image.new("RGB", (400, 200), (30 * int(path.stem), 90, 60)),
        names=[f"part/{i}.png" for i in range(7)],
        labels=np.array([2, 0, 2, 2, 0, 2, 3]),
        distances=np.array([0.4, 0.2, 0.1, 0.3, 0.1, 0.2, 0.0]),
        heat=heat,
        target=np.array([1, 0, 1, 1, 0, 0, -1]),
        class_names=["dent", "scratch"],
        tree=ward(np.array([0.0, 10, 1, 2.5, 11.5, 4, 30])[:, None]),
        places=np.array([[0.0, 0], [10, 0], [1, 0], [2, 0], [11, 0], [4, 1], [30, 3]]),
        map_name="planted",
        facts={"tau": "0.5", "network": "planted"},
        notices=["left out as unreadable: x.png"],
    )
    return replace(report, **changes)


def one_more(path: Path) -> dict[str, object]:
    """What makes the planted images eight, by one that came later, is in cluster 0 and most like image 4."""
    base = planted()
    return {
        "paths": [*base.paths, path],
        "names": [*base.names, path.name],
        "labels": np.append(base.labels, 0),
        "distances": np.append(base.distances, 0.3),
        "heat": np.concatenate([base.heat, base.heat[:1]]),
        "target": np.append(base.target, -1),
        "places": np.concatenate([base.places, base.places[:1]]),
        "nearest": [4],
    }


def page(tmp_path: Path, report: Report) -> Page:
    write_report(tmp_path / "report.html", report)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def many(embeddings: np.ndarray, labels: np.ndarray, tree: np.ndarray) -> Report:
    n = len(labels)
    return planted(
        paths=[Path(f"{i}.png") for i in range(n)],
        names=[f"{i}.png" for i in range(n)],
        labels=labels,
        distances=np.zeros(n),
        heat=np.ones((n, 1, 1)),
        target=np.full(n, -1),
        tree=tree,
        places=embeddings[:, :2],
    )
