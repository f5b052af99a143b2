"""Floats as images: what resizing makes of black and white, and what is no image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from anomaly_clustering import AnomalyClusterer
from anomaly_clustering.data.pixels import image_of_pixels
from anomaly_clustering.mic.module import MIC


def test_floats_that_resizing_brings_a_little_beyond_white_are_white() -> None:
    white = torch.ones(1, 3, 37, 41)
    resized = F.interpolate(white, (100, 100), mode="bicubic", antialias=True)[0]
    for pixels in (resized, np.full((9, 9, 3), 1 + 2e-10), np.full((9, 9, 3), 1 + 9e-6)):
        assert np.asarray(image_of_pixels(pixels, "image 0")).min() == 255
    assert np.asarray(image_of_pixels(np.full((9, 9), -1e-17), "image 0")).max() == 0


def test_floats_that_are_further_away_are_told_with_their_digits() -> None:
    with pytest.raises(ValueError, match=r"image 0 must hold values from 0 to 1, got 0 to 1\.0001$"):
        image_of_pixels(np.array([[0.0, 1.0001]]), "image 0")


def test_ctrl_c_while_the_estimator_fits_is_a_keyboard_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MIC, "predict_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AnomalyClusterer(2, image_size=64, views=1).fit([np.full((64, 64), grey) for grey in (0.0, 0.5, 1.0)])
