"""Where to compute if nobody says so: on CUDA where there is one, else on the CPU."""

import torch

# Not 'auto': Apple's MPS has no float64, which sums and scores need.
ACCELERATOR = "cuda" if torch.cuda.is_available() else "cpu"
