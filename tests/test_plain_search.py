"""The search of accelerators without Triton: what memory it takes, by tensors that have no numbers."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from anomaly_clustering.search import float_factors


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that is made within."""

    found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.found = max(self.found, made.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize(("images", "patches", "channels"), [(181, 64, 2048), (45, 256, 512), (11, 1024, 512)])
def test_measuring_takes_no_more_memory_the_fewer_patches_an_image_has(
    images: int, patches: int, channels: int
) -> None:
    bags = torch.empty(images, patches, channels, device="meta")
    nearest = torch.empty(images, images, patches, dtype=torch.long, device="meta")
    with Largest() as largest:
        float_factors._distances(nearest, bags, bags)
    # The bags themselves are looked at, not copied.
    assert largest.found <= max(bags.nbytes, float_factors.DIFFERENCES)
