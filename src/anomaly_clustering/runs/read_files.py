"""Files in; their SHA-256 out, without reading those again that are as they were when they were read last."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from anomaly_clustering.runs.changing_files import Signature, signature
from anomaly_clustering.system.files import digest

# Nanoseconds in which a file may be written to twice under one time: FAT has steps of two seconds, and clocks differ.
SETTLED = 10_000_000_000


class Read(NamedTuple):
    """A file as it was when it was read.

    Attributes:
        signature: see `signature`.
        touched: when the file system last changed anything of it, in nanoseconds, which no program can set back; on
            Windows when it was made.
        content: SHA-256 of the file.
    """

    signature: Signature
    touched: int
    content: str


@dataclass(frozen=True)
class ReadFiles:
    """Files that were read before, and are read again where they have changed since.

    Attributes:
        before: of each file how it was when it was read last; others are read.
        now: of each file that was asked for how it is, but of those that were written to a moment ago.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.png"
        ...     _ = path.write_bytes(b"pixels")
        ...     files = ReadFiles({path: Read(signature(path), path.stat().st_ctime_ns, "9f86")})
        ...     before = files.digest(path)
        ...     _ = path.write_bytes(b"other pixels")
        ...     before, files.digest(path)[:4]
        ('9f86', '0bb6')
    """

    before: Mapping[Path, Read]
    now: dict[Path, Read] = field(default_factory=dict)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file.

        Args:
            path: of the file.

        Raises:
            OSError: it is gone, or cannot be read.
        """
        # Before it is read, which may take long.
        looked, found, touched = time.time_ns(), signature(path), path.stat().st_ctime_ns
        known = self.before.get(path)
        content = known.content if known and known[:2] == (found, touched) else digest(path)
        if looked - found.changed > SETTLED:
            self.now[path] = Read(found, touched, content)
        return content


def checked_read(told: object) -> dict[Path, Read]:
    """Files as they were read, out of a file that a stranger may have written.

    Args:
        told: of each path three whole numbers, another one, and a SHA-256, as in `Read`.

    Raises:
        ValueError: it tells nothing of the kind.

    Example:
        >>> checked_read({"a.png": [[6, 1772346600000000000, 42], 1772346600000000000, "9f86"]})[Path("a.png")].content
        '9f86'
    """
    found = {}
    for path, one in told.items() if isinstance(told, dict) else [("", told)]:
        match one:
            case [[int(size), int(changed), int(number)], int(touched), str(content)]:
                found[Path(path)] = Read(Signature(size, changed, number), touched, content)
            case _:
                raise ValueError(f"{str(one)[:60]!r} does not tell how a file was")
    return found
