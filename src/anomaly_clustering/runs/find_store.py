"""The folder of a run in; its file out, brought back first where a killed command had moved the run aside."""

from pathlib import Path

from anomaly_clustering.runs.file_names import STORE
from anomaly_clustering.runs.mark import discard_run
from anomaly_clustering.system.files import leftovers, real_path, remove_leftovers
from anomaly_clustering.system.locks import working_on


def find_store(folder: Path) -> Path:
    """The file of a run's folder.

    Args:
        folder: of the run, as `anomaly-clustering cluster` wrote it.

    Raises:
        FileNotFoundError: the folder holds no run, or one of an older version.

    Example:
        >>> find_store(Path("photos"))
        Traceback (most recent call last):
        FileNotFoundError: 'photos' holds no run.safetensors: give the folder that `anomaly-clustering cluster` wrote
    """
    path = folder / STORE
    if not folder.exists():
        _bring_back(real_path(folder))
    if not path.is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} holds no {STORE}: give the folder that `anomaly-clustering cluster` wrote"
        )
    return path


def _bring_back(folder: Path) -> None:
    """A run that had been moved away for a new one, by a process that was then killed."""
    if leftovers(folder.parent, folder.name):
        with working_on(folder):
            remove_leftovers(folder.parent, folder.name, discard=discard_run)
