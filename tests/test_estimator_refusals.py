"""AnomalyClusterer says what is wrong with options and images, by the names that it has for them."""

import re
import shutil
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import FakeData

from anomaly_clustering import estimator
from anomaly_clustering.data.any_form import Images
from anomaly_clustering.estimator import AnomalyClusterer


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there are no images to group"),
        ([torch.zeros(4, 9, 9)] * 3, r"image 0 must have the shape .* got \[4, 9, 9\]"),
        ([torch.full((3, 9, 9), 2.0)] * 3, "image 0 must hold values from 0 to 1, got 2 to 2"),
        ([np.full((9, 9, 3), 2.0)] * 3, "image 0 must hold values from 0 to 1, got 2 to 2"),
        (np.full((3, 9, 9), -0.5), "image 0 must hold values from 0 to 1, got -0.5 to -0.5"),
        ([np.full((9, 9), np.nan)] * 3, "image 0 must hold values from 0 to 1, got nan to nan"),
        ([np.zeros((9, 9), np.uint16)] * 3, "image 0 must be of uint8, or floats from 0 to 1, got uint16"),
        ([torch.zeros(3, 9, 9, dtype=torch.int64)] * 3, "image 0 must be of uint8, .* got int64"),
        ([np.zeros((3, 9, 9))] * 3, r"image 0 must have the shape .* got \[3, 9, 9\]; in arrays channels come last"),
        ([np.zeros((0, 9))] * 3, r"image 0 must have the shape .* got \[0, 9\]"),
        (np.zeros((9, 9, 3)), r"images must have the shape .* got \[9, 9, 3\]; give one image in a list"),
        (np.zeros((3, 3, 9, 9)), r"images must have the shape .* got \[3, 3, 9, 9\]"),
        (np.zeros((9, 9)), r"images must have the shape .* got \[9, 9\]"),
        ((path for path in ()), "there are no images to group"),
        ([Image.new("RGB", (1, 1))] * 3, "image 0 has 1x1 pixels"),
        (["absent.png"] * 3, "'absent.png' does not exist"),
        ([Path(), Path()], r"^'\.' is a folder, where an image is read"),
        (torch.zeros(1, 3, 9, 9), "there is one image alone: at least 2 are needed"),
        ([Image.new("RGB", (9, 9))], "there is one image alone: at least 2 are needed"),
    ],
)
def test_bad_images_are_named(images: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnomalyClusterer(2, image_size=64).fit(images)


@pytest.mark.parametrize("normals", [[], np.zeros((0, 9, 9)), (path for path in ())])
def test_normals_that_hold_no_image_are_named(normals: Images) -> None:
    with pytest.raises(ValueError, match=r"^there are no normal images in normals: give some, or leave it out$"):
        AnomalyClusterer(2, image_size=64).fit([np.zeros((9, 9))] * 3, normals=normals)


@pytest.mark.parametrize("images", [Image.new("RGB", (9, 9)), 3, None, {"a.png": 0}, [b"a.png"] * 3])
@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_sequence_of_images_is_refused(images: object) -> None:
    with pytest.raises(TypeError, match=r"must be a (folder|path), .* got (Image|int|NoneType|dict|bytes)"):
        AnomalyClusterer(2, image_size=64).fit(images)


@pytest.mark.usefixtures("unchecked_types")
def test_of_a_data_set_of_pairs_its_images_are_asked_for() -> None:
    pairs = FakeData(3, image_size=(3, 64, 64))
    with pytest.raises(TypeError, match=r"got FakeData; give its images, as in \[image for image, _ in data\]$"):
        AnomalyClusterer(2, image_size=64).fit(pairs)
    assert len(AnomalyClusterer(2, image_size=64, views=1).fit([image for image, _ in pairs]).labels_) == 3


@pytest.mark.usefixtures("unchecked_types")
def test_a_share_of_false_alarms_is_checked_before_the_images_are_read(photos: Path) -> None:
    clusterer = AnomalyClusterer(2, image_size=64, views=1).fit(photos / "bar", normals=photos / "good")
    for share in ("0.1", 0, 1.5, None):
        with pytest.raises(ValueError, match=f"^false_alarms must be between 0 and 1, .* got {share!r}$"):
            clusterer.assign(["absent.png"], false_alarms=share)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("n_clusters", [2.5, "3", True, None, 1, 16, "many"]),
        ("image_size", [64.5, "64", None, 31]),
        ("batch_size", [2.5, "3", True, None, 0]),
        ("random_state", [2.5, "3", None, -1, 2**32]),
        ("tau", ["3", 0.0, float("nan"), 1e-40]),
        ("views", [2.0, "2", True, 3]),
        ("references", [1, 2.5, "many", None]),
        ("embedding", ["papers", None]),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_wrong_numbers_are_refused_under_their_own_names(flat_photos: Path, name: str, values: list[object]) -> None:
    for value in values:
        clusterer = AnomalyClusterer(3, image_size=64).set_params(**{name: value})
        with pytest.raises(ValueError, match=rf"^{name} must be .*, got {re.escape(repr(value))}$"):
            clusterer.fit(flat_photos)


def test_a_folder_that_is_not_there_is_said_as_the_command_line_says_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'/nope' does not exist"):
        AnomalyClusterer().fit("/nope")
    (tmp_path / "a.txt").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.txt' is a file; give the folder that holds the images"):
        AnomalyClusterer().fit(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=rf"'{tmp_path}' holds no images"):
        AnomalyClusterer().fit(tmp_path)


def test_what_is_left_out_of_a_folder_or_may_be_meant_otherwise_is_told_of(flat_photos: Path, tmp_path: Path) -> None:
    images = sorted(flat_photos.iterdir())
    fitted = AnomalyClusterer(2, image_size=64, views=1).fit(images)
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(images[0], new)
    (new / "phone.heic").write_bytes(b"heic")
    for call in (fitted.predict, partial(fitted.assign, false_alarms=0.2)):
        with pytest.warns(UserWarning, match=r"^left out: 1 file in .* \(1 \.heic\)$"):
            call(new)
        with pytest.warns(UserWarning, match=r"^an array \[3, 64, 64\] is taken for 3 grey images"):
            call(np.moveaxis(np.array(Image.open(images[0])), 2, 0))
        with pytest.raises(NotADirectoryError, match=r"\.png' is a file; .*, or a list of files, \['.*\.png'\]$"):
            call(str(images[0]))


def test_where_warnings_are_errors_they_come_before_the_work(
    flat_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sorted(flat_photos.iterdir())
    fitted = AnomalyClusterer(2, image_size=64, views=1).fit(images[:8])
    shutil.copytree(flat_photos, tmp_path / "new")
    (tmp_path / "new" / "phone.heic").write_bytes(b"heic")
    monkeypatch.setattr(estimator, "embed_as_guest", lambda *_, **__: pytest.fail("work was begun"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with pytest.raises(UserWarning, match=r"^left out"):
            fitted.predict(tmp_path / "new")
        with pytest.raises(UserWarning, match=r"^no image can be unknown"):
            fitted.assign(images)


def test_too_few_images_for_any_to_be_unknown_are_told_of(flat_photos: Path) -> None:
    images = sorted(flat_photos.iterdir())
    fitted = AnomalyClusterer(2, image_size=64, views=1).fit(images[:8])
    with pytest.warns(UserWarning, match=r"no image can be unknown: of 8 images .*; give false_alarms=0\.112 or more"):
        fitted.assign(images[8:10])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fitted.predict(images[8:10])
        fitted.assign(images[8:10], false_alarms=0.2)
