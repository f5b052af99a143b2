"""The HTML report of a run: images, clusters, weights and classes in, one page to look at and to label them in out."""

from anomaly_clustering.report.confusion import confusion
from anomaly_clustering.report.page import Curve, Report, run_key, write_report
from anomaly_clustering.report.pictures import FOLDER as THUMBNAILS

__all__ = ["THUMBNAILS", "Curve", "Report", "confusion", "run_key", "write_report"]
