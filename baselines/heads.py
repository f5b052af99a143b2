"""Features of images in; cosines with the directions of clusters, by several heads side by side, out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class UnitHeads(nn.Module):
    """Heads side by side, each a layer, GELU, a bottleneck of unit length, and clusters as directions in it."""

    def __init__(self, channels: int, num_clusters: int, count: int, *, hidden: int = 512, bottleneck: int = 256):
        super().__init__()
        self.into = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)) for _ in range(count)
        )
        for module in self.into.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.direction = nn.Parameter(torch.randn(count, num_clusters, bottleneck))

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b heads k"]:
        """Cosines."""
        points = nn.functional.normalize(torch.stack([into(features) for into in self.into], 1), dim=2)
        return torch.einsum("bhd,hkd->bhk", points, nn.functional.normalize(self.direction, dim=2))
