"""A repository of the Hugging Face Hub in; its file of weights, whole and checked, in a folder that can be carried out.

The folder is laid out as the hub's own client has it where a file system knows no links, as that of a USB stick does
not: `models--OWNER--NAME/snapshots/COMMIT/model.safetensors`, and the commit in `refs/main`. So timm finds the weights
there too. That client downloads from the beginning what a kill has interrupted, and checks no more than the size; here
a download goes on, and what came is compared with the checksum.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers
from safetensors import SafetensorError, safe_open

from anomaly_clustering.system.downloads import alone, check_room, complete
from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.full_disk import naming_a_full_disk
from anomaly_clustering.system.replacing import replace_file

FILE = "model.safetensors"
# Seconds to wait for an answer: of a machine without a network nobody wants to wait for longer.
ANSWER = 10
SHA256 = re.compile("[0-9a-f]{64}")
# What becomes a name of a file or folder.
COMMIT, TAG = re.compile("[0-9a-f]{40}"), re.compile(r"[\w-]{1,100}")


class Offered(NamedTuple):
    """The file of weights as the hub has it now.

    Attributes:
        repository: OWNER/NAME on the hub.
        commit: of the repository.
        tag: what the hub tells the content by; for large files their SHA-256.
        size: in bytes; None where the hub does not say.
    """

    repository: str
    commit: str
    tag: str
    size: int | None


def cache_of(home: Path | None) -> Path:
    """Where weights lie.

    Args:
        home: what `HF_HOME` names on the machine that the folder is carried to; None for this machine's own cache.

    Example:
        >>> cache_of(Path("stick")).as_posix()
        'stick/hub'
    """
    return Path(constants.HF_HUB_CACHE) if home is None else home / "hub"


def cached(repository: str, cache: Path) -> Path | None:
    """The file of weights in a cache; None where it is not there.

    Args:
        repository: OWNER/NAME on the hub.
        cache: see `cache_of`.

    Example:
        >>> cached("timm/resnet18.a1_in1k", Path("nowhere"))
    """
    found = try_to_load_from_cache(repository, FILE, cache_dir=cache)
    return Path(found) if isinstance(found, str) else None


def repositories(cache: Path) -> list[str]:
    """The repositories whose weights lie in a cache.

    Args:
        cache: see `cache_of`; it need not be there.

    Returns:
        Their names, OWNER/NAME, sorted.

    Example:
        >>> repositories(Path("nowhere"))
        []
    """
    folders = sorted(cache.glob("models--*--*"))
    names = [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]
    return [name for name in names if cached(name, cache)]


def is_whole(file: Path) -> bool:
    """Whether a file of weights has all that its beginning announces, which that of a broken copy has not.

    Args:
        file: of safetensors.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     is_whole(Path(file.name))
        False
    """
    try:
        with safe_open(file, framework="numpy"):
            return True
    except SafetensorError:
        return False


def look_up(repository: str) -> Offered:
    """Ask the hub for the size and checksum of the weights; nothing is downloaded.

    Args:
        repository: OWNER/NAME on the hub.

    Raises:
        ConnectionError: the hub cannot be reached, or must not be.
        PermissionError: the owner of the repository lets nobody in who has not asked.
        FileNotFoundError: there is no such repository, or none with a file of safetensors.

    Example:
        >>> look_up("timm/resnet18.a1_in1k").size  # doctest: +SKIP
        46807446
    """
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError(f"HF_HUB_OFFLINE is set, so that {repository} is not downloaded; unset it to download it")
    with _saying_why(repository):
        told = get_hf_file_metadata(hf_hub_url(repository, FILE), timeout=ANSWER)
    if not (COMMIT.fullmatch(told.commit_hash or "") and TAG.fullmatch(told.etag or "")):
        raise ConnectionError(f"{constants.ENDPOINT} does not answer as the Hugging Face Hub does; look at HF_ENDPOINT")
    return Offered(repository, str(told.commit_hash), str(told.etag), told.size)


def fetch(offered: Offered, cache: Path, *, called: str) -> Path:
    """Download weights with a progress bar, or go on where an earlier call was ended.

    Args:
        offered: by the hub.
        cache: see `cache_of`; made with the folders above it where it is missing.
        called: beside the bar.

    Returns:
        The file, which appears only when it is whole and checked.

    Raises:
        ConnectionError: the hub was lost; what has come is kept.
        ValueError: what has come is not what the hub has, and is removed.
        OSError: the disk is too small.

    Example:
        >>> fetch(look_up("timm/resnet18.a1_in1k"), Path("weights/hub"), called="resnet18").name  # doctest: +SKIP
        'model.safetensors'
    """
    folder = cache / f"models--{offered.repository.replace('/', '--')}"
    file = folder / "snapshots" / offered.commit / FILE
    part = folder / "blobs" / f"{offered.tag}.incomplete"
    with naming_a_full_disk(cache), alone(folder / "blobs" / f"{offered.tag}.lock"):
        if not (file.is_file() and is_whole(file)):
            _download(offered, part, called)
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(part, file)
        with whole_file(folder / "refs" / "main") as commit:
            commit.write_text(offered.commit, encoding="utf-8")
    with suppress(OSError):
        part.parent.rmdir()
    return file


def _download(offered: Offered, part: Path, called: str) -> None:
    """Fill the part that is there until it is the whole file."""
    url = hf_hub_url(offered.repository, FILE, revision=offered.commit)

    def receive(file: BinaryIO, has: int) -> None:
        if offered.size is not None:
            check_room(part.parent, offered.size - has, called=called)
        with _saying_why(offered.repository, part):
            http_get(
                url,
                file,
                resume_size=has,
                headers=build_hf_headers(),
                expected_size=offered.size,
                displayed_filename=called,
            )

    sha256 = offered.tag if SHA256.fullmatch(offered.tag) else None
    complete(part, receive, url=url, sha256=sha256, size=offered.size)


@contextmanager
def _saying_why(repository: str, part: Path | None = None) -> Iterator[None]:
    """What the hub's client raises, by whatever library it speaks HTTP, as a sentence with the way out."""
    hub = constants.ENDPOINT
    try:
        yield
    except GatedRepoError:
        raise PermissionError(
            f"{hub}/{repository} is gated: its owner gives it to accounts that have accepted the terms; accept them on "
            "that page, then give your token, by the command `hf auth login` or in the variable HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise FileNotFoundError(
            f"{hub} shows no repository {repository!r}: it has gone, or is private and needs your token in the "
            "variable HF_TOKEN; a newer timm may know where the weights are now"
        ) from None
    except EntryNotFoundError:
        raise FileNotFoundError(
            f"{hub}/{repository} holds no {FILE}, and other files could run code; save the weights as safetensors on a "
            "machine where timm loads them, and give that file with --checkpoint"
        ) from None
    except Exception as error:
        number = getattr(error, "errno", None)
        if number == errno.EFBIG:
            raise OSError(f"{str(part)!r} is larger than its file system allows: format the stick as exFAT") from error
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        kept = part.stat().st_size if part else 0
        on = f"; {kept:,} bytes are kept: start the command again to go on" if kept else ""
        raise ConnectionError(f"{hub} was not reached: {reason}{on}") from error
