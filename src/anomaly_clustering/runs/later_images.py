"""Stores what is known of images that were assigned to a run after it ended, and reads it."""

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anomaly_clustering.clustering.unknown import findings
from anomaly_clustering.data.metadata import Metadata
from anomaly_clustering.mic.recipe import NewImages
from anomaly_clustering.runs.file_names import LATER, WATCHED
from anomaly_clustering.runs.journal import Entry, checked_heard, checked_times, read_journal, since
from anomaly_clustering.runs.mark import check_unchanged
from anomaly_clustering.runs.moved_images import still_holds
from anomaly_clustering.runs.names_apart import apart
from anomaly_clustering.runs.patch_scores import patch_scores
from anomaly_clustering.runs.read_files import Read, checked_read
from anomaly_clustering.runs.store import StoredRun
from anomaly_clustering.runs.untrusted import LATER_ARRAYS, check_later, checked_texts, read_arrays
from anomaly_clustering.system.files import whole_file

# Arrays of a row an image; scores are None where the run knows of none.
ROWS = ("weights", "embeddings", "mean_scores", "top_scores", "finding")


@dataclass(frozen=True)
class LaterImages:
    """Images that were assigned to a run so far and are not of it; one entry an image.

    Attributes:
        paths: their files, each once; of one that was overwritten what `apart` makes of it.
        digests: SHA-256 of the files.
        weights: of the patches of each image [K, H, W].
        embeddings: one vector an image, made as the run made its own [K, D].
        mean_scores: how unusual the patches are on average [K]; NaN where that is not known.
        top_scores: how unusual the most unusual patches are [K, 4]; NaN where that is not known.
        finding: whether they are more unusual than those of normal images are [K], as it was found when the image came.
        scores: how unusual each patch is [K, H, W]; None where the run knows of none.
        copies: other files that were found to hold one of these images, or one of the run: SHA-256 by path.
        heard: how many entries of the journal these images have in them, and the SHA-256 of the last one.
        times: when images were taken, as EXIF or their file told when a command had them: by SHA-256.
        read: how files were when `assign` read them last, by path, see `ReadFiles`.

    Example:
        >>> import tempfile
        >>> weights, scores = np.full((1, 2, 2), 0.25), (np.zeros(1), np.zeros((1, 4)))
        >>> later = LaterImages([Path("a.png")], ["9f86"], weights, np.zeros((1, 3)), *scores, np.array([True]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     later.save(Path(folder))
        ...     [file.name for file in Path(folder).iterdir()]
        ['assigned.safetensors']
    """

    paths: Sequence[Path]
    digests: Sequence[str]
    weights: Float[np.ndarray, "k h w"]
    embeddings: Float[np.ndarray, "k d"]
    mean_scores: Float[np.ndarray, " k"]
    top_scores: Float[np.ndarray, "k 4"]
    finding: Bool[np.ndarray, " k"]
    scores: Float[np.ndarray, "k h w"] | None = None
    copies: Mapping[Path, str] = field(default_factory=dict)
    heard: tuple[int, str] = (0, "")
    times: Mapping[str, Metadata] = field(default_factory=dict)
    read: Mapping[Path, Read] = field(default_factory=dict)

    @property
    def contents(self) -> dict[Path, str]:
        """SHA-256 of the files by their paths, without copies."""
        return dict(zip(self.paths, self.digests, strict=True))

    @staticmethod
    def of_none(run: StoredRun) -> "LaterImages":
        """No images.

        Args:
            run: with embeddings.
        """
        assert run.embeddings is not None
        weights, none = run.weights[:0].astype(np.float32), np.empty(0, dtype=bool)
        scores = _scores(run, weights, run.mean_scores[:0])
        return LaterImages([], [], weights, run.embeddings[:0], run.mean_scores[:0], run.top_scores[:0], none, scores)

    def and_new(
        self, run: StoredRun, paths: Sequence[Path], digests: Sequence[str], found: NewImages, false_alarms: float
    ) -> "LaterImages":
        """These images and new ones after them.

        Args:
            run: that they are assigned to.
            paths: of the new images.
            digests: SHA-256 of their files.
            found: what came of embedding them.
            false_alarms: share of good images that may be taken for findings, see `findings`.

        Raises:
            ValueError: by its recipe the run makes embeddings that are not like those it holds.
        """
        for name, own, theirs in (
            ("weights", run.weights, found.weights),
            ("embeddings", run.embeddings, found.embeddings),
        ):
            if own is None or own.shape[1:] != theirs.shape[1:]:
                raise ValueError(
                    f"the run is damaged: by its recipe {name} of an image are {list(theirs.shape[1:])}, and it holds "
                    f"{list(own.shape[1:]) if own is not None else 'none'}"
                )
        finding = findings(found.top_scores, run.normal_top_scores, false_alarms)
        scores = _scores(run, found.weights, found.mean_scores)
        return self._followed_by(paths, digests, {**found._asdict(), "finding": finding, "scores": scores})

    def _followed_by(
        self, paths: Sequence[Path], digests: Sequence[str], arrays: Mapping[str, np.ndarray | None]
    ) -> "LaterImages":
        """These images and others, of which the arrays have a row each."""
        rows: dict[str, Any] = {name: np.concatenate([getattr(self, name), arrays[name]]) for name in ROWS}
        rows["scores"] = _joined(self.scores, arrays.get("scores"))
        return replace(self, paths=[*self.paths, *paths], digests=[*self.digests, *digests], **rows)

    def with_overwritten(self, files: Mapping[Path, str]) -> "LaterImages":
        """The same images, of which those whose file holds something else by now go by names of their own, see `apart`.

        A copy whose file holds something else is none any more.

        Args:
            files: SHA-256 by path, as they are now; of others nothing is known.
        """
        named = zip(self.paths, self.digests, strict=True)
        paths = [path if files.get(path, content) == content else apart(path, content) for path, content in named]
        copies = {path: content for path, content in self.copies.items() if files.get(path, content) == content}
        return replace(self, paths=paths, copies=copies)

    def seen_at(self, files: Mapping[Path, str]) -> "LaterImages":
        """The same images, and more files that hold them. One whose file is gone is where a copy still holds it.

        Args:
            files: SHA-256 by path, of these images and of those of the run. Other ways to write the path of one of
                these images are no files of their own.

        Example:
            >>> import tempfile
            >>> from anomaly_clustering.system.files import digest
            >>> weights, scores = np.full((1, 2, 2), 0.25), (np.zeros(1), np.zeros((1, 4)))
            >>> with tempfile.NamedTemporaryFile() as file:
            ...     gone, there, content = Path("gone.png"), Path(file.name), digest(file.name)
            ...     later = LaterImages([gone], [content], weights, np.zeros((1, 3)), *scores, np.array([True]))
            ...     later.seen_at({there: content}).paths == [there]
            True
        """
        copies, places = {**self.copies, **files}, defaultdict[str, list[Path]](list)
        for path, content in copies.items():
            places[content].append(path)
        paths = [
            # A copy may have been overwritten since it was seen.
            path if path.is_file() else next((copy for copy in places[content] if still_holds(copy, content)), path)
            for path, content in zip(self.paths, self.digests, strict=True)
        ]
        return replace(self, paths=paths, copies=_others(copies, paths))

    def save(self, folder: Path) -> None:
        """Write them to the folder of the run, weights and scores in half precision, as those of the run.

        Args:
            folder: of the run.
        """
        copies = {"paths": [str(path) for path in self.copies], "digests": list(self.copies.values())}
        paths = [str(path) for path in self.paths]
        times = {content: (str(one.time), one.source) for content, one in self.times.items()}
        own = {"paths": paths, "digests": self.digests}
        read = {str(path): one for path, one in self.read.items()}
        names = json.dumps({**own, "copies": copies, "heard": self.heard, "times": times, "read": read})
        arrays = {name: getattr(self, name) for name in ("embeddings", "mean_scores", "top_scores", "finding")}
        arrays["weights"] = self.weights.astype(np.float16)
        if self.scores is not None:
            arrays["scores"] = self.scores.astype(np.float16)
        with whole_file(folder / LATER) as part:
            save_file(arrays, part, metadata={"images": names})


def load_later(folder: Path, run: StoredRun) -> LaterImages:
    """Read the images that earlier calls have assigned to a run.

    Args:
        folder: of the run.
        run: as it is stored there, with embeddings.

    Returns:
        The images so far; none where nothing was assigned.

    Raises:
        ValueError: the file that keeps it is damaged.
    """
    assert run.embeddings is not None
    stored = _stored(folder / LATER, run)
    seen = {*run.digests, *stored.digests}
    journal = read_journal(folder, stored=seen)
    came: dict[str, Entry] = {}
    for entry in journal:
        if entry.arrays:
            # Once, though two copies of a journal may have been made one, or a full disk have entered an image twice.
            came.setdefault(entry.digest, entry)
    later, entries = stored, list(came.values())
    if entries:
        try:
            arrays = {name: np.concatenate([entry.arrays[name] for entry in entries]) for name in entries[0].arrays}
            check_later(arrays, {"weights": run.weights, "embeddings": run.embeddings})
            arrays["finding"] = np.array([entry.finding for entry in entries])
            later = stored._followed_by([entry.path for entry in entries], list(came), arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(folder / WATCHED)!r} is damaged: {error}; move it away") from None
    # What is stored, then what the journal has had since.
    last = {**stored.copies, **stored.contents, **_files(since(journal, stored.heard))}
    known = {*seen, *later.digests}
    # A path may have held several of them, one after another.
    own = set(zip(later.paths, later.digests, strict=True))
    copies = {path: content for path, content in last.items() if content in known and (path, content) not in own}
    heard = (len(journal), journal[-1].digest if journal else "")
    return replace(later, copies=copies, heard=heard).with_overwritten(last)


def _files(entries: Sequence[Entry]) -> dict[Path, str]:
    return {entry.path: entry.digest for entry in entries}


def told_of_overwritten(before: LaterImages, after: LaterImages) -> list[str]:
    """What a user should know of images whose files hold others by now.

    Args:
        before: images, with their files as they were.
        after: the same ones, and maybe more after them, with their files as they are.

    Returns:
        A sentence, or none.
    """
    moved = zip(before.paths, before.digests, after.paths, strict=False)
    gone = [(path, now) for path, content, now in moved if path != now == apart(path, content)]
    if not gone:
        return []
    return [
        f"the files of {len(gone)} of the images that came before hold others by now: {str(gone[0][0])!r} held the one "
        f"that goes by {str(gone[0][1])!r} from now on, of which a small picture is left at most; let each image have "
        "a name of its own"
    ]


def _others(copies: Mapping[Path, str], own: Sequence[Path]) -> dict[Path, str]:
    """Without those that are one of the own files, or one another, written otherwise."""
    taken = {os.path.realpath(path) for path in own}
    others = {}
    for path, content in copies.items():
        real = os.path.realpath(path)
        if real not in taken:
            taken.add(real)
            others[path] = content
    return others


def _scores(
    run: StoredRun, weights: Float[np.ndarray, "k h w"], mean_scores: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k h w"] | None:
    return None if run.scores is None else patch_scores(weights, mean_scores, run.recipe.tau).astype(np.float32)


def _joined(
    scores: Float[np.ndarray, "k h w"] | None, more: Float[np.ndarray, "j h w"] | None
) -> Float[np.ndarray, "both h w"] | None:
    return None if scores is None or more is None else np.concatenate([scores, more])


def _stored(path: Path, run: StoredRun) -> LaterImages:
    assert run.embeddings is not None
    if not path.is_file():
        return LaterImages.of_none(run)
    check_unchanged(path, way_out="delete it to assign images anew")
    try:
        with safe_open(path, "numpy") as file:
            names = json.loads(file.metadata()["images"])
            paths = [Path(path) for path in checked_texts(names, "paths")]
            digests = checked_texts(names, "digests", like="paths")
            # An earlier version kept none.
            others = names.get("copies", {"paths": [], "digests": []})
            files = [Path(path) for path in checked_texts(others, "paths")]
            copies = dict(zip(files, checked_texts(others, "digests", like="paths"), strict=True))
            heard = checked_heard(names.get("heard", [0, ""]))
            times = checked_times(names.get("times", {}))
            read = checked_read(names.get("read", {}))
            # Of earlier versions.
            missing = {"top_scores": np.full((len(paths), 4), np.nan), "finding": np.ones(len(paths), dtype=bool)}
            arrays = missing | read_arrays(file, LATER_ARRAYS, len(paths))
        check_later(arrays, {"weights": run.weights, "embeddings": run.embeddings})
        if run.scores is None:
            arrays.pop("scores", None)
        elif "scores" not in arrays:
            # An earlier version kept none.
            arrays["scores"] = patch_scores(arrays["weights"], arrays["mean_scores"], run.recipe.tau)
        for name in ("weights", "scores"):
            if name in arrays:
                arrays[name] = arrays[name].astype(np.float32)
        return LaterImages(paths, digests, **arrays, copies=copies, heard=heard, times=times, read=read)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; delete it to assign images anew") from None


def contents_of(run: StoredRun, later: LaterImages) -> dict[Path, str]:
    """What a run has seen under each path.

    Args:
        run: with its images.
        later: images that came after it.

    Returns:
        SHA-256 of the files by their paths.
    """
    return {**run.contents, **later.contents}
