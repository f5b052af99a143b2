"""The paper's tables, and those of what goes beyond it, as rows and columns of configuration.

A method is added to a table by a YAML file of its own and one line here:

    "My method": Method("configs/my_method.yaml"),
"""

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.categories import DEFECTIVE_MTD, GROUPS, MEANS, MTD, MVTEC, OBJECT, TEXTURE, Group, single
from experiments.labelling import DECISIONS
from experiments.ladder import LADDER, SUFFIX
from experiments.methods import (
    ASPECTS,
    CLUSTERINGS,
    COUNTS,
    DEEP,
    DISTANCES,
    FEW_NORMALS,
    LAST_LAYER,
    MASK,
    POOLINGS,
    RESIDUALS,
    RIVALS,
    VARIANTS,
    Method,
)
from experiments.references import REFERENCES

SCORES = ("nmi", "ari", "f1")
# See `experiments.reading`.
REPORT = (
    *("good_purity", "good_recall", "heat_good", "heat_defective", "score_auroc", "sound_good", "sound_defective"),
    *("regions", "regions_right", "defects_found", "good_with_region"),
)
READINGS = {*REPORT, "num_clusters"}
# See `experiments.labelling`.
LABELLING = tuple(f"{how}_{decisions}" for decisions in DECISIONS for how in ("majority", "central", "random"))
# The paper's weighted averages, and ours.
AVERAGES = {**{name: method for name, method in DISTANCES.items() if name.startswith("Weighted")}, **RESIDUALS}
# Methods that tell how stable their clusters are.
BAGGED = {
    "Weighted averages, bagged Ward": RIVALS["Weighted averages, bagged Ward"],
    **{
        f"Signed residuals{views}{suffix}": LADDER[f"{row}{suffix}"]
        for suffix in ("", SUFFIX)
        for views, row in ((", one view", "+ bagged Ward"), (", four views", "+ 4 views, the default"))
    },
}
# One number for all, so that tables and figures share their runs; Tables 9 and 10 have the paper's.
RESAMPLES = 20
WARD_NOTE = (
    "Ward on a Hausdorff distance, which is not Euclidean, is the Lance-Williams recurrence on the given distances, as "
    "scipy's linkage does it."
)
# Of which AnomalyNCD prints each by itself, and which are measured here.
RECORDED = tuple(category for category in MVTEC if category.name in ("bottle", "metal_nut", "pill"))
RESAMPLED_NOTE = (
    "Mean and standard error over {resamples} random subsets of 90% of the images; of trained methods over seeds, on "
    "all images. The paper's numbers for MTD and for the deep methods are single runs on all images."
)

LADDER_NOTE = (
    "A row with + adds to the row above it, up to the default of `cluster`; below stands the default without one of "
    "its ingredients. Rows (semi) know normal images, which not every set has. Each number is the mean over "
    "{resamples} random subsets of 90% of the images, and over all draws of references where any are drawn; ± is its "
    "standard error over subsets. (3/5): of so many sets only, so not to be compared. In the first row patches are "
    "weighed anew among the images of a subset; references stay the same."
)

LATER_NOTE = (
    "What these papers call F1 is micro F1, that is matched accuracy; ours has both. MVTec AD and MTD are clustered "
    "with their good images (MTD: 583 images, 6 classes), 'MTD without good' without them (392 images, 5 classes): so "
    "an independent repetition of AnomalyNCD was measured. Rows (semi) know normal images."
)

REPORT_NOTE = (
    "The cluster of the good images is that which holds most of them. Heat is from 0 (usual) to 1; the score of an "
    "image is what the report sorts by. Without a finding: as usual as normal images are, at 5% false alarms. Regions "
    "are what the report outlines; one is on a defect if it covers a pixel that is marked. ± is the standard deviation "
    "over draws of references, or of normal images."
)


LABELLING_NOTE = (
    "A person who knows the classes decides so often. Majority: each of so many clusters, by which the tree is cut, is "
    "named by what most of its images are, as one sees in its gallery; central image: by the one nearest to its mean. "
    "Random images: so many are named that are drawn at random, and each other one as the nearest of them, by the same "
    "embeddings; the mean of 50 draws. ± is the standard deviation over draws of references, or of normal images."
)


@dataclass(frozen=True)
class Table:
    """Methods measured on groups of categories, by some metrics.

    Args:
        metrics: of which each gets a block of its own.
        by_category: categories are the rows and methods the columns, not methods the rows and groups the columns.
        groups: () is each category that is there, the user's own too, and their mean.
        resamples: score so many random subsets of the images too, where no other number is asked for.
        of_subsets: each number is the mean over these subsets with its standard error (Tables 9 and 10); by default it
            is that on all images, beside the mean over the subsets and how far these differ.
        band: say how far numbers move over a band of tau, which the paper does not print.
        leads: mark what leads.
        leaves_out: leave out one type of defect at a time; its images come after the run.
        seeds: runs of each method that draws random numbers, where no other number is asked for.
        note: what a reader of the numbers should know.
    """

    title: str
    methods: Mapping[str, Method]
    metrics: tuple[str, ...] = SCORES
    groups: tuple[Group, ...] = GROUPS
    by_category: bool = False
    resamples: int = RESAMPLES
    of_subsets: bool = False
    band: bool = False
    leads: bool = True
    leaves_out: bool = False
    seeds: int = 1
    note: str = ""


def _without(methods: Mapping[str, Method], *names: str) -> dict[str, Method]:
    return {name: method for name, method in methods.items() if not name.startswith(names)}


TABLES: dict[str, Table] = {
    "table1": Table("Distances between images, clustered by Ward", DISTANCES, band=True, note=WARD_NOTE),
    "table2": Table("Clustering methods, NMI", {**CLUSTERINGS, **DEEP}, metrics=("nmi",), band=True, note=WARD_NOTE),
    "table3": Table("Purity of clusters", DISTANCES, metrics=("mauc", "r@90%", "r@95%", "r@99%"), note=WARD_NOTE),
    "table4": Table(
        "One vector against patches of the last layer, NMI",
        LAST_LAYER,
        metrics=("nmi",),
        note="Patches of the last layer are taken as they are: without average pooling, as section 5.1 says.",
    ),
    "table5": Table(
        "Variants of Hausdorff distance and of rarity, NMI", VARIANTS, metrics=("nmi",), band=True, note=WARD_NOTE
    ),
    "table7": Table(
        "Distances between images, by category",
        {**DISTANCES, "Weighted Average (mask)": MASK},
        groups=(*map(single, (*MVTEC, MTD)), OBJECT, TEXTURE, *MEANS),
        by_category=True,
        band=True,
        note=WARD_NOTE,
    ),
    "table8": Table(
        "Clustering methods",
        {
            **_without(CLUSTERINGS, "k-medoids"),
            **DEEP,
        },
        band=True,
        note=f"{WARD_NOTE} The F1 of SCAN is printed alike for object and texture, probably a misprint.",
    ),
    "table9": Table(
        "Pooling against patches, on random subsets",
        {**DISTANCES, **POOLINGS},
        resamples=100,
        of_subsets=True,
        note=f"{RESAMPLED_NOTE} {WARD_NOTE}",
    ),
    "table10": Table(
        "Clustering methods on random subsets, NMI",
        {**CLUSTERINGS, **DEEP},
        metrics=("nmi",),
        resamples=100,
        of_subsets=True,
        note=f"{RESAMPLED_NOTE} {WARD_NOTE}",
    ),
    "localisation": Table(
        "Do weights that localise defects better group better? (section 4.3)",
        {
            **{name: method for name, method in DISTANCES.items() if "Weighted" in name},
            "Weighted Average (mask)": MASK,
            **RESIDUALS,
        },
        metrics=("localisation_auroc", "nmi"),
        groups=(*GROUPS, *map(single, RECORDED)),
        note="Masks as weights localise perfectly. The NMI of the other weights is that of Table 1.",
    ),
    "later": Table(
        "Later methods, as published, and ours by their protocols",
        AVERAGES,
        metrics=("nmi", "ari", "accuracy", "f1"),
        groups=(MEANS[0], *map(single, RECORDED), single(MTD), single(DEFECTIVE_MTD)),
        note=LATER_NOTE,
    ),
    "rival": Table(
        "Training on top of the same regions",
        RIVALS,
        groups=(),
        leads=False,
        seeds=3,
        note="Prototypes are trained on the embeddings that the row above them clusters: mean ± standard deviation "
        "over seeds, each of which draws references anew. Of the other rows first come those over {resamples} random "
        "subsets of 90% of the images, then the mean on all images.",
    ),
    "report": Table(
        "What the report shows of good images, and where it outlines defects",
        AVERAGES,
        metrics=REPORT,
        groups=(),
        leads=False,
        seeds=3,
        note=REPORT_NOTE,
    ),
    "names": Table(
        "Clusters to name, where nobody says how many there are",
        COUNTS,
        metrics=("purity", "num_clusters"),
        groups=(),
        of_subsets=True,
        seeds=3,
        note="Purity is the accuracy of all labels if each cluster is named by what most of its images are, its mean "
        "over {resamples} random subsets of 90% of the images and draws of references. The number of clusters is that "
        "of all images, its mean over these draws.",
    ),
    "stability": Table(
        "Are more stable clusters better ones?",
        BAGGED,
        metrics=("stability", "nmi"),
        groups=(),
        of_subsets=True,
        seeds=3,
        note="Stability, which needs no classes, is how far random subsets of 80% of the images, grouped alone, agree "
        "with the clusters of all: the mean adjusted Rand index, and its mean over draws of references. NMI is the "
        "mean over {resamples} random subsets of 90% of the images and these draws.",
    ),
    "labelling": Table(
        "What labelling costs: accuracy of all labels after so many decisions",
        AVERAGES,
        metrics=LABELLING,
        groups=(),
        leads=False,
        seeds=3,
        note=LABELLING_NOTE,
    ),
    "unknown": Table(
        "Types of defects that come later",
        RESIDUALS,
        metrics=("unknown_auroc", "flagged", "false_alarms"),
        groups=(),
        by_category=True,
        resamples=0,
        leads=False,
        leaves_out=True,
        seeds=3,
        note="One type is left out of the run, which has two thirds of the other images; then the rest come, all at "
        "once, those of the type unknown and the others known. At 5% false alarms; ± is the standard "
        "deviation over splits.",
    ),
    "normals": Table(
        "A few normal images, NMI",
        FEW_NORMALS,
        metrics=("nmi",),
        groups=(*GROUPS, *map(single, RECORDED)),
        of_subsets=True,
        seeds=3,
        note="The first row knows none. Each number is the mean over {resamples} random subsets of 90% of the images, "
        "and draws of normal images; fewer where a set has no more.",
    ),
    "references": Table(
        "With how many images each is compared, NMI",
        REFERENCES,
        metrics=("nmi",),
        groups=(),
        of_subsets=True,
        seeds=3,
        note="Each number is the mean over {resamples} random subsets of 90% of the images and draws of references, "
        "which are the same for a subset; compared with all images, patches are weighed anew among those of a subset.",
    ),
    "aspect": Table(
        "Images that keep their aspect, NMI",
        ASPECTS,
        metrics=("nmi",),
        groups=(single(MTD),),
        seeds=3,
        note="Images of the other data sets of these tables are square.",
    ),
    "ladder": Table(
        "From the paper's embedding to signed residuals, NMI",
        LADDER,
        metrics=("nmi",),
        groups=(),
        of_subsets=True,
        seeds=3,
        note=LADDER_NOTE,
    ),
}
