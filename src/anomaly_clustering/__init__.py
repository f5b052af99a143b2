"""Anomaly clustering: images of one product, most of them defective, in; clusters by type of defect, out.

All public names can be imported from here; each is loaded when it is first used, so that importing the package is free.

Example:
    >>> import torch
    >>> import anomaly_clustering as ac
    >>> scores = ac.rarity(torch.tensor([[[0.0], [1.0]], [[0.0], [0.0]], [[0.0], [0.0]]]))
    >>> ac.soften(scores, tau=0.1)[0]
    tensor([4.5398e-05, 9.9995e-01])
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
