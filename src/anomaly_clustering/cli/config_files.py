"""Files of options are read as UTF-8 on every system; jsonargparse reads them in the code page of the system."""

from collections.abc import Iterator
from contextlib import contextmanager

from jsonargparse import Path


@contextmanager
def read_as_utf8() -> Iterator[None]:
    """Have files of options, and files that these name, read as UTF-8 as long as this lasts; a byte order mark is none.

    Raises:
        ValueError: a file is not UTF-8.

    Example:
        >>> import tempfile
        >>> from jsonargparse import ArgumentParser
        >>> parser = ArgumentParser()
        >>> _ = parser.add_argument("--folder")
        >>> with tempfile.NamedTemporaryFile(suffix=".yaml") as file, read_as_utf8():
        ...     _ = file.write("folder: Prüfbilder".encode())
        ...     file.flush()
        ...     parser.parse_path(file.name).folder
        'Prüfbilder'
    """
    as_before = Path.read_text

    def read_text(path: Path) -> str:
        if path._std_io or path.is_url or path.is_fsspec:
            return as_before(path)
        with open(path.absolute, encoding="utf-8-sig") as file:
            try:
                return file.read()
            except UnicodeDecodeError as error:
                raise ValueError(f"config {str(path)!r} is not UTF-8 ({error}); save it as UTF-8") from error

    Path.read_text = read_text  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Path.read_text = as_before  # type: ignore[method-assign]
