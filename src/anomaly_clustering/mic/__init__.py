"""The paper's method: bags of patches -> scores and weights of patches -> embeddings or distances of images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
