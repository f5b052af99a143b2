"""Batches of images in; bags of patches, a level each, out: by a frozen network, or read where they were kept."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.data import DataLoader

from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.bags import bag, check_kernel_size, on_grid
from anomaly_clustering.features.cache import DIGITS, Cache, settings_digest, tensors_digest
from anomaly_clustering.features.canvas import by_size, reunited
from anomaly_clustering.features.views import turn
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.loaders import of_images
from anomaly_clustering.system.threads import in_order

# Images that a thread of a processor embeds at a time: its memory is used again for the next ones.
AT_ONCE = 2
# Pixels that a GPU embeds at a time, at most: 32 images of 512 x 512, which take 2 GiB of the network that comes along.
# References come all together, whatever the size of batches.
PIXELS_AT_ONCE = 32 * 512**2


class Embedder(nn.Module):
    """Embeds the patches of images, on their grid (section 3.1, step 1).

    Args:
        backbone: the network.
        kernel_size: side of the average pooling over the feature map, odd; by default that of the paper for the
            network (Table 6).
        cache: where bags are kept, a file an image, named by the image's pixels, or its file (`by_file`), and all that
            changes its bag. By default nothing is kept.
        side: in pixels, of a square that has about as many as each image, where images keep their aspect; by default
            all are squares.

    Images that keep their aspect come on canvases [B, 4, H, W], see `by_size`. The network sees each as it is; the
    patches of all are then brought to the grids that the square would have, so that bags have patches of equal number.

    Attributes:
        by_file: whether the file of an image, read as this package reads it, tells its pixels, so that its name in the
            cache is found without comparing pixels; by default pixels are named.
        reduced: whether large images are decoded at reduced size, which their names in the cache tell.

    Raises:
        ValueError: `kernel_size` is not odd and positive.

    Example:
        >>> embedder = Embedder(Backbone("embedded"))
        >>> with torch.no_grad():
        ...     bags = embedder({"image": torch.rand(2, 3, 64, 64)})
        >>> tuple(bags.shape)  # images, rows, columns, channels
        (2, 8, 8, 40)
    """

    def __init__(
        self,
        backbone: Backbone,
        kernel_size: int | None = None,
        cache: Cache | None = None,
        side: int | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.kernel_size = backbone.kernel_size if kernel_size is None else kernel_size
        check_kernel_size(self.kernel_size)
        self.cache = cache
        self.side = side
        self.by_file = False
        self.reduced = False
        self._grids_of_side: dict[int, list[tuple[int, int]]] = {}

    def forward(self, batch: Mapping[str, Any]) -> Float[Tensor, "b h w d"]:
        """Bags, patches as rows and columns; those of the first level where the network has several.

        Args:
            batch: as the data modules give it: `image` [B, 3, H, W] in [0, 1], or canvases, and, where there
                is a cache, `path` and `bits`. Only images whose bags are not in the cache are embedded.
        """
        return self.levels(batch)[0]

    def levels(self, batch: Mapping[str, Any], view: int = 0) -> list[Float[Tensor, "b _ _ _"]]:
        """Bags [B, h, w, D], one for each level of the network.

        Args:
            batch: as `forward` takes it; without paths nothing is kept.
            view: how the images are turned before, see `turn`.
        """
        if self.cache is None or "path" not in batch:
            return self._embed(batch["image"], view)
        keys = self._keys(batch, view)
        found = [self.cache.load("bags", key) for key in keys]
        missing = [i for i, bags in enumerate(found) if bags is None]
        if missing:
            for i, *computed in zip(missing, *self._embed(batch["image"][missing], view), strict=True):
                found[i] = dict(zip(self._names, computed, strict=True))
                self.cache.save("bags", keys[i], found[i])
        return [torch.stack([bags[name].to(batch["image"].device) for bags in found if bags]) for name in self._names]

    def _keys(self, batch: Mapping[str, Any], view: int) -> list[str]:
        images = batch["image"]
        size = images.shape[-2:] if self.side is None else [self.side] * 2
        if not self.by_file:
            # What a loader of another made of a file is not told by the file, which may not even be one.
            return [self._key(size, view, pixels=[*image.shape, tensors_digest({"": image})]) for image in images]
        bits = batch.get("bits", torch.zeros(len(batch["path"]), dtype=torch.int64))
        return [self.key(path, size, own or None, view) for path, own in zip(batch["path"], bits.tolist(), strict=True)]

    @property
    def _names(self) -> list[str]:
        """Of the levels, in the files of the cache."""
        return ["bag", *(f"bag_{level}" for level in range(1, len(self.backbone.levels)))]

    def of(
        self, loader: DataLoader[Any], chosen: Int[Tensor, " count"], advance: Callable[[int], object], stride: int = 1
    ) -> Float[Tensor, "count m d"]:
        """Bags of some images of a loader.

        Args:
            loader: of the data set.
            chosen: positions in the data set.
            advance: is told how many images were embedded, for a progress bar.
            stride: step from one row or column of patches that is kept to the next; 1 keeps all.
        """
        bags = []
        for batch in of_images(loader, chosen):
            batch["image"] = batch["image"].to(self.backbone.mean.device)
            bags.append(self(batch)[:, ::stride, ::stride].flatten(1, 2))
            advance(len(batch["image"]))
        return torch.cat(bags)

    def key(self, path: Path | str, size: Sequence[int], bits: int | None = None, view: int = 0) -> str:
        """The name of an image's bags in the cache, by its file and all else that they depend on.

        Args:
            path: of the image; its content counts, not its name.
            size: height and width in which the network sees it, in pixels; of the square where it keeps its aspect.
            bits: of a value in a file of 16 bits; None where it has 8.
            view: how it is turned.
        """
        return self._key(size, view, image=digest(path)[:DIGITS], **({} if bits is None else {"bits": bits}))

    def _key(self, size: Sequence[int], view: int, **image: object) -> str:
        autocast = torch.is_autocast_enabled(self.backbone.mean.device.type)
        # What is neither scaled nor turned has the name that it had when nothing was.
        kept = ({"aspect": "keep"} if self.side is not None else {}) | ({"decoding": "reduced"} if self.reduced else {})
        more = ({"view": view} if view else {}) | settings_of_products(self.backbone.mean.device)
        return settings_digest(size=list(size), autocast=autocast, network=self.network, **image, **more, **kept)

    @cached_property
    def network(self) -> str:
        """A name for the network, its layers and weights, and the pooling."""
        weights = tensors_digest(self.backbone.state_dict())
        return settings_digest(
            name=self.backbone.name, layer=self.backbone.layer, kernel_size=self.kernel_size, weights=weights
        )

    def means(self, images: Float[Tensor, "b channels height width"]) -> tuple[Float[Tensor, "b d"], tuple[int, int]]:
        """Means over the feature map of the first level, and the rows and columns of that of a square.

        Args:
            images: as `forward` takes them.
        """
        grids: list[tuple[int, int]] = []

        def mean(part: Float[Tensor, "b 3 height width"]) -> list[Float[Tensor, "b d"]]:
            feature_map = self.backbone(part)
            grids.append((feature_map.shape[2], feature_map.shape[3]))
            return [feature_map.mean((2, 3))]

        (found,) = self._part_by_part(mean, images)
        return found, grids[0] if self.side is None else self._grids[0]

    def _embed(self, images: Float[Tensor, "b channels height width"], view: int) -> list[Float[Tensor, "b _ _ _"]]:
        if self.side is None and images.shape[1] == 4:
            raise ValueError("images that keep their aspect come with a data module, but the trainer has loaders alone")
        grids = [] if self.side is None else self._grids

        def embed(part: Float[Tensor, "b 3 height width"]) -> list[Float[Tensor, "b _ _ _"]]:
            levels = self.bags_of(turn(part, view))
            return [on_grid(level, grid) for level, grid in zip(levels, grids, strict=True)] if grids else levels

        return self._part_by_part(embed, images)

    def _part_by_part(
        self,
        work: Callable[[Float[Tensor, "_ 3 _ _"]], list[Tensor]],
        images: Float[Tensor, "b channels height width"],
    ) -> list[Tensor]:
        """What becomes of images of one size, as many as are embedded at a time, together in the order of the batch.

        On a processor each part is computed by one thread, so that it is rounded alike whatever their number.
        """
        places, groups = [torch.arange(len(images))], [images]
        if self.side is not None:
            places, groups = map(list, zip(*by_size(images), strict=True))
        parts = [part for group in groups for part in group.split(_at_once(group))]
        found = zip(*in_order(work, parts, device=images.device), strict=True)
        return [torch.cat(level) if self.side is None else reunited(places, level) for level in found]

    @property
    def _grids(self) -> list[tuple[int, int]]:
        """Rows and columns of the square at each level."""
        assert self.side is not None
        if self.side not in self._grids_of_side:
            square = self.backbone.mean.new_zeros(1, 3, self.side, self.side)
            self._grids_of_side[self.side] = [(level.shape[2], level.shape[3]) for level in self.backbone.maps(square)]
        return self._grids_of_side[self.side]

    def bags_of(self, images: Float[Tensor, "b 3 height width"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Bags [B, h, w, D], one for each level, of images that fit into memory together.

        Args:
            images: red, green and blue in [0, 1], none on a canvas.
        """
        return [bag(maps, self.kernel_size).unflatten(1, maps.shape[2:]) for maps in self.backbone.maps(images)]


def _at_once(images: Float[Tensor, "b 3 height width"]) -> int:
    return AT_ONCE if images.device.type == "cpu" else max(1, PIXELS_AT_ONCE // images.shape[-2:].numel())


def settings_of_products(device: torch.device) -> dict[str, str]:
    """What a name in the cache tells of matrix products in single precision: nothing, where they are as by default.

    Convolutions are exact, whatever the user has set; the products of transformers are rounded where that is allowed.

    Args:
        device: where they are computed.

    Example:
        >>> settings_of_products(torch.device("cpu"))
        {}
    """
    rounded = device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return {"products": "tf32"} if rounded else {}
