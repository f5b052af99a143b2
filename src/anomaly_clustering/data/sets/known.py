"""What is known of each public data set: its licence, where it comes from, and the function that lists its images."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from anomaly_clustering.data.mvtec import list_category
from anomaly_clustering.data.records import Listing
from anomaly_clustering.data.sets import deep_pcb, mvtec_loco, real_iad, solar_modules, visa
from anomaly_clustering.data.sets.aitex import list_aitex
from anomaly_clustering.data.sets.gc10_det import list_gc10_det
from anomaly_clustering.data.sets.neu_det import list_neu_det
from anomaly_clustering.data.sets.typed_folders import list_steel_strip, list_wafer_maps

Name = Literal[
    "visa",
    "mvtec_loco",
    "mpdd",
    "real_iad",
    "real_iad_from_above",
    "neu_det",
    "gc10_det",
    "x_sdd",
    "infrared_solar_modules",
    "deep_pcb",
    "aitex",
    "wm811k",
]
BY = "https://creativecommons.org/licenses/by/4.0/"
BY_NC_SA = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
# Of owners who name no licence: what they do say.
UNNAMED = "names no licence that we know of: ask its owner before any use but research"


class DataSet(NamedTuple):
    """A public data set.

    Attributes:
        title: what it is called, and who made it.
        licence: a sentence on what its owner allows, which is shown before a download.
        page: where its owner offers it.
        lister: from its folder to its listing. It takes a category where there are some, and `several` where an image
            may show several types.
        categories: products, of which one is clustered at a time; none where there is one alone.
        several: whether an image may show several types.
        url: of an archive that may be downloaded; None where the owner gives it by hand alone.
        sha256: checksum of that archive, where one is known.
        check: raises where a downloaded folder is not whole.
        prepare: what is done once when the folder is there.
    """

    title: str
    licence: str
    page: str
    lister: Callable[..., Listing]
    categories: tuple[str, ...] = ()
    several: bool = False
    url: str | None = None
    sha256: str | None = None
    check: Callable[[Path], None] = lambda folder: None
    prepare: Callable[[Path], None] = lambda folder: None

    @property
    def by_hand(self) -> str:
        """How a user gets it, as the first part of a sentence."""
        return f"Get {self.title} from {self.page} and give its folder, or its archive, as data.root"

    @property
    def terms(self) -> str:
        """What a user is told before a download."""
        return f"{self.title}, {self.page}: {self.licence}"


DATA_SETS: Mapping[Name, DataSet] = {
    "visa": DataSet(
        "VisA (Zou et al., ECCV 2022)",
        f"CC BY 4.0, {BY}: share and change it, and name its authors",
        "https://github.com/amazon-science/spot-diff",
        visa.list_visa,
        visa.CATEGORIES,
        several=True,
        url="https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
        sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
    ),
    "mvtec_loco": DataSet(
        "MVTec LOCO AD (Bergmann et al., IJCV 2022)",
        f"CC BY-NC-SA 4.0, {BY_NC_SA}: no commercial use; share what you make of it alike, and name its authors",
        "https://www.mvtec.com/company/research/datasets/mvtec-loco",
        mvtec_loco.list_loco,
        mvtec_loco.CATEGORIES,
        several=True,
        url="https://www.mydrive.ch/shares/48237/1b9106ccdfbb09a0c414bd49fe44a14a/download/430647091-1646842701/"
        "mvtec_loco_anomaly_detection.tar.xz",
        sha256="9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687",
    ),
    "mpdd": DataSet(
        "MPDD (Jezek et al., ICUMT 2021)",
        f"CC BY-NC-SA 4.0, {BY_NC_SA}: no commercial use; share what you make of it alike, and name its authors",
        "https://github.com/stepanje/MPDD",
        list_category,
        ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"),
    ),
    "real_iad": DataSet(
        "Real-IAD (Wang et al., CVPR 2024)",
        f"CC BY-NC-SA 4.0, {BY_NC_SA}: no commercial use; its authors give it on request",
        "https://realiad4ad.github.io/Real-IAD",
        real_iad.list_real_iad,
        real_iad.CATEGORIES,
    ),
    "real_iad_from_above": DataSet(
        "Real-IAD, the camera above (Wang et al., CVPR 2024)",
        f"CC BY-NC-SA 4.0, {BY_NC_SA}: no commercial use; its authors give it on request",
        "https://realiad4ad.github.io/Real-IAD",
        partial(real_iad.list_real_iad, indices=real_iad.VIEW_FROM_ABOVE),
        real_iad.CATEGORIES,
    ),
    "neu_det": DataSet(
        "NEU-DET (Song and Yan 2013; He et al. 2020)",
        f"it {UNNAMED}",
        "http://faculty.neu.edu.cn/songkechen/",
        list_neu_det,
    ),
    "gc10_det": DataSet(
        "GC10-DET (Lv et al., Sensors 2020)",
        f"its authors welcome its use and ask to be cited; it {UNNAMED}",
        "https://github.com/lvxiaoming2019/GC10-DET-Metallic-Surface-Defect-Datasets",
        list_gc10_det,
        several=True,
    ),
    "x_sdd": DataSet(
        "X-SDD (Feng, Gao and Luo, Symmetry 2021)",
        f"it {UNNAMED}",
        "https://github.com/Fighter20092392/X-SDD-A-New-benchmark",
        list_steel_strip,
    ),
    "infrared_solar_modules": DataSet(
        "InfraredSolarModules (Millendorf et al., ICLR 2020 workshop)",
        "MIT, https://github.com/RaptorMaps/InfraredSolarModules/blob/master/LICENSE: any use, with its notice",
        "https://github.com/RaptorMaps/InfraredSolarModules",
        solar_modules.list_solar_modules,
        url="https://github.com/RaptorMaps/InfraredSolarModules/raw/master/2020-02-14_InfraredSolarModules.zip",
        check=solar_modules.check_complete,
    ),
    "deep_pcb": DataSet(
        "DeepPCB (Tang et al. 2019)",
        "for research alone, as its authors say",
        "https://github.com/tangsanli5201/DeepPCB",
        deep_pcb.list_deep_pcb,
        url="https://github.com/tangsanli5201/DeepPCB/archive/refs/heads/master.zip",
        check=deep_pcb.check_complete,
        prepare=deep_pcb.cut_out,
    ),
    "aitex": DataSet(
        "AITEX (Silvestre-Blanes et al., AUTEX Research Journal 2019)",
        f"it {UNNAMED}",
        "https://www.aitex.es/afid/",
        list_aitex,
    ),
    "wm811k": DataSet(
        "WM-811K (Wu, Jang and Chen 2015)",
        f"it {UNNAMED}",
        "http://mirlab.org/dataSet/public/",
        list_wafer_maps,
    ),
}


def known(name: str) -> DataSet:
    """Find a data set.

    Args:
        name: a key of `DATA_SETS`.

    Raises:
        ValueError: there is none of that name; the message lists those that there are.

    Example:
        >>> known("mvtec_loco").categories[:2]
        ('breakfast_box', 'juice_bottle')
        >>> known("imagenet")
        Traceback (most recent call last):
        ValueError: name must be one of aitex, deep_pcb, ..., got 'imagenet'
    """
    for key, found in DATA_SETS.items():
        if key == name:
            return found
    raise ValueError(f"name must be one of {', '.join(sorted(DATA_SETS))}, got {name!r}")
