"""Probable clusters of images and of neighbours of theirs in; the loss of SCAN's second step out.

Van Gansbeke et al., ECCV 2020, section 2.2.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Probabilities = Float[Tensor, "n k"]


def consistency(anchors: Probabilities, neighbours: Probabilities) -> Float[Tensor, ""]:
    """-1/n sum_i log <p(x_i), p(x_n(i))>, each logarithm at least -100 (first term of Eq. 2)."""
    agreement = (anchors * neighbours).sum(1).clamp(0, 1)
    return F.binary_cross_entropy(agreement, torch.ones_like(agreement))


def entropy_of_mean(probabilities: Probabilities) -> Float[Tensor, ""]:
    """-sum_k m_k log m_k of the mean m: log K where clusters are equally large (second term of Eq. 2)."""
    mean = probabilities.mean(0).clamp_min(1e-8)
    return -(mean * mean.log()).sum()


def scan_loss(anchors: Probabilities, neighbours: Probabilities, entropy_weight: float = 5.0) -> Float[Tensor, ""]:
    """Neighbours agree, clusters are equally large (Eq. 2)."""
    return consistency(anchors, neighbours) - entropy_weight * entropy_of_mean(anchors)


def losses_of_heads(
    probabilities: Float[Tensor, "n heads k"], neighbours: Int[Tensor, "n near"]
) -> Float[Tensor, " heads"]:
    """The loss of each head on images with the nearest of them, by which heads are compared; both terms weigh alike.

    Args:
        probabilities: of all images by each head.
        neighbours: positions of the nearest images, each image itself among them.
    """
    anchors, others = probabilities.repeat_interleave(neighbours.shape[1], 0), probabilities[neighbours.flatten()]
    pairs = zip(anchors.unbind(1), others.unbind(1), strict=True)
    return torch.stack([scan_loss(*pair, entropy_weight=1.0) for pair in pairs])
