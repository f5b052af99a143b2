"""Predictions of two views in; the loss of SCAN's third step, learning from what is confident, out.

With the moving average of weights that its authors use (Van Gansbeke et al., ECCV 2020, section 2.3).
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# Where no sample is confident, and nothing is divided by it.
SMALLEST = 1e-12
Average = Literal["writeback", "teacher", "off"]


def self_label_loss(
    weak: Float[Tensor, "n k"],
    strong_logits: Float[Tensor, "n k"],
    *,
    threshold: float = 0.99,
    class_balance: bool = False,
) -> Float[Tensor, ""]:
    """Cross-entropy of a strongly augmented view to the class of the weak one, over confident samples.

    With `class_balance` a sample weighs by the inverse of how many confident ones its class has. Zero, with gradients
    of zero, where no sample is confident; the authors' code fails there.

    Args:
        weak: probabilities.
    """
    probability, label = weak.max(1)
    # Others weigh nothing, where leaving them out would wait for the device to know how many they are.
    weight = (probability > threshold).to(strong_logits)
    if class_balance:
        counts = torch.zeros_like(strong_logits[0]).index_add(0, label, weight)
        weight = weight / counts.clamp_min(1)[label]
    costs = F.cross_entropy(strong_logits, label, reduction="none")
    return (weight * costs).sum() / weight.sum().clamp_min(SMALLEST)


class WeightAverage:
    """The moving average of weights by step.

    Args:
        mode: 'writeback' loads the average, and the buffers of the start, into the model after each step, as the
            authors' code does: steps shrink to 1 - decay of their size. 'teacher' leaves the model alone, which
            predicts by the average and by its own buffers. 'off' does nothing.
    """

    def __init__(self, mode: Average, decay: float):
        self.mode: Average = mode
        self.decay = decay
        self.tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def start(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    def to(self, device: torch.device) -> dict[str, Tensor]:
        """The tensors, which come from a checkpoint on the processor."""
        self.tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return self.tensors

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """After a step.

        Args:
            tensors: parameters and buffers of the model, by name, themselves.
        """
        if self.mode == "off":
            return
        for name, tensor in tensors.items():
            average = self.tensors[name]
            if isinstance(tensor, nn.Parameter):
                average.lerp_(tensor, 1 - self.decay)
            elif self.mode == "teacher":
                average.copy_(tensor)
            if self.mode == "writeback":
                tensor.copy_(average)
