"""Categories in; each of them once for each of its types of defects, without that, out."""

from collections.abc import Sequence

from experiments.categories import GOOD, Category, data_config, opened, why_missing
from experiments.cells import Settings


def without_each(categories: Sequence[Category], settings: Settings) -> tuple[list[Category], dict[Category, str]]:
    """Each category once for each of its types of defects, without that.

    Returns:
        Those categories, and the ones of which nothing can be left out, with the reason.
    """
    found: list[Category] = []
    missing: dict[Category, str] = {}
    for category in categories:
        if why := why_missing(category, settings.data_root):
            missing[category] = why
            continue
        try:
            types = _types(category, settings)
        except (ValueError, OSError) as error:
            missing[category] = str(error)
            continue
        if not types:
            missing[category] = "fewer than two types of images are left without one of its defects"
        found += [category._replace(left_out=name) for name in types]
    return found, missing


def _types(category: Category, settings: Settings) -> list[str]:
    """The types of defects, where there is still something to tell apart without one of them."""
    config = data_config(category, settings.data_root, image_size=settings.image_size, num_workers=settings.num_workers)
    names = opened(config).class_names
    return [name for name in names if name.lower() not in GOOD] if len(names) > 2 else []
