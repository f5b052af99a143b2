"""Bags [N, M, D] in; one vector an image out, without weights of patches: the baselines of Table 9."""

from numbers import Integral

import torch
from einops import rearrange
from jaxtyping import Float
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

# The smallest entry that GeM knows, as in the authors' implementation.
EPS = 1e-6
# More would hardly move the words: FAISS, for one, wants between 39 and 256.
PATCHES_PER_WORD = 128


def mean(bags: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
    """Average of all patches ('average' in Table 9: Eq. 1 with uniform weights).

    Args:
        bags: patches of each image [N, M, D].

    Returns:
        One vector an image [N, D].

    Example:
        >>> mean(torch.tensor([[[1.0, 0.0], [3.0, 8.0]]])).tolist()
        [[2.0, 4.0]]
    """
    return bags.mean(1)


def max(bags: Float[Tensor, "n m d"]) -> Float[Tensor, "n d"]:
    """Largest entry of each channel over patches ('max' in Table 9).

    Args:
        bags: patches of each image [N, M, D].

    Returns:
        One vector an image [N, D].

    Example:
        >>> max(torch.tensor([[[1.0, 0.0], [3.0, -8.0]]])).tolist()
        [[3.0, 0.0]]
    """
    return bags.amax(1)


def gem(bags: Float[Tensor, "n m d"], p: float = 20.0) -> Float[Tensor, "n d"]:
    """Generalised mean (1/M sum over m of z_m^p)^(1/p) of each channel (Radenovic et al. 2018).

    p = 1 is the mean, p = inf the maximum. Entries below 1e-6 count as 1e-6, as in the original: powers are of positive
    numbers, so what is negative (in transformers about half) is lost.

    Args:
        bags: patches of each image [N, M, D].
        p: exponent, positive, may be infinite; 20 in Table 9.

    Returns:
        One vector an image [N, D].

    Raises:
        ValueError: `p` is not a positive number.

    Example:
        >>> gem(torch.tensor([[[1.0], [7.0]]]), p=2.0).tolist()
        [[5.0]]
    """
    if not p > 0:
        raise ValueError(f"p must be a positive number, got {p}")
    positive = bags.clamp_min(EPS)
    top = positive.amax(1)
    # Powers of numbers below 1 vanish in float32. Relative to the largest number they vanish only where they are too
    # small to count.
    return top * (positive / top[:, None]).pow(p).mean(1).pow(1 / p)


def spoc(bags: Float[Tensor, "n m d"], grid: tuple[int, int], sigma: float = 1000.0) -> Float[Tensor, "n d"]:
    """Sum of patches weighted by exp(-r^2 / 2 sigma^2), r the distance from the centre (Babenko and Lempitsky 2015).

    Weights sum to one, so that sigma = inf is `mean`; whitening and unit length, by which the original goes on, are
    left out: in Table 9 SPoC equals the average in all digits.

    Args:
        bags: patches of each image [N, M, D], row by row.
        grid: rows and columns of patches.
        sigma: width of the Gaussian, in patches; 1000 in Table 9, so wide that all patches count alike.

    Returns:
        One vector an image [N, D].

    Raises:
        ValueError: `sigma` is not a positive number, or the grid does not have M patches.

    Example:
        >>> spoc(torch.tensor([[[0.0], [1.0], [0.0]]]), grid=(1, 3), sigma=1.0).tolist()
        [[0.452]]
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be a positive number of patches, got {sigma}")
    height, width = grid
    if min(grid) < 1 or height * width != bags.shape[1]:
        raise ValueError(f"grid must have {bags.shape[1]} patches as the bags do, got {height} x {width}")
    y = torch.arange(height, dtype=torch.float32, device=bags.device) - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float32, device=bags.device) - (width - 1) / 2
    exponents = -((y[:, None] / sigma) ** 2 + (x / sigma) ** 2) / 2
    return torch.einsum("nmd,m->nd", bags, torch.softmax(exponents.flatten(), dim=0).to(bags))


def bag_of_words(bags: Float[Tensor, "n m d"], words: int = 512, *, seed: int = 0) -> Float[Tensor, "n words"]:
    """Share of each image's patches that are nearest to each word of a codebook; rows sum to one (Table 9).

    The codebook is k-means (in mini-batches) over the patches of all images, a random 128 * words of them where there
    are more.

    Args:
        bags: patches of each image [N, M, D].
        words: size of the codebook, from 1 to N * M; 512 in Table 9.
        seed: of the drawn patches and of k-means.

    Returns:
        Shares [N, words].

    Raises:
        ValueError: `words` is not a whole number between 1 and the number of patches.

    Example:
        >>> bags = torch.tensor([[[0.0], [0.0], [0.0], [9.0]], [[9.0], [9.0], [9.0], [9.0]]])
        >>> bag_of_words(bags, words=2).amax(1).tolist()
        [0.75, 1.0]
    """
    patches = rearrange(bags, "n m d -> (n m) d")
    if not (isinstance(words, Integral) and 1 <= words <= len(patches)):
        raise ValueError(f"words must be between 1 and {len(patches)} (the number of patches), got {words}")
    order = torch.randperm(len(patches), generator=torch.Generator().manual_seed(seed), device="cpu")
    sample = order[: PATCHES_PER_WORD * words]
    kmeans = MiniBatchKMeans(words, batch_size=4096, compute_labels=False, random_state=seed)
    kmeans.fit(patches[sample.to(bags.device)].cpu().numpy())
    codebook = torch.from_numpy(kmeans.cluster_centers_).to(bags)
    counts = [torch.bincount(torch.cdist(bag, codebook).argmin(1), minlength=words) for bag in bags]
    return torch.stack(counts).to(bags) / bags.shape[1]
