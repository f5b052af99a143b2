"""Deep clustering methods that the paper compares with, and later ones: `class_path: baselines.SCAN` from a clone."""

from baselines.gatcluster import GATCluster
from baselines.iic import IIC
from baselines.prototypes import Prototypes
from baselines.scan import SCAN
from baselines.temi import TEMI

__all__ = ["IIC", "SCAN", "TEMI", "GATCluster", "Prototypes"]
