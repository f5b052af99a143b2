"""The report: planted clusters, names and weights -> what stands on the page, read back by a parser and a browser."""

import os
import re
from base64 import b64decode
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.report.content import Report
from anomaly_clustering.report.galleries import order_of_leaves
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.originals import address
from anomaly_clustering.report.page import write_report
from anomaly_clustering.report.pictures import coarse, heat_map, in_page, thumbnail
from anomaly_clustering.report.scripts import SCRIPTS

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


def page(tmp_path: Path, report: Report) -> Page:
    write_report(tmp_path / "report.html", report)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def decoded(uri: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(uri.partition("base64,")[2])))


def test_every_image_is_in_its_cluster_and_the_most_central_one_comes_first(tmp_path):
    assert page(tmp_path, planted()).galleries == {2: [2, 5, 3, 0], 0: [4, 1], 3: [6]}


def test_clusters_stand_as_their_branches_under_the_dendrogram_so_that_siblings_are_neighbours(tmp_path):
    # Images at 0 to 4 and at 10 and 11 are joined before that at 30.
    assert list(page(tmp_path, planted()).galleries) == [3, 0, 2]
    embeddings = np.random.default_rng(0).normal(size=(60, 3))
    tree = ward(embeddings)
    labels = cut(tree, 9)
    found = order_of_leaves(many(embeddings, labels, tree))
    joined = [set(labels[below(tree, node)]) for node in range(60, 119)]
    spans = [sorted(found.index(k) for k in clusters) for clusters in joined]
    assert all(span == list(range(span[0], span[-1] + 1)) for span in spans)


def below(tree: np.ndarray, node: int) -> list[int]:
    """Images in a branch of the dendrogram."""
    n = len(tree) + 1
    return [node] if node < n else [i for child in tree[node - n, :2] for i in below(tree, int(child))]


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


def test_only_the_most_typical_images_of_a_cluster_and_its_edge_are_shown_before_all_are_asked_for(tmp_path):
    embeddings = np.arange(30.0)[:, None] * [1, 0]
    report = many(embeddings, np.zeros(30, dtype=int), ward(embeddings))
    read = replace(report, read=lambda path: Image.new("RGB", (8, 8)))
    figures = [a for tag, a in page(tmp_path, read).elements if tag == "figure"]
    assert [int(a["data-index"]) for a in figures if "hidden" not in a] == [*range(12), 27, 28, 29]


def test_a_thumbnail_leads_to_its_file_whatever_that_is_called(tmp_path):
    for name in [*(name.replace("/", "_") for name in HOSTILE_NAMES), "a b%20#?.png", "caf\udce9.png", "x:y.png"]:
        image, folder = tmp_path / "photos" / name, tmp_path / "runs" / "one"
        found = address(image, folder)
        assert found.startswith("../../photos/")
        assert re.fullmatch(r"[\w./%~-]+", found)
        assert Path(os.path.normpath(folder / os.fsdecode(unquote_to_bytes(found)))) == image
    result = page(tmp_path, planted(originals=[f"../photos/{i}.png" for i in range(7)]))
    links = {a["title"]: a["href"] for tag, a in result.elements if tag == "a" and "original" in a.get("class", "")}
    assert links == {f"part/{i}.png": f"../photos/{i}.png" for i in range(7)}


def test_the_images_most_like_each_one_are_its_nearest_by_embedding():
    vectors = np.random.default_rng(0).normal(size=(40, 5))
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (most_alike(vectors) == np.argsort(distances, axis=1)[:, :24]).all()
    # Of exact copies none is its own neighbour.
    assert all(i not in row for i, row in enumerate(most_alike(np.zeros((3, 2))).tolist()))


def test_headings_and_navigation_tell_sizes_in_the_order_of_the_galleries(tmp_path):
    result = page(tmp_path, planted())
    assert [heading for heading in result.headings if re.match(r"Cluster \d", heading)] == [
        "Cluster 3 1 image",
        "Cluster 0 2 images mostly dent purity 1.000",
        "Cluster 2 4 images mostly scratch purity 0.750",
    ]
    assert result.attributes("a", "href")[:3] == ["#cluster-3", "#cluster-0", "#cluster-2"]
    places = [*result.attributes("section", "id"), *result.attributes("details", "id")]
    assert set(result.attributes("a", "href")) <= {f"#{name}" for name in places}


def test_confusion_table_equals_counts_by_hand(tmp_path):
    assert page(tmp_path, planted()).rows[:5] == [
        ["Cluster", "dent", "scratch", "unknown", "Total", "Purity"],
        ["2", "1", "3", "0", "4", "0.750"],
        ["0", "2", "0", "0", "2", "1.000"],
        ["3", "0", "0", "1", "1", "n/a"],
        ["Total", "3", "3", "1", "7", "0.833"],
    ]


def test_there_is_a_column_of_unknown_classes_only_where_one_is_unknown(tmp_path):
    result = page(tmp_path, planted(target=np.array([1, 0, 1, 1, 0, 0, 1])))
    assert result.rows[0] == ["Cluster", "dent", "scratch", "Total", "Purity"]


def test_an_image_whose_class_is_not_that_of_most_of_its_cluster_says_so(tmp_path):
    result = page(tmp_path, planted())
    differing = [a["data-index"] for tag, a in result.elements if tag == "figure" and "data-differs" in a]
    assert differing == ["5"]


@pytest.mark.parametrize("class_names", [[], ["dent", "scratch"]])
def test_without_known_classes_there_is_no_purity_and_no_confusion(tmp_path, class_names):
    result = page(tmp_path, planted(target=np.full(7, -1), class_names=class_names))
    assert list(result.galleries) == [3, 0, 2]
    assert not any(word in heading for heading in result.headings for word in ("purity", "mostly", "known classes"))
    assert not result.attributes("figure", "data-differs")
    assert "confusion" not in result.attributes("table", "class")


def test_facts_and_notices_are_on_the_page(tmp_path):
    result = page(tmp_path, planted())
    assert result.rows[5:] == [["tau", "0.5"], ["network", "planted"]]
    assert "left out as unreadable: x.png" in result.html


def test_hostile_text_is_shown_and_never_part_of_the_markup(tmp_path):
    names = [*HOSTILE_NAMES, "plain.png", "<b>bold</b>.png"]
    first, second = HOSTILE_NAMES[:2]
    hostile = page(
        tmp_path,
        planted(
            title=first,
            names=names,
            class_names=[first, second],
            facts={first: second, second: first},
            notices=[first],
        ),
    )
    assert hostile.skeleton() == page(tmp_path, planted()).skeleton()
    assert [tag for tag, _ in hostile.elements].count("script") == 3
    assert sorted(filter(None, hostile.attributes("img", "alt"))) == sorted(names)


def test_names_that_are_not_unicode_are_shown_as_escapes(tmp_path):
    result = page(tmp_path, planted(names=["caf\udce9.png", *"bcdefg"]))
    assert r"caf\udce9.png" in result.attributes("span", "title")


def test_the_page_refers_to_nothing_outside_itself(tmp_path):
    result = page(tmp_path, planted())
    scripts = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js"))
    # A name, not an address.
    assert set(re.findall(r"https?:[^\"]*", result.html + scripts)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"url\(|@import", result.html)
    references = [
        value for _, a in result.elements for name, value in a.items() if name in ("src", "href", "srcset", "action")
    ]
    assert all(reference.startswith(("data:", "#")) for reference in references)


def test_every_image_is_read_once_and_progress_sees_it(tmp_path):
    read, seen = [], []
    report = planted()

    def progress(paths):
        for path in paths:
            yield path
            seen.append(path)

    counted = replace(report, read=lambda path: read.append(path) or report.read(path))
    write_report(tmp_path / "report.html", counted, progress=progress)
    assert sorted(read) == seen == report.paths


def test_thumbnails_keep_the_aspect_and_never_grow():
    assert thumbnail(Image.new("RGB", (400, 200))).size == (256, 128)
    assert thumbnail(Image.new("RGB", (30, 40))).size == (30, 40)


def test_coarse_heat_is_the_mean_of_four_patches_to_a_255th():
    heat = np.random.default_rng(0).random((3, 32, 32))
    read = np.frombuffer(b64decode(coarse(heat).base64), np.uint8).reshape(3, 16, 16) / 255
    assert np.abs(read - heat.reshape(3, 16, 2, 16, 2).mean((2, 4))).max() < 1 / 255


def test_the_heat_map_is_strongest_and_brightest_where_the_heat_is_largest():
    heat = np.random.default_rng(0).random((8, 8))
    colours = np.asarray(heat_map(heat).convert("RGBA")).astype(int)
    assert colours.shape == (8, 8, 4)
    order = np.argsort(heat, axis=None)
    for value in (colours[..., 3], colours[..., :3].sum(-1)):
        assert (np.diff(value.flat[order]) >= 0).all()
    assert not np.asarray(heat_map(np.zeros((8, 8))).convert("RGBA"))[..., 3].any()


def test_scores_and_a_legend_are_shown_where_one_scale_holds_for_all_images(tmp_path):
    without, with_scores = page(tmp_path, planted()), page(tmp_path, planted(scores=np.arange(7) / 4))
    assert 'class="legend"' not in without.html
    assert 'class="score"' not in without.html
    assert 'class="legend"' in with_scores.html
    shown = re.findall(r'class="score"[^>]*>([\d.]+)<', with_scores.html)
    by_image = dict(zip(with_scores.attributes("figure", "data-index"), shown, strict=True))
    assert by_image["6"] == "1.5"


def test_regions_are_outlined_in_the_heat_map(tmp_path):
    region = [(0.25, 0.0), (0.5, 0.0), (0.5, 1.0)]
    shown = page(tmp_path, planted(outlines=lambda i: [region] if i == 6 else []))
    kinds = {uri.partition(";")[0] for uri in shown.attributes("img", "src")}
    assert kinds == {"data:image/jpeg", "data:image/png", "data:image/svg+xml"}
    (drawn,) = (uri for uri in shown.attributes("img", "src") if uri.startswith("data:image/svg"))
    assert "M250 0L500 0L500 1000Z" in b64decode(drawn.partition("base64,")[2]).decode()


def test_a_heat_map_of_32_by_32_patches_takes_at_most_2_kb():
    weights = np.random.default_rng(0).dirichlet(np.ones(32 * 32)).reshape(32, 32)
    assert len(in_page(Image.new("RGB", (8, 8)), weights).heat) < 2048


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["a", "b"]}, r"'names': 2"),
        ({"target": np.array([0, 0, 0, 0, 0, 0, 5])}, "class 5, but class_names has 2"),
        ({"labels": np.array([0, 0, 0, 0, 0, 0, -1])}, "got -1"),
        ({"tree": np.array([[7.0, 8, 1, 2]] * 6)}, "tree must join each node but the last once"),
    ],
)
def test_wrong_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        planted(**changes)


@pytest.mark.slow
def test_in_a_browser_the_switch_shows_all_heat_maps_and_hostile_names_do_nothing(open_report):
    tab = open_report(planted(names=[*HOSTILE_NAMES, "f.png", "g.png"], title=HOSTILE_NAMES[3]))
    sections, heat, switch = (tab.locator(q) for q in ("section[data-cluster]", "figure .heat", "#heat-toggle"))
    assert [section.is_visible() for section in sections.all()] == [True] * 3

    def opacities() -> list[str]:
        tab.wait_for_timeout(300)  # The maps fade in and out.
        return heat.evaluate_all("maps => maps.map(map => getComputedStyle(map).opacity)")

    assert opacities() == ["0"] * 7
    for pressed, opacity in (("true", "1"), ("false", "0")):
        switch.click()
        assert switch.get_attribute("aria-pressed") == pressed
        assert opacities() == [opacity] * 7

    assert tab.locator("figure .photo").first.evaluate("photo => photo.naturalWidth") == 256
    # The map lies over exactly the image's own box, which is twice as wide as high.
    image, overlay = (tab.locator(f"figure .{name}").first.bounding_box() for name in ("photo", "heat"))
    assert image == overlay
    assert image["width"] / image["height"] == pytest.approx(2, rel=0.02)


@pytest.mark.slow
def test_in_a_browser_an_image_opens_larger_and_arrow_keys_walk_on(open_report):
    tab = open_report(planted())
    view, about = tab.locator("#view"), tab.locator("#view-about")
    tab.locator("figure[data-index='5'] .tile").press("Enter")
    assert view.is_visible()
    assert about.text_content() == "Cluster 2 · 2 of 4 · distance 0.2 · dent differs"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#view-name").text_content() == "part/3.png"
    tab.keyboard.press("Escape")
    assert not view.is_visible()
    assert tab.evaluate("document.activeElement.closest('figure').dataset.index") == "3"
