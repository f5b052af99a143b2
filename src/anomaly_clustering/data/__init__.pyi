from .datamodule import DefectDataModule
from .defect_images import DefectImages
from .records import Listing, Record
from .sets.sources import CocoFolder, MetadataFolder, PublicDataset
from .sources import MTD, AnomalibFolder, Folder, MVTecAD, Synthetic

__all__ = [
    "MTD",
    "AnomalibFolder",
    "CocoFolder",
    "DefectDataModule",
    "DefectImages",
    "Folder",
    "Listing",
    "MVTecAD",
    "MetadataFolder",
    "PublicDataset",
    "Record",
    "Synthetic",
]
