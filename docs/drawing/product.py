"""The synthetic product, step by step as the method sees it: images, bags, scores, weights, embeddings, tree."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from anomaly_clustering.clustering import ward
from anomaly_clustering.data import Synthetic
from anomaly_clustering.features import Backbone, Embedder, bag
from anomaly_clustering.features.views import turn
from anomaly_clustering.mic import novelty, rarity, signed_root, soften, weighted_average
from anomaly_clustering.mic.presets import SIGNED_RESIDUALS
from anomaly_clustering.mic.recipe import Recipe
from anomaly_clustering.mic.references import draw
from anomaly_clustering.mic.streaming import IMAGES, Stream

TAU = 0.02
NUM_CLASSES = 7


@dataclass
class Product:
    """The synthetic product, step by step as the method sees it; each step is computed when it is first asked for."""

    @cached_property
    def data(self) -> Synthetic:
        data = Synthetic(num_workers=0)
        data.prepare_data()
        data.setup()
        return data

    @cached_property
    def images(self) -> torch.Tensor:
        return torch.cat([batch["image"] for batch in self.data.test_dataloader()])

    @cached_property
    def masks(self) -> torch.Tensor:
        return torch.cat([batch["mask"] for batch in self.data.test_dataloader()])[:, 0]

    @cached_property
    def target(self) -> np.ndarray:
        return torch.cat([batch["target"] for batch in self.data.test_dataloader()]).numpy()

    @cached_property
    def names(self) -> list[str]:
        return list(self.data.class_names)

    @cached_property
    def backbone(self) -> Backbone:
        return Backbone("embedded")

    def bags_of(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([bag(self.backbone(part)) for part in images.split(8)])

    @cached_property
    def bags(self) -> torch.Tensor:
        return self.bags_of(self.images)

    @cached_property
    def rarity(self) -> torch.Tensor:
        return rarity(self.bags)

    @cached_property
    def novelty(self) -> torch.Tensor:
        normals = torch.cat([batch["image"] for batch in self.data.normal_dataloader()])
        return novelty(self.bags, self.bags_of(normals).flatten(0, 1))

    @cached_property
    def side(self) -> int:
        return round(self.bags.shape[1] ** 0.5)

    def embeddings(self, weights: torch.Tensor) -> np.ndarray:
        return weighted_average(self.bags, weights).numpy()

    @cached_property
    def tree(self) -> np.ndarray:
        return ward(self.embeddings(soften(self.rarity, TAU)))

    # What `cluster` makes of it by default, signed residuals.

    @cached_property
    def drawn(self) -> torch.Tensor:
        """Positions of the references."""
        return draw(len(self.images), IMAGES, 0)

    @cached_property
    def embedder(self) -> Embedder:
        return Embedder(Backbone("embedded", layer=SIGNED_RESIDUALS["layer"]))

    @torch.no_grad()
    def stream(self, *, share: float | None, views: Any, turned: int = 0) -> Stream:
        """What compares images with the references, in so many ways to look at them; all turned by quarters before."""
        recipe = Recipe(
            *("embedded", self.embedder.backbone.layer, None, 3, self.images.shape[2], "weighted_average", "rarity"),
            *(SIGNED_RESIDUALS["reduce"], TAU, None, share),
            views=views,
        )
        some = {"image": turn(self.images[self.drawn], turned), "index": self.drawn}
        pixels = (some["image"] * 255).round().to(torch.uint8)
        stream = Stream(self.embedder, pixels, recipe, positions=self.drawn, tau=TAU)
        stream.choose_tau(some, SIGNED_RESIDUALS["effective_patches"])
        return stream

    @torch.no_grad()
    def streamed(self, share: float | None) -> dict[str, torch.Tensor]:
        """Weights, and averages of all levels, of each image, looked at as it is."""
        stream = self.stream(share=share, views=1)
        return stream({"image": self.images, "index": torch.arange(len(self.images))})

    @cached_property
    def averages(self) -> torch.Tensor:
        """Of patches as they are."""
        return self.streamed(None)["embeddings"]

    @cached_property
    def residuals(self) -> torch.Tensor:
        """Averages of what differs."""
        return self.streamed(SIGNED_RESIDUALS["residual_share"])["embeddings"]

    @cached_property
    def rooted(self) -> torch.Tensor:
        return signed_root(self.residuals, self.residuals.mean(0), self.embedder.backbone.channels_of_levels)

    @cached_property
    def seen(self) -> dict[int, torch.Tensor]:
        """Weights of one image of each class, looked at in four ways."""
        chosen = torch.tensor([self.example(name, 1) for name in self.names])
        stream = self.stream(share=None, views=SIGNED_RESIDUALS["views"])
        with torch.no_grad():
            weights = stream({"image": self.images[chosen], "index": chosen})["weights"]
        return dict(zip(chosen.tolist(), weights.flatten(1), strict=True))

    def example(self, name: str, number: int = 0) -> int:
        """The position of an image of a class."""
        return int(np.flatnonzero(self.target == self.names.index(name))[number])
