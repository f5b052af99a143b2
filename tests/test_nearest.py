from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from numba.core.caching import CompileResultCacheImpl
from torch import Tensor

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.embedder import Embedder
from anomaly_clustering.mic.distances import directed_distances, hausdorff, mean_mean
from anomaly_clustering.mic.resampling import all_nearest
from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.search import float_factors, kernels, nearest, precision
from anomaly_clustering.search.centre import centre_of
from anomaly_clustering.search.nearest import nearest_blocks, nearest_distances, nearest_of_all, pairwise_nearest
from anomaly_clustering.search.precision import Precision

PRECISIONS: list[Precision] = ["fp32", "bf16", "int8"]


@pytest.fixture(autouse=True)
def _products_of_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the processor has none that are exact, others take their place."""

    def product(left: Tensor, right: Tensor, *, out: Tensor) -> None:
        out.copy_(left.double() @ right.double())

    if not precision._multiplies_integers(torch.device("cpu")):
        monkeypatch.setattr(torch, "_int_mm", product)
        monkeypatch.setattr(precision, "_multiplies_integers", lambda device: True)


def brute_force(queries: Tensor, references: Tensor) -> Tensor:
    """[B, M, D] and [R, P, D] -> [B, R, M] in float64, one difference at a time."""
    differences = queries.double()[:, None, :, None] - references.double()[None, :, None]
    return differences.norm(dim=-1).amin(-1)


@pytest.fixture(params=[2**20, 160, 40], ids=["one block", "some blocks", "parts of a pair"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", request.param)
    monkeypatch.setattr(nearest, "HEIGHT", 3)
    monkeypatch.setattr(nearest, "ROW", 2)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def _threads(request: pytest.FixtureRequest) -> None:
    torch.set_num_threads(request.param)
    yield
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(1)


@pytest.mark.usefixtures("_block", "_threads")
@pytest.mark.parametrize("unit", [True, False], ids=["unit length", "any length"])
def test_equals_brute_force(unit: bool) -> None:
    queries, references = torch.randn(5, 4, 6) * 3, torch.randn(7, 3, 6) * 3
    if unit:
        queries, references = F.normalize(queries, dim=-1), F.normalize(references, dim=-1)
    assert torch.allclose(nearest_distances(queries, references).double(), brute_force(queries, references), atol=1e-5)


@pytest.mark.usefixtures("_block", "_threads")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_pairwise_gives_each_pair_once_in_order_as_blocks_do(precision: Precision) -> None:
    bags = F.normalize(torch.randn(7, 4, 6), dim=-1)
    found = torch.full((7, 7, 4), torch.nan)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        assert found[rows, columns].isnan().all()
        found[rows, columns] = distances
    expected = nearest_distances(bags, bags, precision)
    # Bfloat16 may choose another one of patches that are nearly as near.
    assert torch.allclose(found, expected, atol=5e-3 if precision == "bf16" else 1e-6)
    assert found.diagonal().max() == 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_way_back_chooses_what_the_way_forth_does(precision: Precision) -> None:
    """To the bit, also of patches that short numbers cannot tell apart: any number of processes find the same."""
    bags = F.normalize(torch.randn(70, 16, 40).relu(), dim=-1)
    found = torch.zeros(70, 70, 16)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        found[rows, columns] = distances
    expected = nearest_distances(bags, bags, precision)
    expected[range(70), range(70)] = 0
    assert torch.equal(found, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("own", "patches"), [(7, 1), (7, 5), (7, 64), (7, 100), (7, 2100), (1030, 3)])
def test_any_number_of_patches(own: int, patches: int, precision: Precision) -> None:
    queries, references = torch.randn(2, own, 16), torch.randn(3, patches, 16)
    found, expected = nearest_distances(queries, references, precision), brute_force(queries, references)
    assert torch.allclose(found.double(), expected, atol=1e-5 if precision == "fp32" else 0.1)
    assert (found - expected).abs().mean() < 1e-3


@pytest.mark.parametrize(("precision", "mean"), [("bf16", 5e-5), ("int8", 7e-5)])
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_short_numbers_only_choose(length: float, precision: Precision, mean: float) -> None:
    """Never below the truth, and seldom above it: bounds as measured on features of ResNet-18, doubled."""
    bags = F.normalize(torch.randn(6, 100, 32).relu(), dim=-1) * length
    excess = (nearest_distances(bags, bags, precision).double() - brute_force(bags, bags)) / length
    assert excess.min() > -1e-6
    assert excess.mean() < mean
    assert excess.max() < 1e-2
    assert (excess.abs() < 1e-6).double().mean() > 0.8


@pytest.mark.parametrize("ratio", [0.0, 1e-30, 1e-6, 0.03])
def test_integers_of_images_on_very_different_scales(ratio: float) -> None:
    bags = torch.randn(4, 50, 32)
    bags[:2] *= ratio
    excess = nearest_distances(bags, bags, "int8") - brute_force(bags, bags)
    assert excess.abs().max() < 0.1
    assert excess.abs().mean() < 5e-3


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_is_refused_at_the_door_by_its_bag(broken: float) -> None:
    bags, whole = torch.randn(3, 5, 4), torch.full((3, 5, 4), 3e38)
    bags[1, 2, 3] = broken
    searches: list[tuple[Callable[[], Any], str]] = [
        (lambda: nearest_distances(bags, whole), "queries"),
        (lambda: nearest_blocks(whole, bags), "references"),
        (lambda: pairwise_nearest(bags), "queries"),
        (lambda: nearest_of_all(bags, whole[0]), "queries"),
        (lambda: rarity(bags), "queries"),
    ]
    for search, side in searches:
        with pytest.raises(ValueError, match=f"1 of 3 hold NaN or infinity, first bag 1 of these {side}: "):
            search()
    with pytest.raises(ValueError, match="finite, but 1 of 1 hold"):
        novelty(whole, bags[1])


@pytest.mark.usefixtures("unchecked_types")
def test_bags_without_an_axis_of_images_are_refused() -> None:
    bags = torch.randn(3, 5, 4)
    for queries, references in ((bags[0], bags), (bags, bags[0])):
        with pytest.raises(ValueError, match=r"bags must be \[images, patches, channels\].*got .*\[5, 4\]"):
            nearest_distances(queries, references)


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_a_flat_background_in_a_column_of_patches_is_not_taken_for_all(side: int) -> None:
    bags = torch.randn(3, side, side, 24)
    bags[:, :, 0] = 1
    assert centre_of(bags.flatten(1, 2)) is None
    assert torch.allclose(centre_of(bags.flatten(1, 2) + 1000), bags.mean((0, 1, 2)) + 1000, atol=0.2)


def test_a_network_shifts_no_patches_of_photographs_with_a_flat_background() -> None:
    images = torch.full((2, 3, 512, 512), 0.5)
    images[:, :, 128:384, 128:384] += torch.rand(2, 3, 256, 256) - 0.5
    with torch.inference_mode():
        bags = Embedder(Backbone("embedded", layer="blocks.2"), 3)({"image": images}).flatten(1, 2)
    assert bags.shape[1] == 64**2
    assert centre_of(bags) is None


def test_bags_of_a_network_that_is_trained_have_no_gradient() -> None:
    bags = torch.randn(3, 5, 4)
    trained = bags.clone().requires_grad_()
    assert torch.equal(nearest_distances(trained, bags), nearest_distances(bags, bags))
    assert torch.equal(rarity(trained, "interval"), rarity(bags, "interval"))
    assert torch.equal(novelty(bags, trained[0]), novelty(bags, bags[0]))
    assert torch.equal(hausdorff(trained, "max"), hausdorff(bags, "max"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("offset", [0, 100, -1e4])
def test_patches_may_lie_anywhere(offset: float, precision: Precision, dtype: torch.dtype) -> None:
    queries, references = torch.rand(4, 50, 16).to(dtype) + offset, torch.rand(3, 60, 16).to(dtype) + offset
    expected = brute_force(queries, references)
    # One of patches that are nearly as near is chosen by rounding.
    tolerance = {"fp32": 1e-5, "bf16": 0.1, "int8": 0.1}[precision]
    assert torch.allclose(nearest_distances(queries, references, precision).double(), expected, rtol=tolerance)
    of_all = nearest_of_all(queries, references.flatten(0, 1), precision)
    assert torch.allclose(of_all.double(), expected.amin(1), rtol=tolerance)
    for rows, columns, distances in pairwise_nearest(references, precision):
        apart = ~torch.eye(3, dtype=torch.bool)[rows, columns]
        truth = brute_force(references[rows], references[columns])
        assert torch.allclose(distances.double()[apart], truth[apart], rtol=tolerance)


def test_with_integers_a_pair_does_not_depend_on_the_others() -> None:
    """So that any number of processes, whatever bags each has, find the same."""
    bags = F.normalize(torch.randn(40, 49, 24).relu(), dim=-1)
    together = nearest_distances(bags, bags, "int8")
    for rows in (slice(0, 1), slice(3, 17), slice(39, 40)):
        for columns in (slice(0, 1), slice(5, 6), slice(7, 33)):
            assert torch.equal(nearest_distances(bags[rows], bags[columns], "int8"), together[rows, columns])


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_near_duplicates_are_exact_in_spite_of_cancellation(length: float) -> None:
    references = F.normalize(torch.randn(2, 50, 128), dim=-1) * length
    queries = references + torch.randn_like(references) * length * 1e-5
    found = nearest_distances(queries, references).double()
    assert torch.allclose(found, brute_force(queries, references), rtol=1e-3, atol=1e-7 * length)


@pytest.mark.parametrize("processor", [{"cpu_name": "AMD EPYC"}, {"sse4a": True}, {"cpu_name": "Intel Xeon"}])
def test_products_of_either_library_give_the_same(processor: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    bags = torch.randn(5, 4, 6)
    assert torch.allclose(nearest_distances(bags, bags, "fp32").double(), brute_force(bags, bags), atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bags_in_float64_are_measured_in_float64(precision: Precision) -> None:
    bags = torch.randn(3, 20, 16, dtype=torch.float64)
    found = nearest_distances(bags, bags, precision)
    assert found.dtype == torch.float64
    assert (found - brute_force(bags, bags)).abs().mean() < 1e-3


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_bag_is_at_distance_zero_from_itself(precision: Precision) -> None:
    bags = torch.randn(3, 20, 64)
    assert nearest_distances(bags, bags, precision)[range(3), range(3)].max() == 0


@pytest.mark.parametrize("differences", [float_factors.DIFFERENCES, 3 * 12 * 16 * 4, 1])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_path_of_other_devices_gives_the_same(
    precision: Precision, differences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(float_factors, "DIFFERENCES", differences)
    bags = F.normalize(torch.randn(5, 12, 16), dim=-1)
    expected = list(pairwise_nearest(bags, precision))
    monkeypatch.setattr(float_factors, "_on_processor", float_factors._on_accelerator)
    for one, other in zip(pairwise_nearest(bags, precision), expected, strict=True):
        assert torch.allclose(one.distances, other.distances, atol=1e-6 if precision == "fp32" else 5e-3)


def test_integers_of_one_channel() -> None:
    bags = torch.randn(6, 40, 1)
    for _ in range(20):
        excess = nearest_distances(bags, bags, "int8") - brute_force(bags, bags)
        assert excess.abs().max() < 0.05


def test_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])

    def twice(number):  # type: ignore[no-untyped-def]
        return 2 * number

    assert kernels.compiled()(twice)(21) == 42


def test_who_stops_early_leaves_no_threads_behind() -> None:
    torch.set_num_threads(2)
    try:
        blocks = nearest_blocks(torch.randn(40, 64, 8), torch.randn(40, 64, 8))
        next(blocks)
        blocks.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    "compare", [rarity, directed_distances, mean_mean, all_nearest], ids=lambda compare: compare.__name__
)
def test_who_holds_the_error_of_a_comparison_holds_no_threads(compare: Any) -> None:
    def fail(_: int) -> None:
        raise OSError("the screen is gone")

    torch.set_num_threads(2)
    try:
        with pytest.raises(OSError, match="screen") as held:
            compare(torch.randn(40, 64, 8), advance=fail)
        assert torch.get_num_threads() == 2
        assert held.tb is not None
    finally:
        torch.set_num_threads(1)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 0, 8)], ids=["other channels", "no patches"])
def test_bags_that_do_not_meet_are_refused_at_the_door(shape: tuple[int, ...]) -> None:
    queries, references = torch.randn(2, 4, 8), torch.randn(shape)
    for search in (nearest_distances, nearest_blocks):
        with pytest.raises(ValueError, match=r"as many channels on both sides, got \[2, 4, 8\] and \[2, "):
            search(queries, references)
        with pytest.raises(ValueError, match="at least one patch and one channel"):
            search(queries[..., :0], queries[..., :0])


@pytest.mark.usefixtures("unchecked_types")
def test_arrays_are_no_bags() -> None:
    bags: Any = torch.randn(2, 4, 8)
    for search in (nearest_distances, nearest_blocks):
        with pytest.raises(TypeError, match=r"bags must be tensors, got a ndarray: give torch.as_tensor\(bags\)"):
            search(bags, bags.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("precision", ["auto", *PRECISIONS])
def test_half_numbers_on_a_processor_are_refused_with_a_way_out(precision: Precision, dtype: torch.dtype) -> None:
    bags = torch.randn(2, 4, 8)
    half = bags.to(dtype)
    searches: list[Callable[[], Any]] = [
        lambda: pairwise_nearest(half, precision),
        lambda: nearest_blocks(bags, half, precision),
        lambda: nearest_of_all(half, bags[0], precision),
        lambda: nearest_of_all(bags, half[0], precision),
    ]
    for search in searches:
        with pytest.raises(ValueError, match=rf"must be float32 or float64, got {dtype}: give bags\.float\(\)$"):
            search()


def test_there_is_no_nearest_of_no_patches() -> None:
    for queries, patches in ((torch.zeros(1, 2, 3), torch.zeros(0, 3)), (torch.zeros(1, 0, 3), torch.zeros(2, 3))):
        with pytest.raises(ValueError, match="at least one patch and one channel and as many channels on both sides"):
            nearest_of_all(queries, patches)


@pytest.mark.usefixtures("unchecked_types")
def test_the_name_of_a_precision_is_refused_before_the_first_block_is_asked_for() -> None:
    bags = torch.randn(2, 4, 8)
    for search in (pairwise_nearest, lambda bags, precision: nearest_blocks(bags, bags, precision)):
        with pytest.raises(ValueError, match=r"precision must be one of .*, got 'fp8'"):
            search(bags, "fp8")


def test_what_is_drawn_does_not_hang_on_the_default_device() -> None:
    # More patches than are looked at, far from zero, so that some are drawn and their mean is subtracted.
    bags = 100 + torch.rand(5, 1024, 3)
    with torch.device("meta"):
        found = nearest_distances(bags, bags)
    assert torch.equal(found, nearest_distances(bags, bags))
