"""The share of known images that may be taken for unknown ones: its default, and what it can tell among how many."""

import math
from numbers import Real

FALSE_ALARMS = 0.05


def check_false_alarms(share: float) -> None:
    """Check the share of known images that may be taken for unknown.

    Args:
        share: as the user gave it.

    Raises:
        ValueError: it is not between 0 and 1.

    Example:
        >>> check_false_alarms(5.0)
        Traceback (most recent call last):
        ValueError: false_alarms must be between 0 and 1, the share of known images that may be flagged, got 5.0
    """
    if not (isinstance(share, Real) and 0 < share < 1):
        raise ValueError(
            f"false_alarms must be between 0 and 1, the share of known images that may be flagged, got {share!r}"
        )


def why_none(images: int, share: float, *, option: str = "--false-alarms ") -> str:
    """Why no image can be unknown among so few, see `clustering.unknown.Ranking`; empty where some can be.

    Args:
        images: that new ones are ranked among.
        share: of false alarms.
        option: by which another share is given.

    Example:
        >>> why_none(15, 0.05)
        'no image can be unknown: of 15 images and a new one, 1 of 16 is the most unusual, ... --false-alarms 0.063 ...'
        >>> why_none(19, 0.05)
        ''
    """
    least = 1 / (images + 1)
    if share >= least:
        return ""
    return (
        f"no image can be unknown: of {images} images and a new one, 1 of {images + 1} is the most unusual, which is "
        f"more often than {share:g}; give {option}{math.ceil(least * 1000) / 1000:g} or more, or a run of more "
        "images"
    )


def why_coarse(normals: int, share: float, *, weights: str) -> str:
    """What so few normal images cannot tell, see `clustering.unknown.findings`; empty where they can, or it has none.

    Args:
        normals: that were compared with one another, which a single one is not.
        share: of false alarms.
        weights: of the run's recipe, 'novelty' where normal images were given.

    Example:
        >>> why_coarse(4, 0.05, weights="novelty")
        '1 of 5 good images will be taken for a finding, more than 0.05: with 4 normal images no smaller share ...'
        >>> why_coarse(0, 0.05, weights="novelty")
        'every image counts as a finding: the run was given one normal image, or is of an earlier version, ...'
        >>> why_coarse(0, 0.05, weights="rarity"), why_coarse(19, 0.05, weights="novelty")
        ('', '')
    """
    if not normals and weights == "novelty":
        return (
            "every image counts as a finding: the run was given one normal image, or is of an earlier version, so that "
            "nothing tells what is usual among normal ones; cluster the images anew with 2 or more of them"
        )
    if not normals or share >= 1 / (normals + 1):
        return ""
    return (
        f"1 of {normals + 1} good images will be taken for a finding, more than {share:g}: with {normals} normal "
        "images no smaller share can be told"
    )
