"""Two configurations in; whether they are of the same run, out."""

from collections.abc import Mapping
from typing import Any

# Where things lie and how fast they are read changes no result.
INCIDENTAL = ("root", "normals", "num_workers", "checkpoint", "cache")


def without_incidental(config: Any) -> Any:
    """Without what changes no result.

    Example:
        >>> without_incidental({"seed": 0, "data": [{"root": "/photos"}]})
        {'seed': 0, 'data': [{}]}
    """
    if isinstance(config, Mapping):
        return {name: without_incidental(value) for name, value in config.items() if name not in INCIDENTAL}
    return [without_incidental(value) for value in config] if isinstance(config, list | tuple) else config


def agree(then: Any, now: Any) -> bool:
    """Whether two resolved configurations say the same where both say something.

    Example:
        >>> agree({"lr": 0.1, "root": "here"}, {"lr": 0.1, "heads": 4, "root": "there"})
        True
        >>> agree({"lr": 0.1}, {"lr": 0.2})
        False
    """
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        shared = then.keys() & now.keys() - set(INCIDENTAL)
        return all(agree(then[name], now[name]) for name in shared)
    return bool(then == now)
