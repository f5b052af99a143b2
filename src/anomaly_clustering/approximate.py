"""Normal patches in; an index of them out, in which a near one, mostly the nearest, is found in a fraction of the time.

FAISS's inverted file: patches are sorted into cells around centres of k-means, and a query looks into the few cells
that are nearest to it. Distances that it finds are exact, and never below the truth.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# Cells that a query looks into.
PROBED = 16
# Patches per cell that k-means sees, and its iterations.
SEEN, ITERATIONS = 64, 10


class ApproximateIndex:
    """An inverted file of patches.

    Args:
        normal_patches: the patches to search.
        seed: starts the k-means of the cells.

    Raises:
        ImportError: FAISS is not installed.
    """

    def __init__(self, normal_patches: Float[Tensor, "p d"], *, seed: int = 0):
        try:
            import faiss
        except ImportError:
            raise ImportError(
                "the approximate search needs FAISS: pip install 'anomaly-clustering[approximate]'"
            ) from None
        count, channels = normal_patches.shape
        cells = max(1, min(int(4 * math.sqrt(count)), count // SEEN))
        self.index: Any = faiss.IndexIVFFlat(faiss.IndexFlatL2(channels), channels, cells)
        self.index.cp.seed, self.index.cp.niter, self.index.cp.max_points_per_centroid = seed, ITERATIONS, SEEN
        self.index.cp.min_points_per_centroid = 1
        self.index.nprobe = PROBED
        patches = normal_patches.cpu().contiguous().numpy()
        self.index.train(patches)
        self.index.add(patches)

    def novelty(self, bags: Float[Tensor, "n m d"]) -> Float[Tensor, "n m"]:
        """Distance from each patch to the nearest patch that is found (Eq. 6, approximately)."""
        squared, _ = self.index.search(bags.flatten(0, 1).cpu().contiguous().numpy(), 1)
        return torch.from_numpy(squared).clamp_min(0).sqrt().view(bags.shape[:2]).to(bags.device)
