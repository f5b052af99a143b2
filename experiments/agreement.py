"""Two configurations in; whether they are of the same run, out."""

from collections.abc import Mapping
from typing import Any

# Arguments that are paths, if they are given.
PATHS = ("root", "normals", "checkpoint", "cache")
# Where things lie and how fast they are read changes no result.
INCIDENTAL = (*PATHS, "num_workers")
# A file of vectors, whose content the key of a run has; of GATCluster a number of channels, which is no path.
OR_FILE = "features"


def without_incidental(config: Any) -> Any:
    """Without what changes no result.

    Example:
        >>> without_incidental({"seed": 0, "data": [{"root": "/photos"}]})
        {'seed': 0, 'data': [{}]}
    """
    if isinstance(config, Mapping):
        kept = {name: value for name, value in config.items() if name not in INCIDENTAL}
        return {name: without_incidental(value) for name, value in kept.items() if not is_file(name, value)}
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
        files = {name for name in shared if is_file(name, then[name]) and is_file(name, now[name])}
        return all(agree(then[name], now[name]) for name in shared - files)
    return bool(then == now)


def is_file(name: str, value: Any) -> bool:
    """Whether an argument is a file of vectors.

    Example:
        >>> is_file("features", "vectors.npy"), is_file("features", 20)
        (True, False)
    """
    return name == OR_FILE and isinstance(value, str)
