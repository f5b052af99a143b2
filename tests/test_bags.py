import pytest
import torch

from anomaly_clustering.features.bags import bag


def test_patches_follow_the_rows_of_the_map_and_have_unit_length() -> None:
    feature_map = torch.rand(2, 5, 3, 4) + 0.1
    bags = bag(feature_map, kernel_size=1)
    assert bags.shape == (2, 12, 5)
    expected = feature_map[1, :, 2, 3] / feature_map[1, :, 2, 3].norm()
    assert torch.allclose(bags[1, 2 * 4 + 3], expected)


def test_pooling_averages_neighbours_and_counts_the_border_as_zero() -> None:
    feature_map = torch.zeros(1, 2, 3, 3)
    feature_map[0, 0, 0, 0] = 9.0
    feature_map[0, 1] = 1.0
    # The corner sees 4 of 9 places inside: (9 / 9, 4 / 9); the centre all nine: (9 / 9, 9 / 9).
    bags = bag(feature_map)
    assert torch.allclose(bags[0, 0], torch.tensor([9.0, 4.0]) / 97**0.5)
    assert torch.allclose(bags[0, 4], torch.tensor([1.0, 1.0]) / 2**0.5)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("kernel_size", [0, 2, -1, 1.5])
def test_kernel_size_is_odd(kernel_size: float) -> None:
    with pytest.raises(ValueError, match=f"odd and positive, got {kernel_size}"):
        bag(torch.zeros(1, 2, 3, 3), kernel_size)
