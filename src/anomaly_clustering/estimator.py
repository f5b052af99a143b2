"""Images in any form in; clusters by type of defect out: anomaly clustering as an estimator of scikit-learn."""

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import numpy as np
from jaxtyping import Int
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from anomaly_clustering.clustering.methods import Method
from anomaly_clustering.clustering.unknown import findings
from anomaly_clustering.data.any_form import DataOfAnyForm, Images, ImagesOfAnyForm, find_bits
from anomaly_clustering.data.decoding import Decoding
from anomaly_clustering.data.kept_size import Aspect
from anomaly_clustering.data.survey import Bits
from anomaly_clustering.features.views import Views
from anomaly_clustering.mic.guest import as_guest, embed_as_guest
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.options import NumReferences
from anomaly_clustering.mic.presets import Preset, method_arguments
from anomaly_clustering.mic.trainer import plain_trainer
from anomaly_clustering.runs.assign import Assignment, Embedded, Fitted, assign
from anomaly_clustering.runs.estimator_file import Learned, read_estimator, write_estimator
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS, check_false_alarms, why_coarse, why_none
from anomaly_clustering.system.choices import check_choice
from anomaly_clustering.system.whole_numbers import image_side, seed_number, whole_number

FITTED = (
    *("labels_", "weights_", "embeddings_", "children_", "distances_"),
    *("mean_scores_", "top_scores_", "normal_top_scores_", "references_", "center_"),
)


class AnomalyClusterer(ClusterMixin, BaseEstimator):
    """Group images of one product by type of defect: multiple instance clustering (Sohn et al., WACV 2023), by default
    of what differs from other images, signed residuals, where the paper averages patches as they are.

    Args:
        n_clusters: how many clusters, or 'auto': up to 20, more than there are types, so that each is mostly of one.
        embedding: 'signed_residuals', or 'paper'.
        backbone: a network of timm, or 'embedded' (EfficientNet-Lite0, installed with this package).
        layer: the network's layer, or levels of it; by default those of the embedding.
        checkpoint: local file of weights.
        tau: smoothness of the weights: small picks single patches, large weighs all alike. By default that of the
            paper, or for signed residuals what makes 6% of the patches count.
        method: the clustering, by default that of the embedding; the tree of `children_` is Ward's whatever it is.
        references: how many images to compare with, 'all', or 'auto': 32, or 100 normal ones; with the embedding of the
            paper all, and of more than 2000 images 64.
        views: ways in which each image is looked at, 1, 2, 4 or 8; fewer take less time and group a little worse.
        image_size: height and width in pixels to which images are resized.
        aspect: 'square', or 'keep' for as many pixels, up to an eighth, of each image's own aspect.
        decoding: of files, 'reduced' for large JPEG files at a size that is enough, or 'exact'. A large JPEG image that
            is given once as a path and once as `Image.open(path)` is the same image with 'exact' alone.
        bits: of a value that the camera filled in images of 16 bits; 'auto' finds it by the highest value, and images
            to come are read alike.
        batch_size: images that go through the network at a time.
        random_state: draws the images that new ones are compared with, and starts k-means and the like.

    Attributes:
        labels_: cluster of each image, int [N], 0 the largest.
        n_clusters_: how many there are.
        weights_: of each patch, float [N, h, w], those of an image summing to one.
        embeddings_: weighted averages, float [N, D].
        children_: merges of Ward's method, int [N - 1, 2], as in scikit-learn's AgglomerativeClustering.
        distances_: height of each merge, float [N - 1].
        mean_scores_: how unusual the patches of each image are on average, float [N].
        top_scores_: how unusual the most unusual patches of each image are, float [N, 4], see `top_means`.
        normal_top_scores_: the same of normal images, each among the others, float [R, 4]; none where there were none.
        references_: patches that new images are compared with, in half precision, or images, in 8 bits.
        center_: by which averages of new images are centred; empty for the paper's embedding.
        digests_: SHA-256 of each image's pixels as the network saw them.
        recipe_: how new images are weighed.
        notices_: what the command line would have said of the images, such as what was left out; `save` keeps none.

    Example:
        >>> import torch
        >>> noise = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2
        >>> noise[:4, :, 20:36, 20:36] = 1.0  # a bright spot
        >>> noise[4:, :, 40:44, 8:56] = 0.6  # a scratch
        >>> clusterer = AnomalyClusterer(2, image_size=64).fit(noise)
        >>> clusterer.labels_
        array([0, 0, 0, 0, 1, 1, 1, 1])
        >>> clusterer.predict(noise[[5, 1]])
        array([1, 0])
    """

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = "auto",
        *,
        embedding: Preset = "signed_residuals",
        backbone: str = "embedded",
        layer: str | None = None,
        checkpoint: Path | str | None = None,
        tau: float | None = None,
        method: Method | None = None,
        references: NumReferences = "auto",
        views: Views | None = None,
        image_size: int = 256,
        aspect: Aspect = "square",
        decoding: Decoding = "reduced",
        bits: Bits = "auto",
        batch_size: int = 32,
        random_state: int = 0,
    ):
        self.n_clusters = n_clusters
        self.embedding = embedding
        self.backbone = backbone
        self.layer = layer
        self.checkpoint = checkpoint
        self.tau = tau
        self.method = method
        self.references = references
        self.views = views
        self.image_size = image_size
        self.aspect = aspect
        self.decoding = decoding
        self.bits = bits
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, images: Images, y: object = None, *, normals: Images | None = None) -> "AnomalyClusterer":
        """Group the images.

        Args:
            images: a folder; or paths, images of Pillow, arrays [H, W, 3] or [H, W], or tensors [3, H, W], the numbers
                float in [0, 1] or of 8 bits: a sequence, one that is generated, or one array or tensor of all.
            y: not used, there by convention.
            normals: images known to be free of defects; they make it better. One alone tells no finding from others.

        Returns:
            This estimator.

        Raises:
            ValueError: an image cannot be read, there are fewer images than clusters, or nothing to tell them apart by.

        Example:
            >>> import torch
            >>> images = [torch.full((3, 64, 64), grey) for grey in (0.0, 0.1, 1.0)]
            >>> AnomalyClusterer(2, image_size=64).fit(images).labels_
            array([0, 0, 1])
        """
        image_size = image_side(self.image_size)
        batch_size = whole_number("batch_size", self.batch_size, least=1)
        seed = seed_number("random_state", self.random_state)
        read = partial(ImagesOfAnyForm, size=image_size, aspect=self.aspect, decoding=self.decoding)
        pixels = read(images)
        good = None if normals is None else read(normals, normal=True)
        data = DataOfAnyForm(pixels, good, batch_size)
        bits = find_bits(pixels, good, self.bits)
        for given in filter(None, (pixels, good)):
            given.bits = bits
        chosen = {"layer": self.layer, "tau": self.tau, "method": self.method, "views": self.views}
        chosen["num_references"] = self._references_asked()
        embedding = check_choice("embedding", self.embedding, Preset)
        arguments = method_arguments(embedding, normals=normals is not None, **chosen)
        clusters = self._clusters_asked(len(pixels))
        with as_guest():
            mic = MIC(self.backbone, checkpoint=self.checkpoint, num_clusters=clusters, seed=seed, **arguments)
            plain_trainer(progress_bar=False).predict(mic, datamodule=data, return_predictions=False)
        grouping = mic.grouping
        self.labels_ = grouping.labels
        self.n_clusters_ = grouping.num_clusters
        self.weights_ = grouping.weights
        self.embeddings_ = cast(np.ndarray, grouping.embeddings)
        self.children_ = grouping.groups.tree[:, :2].astype(np.int64)
        self.distances_ = grouping.groups.tree[:, 2].copy()
        self.mean_scores_ = grouping.mean_scores
        self.top_scores_ = grouping.top_scores
        self.normal_top_scores_ = grouping.normal_top_scores
        self.references_ = cast(np.ndarray, grouping.references)
        self.center_ = np.empty(0, dtype=np.float32) if grouping.center is None else grouping.center
        self.digests_ = pixels.digests
        self.notices_ = [*pixels.notices, *(good.notices if good else []), *mic.notices]
        self.recipe_ = replace(mic.recipe(image_size), bits=bits, decoding=self.decoding)
        return self

    def predict(self, images: Images) -> Int[np.ndarray, " k"]:
        """Cluster of each image: of those that were fitted the same as in `labels_`, of others the nearest mean.

        Args:
            images: in any form that `fit` takes.

        Returns:
            Cluster of each image, int [K]; -1, where normal images were fitted too, for what is like those. A warning
            says where they are too few for that, and another one what was left out of a folder.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: an image cannot be read.

        Example:
            >>> import torch
            >>> images = [torch.full((3, 64, 64), grey) for grey in (0.0, 0.1, 1.0)]
            >>> clusterer = AnomalyClusterer(2, image_size=64).fit(images)
            >>> clusterer.predict([torch.full((3, 64, 64), 0.95), images[0]])
            array([1, 0])
        """
        return self._assigned(images, FALSE_ALARMS).labels

    def assign(self, images: Images, *, false_alarms: float = FALSE_ALARMS) -> Assignment:
        """As `predict`, with distances, and whether an image is unknown: more unusual than those that were fitted.

        The more images of a new type are given at once, the surer each is told: give together what came together.

        Args:
            images: in any form that `fit` takes.
            false_alarms: share of images like those that were fitted which may be taken for unknown; with N of them
                none can be unknown unless it is 1 / (N + 1) or more, which a warning says. So are images like the
                normal ones taken for findings, if there were any: with R normal ones at least 1 in R + 1, and a warning
                says so where that is more.

        Returns:
            One entry for each image.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: an image cannot be read.

        Example:
            >>> import torch
            >>> images = [torch.full((3, 64, 64), grey) for grey in (0.0, 0.05, 0.1, 0.9, 0.95, 1.0)]
            >>> clusterer = AnomalyClusterer(2, image_size=64).fit(images)
            >>> found = clusterer.assign([images[2], torch.rand(3, 64, 64)], false_alarms=0.15)
            >>> found.nearest[0].item(), found.unknown
            (2, array([False,  True]))
        """
        check_is_fitted(self)
        check_false_alarms(false_alarms)
        if untold := why_none(len(self.digests_), false_alarms, option="false_alarms="):
            warnings.warn(untold, stacklevel=2)
        return self._assigned(images, false_alarms)

    def _assigned(self, images: Images, false_alarms: float) -> Assignment:
        check_is_fitted(self)
        recipe = self.recipe_
        batch_size = min(whole_number("batch_size", self.batch_size, least=1), recipe.batch)
        pixels = ImagesOfAnyForm(images, recipe.image_size, recipe.bits, recipe.aspect, recipe.decoding)
        # Before the work, which is lost where warnings are errors; as if `predict` or `assign` said so.
        for notice in pixels.notices:
            warnings.warn(notice, stacklevel=3)
        others = pixels.others(self.digests_, batch_size)
        width = self.embeddings_.shape[1]
        found = embed_as_guest(others, recipe, self.references_, center=self.center_, width=width)
        fitted = Fitted(self.digests_, self.embeddings_, self.labels_, self.top_scores_, recipe.signed_root)
        finding = findings(found.top_scores, self.normal_top_scores_, false_alarms)
        known = set(self.digests_)
        new = [digest for digest in dict.fromkeys(pixels.digests) if digest not in known]
        none, taken_out = [()] * len(new), np.zeros(len(new), dtype=bool)
        embedded = Embedded(new, found.embeddings, found.top_scores, finding, none, taken_out)
        assigned = assign(pixels.digests, embedded, fitted, false_alarms=false_alarms)
        coarse = why_coarse(len(self.normal_top_scores_), false_alarms, weights=recipe.weights)
        if new and coarse:
            warnings.warn(coarse, stacklevel=3)
        return assigned

    def _clusters_asked(self, num_images: int) -> int | Literal["auto"]:
        """The number under its own name; that one image is not enough is said later, whatever the number."""
        if isinstance(self.n_clusters, str) and self.n_clusters == "auto":
            return "auto"
        asked = whole_number("n_clusters", self.n_clusters, least=2)
        if 1 < num_images < asked:
            raise ValueError(f"n_clusters must be between 2 and {num_images} (the number of images), got {asked}")
        return asked

    def _references_asked(self) -> NumReferences:
        """The number under its own name."""
        if isinstance(self.references, str) and self.references in ("auto", "all"):
            return self.references
        return whole_number("references", self.references, least=2)

    def save(self, file: Path | str) -> None:
        """Write the fitted estimator as safetensors: numbers and text, nothing that could run.

        Args:
            file: where it goes; what was there before is replaced.

        Raises:
            NotFittedError: `fit` was not called.
            IsADirectoryError: the file is a folder.
            FileExistsError: it is a file of a run, or that of the network's weights.

        Example:
            >>> import tempfile, torch
            >>> images = [torch.full((3, 64, 64), grey) for grey in (0.0, 0.1, 1.0)]
            >>> clusterer = AnomalyClusterer(2, image_size=64).fit(images)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     clusterer.save(Path(folder) / "clusterer.safetensors")
            ...     [file.name for file in Path(folder).iterdir()]
            ['clusterer.safetensors']
        """
        check_is_fitted(self)
        arrays = {name: getattr(self, name) for name in FITTED}
        write_estimator(Path(file), Learned(self.get_params(), arrays, self.digests_, self.recipe_))

    @classmethod
    def load(cls, file: Path | str, *, checkpoint: Path | str | None = None) -> "AnomalyClusterer":
        """The estimator that `save` has written.

        Args:
            file: that `save` has written.
            checkpoint: where the weights of its network are now; None where they are where they were.

        Returns:
            The estimator, fitted as it was.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not of one.
            IsADirectoryError: it is a folder.

        Example:
            >>> import tempfile, torch
            >>> images = [torch.full((3, 64, 64), grey) for grey in (0.0, 0.1, 1.0)]
            >>> clusterer = AnomalyClusterer(2, image_size=64).fit(images)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     clusterer.save(Path(folder) / "clusterer.safetensors")
            ...     AnomalyClusterer.load(Path(folder) / "clusterer.safetensors").labels_
            array([0, 0, 1])
        """
        learned = read_estimator(file)
        params, recipe = learned.params, learned.recipe
        if checkpoint is not None:
            params, recipe = {**params, "checkpoint": str(checkpoint)}, replace(recipe, checkpoint=str(checkpoint))
        try:
            estimator = cls(**params)
        except TypeError as error:
            raise ValueError(f"{str(file)!r} holds no AnomalyClusterer: {error}") from None
        for name, array in learned.arrays.items():
            setattr(estimator, name, array)
        estimator.recipe_ = recipe
        estimator.n_clusters_ = int(estimator.labels_.max()) + 1
        estimator.digests_ = [*learned.digests]
        estimator.notices_ = []
        return estimator

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags
