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


def test_expected_rows_are_allocated_once() -> None:
    rows = RowBuffer(4)
    rows.append({"bags": torch.ones(2, 3)})
    place = rows.tensors["bags"].data_ptr()
    rows.append({"bags": torch.ones(2, 3)})
    assert rows.taken()["bags"].data_ptr() == place
