from .anomalib import AnomalibFolder
from .datamodule import DefectDataModule, DefectImages, Listing, Record
from .folder import Folder
from .mtd import MTD
from .mvtec import MVTecAD
from .synthetic import Synthetic

__all__ = [
    "MTD",
    "AnomalibFolder",
    "DefectDataModule",
    "DefectImages",
    "Folder",
    "Listing",
    "MVTecAD",
    "Record",
    "Synthetic",
]
