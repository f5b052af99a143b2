from .backbone import Backbone
from .bags import bag
from .embedder import Embedder

__all__ = ["Backbone", "Embedder", "bag"]
