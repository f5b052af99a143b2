from .backbone import Backbone
from .bags import bag
from .embedder import Features

__all__ = ["Backbone", "Features", "bag"]
