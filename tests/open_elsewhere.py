"""What Windows says of files that another program has open, on any system."""

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anomaly_clustering.system import replacing


class Refused(PermissionError):
    """As Windows raises it, where its functions that move and remove files are called."""

    winerror: int | None = 32

    def __str__(self) -> str:
        names = " -> ".join(repr(name) for name in (self.filename, self.filename2) if name is not None)
        return f"[WinError {self.winerror}] {self.strerror}: {names}"


class NotOpened(PermissionError):
    """As Windows raises it of a file that is opened, by the number that all systems have."""

    winerror: int | None = None


@contextmanager
def opened_elsewhere(
    is_open: Callable[[Path], bool], *, lets_write: bool = True, lets_go_after: int | None = None
) -> Iterator[list[str]]:
    """Let files be open in another program: they are neither moved, replaced nor removed, nor what they are in.

    Args:
        is_open: whether a file is.
        lets_write: whether they can be written to, as a virus scanner lets them be, and a spreadsheet does not.
        lets_go_after: how many times what is asked for is refused; None for ever.

    Returns:
        What was refused.
    """
    refused: list[str] = []

    def blocks(path: Path) -> bool:
        inside = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        still = lets_go_after is None or len(refused) < lets_go_after
        return still and any(is_open(file) for file in inside if os.path.lexists(file))

    def refusing(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*paths: Any, **options: Any) -> Any:
            # By descriptor, as `shutil.rmtree` does it, nothing is refused.
            if not options and any(blocks(Path(path)) for path in paths if not isinstance(path, int)):
                refused.append(f"{name} {Path(paths[-1]).name}")
                raise Refused(
                    errno.EACCES, "The process cannot access the file", str(paths[0]), None, *map(str, paths[1:])
                )
            return ask(*paths, **options)

        return asked

    def opening(file: Any, mode: str = "r", *others: Any, **options: Any) -> Any:
        if set(mode) & set("wa+") and not isinstance(file, int) and blocks(Path(file)):
            refused.append(f"open {Path(file).name}")
            raise NotOpened(errno.EACCES, "Permission denied", str(file))
        return opened(file, mode, *others, **options)

    opened = io.open
    with pytest.MonkeyPatch.context() as windows:
        windows.setattr(replacing, "ON_WINDOWS", True)
        windows.setattr(replacing, "BETWEEN_TRIES", 0.0)
        # Long, where it ends before: a machine may be slow.
        windows.setattr(replacing, "PATIENCE", 0.02 if lets_go_after is None else 10.0)
        for name in ("rename", "replace", "unlink", "rmdir"):
            windows.setattr(os, name, refusing(name, getattr(os, name)))
        if not lets_write:
            windows.setattr(io, "open", opening)
            windows.setattr(builtins, "open", opening)
        yield refused
