import pytest
import torch

from anomaly_clustering.features.backbone import Backbone, pyramid
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.features.views import VIEWS, turn, turn_back


@pytest.mark.parametrize("view", range(8))
def test_maps_of_turned_images_are_turned_back(view: int) -> None:
    images = torch.rand(2, 3, 4, 6)
    assert torch.equal(turn_back(turn(images, view), view), images)


def test_all_views_of_an_image_differ_and_are_those_of_its_symmetries() -> None:
    image = torch.rand(5, 5)
    views = [turn(image, view) for view in range(max(VIEWS))]
    assert all(not torch.equal(a, b) for i, a in enumerate(views) for b in views[:i])
    turned_again = [turn(view, 1) for view in views]
    assert all(any(torch.equal(a, b) for b in views) for a in turned_again)


@pytest.mark.parametrize(
    ("network", "levels"),
    [
        ("resnet18", ["layer2", "layer3"]),
        ("tf_efficientnet_lite0", ["blocks.2", "blocks.4", "blocks.6"]),
        ("convnext_atto", ["stages.1", "stages.2"]),
        ("vit_tiny_patch16_224", ["blocks.6", "blocks.9", "blocks.11"]),
    ],
)
def test_each_family_of_networks_has_its_pyramid(network: str, levels: list[str], tmp_path: object) -> None:
    import timm

    assert pyramid(timm.create_model(network)) == levels


def test_levels_are_the_bags_of_each_layer_alone() -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        together = Embedder(Backbone("embedded", layer="pyramid")).levels({"image": images})
        alone = [
            Embedder(Backbone("embedded", layer=name))({"image": images})
            for name in ("blocks.2", "blocks.4", "blocks.6")
        ]
    assert [tuple(level.shape) for level in together] == [(2, 8, 8, 40), (2, 4, 4, 112), (2, 2, 2, 320)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(together, alone, strict=True))
