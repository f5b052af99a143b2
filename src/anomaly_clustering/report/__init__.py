"""The HTML report of a run: images, clusters, weights and classes in, one self-contained page out."""

from anomaly_clustering.report.confusion import confusion
from anomaly_clustering.report.page import Report, write_report

__all__ = ["Report", "confusion", "write_report"]
