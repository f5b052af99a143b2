"""Networks whose blocks all have one grid, and those with stages: where each is cut, and which images it takes."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone

# Networks whose blocks have one grid: levels of 'pyramid', patch, and the only size that they take, if there is one.
ONE_GRID = {
    "beit_base_patch16_224": ("blocks.6,blocks.9,blocks.11", 16, 224),
    "cait_xxs24_224": ("blocks.12,blocks.18,blocks.23", 16, 224),
    "convmixer_768_32": ("blocks.16,blocks.24,blocks.31", 7, None),
    "gmixer_24_224": ("blocks.12,blocks.18,blocks.23", 16, 224),
    "naflexvit_base_patch16_gap": ("blocks.6,blocks.9,blocks.11", 16, None),
    "resmlp_12_224": ("blocks.6,blocks.9,blocks.11", 16, 224),
    "samvit_base_patch16": ("blocks.6,blocks.9,blocks.11", 16, None),
    "tnt_s_patch16_224": ("blocks.6,blocks.9,blocks.11", 16, 224),
    "vit_relpos_small_patch16_224": ("blocks.6,blocks.9,blocks.11", 16, 224),
    "vit_tiny_patch16_224": ("blocks.6,blocks.9,blocks.11", 16, None),
    "xcit_nano_12_p16_224": ("blocks.6,blocks.9,blocks.11", 16, None),
}


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("name", ONE_GRID)
def test_a_network_of_one_grid_is_cut_behind_its_middle_whatever_its_class(name: str, tmp_path: Path) -> None:
    levels, patch, only_size = ONE_GRID[name]
    torch.save(timm.create_model(name).state_dict(), tmp_path / "shapes.pth")
    backbone = Backbone(name, checkpoint=tmp_path / "shapes.pth")
    assert (backbone.layer, backbone.kernel_size) == (levels.split(",")[0], 1)
    side = only_size or 8 * patch
    assert backbone(torch.empty(1, 3, side, side)).shape == (1, backbone.channels, side // patch, side // patch)
    whole = Backbone(name, layer="pyramid", checkpoint=tmp_path / "shapes.pth")
    assert whole.layer == levels
    assert len(whole.maps(torch.empty(1, 3, side, side))) == 3
    if only_size:
        with pytest.raises(
            ValueError, match=f"takes images of 224x224 pixels alone, got 256x256; set.* to {only_size}"
        ):
            backbone(torch.empty(1, 3, 256, 256))


# A Swin Transformer can be created for images of any size too, and has stages all the same.
STAGES = {
    "convnext_atto": ("stages.1", "stages.1,stages.2"),
    "resnet18": ("layer2", "layer2,layer3"),
    "swin_tiny_patch4_window7_224": ("layers.1", "layers.1,layers.2"),
    "tf_efficientnet_lite0": ("blocks.2", "blocks.2,blocks.4,blocks.6"),
}


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("name", STAGES)
def test_a_network_with_stages_is_cut_at_stride_8_whatever_its_class(name: str, tmp_path: Path) -> None:
    torch.save(timm.create_model(name).state_dict(), tmp_path / "shapes.pth")
    made = [Backbone(name, layer=layer, checkpoint=tmp_path / "shapes.pth") for layer in (None, "pyramid")]
    assert tuple(backbone.layer for backbone in made) == STAGES[name]
    assert made[0].kernel_size == 3
    assert made[0](torch.empty(1, 3, 64, 96)).shape[2:] == (8, 12)


@pytest.mark.parametrize(("name", "side"), [("xcit_nano_12_p16_224", 64), ("test_vit_relpos", 160)])
def test_a_transformer_of_another_class_tells_bright_images_from_dark_ones(
    name: str, side: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model(name).state_dict(), tmp_path / "random.safetensors")
    images = [torch.full((3, side, side), grey) for grey in (0.0, 0.02, 0.9, 0.95)]
    options = {"backbone": name, "checkpoint": tmp_path / "random.safetensors", "image_size": side, "references": "all"}
    clusterer = AnomalyClusterer(2, **options).fit(images)
    assert clusterer.labels_.tolist() == [0, 0, 1, 1]
    assert clusterer.predict([torch.full((3, side, side), 0.93)]).tolist() == [1]
