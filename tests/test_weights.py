import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anomaly_clustering.mic.scores import Reduce, novelty, rarity
from anomaly_clustering.mic.shard import Shard
from anomaly_clustering.mic.weights import (
    choose_tau,
    effective_patches,
    mask_weights,
    patch_means,
    soften,
    weighted_average,
)


def bags(n: int = 6, m: int = 5, d: int = 8) -> Tensor:
    return F.normalize(torch.randn(n, m, d), dim=-1)


def naive_weights(bags: Tensor, tau: float, reduce: Reduce) -> np.ndarray:
    """Eq. 5 and 10 in float64, loop by loop."""
    z = bags.double().numpy()
    rows = []
    for i in range(len(z)):
        scores = []
        for patch in z[i]:
            minima = [min(np.linalg.norm(patch - other) for other in z[j]) for j in range(len(z)) if j != i]
            scores.append({"mean": np.mean, "max": np.max, "min": np.min}[reduce](minima))
        exponentials = np.exp(np.array(scores) / tau)
        rows.append(exponentials / exponentials.sum())
    return np.array(rows)


@pytest.mark.parametrize("reduce", ["mean", "max", "min"])
@pytest.mark.parametrize("tau", [0.02, 0.2])
def test_weights_equal_the_naive_formula(reduce: Reduce, tau: float) -> None:
    z = bags()
    assert np.abs(soften(rarity(z, reduce), tau).numpy() - naive_weights(z, tau, reduce)).max() < 1e-5


@pytest.mark.parametrize("count", [1, 2, 23, 24])
def test_novelty_equals_the_naive_formula_for_any_number_of_normal_patches(count: int) -> None:
    z, normal = bags(), F.normalize(torch.randn(count, 8), dim=-1)
    expected = (z.double()[:, :, None] - normal.double()).norm(dim=-1).amin(-1)
    assert torch.allclose(novelty(z, normal).double(), expected, atol=1e-5)


@pytest.mark.parametrize("reduce", ["mean", "max", "min"])
def test_images_in_shards_give_the_same_scores(reduce: Reduce) -> None:
    z = bags(7)
    positions = torch.tensor([3, 0, 6, 2, 5, 1, 4])  # any order
    shards = [Shard(z[part], positions[part]) for part in (slice(0, 2), slice(2, 6), slice(6, 7))]
    parts = [rarity(own.bags, reduce, positions=own.positions, references=shards) for own in shards]
    assert torch.allclose(torch.cat(parts), rarity(z, reduce), atol=1e-7)


def test_order_of_patches_and_images_does_not_matter() -> None:
    z = bags()
    scores = rarity(z)
    patches, images = torch.randperm(5), torch.randperm(6)
    assert torch.allclose(rarity(z[:, patches]), scores[:, patches], atol=1e-6)
    assert torch.allclose(rarity(z[images]), scores[images], atol=1e-6)


def test_a_duplicate_image_makes_the_min_operator_uniform() -> None:
    z = bags()
    z[1] = z[0]
    weights = soften(rarity(z, "min"), 0.02)
    assert torch.allclose(weights[0], torch.full((5,), 0.2))
    assert not torch.allclose(weights[2], torch.full((5,), 0.2))


def test_the_patch_that_no_other_image_has_weighs_most() -> None:
    z = bags(1).repeat(6, 1, 1)
    z[2, 3] = -z[2, 3]
    assert soften(rarity(z), 0.02)[2].argmax() == 3


def test_large_tau_averages_and_small_tau_picks_the_rarest_patch() -> None:
    scores = torch.rand(4, 9)
    assert torch.allclose(soften(scores, 1e6), torch.full((4, 9), 1 / 9), atol=1e-6)
    assert torch.allclose(soften(scores, math.inf), torch.full((4, 9), 1 / 9))
    assert torch.allclose(soften(scores, 1e-9), F.one_hot(scores.argmax(1), 9).float())


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan])
def test_tau_must_be_positive(tau: float) -> None:
    with pytest.raises(ValueError, match=f"positive number, got {tau}"):
        soften(torch.rand(2, 3), tau)


def test_one_image_has_no_others() -> None:
    with pytest.raises(ValueError, match="at least 2 images"):
        rarity(bags(1))


def test_an_image_that_meets_itself_alone_is_named() -> None:
    z = bags(3)
    with pytest.raises(ValueError, match="image 1 of 3 has none: at least 2 images"):
        rarity(z, references=[Shard(z[1:2], torch.tensor([1]))])


@pytest.mark.parametrize(
    "references", [[], (), iter(()), (shard for shard in [])], ids=["list", "tuple", "iter", "gen"]
)
def test_empty_references_are_not_the_bags_themselves(references: Iterable[Shard]) -> None:
    with pytest.raises(ValueError, match="references are empty"):
        rarity(bags(), references=references)


def test_references_may_come_one_at_a_time() -> None:
    z = bags()
    one_by_one = (Shard(z[i : i + 1], torch.tensor([i])) for i in range(6))
    assert torch.allclose(rarity(z, references=one_by_one), rarity(z), atol=1e-6)


@pytest.mark.usefixtures("unchecked_types")
def test_positions_are_one_an_image() -> None:
    z = bags()
    with pytest.raises(ValueError, match=r"one an image, got \[1\] for bags \[6, 5, 8\]"):
        rarity(z, positions=torch.tensor([0]))
    with pytest.raises(ValueError, match=r"one an image, got \[1\] for bags \[6, 5, 8\]"):
        rarity(z, references=[Shard(z, torch.tensor([0]))])


@pytest.mark.usefixtures("unchecked_types")
def test_names_of_operators_are_checked() -> None:
    with pytest.raises(ValueError, match=r"reduce must be one of \('mean', 'max', 'min', 'interval'\), got 'median'"):
        rarity(bags(), "median")  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("shape", [(1, 5), (6, 1), (6, 5, 1)])
def test_weights_are_one_a_patch(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weights must be one a patch, got .* for bags \[6, 5, 8\]"):
        weighted_average(bags(), torch.ones(shape))


def test_scores_must_be_finite_to_choose_tau() -> None:
    scores = torch.rand(3, 4)
    scores[1, 2] = math.nan
    with pytest.raises(ValueError, match="scores must be finite"):
        choose_tau(scores, 2.0)


def test_masks_are_shares_and_grids_have_patches() -> None:
    with pytest.raises(ValueError, match="at least one row and one column of patches, got 0 x 2"):
        patch_means(torch.zeros(1, 1, 4, 4), (0, 2))
    for value in (-1.0, math.nan):
        with pytest.raises(ValueError, match=r"between 0 \(sound\) and 1"):
            mask_weights(torch.full((1, 1, 4, 4), value), (2, 2))


def test_some_references_leave_the_image_itself_out() -> None:
    """Eq. 7, image by image in float64."""
    z = bags(7)
    chosen = [1, 4, 6]
    expected = torch.stack(
        [
            torch.stack([(z[i].double()[:, None] - z[j].double()).norm(dim=-1).amin(1) for j in chosen if j != i]).mean(
                0
            )
            for i in range(7)
        ]
    )
    references = [Shard(z[chosen], torch.tensor(chosen))]
    assert torch.allclose(rarity(z, references=references).double(), expected, atol=1e-5)


def test_hard_weights_are_eq_8_and_both_are_eq_9() -> None:
    scores = torch.tensor([[0.1, 0.5, 0.3, 0.2]])
    assert torch.allclose(soften(scores, math.inf, top_k=2), torch.tensor([[0, 0.5, 0.5, 0]]))
    soft = soften(scores, 0.1, top_k=2)
    assert torch.allclose(soft[0, 1] / soft[0, 2], torch.tensor(0.2 / 0.1).exp())
    assert soft[0, [0, 3]].tolist() == [0, 0]
    assert torch.equal(soften(scores, 0.1, top_k=4), soften(scores, 0.1))


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("top_k", [0, 5, 2.5])
def test_top_k_is_checked(top_k: float) -> None:
    with pytest.raises(ValueError, match=rf"between 1 and 4 \(the number of patches\), got {top_k}"):
        soften(torch.rand(2, 4), 1.0, top_k)


def test_effective_patches_of_uniform_and_single_weights() -> None:
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0, 1, 0, 0], [0.5, 0.5, 0, 0]])
    assert torch.allclose(effective_patches(weights), torch.tensor([4.0, 1, 2]).double())


@pytest.mark.parametrize("patches", [2.0, 16.0, 60.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_tau_is_chosen_by_the_effective_number_whatever_the_scale(patches: float, scale: float) -> None:
    scores = torch.rand(8, 64)
    tau = choose_tau(scores * scale, patches)
    assert effective_patches(soften(scores * scale, tau)).mean() == pytest.approx(patches, rel=1e-3)
    assert tau == pytest.approx(choose_tau(scores, patches) * scale, rel=1e-3)


def test_effective_number_is_checked() -> None:
    with pytest.raises(ValueError, match="above 1 and below 64"):
        choose_tau(torch.rand(2, 64), 64.0)


def test_images_without_differences_do_not_move_tau() -> None:
    """Such as good ones in the anomaly maps of a detector that finds nothing in them."""
    scores = torch.rand(8, 64)
    with_flat = torch.cat([scores, torch.zeros(20, 64)])
    assert choose_tau(with_flat, 10.0) == choose_tau(scores, 10.0)
    assert choose_tau(torch.zeros(3, 64), 10.0) > 0
    # Nor do those that differ by rounding, as a copy of a normal image does that is compared with itself.
    by_rounding = torch.cat([scores, 0.5 + 1e-7 * torch.rand(20, 64)])
    assert choose_tau(by_rounding, 10.0) == choose_tau(scores, 10.0)


def test_novelty_needs_normal_patches() -> None:
    with pytest.raises(ValueError, match="there are none"):
        novelty(bags(), torch.empty(0, 8))


def test_progress_counts_every_pair_once() -> None:
    done: list[int] = []
    rarity(bags(6), advance=done.append)
    assert sum(done) == 36


def test_mask_weights_are_the_defective_share_of_each_patch() -> None:
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, 0, 0, 0] = 1  # a quarter of the first patch
    masks[0, 0, 2:, 2:] = 1  # all of the last
    weights, marked = mask_weights(masks, (2, 2))
    assert torch.allclose(weights[0], torch.tensor([0.2, 0, 0, 0.8]))
    assert torch.allclose(weights[1], torch.full((4,), 0.25))  # empty: uniform
    assert marked.tolist() == [True, False]


def test_uniform_weights_give_the_mean_patch() -> None:
    z = bags()
    assert torch.allclose(weighted_average(z, torch.full((6, 5), 0.2)), z.mean(1), atol=1e-6)
