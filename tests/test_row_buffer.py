import pytest
import torch

from anomaly_clustering.mic.row_buffer import RowBuffer


@pytest.mark.parametrize("expected", [0, 1, 7, 10, 100])
def test_rows_of_all_batches_whatever_was_expected(expected: int) -> None:
    index, bags = torch.arange(10), torch.randn(10, 2, 3)
    rows = RowBuffer(expected)
    for part in torch.arange(10).split(3):
        rows.append({"index": index[part], "bags": bags[part], "mask": bags[part] > 0})
    found = rows.taken()
    assert torch.equal(found["index"], index)
    assert torch.equal(found["bags"], bags)
    assert torch.equal(found["mask"], bags > 0)
    assert not rows.taken()


@pytest.mark.parametrize(("first", "then"), [(("bags",), ("bags", "mask")), (("bags", "mask"), ("bags",))])
def test_what_some_batches_lack_is_named(first: tuple[str, ...], then: tuple[str, ...]) -> None:
    rows = RowBuffer(4)
    rows.append({name: torch.ones(2, 3) for name in first})
    with pytest.raises(ValueError, match="all batches must hold the same, but some have 'mask' and others have not"):
        rows.append({name: torch.ones(2, 3) for name in then})


def test_expected_rows_are_allocated_once() -> None:
    rows = RowBuffer(4)
    rows.append({"bags": torch.ones(2, 3)})
    place = rows.tensors["bags"].data_ptr()
    rows.append({"bags": torch.ones(2, 3)})
    assert rows.taken()["bags"].data_ptr() == place
