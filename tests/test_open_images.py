"""Images of Pillow that cannot be read are named by their place among those given, as files are by their paths."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from anomaly_clustering.data.any_form import ImageLike, ImagesOfAnyForm, find_bits
from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.estimator import AnomalyClusterer


def file_of(image: Image.Image) -> BytesIO:
    file = BytesIO()
    image.save(file, "PNG")
    return file


def noise(*, deep: bool = False) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 2**16, (64, 64))
    return Image.fromarray(values.astype(np.uint16) if deep else (values >> 8).astype(np.uint8))


def truncated(*, deep: bool = False) -> Image.Image:
    data = file_of(noise(deep=deep)).getvalue()
    return Image.open(BytesIO(data[: len(data) // 2]))


def closed() -> Image.Image:
    image = noise()
    image.close()
    return image


def left_behind() -> Image.Image:
    """As it is after `with Image.open(...) as image`, whose pixels nobody asked for within."""
    with Image.open(file_of(noise())) as image:
        return image


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (truncated, "image file is truncated"),
        (lambda: truncated(deep=True), "image file is truncated"),
        (closed, "Operation on closed image"),
        (left_behind, "its file is closed; load it before, or give a path"),
        (lambda: Image.new("La", (64, 64)), "conversion from La to L not supported"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(broken, why: str) -> None:
    good: list[ImageLike] = [Image.new("L", (64, 64), level) for level in (0, 128, 255)]
    clusterer = AnomalyClusterer(2, image_size=64, views=1)
    with pytest.raises(UnreadableImageError, match=f"^image 1 cannot be read: {why}"):
        clusterer.fit([good[0], broken(), good[1]])
    with pytest.raises(UnreadableImageError, match=f"^normal image 2 cannot be read: {why}"):
        clusterer.fit(good, normals=[*good[:2], broken()])


def test_how_many_bits_are_filled_is_asked_of_images_that_can_be_read() -> None:
    images = ImagesOfAnyForm([noise(deep=True), truncated(deep=True)], size=32)
    with pytest.raises(UnreadableImageError, match=r"^image 1 cannot be read: image file is truncated"):
        find_bits(images, None, "auto")
    assert find_bits(images, None, 12) == 12
