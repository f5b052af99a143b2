"""Checks options, data and trainer when a run starts, so that what would fail after the work fails before it."""

from typing import Any

from lightning import Trainer

from anomaly_clustering.clustering.grouping import NumClusters
from anomaly_clustering.mic.options import Options
from anomaly_clustering.mic.resampling import subset_size
from anomaly_clustering.mic.weights import effective_number
from anomaly_clustering.search.precision import resolve


def check_run(options: Options, data: Any, trainer: Trainer) -> None:
    """See that the trainer and the data allow what the options ask for.

    Args:
        data: a DefectDataModule or the like; None where the trainer was given loaders alone.

    Raises:
        ValueError: there are fewer images than clusters, in all or in a random subset, or only one, the number of
            clusters is not known, the device has no float64 or no products of the asked precision, or the trainer's
            precision or number of processes does not fit.
    """
    if trainer.strategy.root_device.type == "mps":
        raise ValueError(
            "MIC computes sums and scores in float64, which Apple's MPS does not have: give accelerator='cpu' "
            "(--trainer.accelerator cpu)"
        )
    resolve(options.precision, trainer.strategy.root_device)
    if trainer.precision != "32-true":
        raise ValueError(f"the trainer's precision must be '32-true' for MIC, got {trainer.precision!r}")
    if options.resamples and trainer.world_size > 1:
        raise ValueError(f"resamples run on one process, got {trainer.world_size}")
    asked = num_clusters_of(options, data)
    records = getattr(data, "records", None)
    if records is None:
        return
    if len(records) == 1:
        name = getattr(records[0], "image", None)
        alone = f", {str(name)!r}" if name else ""
        told = [f"there is one image alone{alone}: at least 2 are needed", *getattr(data, "notices", ())]
        raise ValueError("; ".join(told))
    if asked != "auto" and asked > len(records):
        raise ValueError(f"num_clusters must be between 2 and {len(records)} (the number of images), got {asked}")
    if options.resamples and asked != "auto" and asked > (most := subset_size(len(records))):
        raise ValueError(
            f"num_clusters must be between 2 and {most} with resamples, since random subsets have {most} of the "
            f"{len(records)} images, got {asked}"
        )


def check_limits(trainer: Trainer, stage: str) -> None:
    """See that a run will see images: Lightning passes over one that is limited to none, without a word.

    Args:
        stage: 'test', 'validate' or 'predict'.

    Raises:
        ValueError: it is.
    """
    option = f"limit_{stage.replace('validate', 'val')}_batches"
    if getattr(trainer, option, None) == 0:
        raise ValueError(f"{option} is 0, so that no image would be seen; leave it out to cluster all")


def check_patches(options: Options, patches: int) -> None:
    """See that images have as many patches as the options ask for, as soon as their number is known.

    Raises:
        ValueError: they have fewer.
    """
    if not options.localises:
        return
    if options.top_k is not None and options.top_k > patches:
        raise ValueError(f"top_k must be between 1 and {patches} (the number of patches), got {options.top_k}")
    asked = options.effective_patches
    if asked is not None and effective_number(asked, patches) >= patches:
        raise ValueError(
            f"effective_patches must be above 1 and below {patches} (the number of patches), or a share of more "
            f"patches than these, got {asked}"
        )


def num_clusters_of(options: Options, data: Any) -> NumClusters:
    """As many as were asked for, 'auto' among them, or as there are known classes.

    Raises:
        ValueError: neither is known.
    """
    if options.num_clusters is not None:
        return options.num_clusters
    num_classes: int = getattr(data, "num_classes", 0)
    if num_classes < 2:
        raise ValueError(f"the data has {num_classes} known classes: give num_clusters, or 'auto'")
    return num_classes
