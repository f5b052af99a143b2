"""Images and a run in; those that neither the run nor an earlier call has seen, embedded as the run did it, out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.data.records import Record
from anomaly_clustering.data.walk import sorted_paths
from anomaly_clustering.mic.recipe import Recipe, embed_new
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.runs.later_images import LaterImages
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.system.files import digest
from anomaly_clustering.system.progress import tracked


def embed_later(
    run: StoredRun,
    seen: LaterImages,
    images: Sequence[Path],
    false_alarms: float,
    content_of: Callable[[Path], str] = digest,
) -> LaterImages:
    """Embed those images that are neither of the run nor seen before; what has the same content is the same image.

    Args:
        run: with embeddings.
        seen: images that came after the run and were embedded before.
        images: files of the images that are asked for.
        false_alarms: share of good images that may be taken for findings, see `findings`.
        content_of: SHA-256 of a file.

    Returns:
        All later images; what was moved is where it was found, and what was overwritten is named apart.

    Raises:
        FileExistsError: an image has the path of one of the run, but another content.
    """
    contents = {image: content_of(image) for image in images}
    own = run.contents
    for image, content in contents.items():
        check_name(image, content, own)
    seen = seen.with_overwritten(contents)
    known = {*run.digests, *seen.digests}
    new = {content: image for image, content in reversed(contents.items()) if content not in known}
    if new:
        paths, recipe = sorted_paths(new.values()), run.recipe
        found = embed_new(_batches(paths, recipe), recipe, run.references, center=run.center, device=ACCELERATOR)
        seen = seen.and_new(run, paths, [contents[path] for path in paths], found, false_alarms)
    return seen.seen_at(contents)


def check_name(image: Path, content: str, own: Mapping[Path, str]) -> None:
    """Refuse an image that has the path of one of the run: the report shows that one.

    Args:
        image: its file.
        content: SHA-256 of it.
        own: SHA-256 of the images of the run by their paths.

    Raises:
        FileExistsError: the run has another one under this path.

    Example:
        >>> check_name(Path("a.png"), "9f86", {Path("b.png"): "60303a"})
    """
    if own.get(image, content) != content:
        raise FileExistsError(
            f"image {str(image)!r} is not what it was when the run was made; put that one back, and give new images "
            "names of their own"
        )


def _batches(images: Sequence[Path], recipe: Recipe) -> Iterator[Float[Tensor, "_ channels h w"]]:
    loader = DataLoader(images_of(images, recipe), batch_size=recipe.batch, collate_fn=as_batch)
    for batch in tracked(loader, "Comparing with the run"):
        yield batch["image"]


def images_of(images: Sequence[Path], recipe: Recipe) -> DefectImages:
    """The pixels of images, as a run takes them.

    Args:
        images: files.
        recipe: of the run.
    """
    records = [Record(image, bits=recipe.bits) for image in images]
    return DefectImages(records, recipe.image_size, aspect=recipe.aspect, decoding=recipe.decoding)
