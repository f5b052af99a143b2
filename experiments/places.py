"""The configuration of a run and the folder that its paths are relative to in; the same with whole paths out."""

from pathlib import Path
from typing import Any

from experiments.agreement import PATHS, is_file


def with_whole_paths(config: Any, folder: Path) -> Any:
    """With absolute paths: the worker that computes a run may have been started in another folder.

    Args:
        config: of a run, or a part of it.
        folder: in which the command was given, absolute.

    Example:
        >>> whole = with_whole_paths({"data": {"root": "photos", "image_size": 64}}, Path("/home/me"))
        >>> Path(whole["data"]["root"]).as_posix()
        '/home/me/photos'
    """
    if isinstance(config, dict):
        return {name: _whole(name, value, folder) for name, value in config.items()}
    return [with_whole_paths(value, folder) for value in config] if isinstance(config, list) else config


def _whole(name: str, value: Any, folder: Path) -> Any:
    if isinstance(value, str) and value and (name in PATHS or is_file(name, value)):
        return str(folder / value)
    return with_whole_paths(value, folder)
