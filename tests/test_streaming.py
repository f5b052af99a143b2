"""Signed residuals as a whole: what runs, what is stored, and what later images are embedded by."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from conftest import MakeImage
from safetensors.torch import save_file
from test_mic import folder, run_mic, trainer

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC, method_arguments
from anomaly_clustering.mic.network import network_of
from anomaly_clustering.mic.recipe import embed_new
from anomaly_clustering.runs.run_folder import write_run
from anomaly_clustering.runs.store import load_run

RESIDUALS = method_arguments("signed_residuals", normals=False)
TO_NORMALS = method_arguments("signed_residuals", normals=True)


@pytest.mark.parametrize("arguments", [RESIDUALS, TO_NORMALS])
def test_planted_defects_are_found(photos: Path, make_image: MakeImage, arguments: dict[str, Any]) -> None:
    for seed in range(100, 105):
        make_image(photos.parent / "normal" / f"{seed}.png", 0, seed=seed)
    mic, scores = run_mic(folder(photos, normals=photos.parent / "normal"), **arguments)
    assert scores["accuracy"] == 1
    assert mic.grouping.embeddings is not None
    # Three levels of unit length.
    assert np.allclose(np.linalg.norm(mic.grouping.embeddings, axis=1), 3**0.5, atol=1e-5)
    assert mic.grouping.weights.shape == (15, 8, 8)
    assert np.allclose(mic.grouping.weights.sum((1, 2)), 1, atol=1e-5)
    assert mic.grouping.groups.stability > 0.8


def test_weights_lie_where_the_defect_is_though_views_are_turned(photos: Path) -> None:
    grids = [run_mic(folder(photos), **(RESIDUALS | {"views": views}))[0].grouping.weights for views in (1, 4)]
    alike = [np.corrcoef(one.ravel(), four.ravel())[0, 1] for one, four in zip(*grids, strict=True)]
    turned = [np.corrcoef(one.ravel(), np.rot90(four).ravel())[0, 1] for one, four in zip(*grids, strict=True)]
    assert np.mean(alike) > 0.6 > 0.3 > np.mean(turned)


def test_a_camera_that_is_turned_changes_nothing() -> None:
    """All four views of images and references are those of the same turned by a quarter."""
    from anomaly_clustering.features.backbone import Backbone
    from anomaly_clustering.features.embedder import Embedder
    from anomaly_clustering.features.views import turn
    from anomaly_clustering.mic.recipe import Recipe
    from anomaly_clustering.mic.streaming import Stream

    how = Recipe("embedded", "pyramid", None, 3, 64, "weighted_average", "rarity", "interval", 0.1, None)
    how = Recipe(**(vars(how) | {"residual_share": 0.75, "views": 4}))
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        references = torch.randint(256, (5, 3, 64, 64), dtype=torch.uint8)
        embedder = Embedder(Backbone("embedded", layer="pyramid"))
        straight = Stream(embedder, references, how, tau=0.1)({"image": images})
        turned = Stream(embedder, torch.rot90(references, 1, (-2, -1)), how, tau=0.1)({"image": turn(images, 1)})
    assert torch.allclose(straight["embeddings"], turned["embeddings"], atol=1e-5)
    assert torch.allclose(turn(straight["weights"], 1), turned["weights"], atol=1e-5)


@pytest.mark.parametrize("arguments", [RESIDUALS | {"num_references": 6}, TO_NORMALS])
def test_batches_and_runs_do_not_change_the_result(photos: Path, arguments: dict[str, Any]) -> None:
    mic = MIC("embedded", **arguments)
    trainer().test(mic, datamodule=folder(photos, normals=photos / "good"), verbose=False)
    first = mic.grouping
    other = Folder(photos, normals=photos / "good", image_size=64, batch_size=7, num_workers=0)
    trainer().test(mic, datamodule=other, verbose=False)
    assert np.allclose(first.weights, mic.grouping.weights, atol=1e-5)
    assert first.tau == pytest.approx(mic.grouping.tau, rel=1e-4)
    assert (first.labels == mic.grouping.labels).all()


@pytest.mark.parametrize("arguments", [RESIDUALS | {"num_references": 6}, TO_NORMALS])
def test_an_image_is_embedded_later_as_it_was_in_the_run(photos: Path, arguments: dict[str, Any]) -> None:
    data = folder(photos, normals=photos / "good")
    mic, _ = run_mic(data, **arguments)
    grouping = mic.grouping
    batches = [batch["image"] for batch in data.test_dataloader()]
    found = embed_new(batches, mic.recipe(64), grouping.references, center=grouping.center)
    # In the run no image was compared with itself; later ones are not those of the run.
    pixels = (torch.cat(batches) * 255).round().byte().numpy()
    assert grouping.references is not None
    others = ~(pixels[:, None] == grouping.references[None]).all((2, 3, 4)).any(1)
    assert others.sum() == (10 if arguments is TO_NORMALS else 4)
    assert grouping.embeddings is not None
    assert np.abs(found.embeddings - grouping.embeddings)[others].max() < 1e-4
    assert np.abs(found.weights - grouping.weights)[others].max() < 1e-5
    assert np.allclose(found.mean_scores[others], grouping.mean_scores[others], atol=1e-5)
    assert np.allclose(found.top_scores[others], grouping.top_scores[others], atol=1e-5)


def test_a_run_of_the_only_level_of_a_network_embeds_later_images_too(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "random.safetensors"
    save_file(timm.create_model("shvit_s1").state_dict(), weights)
    # A small tau would enlarge what processors differ in by rounding.
    data, mic = folder(photos), MIC("shvit_s1", checkpoint=weights, layer="pyramid", num_references=6, tau=0.1)
    trainer().test(mic, datamodule=data, verbose=False)
    assert (mic.backbone.layer, mic.options.streams) == ("stages.0", True)
    write_run(tmp_path / "run", mic, data, metrics={}, config="", overwrite=False)
    run = load_run(tmp_path / "run")
    batches = [batch["image"] for batch in data.test_dataloader()]
    found = embed_new(batches, run.recipe, run.references)
    pixels = (torch.cat(batches) * 255).round().byte().numpy()
    others = ~(pixels[:, None] == run.references[None]).all((2, 3, 4)).any(1)
    assert others.any()
    assert np.abs(found.embeddings - mic.grouping.embeddings)[others].max() < 1e-4
    with torch.no_grad():
        exported = network_of(run.recipe, run.references)(torch.cat(batches))
    assert np.abs(exported.embeddings.numpy() - found.embeddings).max() < 1e-4


def test_a_few_normal_images_are_enough(photos: Path, make_image: MakeImage) -> None:
    for seed in range(100, 105):
        make_image(photos.parent / "normal" / f"{seed}.png", 0, seed=seed)
    _, scores = run_mic(folder(photos, normals=photos.parent / "normal"), **TO_NORMALS)
    assert scores["accuracy"] == 1


@pytest.mark.parametrize(
    "alone",
    [{"residual_share": 0.75}, {"views": 2}, {"layer": "pyramid"}, {"signed_root": True}, {"reduce": "interval"}],
)
def test_each_ingredient_runs_alone(photos: Path, alone: dict[str, Any]) -> None:
    mic, scores = run_mic(folder(photos), **alone)
    assert scores["accuracy"] > 0.6
    assert mic.grouping.embeddings is not None
    channels = 472 if "layer" in alone else 40
    assert mic.grouping.embeddings.shape == (15, channels)


@pytest.mark.parametrize("asked", [{"residual_share": 0.5}, {"views": 4}, {"layer": "pyramid"}])
@pytest.mark.parametrize("weights", ["uniform", "mask", "maps"])
def test_what_compares_patches_needs_weights_that_do(asked: dict[str, Any], weights: Any) -> None:
    (name, value), *_ = asked.items()
    with pytest.raises(ValueError, match=rf"{name}.* is for patches that are compared .* and weights '{weights}'"):
        MIC("embedded", weights=weights, **{name: value})


def test_loaders_alone_have_nothing_to_draw_from(photos: Path) -> None:
    data = folder(photos)
    data.setup("test")
    with pytest.raises(ValueError, match="the trainer was given loaders alone"):
        trainer().test(MIC("embedded", num_clusters=3, **RESIDUALS), data.test_dataloader(), verbose=False)
