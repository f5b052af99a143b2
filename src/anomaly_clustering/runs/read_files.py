"""Files in; their SHA-256 out, without reading those again that are as they were when they were read last."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anomaly_clustering.runs.changing_files import Signature, signature
from anomaly_clustering.system.files import digest

# Nanoseconds in which a file may be written to twice under one time: FAT has steps of two seconds, and clocks differ.
SETTLED = 10_000_000_000


@dataclass(frozen=True)
class ReadFiles:
    """Files that were read before, and are read again where they have changed since.

    Attributes:
        contents: SHA-256 of what files held when they were read last.
        signatures: of these files then, see `signature`; those without one are read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.png"
        ...     _ = path.write_bytes(b"pixels")
        ...     files = ReadFiles({path: "9f86"}, {path: signature(path)})
        ...     before = files.digest(path)
        ...     _ = path.write_bytes(b"other pixels")
        ...     before, files.digest(path)[:4]
        ('9f86', '5085')
    """

    contents: Mapping[Path, str]
    signatures: Mapping[Path, Signature]
    _now: dict[Path, tuple[Signature, str]] = field(default_factory=dict)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file.

        Args:
            path: of the file.

        Raises:
            OSError: it is gone, or cannot be read.
        """
        now = signature(path)
        content = self.contents.get(path) if self.signatures.get(path) == now else None
        if content is None:
            content = digest(path)
        if time.time_ns() - now.changed > SETTLED:
            self._now[path] = (now, content)
        return content

    def signatures_of(self, contents: Mapping[Path, str]) -> dict[Path, Signature]:
        """The signatures by which files need not be read again: of those that were asked for and are as is thought.

        Args:
            contents: SHA-256 of what each file is thought to hold by then.
        """
        return {path: now for path, (now, content) in self._now.items() if contents.get(path) == content}


def checked_signatures(told: object) -> dict[Path, Signature]:
    """Signatures out of a file that a stranger may have written.

    Args:
        told: of each path three whole numbers.

    Raises:
        ValueError: it tells nothing of the kind.

    Example:
        >>> checked_signatures({"a.png": [6, 1772346600000000000, 42]})[Path("a.png")].size
        6
    """
    found = {}
    for path, one in told.items() if isinstance(told, dict) else [("", told)]:
        match one:
            case [int(size), int(changed), int(number)]:
                found[Path(path)] = Signature(size, changed, number)
            case _:
                raise ValueError(f"{str(one)[:60]!r} does not tell how a file was")
    return found
