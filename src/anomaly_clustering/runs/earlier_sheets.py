"""The folder of a run in; it, without the sheets of earlier reports that no page is likely to need any more, out."""

from collections.abc import Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from anomaly_clustering.report.sheets import THUMBNAILS
from anomaly_clustering.runs.mark import is_free_for, write_mark
from anomaly_clustering.runs.output_folder import own_mark
from anomaly_clustering.system.replacing import is_open_elsewhere, remove_file


def remove_sheets(folder: Path, *, keep: Set[str]) -> None:
    """Remove the sheets of a run that are not to be kept, and take them from its mark.

    Args:
        folder: of the run.
        keep: paths of sheets in it, with slashes. Files that the mark does not list stay in any case, and so does, on
            Windows, one that another program has open.

    Raises:
        ValueError: the mark of the run is damaged.

    Example:
        >>> import tempfile
        >>> from anomaly_clustering.runs.mark import Mark
        >>> with tempfile.TemporaryDirectory() as text:
        ...     folder = Path(text)
        ...     (folder / "thumbnails").mkdir()
        ...     for name in ("0.jpg", "1.jpg", "mine.jpg"):
        ...         (folder / "thumbnails" / name).touch()
        ...     write_mark(folder, Mark("run", dict.fromkeys(("thumbnails/0.jpg", "thumbnails/1.jpg"))))
        ...     remove_sheets(folder, keep={"thumbnails/1.jpg"})
        ...     sorted(path.name for path in (folder / "thumbnails").iterdir())
        ['1.jpg', 'mine.jpg']
    """
    mark = own_mark(folder)
    gone = [name for name in mark.files if PurePosixPath(name).parts[0] == THUMBNAILS and name not in keep]
    if not gone:
        return
    still_open = set()
    for name in gone:
        try:
            if is_free_for(folder, name, mark):
                remove_file(folder / name)
        except PermissionError as error:
            if not is_open_elsewhere(error):
                raise
            # Somebody looks at it; the next command removes it.
            still_open.add(name)
    with suppress(OSError):
        (folder / THUMBNAILS).rmdir()
    left = {name: known for name, known in mark.files.items() if name not in gone or name in still_open}
    write_mark(folder, replace(mark, files=left))
