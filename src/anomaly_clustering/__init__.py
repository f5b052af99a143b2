"""Anomaly clustering: images of one product, most of them defective, in; groups by type of defect, out."""

__version__ = "0.1.0"
