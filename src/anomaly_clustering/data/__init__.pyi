from .datamodule import DefectDataModule, DefectImages
from .records import Listing, Record
from .sources import MTD, AnomalibFolder, Folder, MVTecAD, Synthetic

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
