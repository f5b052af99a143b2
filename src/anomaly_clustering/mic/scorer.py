"""A grouping in; its scores against known classes, and those of its weights against masks, out."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from anomaly_clustering.metrics.agreement import clustering_metrics
from anomaly_clustering.metrics.localisation import LocalisationAUROC
from anomaly_clustering.metrics.tree_purity import mean_auc, purity_curve, reduction_at
from anomaly_clustering.mic.processes import gather, several
from anomaly_clustering.mic.result import Grouping


class Scorer(nn.Module):
    """Scores against known classes, and of the weights against masks."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = clustering_metrics()
        self.localisation = LocalisationAUROC()
        for metric in (*self.metrics.values(), self.localisation):
            metric.distributed_available_fn = several

    def against_classes(self, grouping: Grouping, share: slice) -> dict[str, Tensor]:
        """NMI, ARI, F1 and the like, and those of the purity curve; empty where no class is known.

        Args:
            share: the images that this process counts; all processes hold all labels.

        Returns:
            Scores by name, on the device of the metrics: a group of GPUs exchanges nothing that lies on a processor.
        """
        if not (grouping.target >= 0).any():
            return {}
        self.metrics.reset()
        device = self.metrics["nmi"].device
        arrays = (grouping.labels, grouping.target, grouping.index)
        self.metrics.update(*(torch.from_numpy(array[share]).to(device) for array in arrays))
        curve = purity_curve(grouping.groups.tree, torch.from_numpy(grouping.target)).to(device)
        reductions = {f"r@{purity:.0%}": reduction_at(curve, purity) for purity in (0.9, 0.95, 0.99)}
        return self.metrics.compute() | {"mauc": mean_auc(curve)} | reductions

    def against_masks(
        self,
        grouping: Grouping,
        index: Int[Tensor, " n"],
        masks: Bool[Tensor, "n 1 height width"],
        note: Callable[[str], object],
    ) -> dict[str, Tensor]:
        """Localisation AUROC of the weights, from the images of this process at some positions in the data set.

        Args:
            note: is told where there is nothing to score: a defect that is smaller than half a pixel of the mask is in
                none of its pixels.

        Returns:
            `localisation_auroc`; empty where no pixel of all masks is defective, or each is.
        """
        counts = torch.stack(gather(torch.stack([masks.sum(), (~masks).sum()]))).sum(0)
        if not counts.all():
            height, width = masks.shape[-2:]
            which, way_out = ("each", "") if counts[0] else ("no", "; small defects need a larger image size")
            what = f"{which} pixel of the masks is defective at {height} x {width} pixels"
            note(f"{what}: localisation is not scored{way_out}")
            return {}
        maps = torch.from_numpy(grouping.weights[np.searchsorted(grouping.index, index.cpu().numpy())])
        self.localisation.reset()
        self.localisation.update(maps.to(masks.device), masks.float(), index)
        return {"localisation_auroc": self.localisation.compute()}
