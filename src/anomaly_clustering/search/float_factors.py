"""Bags in; through matrix products of floating-point numbers, distances to the nearest patches of others out.

Patches are extended by their halved squared length h and by ones, a' = [a, h_a, 1] and b' = [-b, 1, h_b], so that one
matrix product holds |a - b|^2 / 2 for all pairs of patches.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomaly_clustering.search.fused_plan import slices
from anomaly_clustering.search.kernels import nearest_by_numbers
from anomaly_clustering.search.precision import capabilities

# Channels are filled up to a multiple of this number.
ALIGNED = 8
# Bytes of the differences between patches that an accelerator measures at a time: the fewer patches an image has, the
# more images meet in a product, and the patches that were found take many times its memory.
DIFFERENCES = 2**26


class FloatFactors:
    """The left factors of bags, or the right ones; filled up with zeros, since products are fast on whole vectors.

    Args:
        bags: patches of each image.
        dtype: float32 or bfloat16.
        centre: is subtracted from all patches in the products [D]; None where they are near zero.
        right: whether these are the right factors.
    """

    def __init__(
        self, bags: Float[Tensor, "n m d"], dtype: torch.dtype, centre: Float[Tensor, " d"] | None, *, right: bool
    ):
        channels, parts = bags.shape[-1], 1 if dtype == torch.float32 else 2
        padding = -(channels + 2 * parts) % ALIGNED
        self.bags = bags.contiguous()
        self.values = bags.new_zeros(*bags.shape[:-1], channels + 2 * parts + padding, dtype=dtype)
        patches, one, other, _ = self.values.split([channels, parts, parts, padding], dim=-1)
        patches.copy_(bags if centre is None else bags - centre)
        ones, halves = (one, other) if right else (other, one)
        ones.fill_(1)
        # What bfloat16 leaves of a number goes into a second one.
        rest = torch.linalg.vector_norm(patches, dim=-1, dtype=torch.float32).square() / 2
        for half in halves.unbind(-1):
            half.copy_(rest)
            rest = rest - half
        if right:
            patches.neg_()

    def lower(
        self,
        others: "FloatFactors",
        to_right: Float[Tensor, "r l m"],
        to_left: Float[Tensor, "r x p"],
        room: Float[Tensor, " numbers"],
    ) -> None:
        """See `nearest.Factors`."""
        products = matrix_product(self.values, others.values, room)
        search = _on_processor if products.device.type == "cpu" else _on_accelerator
        search(products, self.bags, others.bags, to_right, to_left)


def matrix_product(
    left: Float[Tensor, "l m e"], right: Float[Tensor, "r p e"], room: Float[Tensor, " numbers"]
) -> Float[Tensor, "l m r p"]:
    """Products of all rows of the left with all rows of the right, written into `room` where that is faster."""
    rows, columns = left.flatten(0, 1), right.flatten(0, 1)
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if linear and left.device.type == "cpu" and left.dtype == torch.float32 and _is_of_amd():
        # On AMD's processors oneDNN's product takes half the time of MKL's, which `mm` would use.
        product = linear(rows, columns, None, "none", [], "")
    else:
        product = room[: len(rows) * len(columns)].view(len(rows), len(columns))
        torch.mm(rows, columns.T, out=product)
    return product.view(*left.shape[:2], *right.shape[:2])


def _is_of_amd() -> bool:
    """Whether AMD made the processor: by name, or by instructions that Intel never had where a name is hidden."""
    return "AMD" in capabilities().get("cpu_name", "") or capabilities().get("sse4a", False)


def _on_processor(
    product: Float[Tensor, "l m r p"],
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    to_right: Float[Tensor, "r l m"],
    to_left: Float[Tensor, "r x p"],
) -> None:
    """Lower `to_right` and, unless it is empty, `to_left` to the distances."""
    # Bits, read as integers, are in the order of the numbers. The few numbers that rounding makes negative belong to
    # patches that are nearly the same, and still come first.
    bits = product.view({torch.float32: torch.int32, torch.bfloat16: torch.int16}[product.dtype])
    arrays = (bits, queries, references, to_right, to_left)
    nearest_by_numbers(*(array.numpy() for array in arrays))


def _on_accelerator(
    product: Float[Tensor, "l m r p"],
    queries: Float[Tensor, "l m d"],
    references: Float[Tensor, "r p d"],
    to_right: Float[Tensor, "r l m"],
    to_left: Float[Tensor, "r x p"],
) -> None:
    """What `_on_processor` does, for any device."""
    to_right.clamp_max_(_distances(product.argmin(-1).permute(2, 0, 1), queries, references))
    if to_left.numel():
        to_left.clamp_max_(_distances(product.argmin(1), references, queries).transpose(0, 1))


def _distances(
    nearest: Int[Tensor, "r l m"], queries: Float[Tensor, "l m d"], references: Float[Tensor, "r p d"]
) -> Float[Tensor, "r l m"]:
    """Distance from each patch of the queries to the patch of each reference that was found to be nearest."""
    distances = queries.new_empty(nearest.shape)
    pairs = max(1, DIFFERENCES // (queries[:1].numel() * queries.element_size()))
    for some in slices(len(queries), pairs):
        for others in slices(len(references), max(1, pairs // (some.stop - some.start))):
            chosen = nearest[others, some]
            found = references[others][torch.arange(len(chosen), device=chosen.device)[:, None, None], chosen]
            distances[others, some] = torch.linalg.vector_norm(found - queries[some], dim=-1)
    return distances
