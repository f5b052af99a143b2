"""Turns folders and archives of images into batches of images, with what is known of each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
