"""A folder is refused before the work where the system takes no paths as long as those in a run will be."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, refused

from anomaly_clustering.cli.main import main
from anomaly_clustering.system import path_lengths


@pytest.fixture
def longest(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Windows without long paths, as if the temporary folder were the root of a disk; how long that of a run may be."""
    root = len(str(flat_photos.parent))
    monkeypatch.chdir(flat_photos.parent)
    for name, most in (("LONGEST_FILE", 259), ("LONGEST_FOLDER", 247)):
        monkeypatch.setattr(path_lengths, name, root + most)

    def limited(call: Callable[..., Any], most: int) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            paths = [os.path.abspath(path) for path in arguments[:2] if isinstance(path, str | Path)]
            if any(len(path) > root + most for path in paths):
                raise FileNotFoundError(errno.ENOENT, "The system cannot find the path specified", paths[0])
            return call(*arguments, **options)

        return called

    monkeypatch.setattr(os, "mkdir", limited(os.mkdir, 247))
    for name in ("open", "rename", "replace", "link"):
        monkeypatch.setattr(os, name, limited(getattr(os, name), 259))
    return root + 115


def test_a_run_has_room_for_all_that_comes_into_it_or_is_refused(
    longest: int, flat_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def folder(length: int) -> str:
        return "deep/" + "x" * (length - len(f"{Path.cwd()}/deep/"))

    error = refused(["cluster", str(flat_photos), *SMALL, "--out", folder(longest + 1)], capsys)
    assert error.endswith(
        f"has too long a path: files in it would have one of {longest + 145} characters, more than this system takes; "
        f"choose a folder with a path of at most {longest} characters"
    )
    assert "has too long a path" in refused(["cluster", str(flat_photos), "--out", folder(longest + 90)], capsys)
    main(["cluster", str(flat_photos), *SMALL, "--out", folder(longest)])
    main(["update", str(flat_photos), "--run", folder(longest)])
    assert (Path(folder(longest)) / "assigned.safetensors").is_file()
