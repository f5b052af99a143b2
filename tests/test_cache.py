from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeImage
from lightning import Trainer
from test_mic import folder, run_mic

from anomaly_clustering.data import Folder
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.cache import Cache, settings_digest, tensors_digest
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic import MIC, comparing, method_arguments, references, streaming
from anomaly_clustering.mic.result import Grouping


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, notices: list[str]) -> Cache:
    return Cache(tmp_path / "cache", notices.append)


def test_names_follow_the_content() -> None:
    assert settings_digest(a=1, b=[2]) == settings_digest(b=[2], a=1) != settings_digest(a=1, b=[3])
    weights = torch.randn(3)
    assert tensors_digest({"w": weights}) == tensors_digest({"w": weights.clone()})
    assert tensors_digest({"w": weights}) != tensors_digest({"w": weights + 1e-7})
    assert tensors_digest({"w": weights}) != tensors_digest({"v": weights})


def test_names_stay_what_they_were(tmp_path: Path, cache: Cache) -> None:
    """Or caches of earlier versions would be computed anew, and their files never be read again."""
    image = tmp_path / "x.png"
    image.write_bytes(b"content")
    tensors = {"w": torch.arange(3.0), "b": torch.ones(2, dtype=torch.long)}
    assert tensors_digest(tensors) == "f8781032c082a5c39f5f916183eb407d"
    settings = {"image": "ab", "size": [256, 256], "autocast": False, "network": "cd"}
    assert settings_digest(**settings) == "7befbbe263b4d05a663055f84d12ff1e"
    network = Backbone("embedded")
    assert Embedder(network).key(image, (64, 64)) == "a840dce74f3d336d8fe587bb158b4f50"
    assert Embedder(network, kernel_size=5).key(image, (64, 64)) == "a6dd7a1ce5ab1c121b42f7f303aba04e"
    cache.save("bags", "0123", {"bag": torch.zeros(1)})
    assert (cache.folder / "bags" / "01" / "0123.safetensors").is_file()


@pytest.mark.parametrize("kernel_size", [0, 2])
def test_kernel_size_of_zero_is_not_that_of_the_network(kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"odd and positive, got {kernel_size}"):
        Embedder(Backbone("embedded"), kernel_size)


def test_a_copy_of_a_module_has_the_notices_of_its_cache_itself(tmp_path: Path) -> None:
    mic = MIC("embedded", cache=tmp_path)
    copied = deepcopy(mic)
    assert copied.cache is not None
    copied.cache.notify("damaged")
    assert (copied.notices, mic.notices) == (["damaged"], [])


def test_what_is_saved_is_loaded(cache: Cache, notices: list[str]) -> None:
    assert cache.load("bags", "0123") is None
    saved = {"bag": torch.randn(2, 3, 4), "other": torch.arange(5)[::2]}
    cache.save("bags", "0123", saved)
    loaded = cache.load("bags", "0123")
    assert loaded is not None
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert not notices
    assert [path.suffix for path in cache.folder.rglob("*") if path.is_file()] == [".safetensors"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damage_is_noticed(cache: Cache, notices: list[str], damage: str) -> None:
    cache.save("bags", "0123", {"bag": torch.randn(50)})
    path = next(cache.folder.rglob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(
        {"cut": path.read_bytes()[:-7], "flipped": bytes(content), "empty": b"", "text": b"no tensors" * 20}[damage]
    )
    assert cache.load("bags", "0123") is None
    assert len(notices) == 1
    assert str(path) in notices[0]
    assert "damaged" in notices[0]


def test_a_write_that_fails_leaves_nothing(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.save("bags", "0123", {"bag": torch.zeros(1)})
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


class Counted:
    """How many images were embedded, and how often they were compared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.images = self.comparisons = 0
        embed = Backbone.maps
        monkeypatch.setattr(Backbone, "maps", lambda network, images: self._count(images) or embed(network, images))
        counted = (
            (comparing, "rarity"),
            (comparing, "all_nearest"),
            (comparing, "directed_rows"),
            (references, "rarity"),
            (references, "novelty"),
            (streaming, "rarity"),
            (streaming, "novelty"),
        )
        for module, name in counted:
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    def _count(self, images: torch.Tensor) -> None:
        self.images += len(images)

    def _counted(self, function: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            self.comparisons += 1
            return function(*args, **options)

        return counted

    def since(self) -> tuple[int, int]:
        found = self.images, self.comparisons
        self.images = self.comparisons = 0
        return found


WAYS: list[dict[str, Any]] = [
    {"weights": "rarity"},
    {"weights": "rarity", "num_references": 6},
    {"weights": "novelty", "normal_fraction": 0.5},
    {"weights": "novelty", "normal_stride": 2},
    {"distance": "max_hausdorff"},
    {"distance": "mean_mean"},
    method_arguments("signed_residuals", normals=False) | {"num_references": 6},
    method_arguments("signed_residuals", normals=True) | {"normal_fraction": 0.5},
]


def with_normals(root: Path) -> Folder:
    return folder(root, normals=root / "good")


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_second_run_embeds_and_compares_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    data = with_normals(photos)
    expected, _ = run_mic(data, num_clusters=3, **way)
    counted = Counted(monkeypatch)
    first, _ = run_mic(data, num_clusters=3, cache=tmp_path / "cache", **way)
    assert min(counted.since()) > 0
    second, _ = run_mic(data, num_clusters=3, cache=tmp_path / "cache", **way)
    assert counted.since() == (0, 0)
    for other in (first, second):
        assert (other.grouping.labels == expected.grouping.labels).all()
        assert np.allclose(other.grouping.weights, expected.grouping.weights, atol=1e-6)
        assert not other.notices
        # Images that come later are weighed by it: not by its neighbour in float32.
        assert other.grouping.tau == expected.grouping.tau


@pytest.mark.parametrize(
    "change", [{"tau": 0.5}, {"effective_patches": 9.0}, {"top_k": 3}, {"method": "kmeans"}], ids=str
)
def test_a_sweep_computes_once_and_gives_what_it_gives_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    run_mic(folder(photos), cache=tmp_path / "cache")
    expected, _ = run_mic(folder(photos), **change)
    counted = Counted(monkeypatch)
    found, _ = run_mic(folder(photos), cache=tmp_path / "cache", **change)
    assert counted.since() == (0, 0)
    assert (found.grouping.labels == expected.grouping.labels).all()
    assert np.allclose(found.grouping.weights, expected.grouping.weights, atol=1e-6)


@pytest.mark.parametrize("way", [{"weights": "novelty"}, {"distance": "max_hausdorff"}], ids=str)
def test_subsets_are_drawn_from_what_is_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    data = with_normals(photos)
    run_mic(data, num_clusters=3, cache=tmp_path / "cache", **way)
    _, expected = run_mic(data, num_clusters=3, resamples=4, **way)
    counted = Counted(monkeypatch)
    _, scores = run_mic(data, num_clusters=3, resamples=4, cache=tmp_path / "cache", **way)
    assert counted.since() == (0, 0)
    assert scores == pytest.approx(expected)


@pytest.mark.parametrize("change", [{}, {"tau": 0.5}, {"reduce": "max"}, {"method": "kmeans"}], ids=str)
def test_weights_of_subsets_start_from_distances_that_are_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    run_mic(folder(photos), resamples=4, cache=tmp_path / "cache")
    _, expected = run_mic(folder(photos), resamples=4, **change)
    counted = Counted(monkeypatch)
    _, scores = run_mic(folder(photos), resamples=4, cache=tmp_path / "cache", **change)
    assert counted.since() == (0, 0)
    assert scores == pytest.approx(expected)


@pytest.mark.parametrize(
    "change", [{"reduce": "max"}, {"num_references": 6}, {"distance": "max_hausdorff"}, {"precision": "bf16"}], ids=str
)
def test_what_changes_a_comparison_is_compared_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    settings = {"precision": "fp32", "cache": tmp_path / "cache"}
    run_mic(folder(photos), **settings)
    counted = Counted(monkeypatch)
    run_mic(folder(photos), **settings | change)
    images, comparisons = counted.since()
    assert images == 0
    assert comparisons > 0


@pytest.mark.parametrize("change", [{"kernel_size": 1}, {"layer": "blocks.1"}], ids=str)
def test_what_changes_features_is_embedded_anew(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    run_mic(folder(photos), cache=tmp_path / "cache")
    counted = Counted(monkeypatch)
    run_mic(folder(photos), cache=tmp_path / "cache", **change)
    assert counted.since()[0] == 15


def test_only_new_and_damaged_images_are_embedded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> None:
    run_mic(folder(photos), cache=tmp_path / "cache")
    make_image(photos / "bar" / "new.png", 2, seed=9)
    damaged = next((tmp_path / "cache" / "bags").rglob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    expected, _ = run_mic(folder(photos))
    counted = Counted(monkeypatch)
    found, _ = run_mic(folder(photos), cache=tmp_path / "cache")
    assert counted.since() == (2, 1)
    assert (found.grouping.labels == expected.grouping.labels).all()
    assert len(found.notices) == 1
    assert str(damaged) in found.notices[0]


class Cropped(Folder):
    """The upper left quarter of each image, by a hook of Lightning's."""

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch | {"image": torch.nn.functional.interpolate(batch["image"][..., :32, :32], 64)}


class Bright(Folder):
    """Brighter images, by a loader of its own, whose paths are none."""

    def _loader(self, *args: Any, **options: Any) -> Any:
        loader = super()._loader(*args, **options)

        def brighter(samples: Any) -> Any:
            batch = loader.collate_fn(samples)
            return batch | {"image": batch["image"].sqrt(), "path": ["a row of a database"] * len(samples)}

        return torch.utils.data.DataLoader(loader.dataset, loader.batch_size, collate_fn=brighter)


@pytest.mark.parametrize("own", [Cropped, Bright])
def test_other_pixels_of_the_same_files_have_other_bags(photos: Path, tmp_path: Path, own: type[Folder]) -> None:
    options: dict[str, Any] = {"num_clusters": 3, "cache": tmp_path / "cache"}
    of_files, _ = run_mic(folder(photos), **options)
    assert of_files.embedder.by_file
    alone, kept = (
        run_mic(own(photos, image_size=64, num_workers=0), **(options | more))[0].grouping
        for more in ({"cache": None}, {})
    )
    again, _ = run_mic(own(photos, image_size=64, num_workers=0), **options)
    for found in (kept, again.grouping):
        assert np.array_equal(found.embeddings, alone.embeddings)
        assert np.array_equal(found.weights, alone.weights)


def test_a_run_on_some_of_the_images_neither_takes_nor_leaves_what_all_gave(photos: Path, tmp_path: Path) -> None:
    def grouping(cache: Path | None, **limits: int) -> Grouping:
        data = Folder(photos, image_size=64, batch_size=4, num_workers=0)
        module = MIC("embedded", num_clusters=2, cache=cache)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, **limits)
        trainer.validate(module, data, verbose=False)
        return module.grouping

    some, everything = grouping(None, limit_val_batches=2), grouping(None)
    for _ in range(2):
        assert np.array_equal(grouping(tmp_path / "cache", limit_val_batches=2).weights, some.weights)
        assert np.array_equal(grouping(tmp_path / "cache").weights, everything.weights)
