"""The report: planted clusters, names and weights -> what stands on the page, read back by a parser."""

import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image
from planted import HOSTILE_NAMES, many, page, planted

from anomaly_clustering.clustering.methods import ward
from anomaly_clustering.clustering.trees import cut
from anomaly_clustering.report.galleries import order_of_leaves
from anomaly_clustering.report.likeness import most_alike
from anomaly_clustering.report.originals import address
from anomaly_clustering.report.scripts import SCRIPTS


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
