"""Bags of patches in; for each patch the distance to the nearest patch of each other bag out. The hot loop."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
