"""The name of the device to compute on if nobody says so: CUDA where there is one, else the CPU."""

import torch

# Not 'auto': Apple's MPS has no float64, which sums and scores need.
ACCELERATOR = "cuda" if torch.cuda.is_available() else "cpu"
