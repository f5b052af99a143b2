import os
from pathlib import Path

import pytest
import timm
import torch
from conftest import SHARED
from safetensors.torch import save_file

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.features.published import EMBEDDED

RESNET18 = SHARED / "weights" / "resnet18_layer3.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All weights of a ResNet-18, random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    return path


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), path)
    return path


IMAGES = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def test_embedded_network_is_cut_at_reduction_3() -> None:
    backbone = Backbone(EMBEDDED)
    assert (backbone.layer, backbone.kernel_size) == ("blocks.2", 3)
    assert backbone(IMAGES).shape == (2, 40, 8, 12)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_embedded_weights_are_those_of_imagenet() -> None:
    """The whole network, from the same renamed checkpoint, tells a gradient from noise as a trained one does."""
    network = timm.create_model("tf_efficientnet_lite0").eval()
    embedded = Backbone(EMBEDDED).network.state_dict()
    network.load_state_dict(embedded, strict=False)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in embedded.items())
    # Trained statistics are far from the initial mean 0 and variance 1.
    assert network.bn1.running_var.std() > 0.1


def test_the_map_is_that_of_the_whole_network_normalised(checkpoint: Path) -> None:
    whole = timm.create_model("resnet18", features_only=True, checkpoint_path="", out_indices=(2,)).eval()
    whole.load_state_dict(timm.models.load_state_dict(str(checkpoint)), strict=False)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (IMAGES - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    backbone = Backbone("resnet18", checkpoint=checkpoint)
    assert backbone.layer == "layer2"
    with torch.no_grad():
        assert torch.allclose(backbone(IMAGES), whole(normalised)[0], atol=1e-6)


def test_layers_behind_the_cut_are_gone(checkpoint: Path) -> None:
    names = {name for name, _ in Backbone("resnet18", checkpoint=checkpoint).network.named_parameters()}
    assert any(name.startswith("layer2") for name in names)
    assert not any(name.startswith(("layer3", "layer4", "fc")) for name in names)


def test_a_truncated_checkpoint_gives_the_same_as_the_whole_one(checkpoint: Path, tmp_path: Path) -> None:
    state = timm.models.load_state_dict(str(checkpoint))
    kept = {key: value for key, value in state.items() if not key.startswith(("layer3", "layer4", "fc"))}
    torch.save(kept, tmp_path / "cut.pth")
    cut, whole = Backbone("resnet18", checkpoint=tmp_path / "cut.pth"), Backbone("resnet18", checkpoint=checkpoint)
    assert torch.equal(cut(IMAGES), whole(IMAGES))


def test_joined_layers_are_resized_to_the_finest(checkpoint: Path) -> None:
    joined = Backbone("resnet18", layer="layer2+layer3", checkpoint=checkpoint)(IMAGES)
    assert joined.shape == (2, 128 + 256, 8, 12)
    assert torch.equal(joined[:, :128], Backbone("resnet18", checkpoint=checkpoint)(IMAGES))


def test_transformer_gives_its_tokens_as_a_map_at_any_size(vit: Path) -> None:
    backbone = Backbone("vit_tiny_patch16_224", checkpoint=vit)
    assert (backbone.layer, backbone.kernel_size) == ("blocks.6", 1)  # block 7 of 12
    assert backbone.mean.flatten().tolist() == backbone.std.flatten().tolist() == [0.5, 0.5, 0.5]
    assert backbone(IMAGES).shape == (2, 192, 4, 6)
    assert len(backbone.network.blocks) == 7


# Of Table 6 and Figures 10 and 11, then what came later: layer, channels, stride, kernel size.
NETWORKS = {
    "resnet18.a1_in1k": ("layer2", 128, 8, 3),
    "resnet50.a1_in1k": ("layer2", 512, 8, 3),
    "resnet101.a1h_in1k": ("layer2", 512, 8, 3),
    "resnet152.a1h_in1k": ("layer2", 512, 8, 3),
    "wide_resnet50_2.racm_in1k": ("layer2", 512, 8, 3),
    "efficientnet_b0.ra_in1k": ("blocks.2", 40, 8, 3),
    "efficientnet_b4.ra2_in1k": ("blocks.2", 56, 8, 3),
    "tf_efficientnet_b7.ra_in1k": ("blocks.2", 80, 8, 3),
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k": ("blocks.6", 192, 16, 1),
    "vit_small_patch16_224.augreg_in21k_ft_in1k": ("blocks.6", 384, 16, 1),
    "vit_base_patch16_224.augreg_in21k_ft_in1k": ("blocks.6", 768, 16, 1),
    "vit_large_patch16_224.augreg_in21k_ft_in1k": ("blocks.12", 1024, 16, 1),
    "vit_small_patch8_224.dino": ("blocks.6", 384, 8, 1),
    "vit_small_patch16_224.dino": ("blocks.6", 384, 16, 1),
    "vit_base_patch8_224.dino": ("blocks.6", 768, 8, 1),
    "vit_base_patch16_224.dino": ("blocks.6", 768, 16, 1),
    "vit_small_patch14_dinov2.lvd142m": ("blocks.6", 384, 14, 1),
    "vit_base_patch14_dinov2.lvd142m": ("blocks.6", 768, 14, 1),
    "vit_large_patch14_dinov2.lvd142m": ("blocks.12", 1024, 14, 1),
    "vit_small_patch16_dinov3.lvd1689m": ("blocks.6", 384, 16, 1),
    "vit_base_patch16_dinov3.lvd1689m": ("blocks.6", 768, 16, 1),
    "vit_large_patch16_dinov3.lvd1689m": ("blocks.12", 1024, 16, 1),
}


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_table_6_and_later_ones_give_the_layer_of_the_paper(name: str, tmp_path: Path) -> None:
    layer, channels, stride, kernel_size = NETWORKS[name]
    torch.save(timm.create_model(name).state_dict(), tmp_path / "shapes.pth")
    backbone = Backbone(name, checkpoint=tmp_path / "shapes.pth")
    assert (backbone.layer, backbone.kernel_size) == (layer, kernel_size)
    # ImageNet's statistics, but for ViTs of 'augreg', which were trained on images in [-1, 1].
    half = (0.5, 0.5, 0.5)
    normal = (half, half) if "augreg" in name else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    config = backbone.network.pretrained_cfg
    assert (config["mean"], config["std"], config["hf_hub_id"]) == (*normal, f"timm/{name}")
    size = 256 // stride * stride
    assert backbone(torch.empty(1, 3, size, size)).shape == (1, channels, size // stride, size // stride)
    if kernel_size == 1:  # A transformer.
        with pytest.raises(ValueError, match=rf"{size + 2} pixels.*the {stride}-pixel patches.*image size to {size}$"):
            backbone(torch.empty(1, 3, size + 2, size + 2))


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize(
    ("name", "layer", "channels"),
    [
        ("wide_resnet50_2.racm_in1k", "layer4", 2048),
        ("resnet18.a1_in1k", "layer4", 512),
        ("efficientnet_b4.ra2_in1k", "blocks.6", 448),
    ],
)
def test_last_layers_of_figure_9(name: str, layer: str, channels: int, tmp_path: Path) -> None:
    torch.save(timm.create_model(name).state_dict(), tmp_path / "shapes.pth")
    backbone = Backbone(name, layer=layer, checkpoint=tmp_path / "shapes.pth")
    assert backbone(torch.empty(1, 3, 256, 256)).shape == (1, channels, 8, 8)


def test_the_docs_name_the_networks() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "networks.md").read_text()
    assert [name for name in NETWORKS if f"`{name}`" not in page] == []


def test_transformer_says_which_size_fits(vit: Path) -> None:
    with pytest.raises(ValueError, match=r"72x72 pixels.*16-pixel patches.*image size to 64"):
        Backbone("vit_tiny_patch16_224", checkpoint=vit)(torch.zeros(1, 3, 72, 72))


def test_training_mode_does_not_touch_batch_statistics() -> None:
    backbone = Backbone(EMBEDDED).train()
    before = backbone.network.bn1.running_mean.clone()
    backbone(IMAGES)
    assert torch.equal(backbone.network.bn1.running_mean, before)


def test_unknown_network_names_similar_ones() -> None:
    with pytest.raises(ValueError, match=r"no network 'resnet18x'; similar are 'resnet18'"):
        Backbone("resnet18x")


def test_unknown_layer_names_the_known_ones(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"layer 'layer9' is not one of \['act1', 'layer1', 'layer2'"):
        Backbone("resnet18", layer="layer9", checkpoint=checkpoint)


def test_checkpoint_of_another_network_lists_the_keys(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"resnet18\.safetensors.*does not fit.*missing.*bn3.*of another shape.*conv1"):
        Backbone("resnet50", checkpoint=checkpoint)


def test_unknown_keys_are_not_swallowed(checkpoint: Path, tmp_path: Path) -> None:
    save_file(
        timm.models.load_state_dict(str(checkpoint)) | {"extra.weight": torch.ones(1)}, tmp_path / "more.safetensors"
    )
    with pytest.raises(ValueError, match=r"1 unknown \(extra\.weight"):
        Backbone("resnet18", checkpoint=tmp_path / "more.safetensors")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["EVIL_MARK"],)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL_MARK", str(tmp_path / "ran"))
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth.*could run code.*safetensors"):
        Backbone("resnet18", checkpoint=tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("this is text")
    with pytest.raises(ValueError, match=rf"{name}' (is not a file of weights|was not loaded)"):
        Backbone("resnet18", checkpoint=tmp_path / name)


def test_absent_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth.*does not exist"):
        Backbone("resnet18", checkpoint=tmp_path / "nowhere.pth")


def test_embedded_takes_no_checkpoint(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="comes with its weights"):
        Backbone(EMBEDDED, checkpoint=checkpoint)


@pytest.mark.skipif(not RESNET18.is_file(), reason=f"no real ResNet-18 weights at {RESNET18}")
def test_real_resnet18_loads_strictly() -> None:
    features = Backbone("resnet18", checkpoint=RESNET18)(IMAGES)
    assert features.shape == (2, 128, 8, 12)
    assert 0 < features.mean() < 1


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html>Sign in</html>", "version https://git-lfs.github.com/spec/v1"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_web_page_in_place_of_weights_is_said_to_be_one(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(f"\n{text}\n" + "x" * 100)
    with pytest.raises(ValueError, match=rf"{name}' holds no weights but text.*begins with '{text[:8]}.*download"):
        Backbone("resnet18", checkpoint=tmp_path / name)


@pytest.mark.parametrize("prefix", ["encoder.", "model.", "module.", "backbone.", "module.encoder_q."])
def test_weights_below_one_prefix_are_those_of_the_network(checkpoint: Path, tmp_path: Path, prefix: str) -> None:
    state = timm.models.load_state_dict(str(checkpoint))
    below = {prefix + key: value for key, value in state.items()}
    # What else the training held lies beside it; timm takes 'module.' off by itself, from all names.
    beside = {} if prefix == "module." else {"projector.0.weight": torch.ones(1)}
    torch.save(below | beside, tmp_path / "a.pth")
    expected = Backbone("resnet18", checkpoint=checkpoint)(IMAGES)
    assert torch.equal(Backbone("resnet18", checkpoint=tmp_path / "a.pth")(IMAGES), expected)
    torch.save(below | {prefix + "extra.weight": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"1 unknown \(extra\.weight"):
        Backbone("resnet18", checkpoint=tmp_path / "b.pth")


def test_a_network_that_is_there_twice_is_not_chosen_by_chance(checkpoint: Path, tmp_path: Path) -> None:
    state = timm.models.load_state_dict(str(checkpoint))
    twice = {f"{name}.{key}": value for name in ("teacher", "student") for key, value in state.items()}
    torch.save(twice, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"the network 2 times, below 'teacher\.', 'student\.'; save one of them"):
        Backbone("resnet18", checkpoint=tmp_path / "a.pth")


def test_bags_are_the_same_bits_with_any_number_of_threads_in_batches_of_any_size() -> None:
    embedder, images = Embedder(Backbone("embedded", layer="pyramid").folded()), torch.rand(5, 3, 96, 96)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            found.append(embedder.levels({"image": images}))
            last = embedder.levels({"image": images[4:]})
        assert all(torch.equal(one, level[4:]) for one, level in zip(last, found[0], strict=True))
    torch.set_num_threads(1)
    for other in found[1:]:
        assert all(torch.equal(one, another) for one, another in zip(found[0], other, strict=True))


def test_a_gpu_embeds_large_images_part_by_part() -> None:
    embedder, seen = Embedder(Backbone("embedded", layer="pyramid").folded()).to("meta"), []
    convolution = next(module for module in embedder.modules() if isinstance(module, torch.nn.Conv2d))
    convolution.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    levels = embedder.levels({"image": torch.empty(70, 3, 512, 512, device="meta")})
    assert seen == [32, 32, 6]
    assert [len(level) for level in levels] == [70, 70, 70]


@pytest.mark.parametrize("allowed", [True, False])
def test_threads_of_a_processor_leave_the_switch_of_gpus_alone(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    backbone, seen = Backbone(EMBEDDED), []
    convolution = next(module for module in backbone.modules() if isinstance(module, torch.nn.Conv2d))
    convolution.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    backbone(torch.zeros(1, 3, 32, 32))
    assert seen == [allowed]
