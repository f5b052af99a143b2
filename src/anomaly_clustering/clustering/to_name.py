"""The number of images in; into how many clusters to cut them at first, so that naming all of them is cheap, out."""

# As many names as a person gives in a few minutes.
MOST = 20


def clusters_to_name(num_images: int) -> int:
    """Twice the square root of the number of images; at most 20, and at least 2 images for each cluster on average.

    It is no guess of how many types there are. Two clusters of one type are given the same name and become one, which
    takes seconds; a cluster of two types must be taken apart. So there are more clusters than types, and each holds
    mostly one. On five real data sets (the page on the method) naming each cluster by its majority was as accurate with
    12 images as with 583: rules that look at the images, such as stability, the silhouette, spread within clusters or
    neighbours in one cluster, gained nothing over the same number for all sets.

    Args:
        num_images: N, at least 2.

    Returns:
        K, from 2 to 20.

    Example:
        >>> [clusters_to_name(n) for n in (2, 8, 24, 64, 1000)]
        [2, 4, 10, 16, 20]
    """
    return max(2, min(MOST, round(2 * num_images**0.5), num_images // 2))
