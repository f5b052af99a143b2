"""A data set in; the same without one class, as if that came later, and how well images of it are then told, out."""

from collections.abc import Sequence
from dataclasses import replace

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

# Of the images of the other classes; the rest come later.
SHARE_OF_RUN = 2 / 3


class LeftOut(DefectDataModule):
    """Two thirds of the images of a data set, but for those of one class. The others come later.

    Images whose class nobody knows are left out: they could be of any.

    Args:
        whole: the data set.
        left_out: the class, by name.
        split: draws the thirds.

    Raises:
        ValueError: in `setup`, there is no such class, or too few others.
    """

    def __init__(self, whole: DefectDataModule, left_out: str, split: int = 0):
        super().__init__(
            whole.source,
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

    def setup(self, stage: str | None = None) -> None:
        """Divide the images, on the first call.

        Args:
            stage: what Lightning is about to do; the images are the same for all.
        """
        if self.listing is None:
            self.whole.setup(stage)
            self.listing = self._of_run()

    def _of_run(self) -> Listing:
        names = self.whole.class_names
        if self.left_out not in names:
            raise ValueError(f"there is no class {self.left_out!r} to leave out, but {list(names)}")
        of_class = names.index(self.left_out)
        self.unknown = [record for record in self.whole.records if record.label == of_class]
        others = [record for record in self.whole.records if record.label not in (None, of_class)]
        order = np.random.default_rng(self.split).permutation(len(others))
        cut = round(len(others) * SHARE_OF_RUN)
        self.known = [others[i] for i in sorted(order[cut:])]
        if len(self.known) < 1 or cut < 2:
            raise ValueError(f"without {self.left_out!r} there are {len(others)} images, of which no run can be made")
        of_run = [others[i] for i in sorted(order[:cut])]
        left = [name for name in names if name != self.left_out]
        records = [_without(record, of_class) for record in (*of_run, *self.whole.normal_records)]
        return Listing(records, left, self.whole.notices)


def _without(record: Record, of_class: int) -> Record:
    """With the label that it has when a class is gone."""
    if record.label is None or record.label < of_class:
        return record
    return record._replace(label=record.label - 1 if record.label > of_class else None)


def unknown_scores(mic: MIC, data: LeftOut) -> dict[str, float]:
    """How well images of a class that a run has not seen are told from others that come later, all given at once.

    Args:
        mic: after its run, with embeddings.
        data: that it ran on.

    Returns:
        `unknown_auroc`, the area under the ROC curve of p, of images of the class against the other later ones;
        `flagged`, the share of them that is unknown, and `false_alarms`, that of the others, at 5%.
    """
    recipe = replace(mic.recipe(data.image_size), bits=data.whole.bits_read, decoding=data.decoding)
    grouping, later = mic.grouping, [*data.known, *data.unknown]
    images = DataLoader(images_of([record.image for record in later], recipe), recipe.batch, collate_fn=as_batch)
    batches = (batch["image"] for batch in images)
    found = embed_new(batches, recipe, grouping.references, center=grouping.center, device=ACCELERATOR)
    assert grouping.embeddings is not None
    # Each file is an image of its own here, whatever is in it.
    of_run, new = ([str(record.image) for record in records] for records in (data.records, later))
    fitted = Fitted(of_run, grouping.embeddings, grouping.labels, grouping.top_scores, recipe.signed_root)
    finding = findings(found.top_scores, grouping.normal_top_scores, FALSE_ALARMS)
    none, taken_out = [()] * len(new), np.zeros(len(new), dtype=bool)
    assigned = assign(new, Embedded(new, found.embeddings, found.top_scores, finding, none, taken_out), fitted)
    is_unknown = np.arange(len(later)) >= len(data.known)
    return {
        "unknown_auroc": float(roc_auc_score(is_unknown, -assigned.p_values)),
        "flagged": float(assigned.unknown[is_unknown].mean()),
        "false_alarms": float(assigned.unknown[~is_unknown].mean()),
    }
