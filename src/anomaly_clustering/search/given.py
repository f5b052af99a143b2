"""Bags of users in; the same without gradients and the type of the products out, or what is wrong with them."""

import torch
from jaxtyping import Float
from torch import Tensor

from anomaly_clustering.search.precision import Precision, fused_runs_on, resolve

# What the search on a processor measures distances in.
OF_PROCESSORS = (torch.float32, torch.float64)


def checked(
    queries: Float[Tensor, "b m d"], references: Float[Tensor, "r p d"], precision: Precision
) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "r p d"], torch.dtype]:
    """Check bags that are to be compared, in one pass over them.

    Args:
        queries: bags whose patches are looked at [B, M, D].
        references: bags that they are compared with [R, P, D].
        precision: of the matrix products, see `nearest.nearest_blocks`.

    Returns:
        The bags, detached, as the search has no gradient; and the type of the products.

    Raises:
        TypeError: bags are no tensors.
        ValueError: `precision` has another name, or this device has no such products; bags do not have three axes;
            patches of queries and references differ in their channels, or there are bags without a patch or a channel;
            bags on a processor are neither float32 nor float64; a number is NaN or infinite.

    Example:
        >>> checked(torch.zeros(1, 2, 3), torch.zeros(4, 2, 3), "fp32")[2]
        torch.float32
    """
    for bags in (queries, references):
        if not isinstance(bags, Tensor):
            raise TypeError(f"bags must be tensors, got a {type(bags).__name__}: give torch.as_tensor(bags)")
    dtype = resolve(precision, queries.device)
    three = queries.ndim == references.ndim == 3
    if not three or queries.shape[2] != references.shape[2] or 0 in (*queries.shape[1:], references.shape[1]):
        raise ValueError(
            "bags must be [images, patches, channels], with at least one patch and one channel and as many channels on "
            f"both sides, got {list(queries.shape)} and {list(references.shape)}"
        )
    given = {"queries": queries} if references is queries else {"queries": queries, "references": references}
    for name, bags in given.items():
        if bags.device.type == "cpu" and bags.dtype not in OF_PROCESSORS and not fused_runs_on(bags.device, dtype):
            raise ValueError(f"bags on a processor must be float32 or float64, got {bags.dtype}: give bags.float()")
        _check_finite(bags.detach(), name)
    return queries.detach(), references.detach(), dtype


def _check_finite(bags: Float[Tensor, "n m d"], name: str) -> None:
    """Sums take a tenth of the time that looking at each number takes, and are finite if all numbers are, but for
    large ones."""
    sums = bags.sum((1, 2), dtype=torch.promote_types(bags.dtype, torch.float32))
    if sums.isfinite().all():
        return
    broken = [i for i in (~sums.isfinite()).nonzero()[:, 0].tolist() if not bags[i].isfinite().all()]
    if broken:
        raise ValueError(
            f"bags must be finite, but {len(broken)} of {len(bags)} hold NaN or infinity, first bag {broken[0]} of "
            f"these {name}: a network in half precision overflows, or an image has values that are no numbers"
        )
