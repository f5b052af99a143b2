"""Folders and archives of images in; batches of images with what is known of them out."""

from anomaly_clustering.data.anomalib import AnomalibFolder
from anomaly_clustering.data.datamodule import DefectDataModule, DefectImages, Listing, Record
from anomaly_clustering.data.folder import Folder
from anomaly_clustering.data.mtd import MTD
from anomaly_clustering.data.mvtec import MVTecAD
from anomaly_clustering.data.synthetic import Synthetic

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
