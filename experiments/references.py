"""The paper's method and ours in; the same with fewer or more of what images are compared with out."""

from anomaly_clustering.mic.streaming import IMAGES
from experiments.ladder import LADDER
from experiments.methods import SEMI, WEIGHTED, Method, with_options

# No more than the smallest set here has images.
COUNTS = (8, 16, 32, 64)
# One view, since what is compared is the same for each.
RESIDUALS = LADDER["+ bagged Ward"]


def _residuals(count: int) -> Method:
    return RESIDUALS if count == IMAGES else with_options(RESIDUALS, num_references=count)


REFERENCES = {
    **{f"Weighted averages, {count} references": with_options(WEIGHTED, num_references=count) for count in COUNTS},
    "Weighted averages, all images": WEIGHTED,
    **{f"Signed residuals, one view, {count} references": _residuals(count) for count in COUNTS},
    "Weighted averages (semi), all patches of normal images": SEMI,
    "Weighted averages (semi), a quarter of these": with_options(SEMI, normal_stride=2),
}
