"""A run as one ONNX file tells what PyTorch tells; the products behind it are those of the search."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.unknown import ScoredEmbeddings
from anomaly_clustering.mic.network import network_of
from anomaly_clustering.mic.recipe import Recipe, embed_new
from anomaly_clustering.mic.residuals import signed_root
from anomaly_clustering.mic.streaming import Stream
from anomaly_clustering.runs.assign import Fitted, nearest_clusters
from anomaly_clustering.runs.onnx_model import described
from anomaly_clustering.runs.store import StoredRun, load_run
from anomaly_clustering.search.nearest import nearest_distances, nearest_of_all
from anomaly_clustering.search.plain import plain_nearest, plain_nearest_of_all

PAGE = Path(__file__).resolve().parents[1] / "docs" / "deployment.md"
SMALL = ["--clusters", "3", "--image-size", "64"]


def test_plain_products_find_what_the_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = (torch.nn.functional.normalize(torch.randn(n, 12, 6), dim=-1) for n in (3, 5))
    # An image that is among the references is at distance zero, not at the root of a rounding error.
    queries[0] = references[2]
    for size in (2**23, 40):
        monkeypatch.setattr("anomaly_clustering.search.plain.PRODUCTS", size)
        torch.testing.assert_close(plain_nearest(queries, references), nearest_distances(queries, references))
        patches = references.flatten(0, 1)
        torch.testing.assert_close(plain_nearest_of_all(queries, patches), nearest_of_all(queries, patches))
    assert plain_nearest(queries, references)[0, 2].max() == 0


PAPER = Recipe("embedded", "blocks.2", None, 3, 64, "weighted_average", "rarity", "mean", 0.02, None)
OURS = replace(PAPER, layer="pyramid", reduce="interval", residual_share=0.75, signed_root=True, views=8)


@pytest.mark.parametrize(
    "recipe",
    [
        PAPER,
        replace(PAPER, weights="novelty", top_k=5),
        replace(PAPER, weights="uniform"),
        replace(PAPER, reduce="max", views=2),
        replace(OURS, views=4),
        replace(OURS, weights="novelty", reduce="mean", residual_share=0.1),
    ],
    ids=["paper", "paper with normals", "uniform", "paper in two views", "default", "default with normals"],
)
def test_the_network_of_a_recipe_embeds_as_new_images_are_embedded(recipe: Recipe) -> None:
    images = torch.rand(3, 3, 64, 64)
    references = torch.randint(256, (6, 3, 64, 64), dtype=torch.uint8).numpy()
    if not recipe.needs_images:
        references = torch.nn.functional.normalize(torch.randn(6, 64, 40), dim=-1).half().numpy()
        references = references[:1] if recipe.weights == "novelty" else references
    kept = None if recipe.weights == "uniform" else references
    center = torch.randn(472).mul(0.01).numpy() if recipe.signed_root else None
    network = network_of(recipe, kept, center=center)
    with torch.no_grad():
        found = network(images)
    if recipe.needs_images:
        # By default products are of fewer bits, and signed roots make small differences large.
        with torch.no_grad():
            stream = Stream(network.embedder, torch.from_numpy(kept), recipe, tau=recipe.tau, precision="fp32")
            expected = stream({"image": images})
        embeddings = expected["embeddings"]
        if center is not None:
            embeddings = signed_root(embeddings, torch.from_numpy(center), stream.channels)
        mean_scores = expected["mean_scores"]
    else:
        new = embed_new([images], recipe, kept)
        embeddings, mean_scores = torch.from_numpy(new.embeddings), torch.from_numpy(new.mean_scores)
    assert (found.embeddings - embeddings).abs().max() < 2e-4
    if kept is not None:
        torch.testing.assert_close(found.scores.mean((1, 2)), mean_scores)


def test_what_one_image_alone_does_not_allow_is_refused() -> None:
    with pytest.raises(ValueError, match="keeps the aspect of its images"):
        network_of(replace(PAPER, aspect="keep"), None)
    with pytest.raises(ValueError, match="weighed patches by 'mask'"):
        network_of(replace(PAPER, weights="mask"), None)
    with pytest.raises(ValueError, match="compared images by 'holistic'"):
        network_of(replace(PAPER, distance="holistic"), None)


@pytest.fixture
def ten_lines() -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return code


@pytest.mark.parametrize(
    "method",
    [["--method", "paper"], *(pytest.param(["--views", views], marks=pytest.mark.slow) for views in ("1", "8"))],
    ids=["paper", "default in one view", "default in eight views"],
)
def test_the_lines_of_the_docs_tell_the_clusters_of_pytorch(
    method: list[str],
    photos: Path,
    ten_lines: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unchecked_types: None,
) -> None:
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", *SMALL, *method])
    run = load_run(Path("photos-clusters"))
    names = ["fine", "=1+1", "bär"]
    lines = [f"{path},{k},{names[k]},0," for path, k in zip(run.paths, run.labels, strict=True)]
    lines += [f"of_another_run.png,0,scratch,0,sha256:{'f' * 16}"]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure,content", *lines]), encoding="utf-8")
    capsys.readouterr()
    main(["export-onnx", "--run", "photos-clusters", "--out", "model.onnx", "--labels", "labels.csv"])
    said = capsys.readouterr().out
    assert "1 row of the labels, such as 'of_another_run.png', is of no image that this run has seen" in said
    assert f"The model is in model.onnx, {Path('model.onnx').stat().st_size / 1e6:.0f} MB" in said

    found: dict[str, object] = {}
    exec(ten_lines, found)
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    images = torch.cat([batch for batch in _images(run)])
    new = embed_new([images], run.recipe, run.references, center=run.center)
    expected = nearest_clusters(
        ScoredEmbeddings(new.embeddings, new.top_scores), ScoredEmbeddings(run.embeddings, run.top_scores), run.labels
    )
    assert [int(words[1]) for words in told] == expected.labels.tolist()
    assert [words[2] for words in told] == [names[k] for k in expected.labels]
    assert np.abs(np.array([float(words[3]) for words in told]) - expected.distances).max() < 1e-3
    # Any number of images at a time.
    model, pixels = found["model"], images.numpy()
    together = model.run(None, {"images": pixels})  # type: ignore[attr-defined]
    assert together[0].tolist() == expected.labels.tolist()
    assert np.abs(together[1].min(1) - expected.distances).max() < 1e-3
    assert json.loads(found["facts"]["clusters"])[0].keys() == {"cluster", "name", "images"}  # type: ignore[index]

    facts = found["facts"]
    assert facts["bits"] == "8"  # type: ignore[index]
    assert "shift" not in facts["input"]  # type: ignore[index]
    deep = replace(run, recipe=replace(run.recipe, bits=12))
    assert "12 count, so shift each value right by 4" in described(deep, fitted_to_run(deep), {})["input"]

    with pytest.raises(SystemExit):
        main(["export-onnx", "--run", "photos-clusters", "--out", "model.onnx"])
    assert "'model.onnx' exists; choose another name with --out" in capsys.readouterr().err


def fitted_to_run(run: StoredRun) -> Fitted:
    assert run.embeddings is not None
    return Fitted(run.digests, run.embeddings, run.labels, run.top_scores, run.recipe.signed_root)


def _images(run):
    from anomaly_clustering.runs.embed_later import _batches

    return _batches(sorted(run.paths), run.recipe)
