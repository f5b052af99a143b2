"""AnomalyClusterer: the command's groups, from images in any form, by scikit-learn's conventions."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from conftest import MakeImage
from lightning import Trainer
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_is_fitted

from anomaly_clustering.data import Folder
from anomaly_clustering.estimator import FITTED, AnomalyClusterer
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.mic import MIC, method_arguments
from anomaly_clustering.mic.presets import Preset

KINDS = np.repeat([0, 1, 2], 5)


@pytest.fixture
def fitted(flat_photos: Path) -> AnomalyClusterer:
    return AnomalyClusterer(3, image_size=64, views=1).fit(flat_photos)


def test_groups_are_those_of_mic(flat_photos: Path, fitted: AnomalyClusterer) -> None:
    mic = MIC("embedded", num_clusters=3, **method_arguments("signed_residuals", normals=False, views=1))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.predict(mic, Folder(flat_photos, image_size=64, num_workers=0))
    assert (fitted.labels_ == mic.grouping.labels).all()
    assert (fitted.weights_ == mic.grouping.weights).all()
    assert (fitted.embeddings_ == mic.grouping.embeddings).all()
    assert adjusted_rand_score(KINDS, fitted.labels_) == 1
    assert fitted.children_.tolist() == mic.grouping.groups.tree[:, :2].astype(int).tolist()
    assert (fitted.distances_ == mic.grouping.groups.tree[:, 2]).all()
    assert fitted.n_clusters_ == 3


def test_paths_images_and_tensors_are_the_same(flat_photos: Path, fitted: AnomalyClusterer) -> None:
    paths = sorted(flat_photos.iterdir())
    images = [Image.open(path) for path in paths]
    eight_bits = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])
    for form in ([*map(str, paths)], images, eight_bits, list(eight_bits.float() / 255)):
        again = clone(fitted).fit(form)
        assert (again.embeddings_ == fitted.embeddings_).all()
        assert (fitted.predict(form) == fitted.labels_).all()


def test_arrays_and_generators_are_the_same_as_files(flat_photos: Path, fitted: AnomalyClusterer) -> None:
    arrays = np.stack([np.array(Image.open(path)) for path in sorted(flat_photos.iterdir())])  # [15, 64, 64, 3]
    grey = arrays[..., 0]
    forms = [
        arrays,
        list(arrays),
        grey,  # The photographs are grey, saved in colours.
        list(grey[..., None]),
        arrays / 255,
        (grey / 255).astype(np.float32),
        (array for array in arrays),
        map(str, sorted(flat_photos.iterdir())),
        tuple(torch.from_numpy(grey)[:, None]),
    ]
    for form in forms:
        again = clone(fitted).fit(form)
        assert (again.embeddings_ == fitted.embeddings_).all()
        assert again.digests_ == fitted.digests_
    assert (fitted.predict(array for array in arrays[::-1]) == fitted.labels_[::-1]).all()


def test_channels_of_arrays_come_last(fitted: AnomalyClusterer) -> None:
    # Red left, blue right: what is mistaken for another order of axes is another picture.
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    picture[:, :32, 0] = picture[:, 32:, 2] = 200
    forms = [[picture], [picture / 255], [torch.from_numpy(picture.transpose(2, 0, 1))], [Image.fromarray(picture)]]
    distances = [fitted.assign(form).distances.item() for form in forms]
    assert len(set(distances)) == 1
    assert fitted.assign([picture[..., ::-1]]).distances.item() != distances[0]


def test_predict_gives_the_labels_of_fit_and_sends_new_images_to_their_like(
    tmp_path: Path, make_image: MakeImage, fitted: AnomalyClusterer
) -> None:
    new = [make_image(tmp_path / "new" / f"{kind}.png", kind, seed=20) for kind in range(3)]
    assert fitted.predict(new).tolist() == [fitted.labels_[5 * kind] for kind in range(3)]
    found = fitted.assign([tmp_path / "flat" / "10.png", Image.effect_noise((64, 64), 255)], false_alarms=0.1)
    assert found.labels[0] == fitted.labels_[5]
    assert found.nearest[0] == 5
    assert found.unknown.tolist() == [False, True]


def test_normal_images_are_compared_with(photos: Path) -> None:
    defective = sorted([*(photos / "bar").iterdir(), *(photos / "bright").iterdir()])
    clusterer = AnomalyClusterer(2, image_size=64).fit(defective, normals=photos / "good")
    assert clusterer.recipe_.weights == "novelty"
    assert adjusted_rand_score(np.repeat([0, 1], 5), clusterer.labels_) == 1
    assert (clusterer.predict(defective) == clusterer.labels_).all()


def test_it_follows_the_conventions(flat_photos: Path) -> None:
    clusterer = AnomalyClusterer(3, image_size=64, views=1, tau=0.1)
    assert clusterer.get_params()["tau"] == 0.1
    # Everything can be set, and nothing is looked at before `fit`.
    assert clusterer.set_params(n_clusters=4, tau=-1.0) is clusterer
    assert clone(clusterer).get_params() == clusterer.get_params()
    assert vars(clusterer) == clusterer.get_params()
    with pytest.raises(NotFittedError):
        clusterer.predict(flat_photos)
    with pytest.raises(ValueError, match="tau must be a positive number"):
        clusterer.fit(flat_photos)
    with pytest.raises(NotFittedError):
        check_is_fitted(clusterer)
    labels = clusterer.set_params(tau=0.02).fit_predict(flat_photos)
    assert (labels == clusterer.labels_).all()
    check_is_fitted(clusterer)
    assert clusterer.get_params() == {**AnomalyClusterer(4, image_size=64, views=1, tau=0.02).get_params()}
    assert "fitted" not in repr(clone(clusterer))
    assert (clusterer.fit(flat_photos).labels_ == labels).all()


def test_saved_and_loaded_it_is_the_same(
    tmp_path: Path, make_image: MakeImage, flat_photos: Path, fitted: AnomalyClusterer
) -> None:
    fitted.set_params(n_clusters=np.int64(3)).save(tmp_path / "clusterer.safetensors")
    loaded = AnomalyClusterer.load(tmp_path / "clusterer.safetensors")
    assert loaded.get_params() == fitted.get_params()
    for name in FITTED:
        assert (getattr(loaded, name) == getattr(fitted, name)).all(), name
    assert (loaded.predict(flat_photos) == fitted.labels_).all()
    new = [make_image(tmp_path / "new" / "a.png", 2, seed=9)]
    assert (loaded.assign(new).distances == fitted.assign(new).distances).all()
    with pytest.raises(NotFittedError):
        AnomalyClusterer().save(tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()
    with pytest.raises(FileNotFoundError):
        AnomalyClusterer.load(tmp_path / "none.safetensors")
    for content in (b"no tensors", save({"labels_": fitted.labels_})):
        (tmp_path / "other.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"'.*other.safetensors' holds no AnomalyClusterer"):
            AnomalyClusterer.load(tmp_path / "other.safetensors")


def test_files_of_versions_that_knew_the_paper_alone_are_still_read(tmp_path: Path, flat_photos: Path) -> None:
    fitted = AnomalyClusterer(3, image_size=64, embedding="paper").fit(flat_photos)
    fitted.save(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", "numpy") as content:
        rest = json.loads(content.metadata()["estimator"])
        arrays = {name: content.get_tensor(name) for name in content.keys() if name != "center_"}  # noqa: SIM118
    for later in ("embedding", "views"):
        del rest["params"][later]
    for later in ("residual_share", "signed_root", "views"):
        del rest["recipe"][later]
    (tmp_path / "old.safetensors").write_bytes(save(arrays, {"estimator": json.dumps(rest)}))
    old = AnomalyClusterer.load(tmp_path / "old.safetensors")
    assert old.get_params() == fitted.get_params()
    assert (old.predict(flat_photos) == fitted.labels_).all()


def test_what_a_stranger_saved_is_checked_before_it_is_used(
    tmp_path: Path, fitted: AnomalyClusterer, unchecked_types
) -> None:
    file = tmp_path / "clusterer.safetensors"
    fitted.save(file)
    with safe_open(file, "numpy") as content:
        rest = json.loads(content.metadata()["estimator"])
        arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    cycle = arrays["children_"].copy()
    cycle[0] = len(cycle) + 1
    for message, told, changed in (
        ("image_size cannot be 60000", rest | {"recipe": rest["recipe"] | {"image_size": 60_000}}, {}),
        ("unexpected keyword argument 'command'", rest | {"params": {"command": "rm"}}, {}),
        ("labels_ of 1 images", rest | {"digests": ["00"]}, {}),
        ("its tree of merges is none", rest, {"children_": cycle}),
        ("labels_ cannot be", rest, {"labels_": arrays["labels_"] + 2**40}),
        ("embeddings_ holds what is no number", rest, {"embeddings_": arrays["embeddings_"] * np.nan}),
        ("tau cannot be 1000", rest | {"recipe": rest["recipe"] | {"tau": 10**400}}, {}),
        ("center cannot be of 0 numbers", rest, {"center_": arrays["center_"][:0]}),
        ("center cannot be of 0 numbers", rest, {"center_": None}),
        ("center cannot be of 3 numbers", rest, {"center_": arrays["center_"][:3]}),
        ("references cannot be", rest, {"references_": arrays["references_"][:, :, :8]}),
    ):
        kept = {name: array for name, array in (arrays | changed).items() if array is not None}
        file.write_bytes(save(kept, {"estimator": json.dumps(told)}))
        with pytest.raises(ValueError, match=f"holds no AnomalyClusterer: .*{message}"):
            AnomalyClusterer.load(file)


@pytest.mark.parametrize("embedding", ["signed_residuals", "paper"])
def test_embeddings_that_cannot_be_of_the_network_are_refused_with_both_widths(
    tmp_path: Path, flat_photos: Path, embedding: Preset
) -> None:
    file, views = tmp_path / "clusterer.safetensors", 1 if embedding == "signed_residuals" else 2
    fitted = AnomalyClusterer(3, embedding=embedding, image_size=64, views=views).fit(flat_photos)
    made = fitted.embeddings_.shape[1]
    fitted.embeddings_, fitted.center_ = fitted.embeddings_[:, :-2], fitted.center_[:-2]
    fitted.save(file)
    with pytest.raises(ValueError, match=f"has {made - 2} numbers an image, and the network makes {made}: the run is"):
        AnomalyClusterer.load(file).predict([np.zeros((64, 64))])


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path, fitted: AnomalyClusterer) -> None:
    for refused in (fitted.save, AnomalyClusterer.load):
        with pytest.raises(IsADirectoryError, match=r"' is a folder; give "):
            refused(tmp_path)


def test_the_callers_random_numbers_and_default_precision_make_no_difference(
    flat_photos: Path, fitted: AnomalyClusterer, tmp_path: Path
) -> None:
    new = torch.rand(2, 3, 64, 64)
    expected = fitted.assign(new).distances
    before = torch.get_rng_state()
    clone(fitted).fit(flat_photos)
    fitted.predict(new)
    assert torch.equal(torch.get_rng_state(), before)
    fitted.save(tmp_path / "fitted.safetensors")
    torch.set_default_dtype(torch.float64)
    try:
        loaded = AnomalyClusterer.load(tmp_path / "fitted.safetensors")
        assert np.allclose(loaded.assign(new).distances, expected, rtol=1e-5)
        assert loaded.notices_ == []
        assert (clone(fitted).fit(flat_photos).labels_ == fitted.labels_).all()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("unchecked_types")
def test_whole_numbers_of_any_type_are_taken(flat_photos: Path, fitted: AnomalyClusterer, tmp_path: Path) -> None:
    numbers = {"n_clusters": 3, "image_size": 64, "views": 1, "batch_size": 4, "random_state": 0}
    for of_type in (np.int8, np.uint16, np.int64):
        again = AnomalyClusterer(**{name: of_type(value) for name, value in numbers.items()}).fit(flat_photos)
        assert (again.labels_ == fitted.labels_).all()
        again.save(tmp_path / "again.safetensors")
        loaded = AnomalyClusterer.load(tmp_path / "again.safetensors")
        assert (loaded.predict(flat_photos) == fitted.labels_).all()
        assert loaded.recipe_ == fitted.recipe_
    search = GridSearchCV(
        AnomalyClusterer(image_size=64, views=1),
        {"n_clusters": np.arange(2, 4), "random_state": np.arange(1)},
        scoring=lambda clusterer, images: -clusterer.n_clusters,
        cv=2,
        error_score="raise",
    )
    assert search.fit(sorted(flat_photos.iterdir())).best_params_ == {"n_clusters": 2, "random_state": 0}


def test_images_are_predicted_in_the_size_in_which_they_were_fitted(
    flat_photos: Path, fitted: AnomalyClusterer
) -> None:
    assert (fitted.set_params(image_size=96).predict(flat_photos) == fitted.labels_).all()
    assert (fitted.assign(flat_photos).nearest == np.arange(15)).all()


def test_a_relative_checkpoint_is_found_from_anywhere(
    flat_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = timm.create_model("resnet18").state_dict()
    save_file(state, "weights.safetensors")
    fitted = AnomalyClusterer(3, backbone="resnet18", checkpoint="weights.safetensors", image_size=64).fit(flat_photos)
    monkeypatch.chdir("/")
    assert (fitted.predict(flat_photos) == fitted.labels_).all()


def test_what_was_fitted_is_not_embedded_again(
    flat_photos: Path, tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = AnomalyClusterer(3, image_size=64).fit(flat_photos)
    embedded: list[int] = []
    maps = Backbone.maps
    monkeypatch.setattr(Backbone, "maps", lambda self, x: embedded.append(len(x)) or maps(self, x))
    new = [make_image(tmp_path / f"{name}.png", 1, seed=20) for name in "ab"]
    found = fitted.assign([*sorted(flat_photos.iterdir()), *new])
    # Two files with the same pixels are one image; it, and what it is compared with, is looked at in four ways.
    assert sum(embedded) == 4 * (1 + len(fitted.references_))
    assert (found.labels[:15] == fitted.labels_).all()
    assert found.labels[15] == found.labels[16] == fitted.labels_[5]
