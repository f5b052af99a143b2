"""A data set in; the same without one class, as if that came later; and how well later images of it are told, out."""

from collections.abc import Sequence
from pathlib import Path
from pydoc import locate
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from anomaly_clustering.clustering.unknown import findings
from anomaly_clustering.data import DefectDataModule
from anomaly_clustering.data.aspect import as_batch
from anomaly_clustering.data.records import Listing, Record
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.recipe import embed_new
from anomaly_clustering.mic.trainer import ACCELERATOR
from anomaly_clustering.runs.assign import Embedded, Fitted, assign
from anomaly_clustering.runs.embed_later import images_of
from anomaly_clustering.runs.false_alarms import FALSE_ALARMS
from experiments.categories import GOOD, Category, load, why_missing

# Of the images of the other classes; the rest come later.
SHARE_OF_RUN = 2 / 3


class LeftOut(DefectDataModule):
    """Two thirds of the images of a data set, but for those of one class. The others come later.

    Args:
        whole: the data set.
        left_out: the class, by name.
        split: draws the thirds.

    Raises:
        ValueError: in `setup`, there is no such class.
    """

    def __init__(self, whole: DefectDataModule, left_out: str, split: int = 0):
        super().__init__(
            self._of_run,
            prepare=whole.prepare_data,
            image_size=whole.image_size,
            aspect=whole.aspect,
            decoding=whole.decoding,
            batch_size=whole.batch_size,
            num_workers=whole.num_workers,
        )
        self.whole = whole
        self.left_out = left_out
        self.split = split
        self.known: Sequence[Record] = ()
        """Later images of the classes that the run has."""
        self.unknown: Sequence[Record] = ()
        """Those of the class that it has not."""

    def _of_run(self) -> Listing:
        self.whole.setup()
        names = self.whole.class_names
        if self.left_out not in names:
            raise ValueError(f"there is no class {self.left_out!r} to leave out, but {list(names)}")
        of_class = names.index(self.left_out)
        self.unknown = [record for record in self.whole.records if record.label == of_class]
        others = [record for record in self.whole.records if record.label != of_class]
        order = np.random.default_rng(self.split).permutation(len(others))
        cut = round(len(others) * SHARE_OF_RUN)
        self.known = [others[i] for i in sorted(order[cut:])]
        of_run = [_without(others[i], of_class) for i in sorted(order[:cut])]
        left = [name for name in names if name != self.left_out]
        return Listing([*of_run, *self.whole.normal_records], left, self.whole.notices)


def _without(record: Record, of_class: int) -> Record:
    """With the label that it has when a class is gone."""
    return record._replace(label=record.label - 1) if record.label is not None and record.label > of_class else record


def told(mic: MIC, data: LeftOut) -> dict[str, float]:
    """How well images of a class that a run has not seen are told from others that come later, all given at once.

    Args:
        mic: after its run, with embeddings.
        data: that it ran on.

    Returns:
        `unknown_auroc`, the area under the ROC curve of p, of images of the class against the other later ones;
        `flagged`, the share of them that is unknown, and `false_alarms`, that of the others, at 5%.
    """
    grouping, recipe, later = mic.grouping, mic.recipe(data.image_size), [*data.known, *data.unknown]
    images = DataLoader(images_of([record.image for record in later], recipe), recipe.batch, collate_fn=as_batch)
    batches = (batch["image"] for batch in images)
    found = embed_new(batches, recipe, grouping.references, center=grouping.center, device=ACCELERATOR)
    assert grouping.embeddings is not None
    # Each file is an image of its own here, whatever is in it.
    of_run, new = ([str(record.image) for record in records] for records in (data.records, later))
    fitted = Fitted(recipe, grouping.references, of_run, grouping.embeddings, grouping.labels, grouping.top_scores)
    finding = findings(found.top_scores, grouping.normal_top_scores, FALSE_ALARMS)
    assigned = assign(new, Embedded(new, found.embeddings, found.top_scores, finding, [()] * len(new)), fitted)
    is_unknown = np.arange(len(later)) >= len(data.known)
    return {
        "unknown_auroc": float(roc_auc_score(is_unknown, -assigned.p_values)),
        "flagged": float(assigned.unknown[is_unknown].mean()),
        "false_alarms": float(assigned.unknown[~is_unknown].mean()),
    }


def without_each(categories: Sequence[Category], root: Path | None) -> list[Category]:
    """Each category once for each of its types of defects, without that; those that are not there as they are."""
    found: list[Category] = []
    for category in categories:
        if why_missing(category, root):
            found.append(category)
        else:
            found += [category._replace(left_out=name) for name in _types(category, root)]
    return found


def _types(category: Category, root: Path | None) -> list[str]:
    data = load(category, root, image_size=64, num_workers=0)
    module: Any = locate(data["class_path"])
    whole = module(**data["init_args"])
    whole.prepare_data()
    whole.setup()
    return [name for name in whole.class_names if name.lower() not in GOOD]
