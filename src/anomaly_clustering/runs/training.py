"""A training in; a folder with `checkpoints`, `epochs.csv`, `assignments.csv`, `metrics.json` and `config.yaml` out.

Checkpoints and the table of epochs grow while it runs, so unlike the folder of a run this one is there from the start.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import LightningDataModule, LightningModule

from anomaly_clustering.data.datamodule import DefectDataModule
from anomaly_clustering.runs.assignments import write_assignments
from anomaly_clustering.runs.checkpoints import is_of_training
from anomaly_clustering.runs.epochs import Epoch
from anomaly_clustering.runs.file_names import ASSIGNMENTS, CHECKPOINTS, CONFIG, EPOCHS, MARK, METRICS
from anomaly_clustering.runs.mark import Mark, discard_run, is_free_for, read_mark, remove_own, write_mark
from anomaly_clustering.runs.output_folder import check_no_strangers, check_place
from anomaly_clustering.runs.predictions import Table, assignments_of
from anomaly_clustering.system.files import digest, real_path, remove_leftovers, whole_file
from anomaly_clustering.system.locks import working_on
from anomaly_clustering.system.one_place import lies_in
from anomaly_clustering.system.replacing import check_closed
from anomaly_clustering.system.results import about_to_place

# What `last` names to Lightning.
LAST = f"{CHECKPOINTS}/last.ckpt"
FILES = (LAST, EPOCHS, ASSIGNMENTS, CONFIG, METRICS)


@contextmanager
def reserved_to_train(out: Path, *, ckpt_path: str | None, overwrite: bool) -> Iterator[None]:
    """Keep a folder for a training to come, from before the work until it has ended.

    What a process left there that was killed is removed.

    Args:
        out: the folder of the training to come.
        ckpt_path: a checkpoint to go on from, or 'last', the last one in the folder; None to start anew.
        overwrite: whether a training that the folder holds may be lost.

    Raises:
        FileExistsError: the folder holds a training and neither `ckpt_path` nor `overwrite` is set, or anything else.
        FileNotFoundError: there is no last checkpoint to go on from.
        PermissionError: nothing can be written there.
        OpenElsewhereError: another program has a file of the training open that is to be replaced.
        BlockingIOError: another process works on it.
        ValueError: the mark of the training that it holds is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with reserved_to_train(Path(folder), ckpt_path="last", overwrite=False):
        ...         pass
        Traceback (most recent call last):
        FileNotFoundError: there is no training in '...' to go on with: no '...'
    """
    if ckpt_path == "last" and not (out / LAST).exists():
        raise FileNotFoundError(f"there is no training in {str(out)!r} to go on with: no {str(out / LAST)!r}")
    if not goes_on(out, ckpt_path):
        check_place(out)
    with working_on(out):
        place = real_path(out)
        remove_leftovers(place.parent, place.name, discard=discard_run)
        for folder in (out, out / CHECKPOINTS):
            remove_leftovers(folder)
        _check_content(out, goes_on=goes_on(out, ckpt_path), overwrite=overwrite)
        check_closed(out / name for name in (MARK, *FILES))
        yield


def goes_on(out: Path, ckpt_path: str | Path | None) -> bool:
    """Whether a training goes on with the one that its folder holds.

    From a checkpoint that lies elsewhere begins another one, as from none.

    Args:
        out: the folder of the training.
        ckpt_path: see `reserved_to_train`.

    Example:
        >>> goes_on(Path("a"), "last"), goes_on(Path("a"), "a/checkpoints/last.ckpt"), goes_on(Path("a"), "b/last.ckpt")
        (True, True, False)
    """
    if ckpt_path is None or "://" in str(ckpt_path):
        return False
    return ckpt_path == "last" or lies_in([out])(real_path(Path(ckpt_path)))


def _check_content(out: Path, *, goes_on: bool, overwrite: bool) -> None:
    mark = mark_of_training(out)
    if mark and mark.kind != "training":
        raise FileExistsError(f"{str(out)!r} already holds a run; choose another folder with --out")
    if mark and goes_on:
        _check_names(out, mark)
        return
    check_no_strangers(out, mark)
    if mark and not overwrite and any((out / name).exists() for name in mark.files):
        way_on = "go on with it with --ckpt_path last, " if (out / LAST).exists() else ""
        raise FileExistsError(
            f"{str(out)!r} already holds a training; {way_on}choose another folder with --out, or --overwrite it"
        )


def _check_names(out: Path, mark: Mark) -> None:
    """Fail if what is not of the training has the name of one of its files; what else is there is in nobody's way."""
    for name in FILES:
        if not is_free_for(out, name, mark):
            raise FileExistsError(
                f"{str(out)!r} exists and holds {name!r}, which is not of a run; choose another folder with --out"
            )


def mark_of_training(folder: Path) -> Mark | None:
    """The mark of a folder; one that lists the files of a training which began before there were marks.

    Such a training is known by its last checkpoint, which holds what this program follows a training by.

    Args:
        folder: any.

    Returns:
        The mark; None where the folder holds none.

    Raises:
        ValueError: there is a damaged mark.
    """
    mark = read_mark(folder)
    if mark is None and is_of_training(folder / LAST):
        there = [name for name in FILES if (folder / name).is_file()]
        return Mark("training", dict.fromkeys(there))
    return mark


class TrainingFolder:
    """The folder of a training, which is begun by the first file that is written to it.

    So a training that fails before leaves the folder as it was, with the training that it was to replace.

    Args:
        out: the folder, kept by `reserved_to_train`.
        overwrite: remove the training that it holds.
    """

    def __init__(self, out: Path, *, overwrite: bool):
        self.out = out
        self.overwrite = overwrite
        self.begun = False

    def begin(self) -> None:
        """Mark the folder as that of this training, if that was not done yet."""
        if self.begun:
            return
        mark = mark_of_training(self.out) or Mark("training", {})
        if self.overwrite and self.out.exists():
            # While it is removed it must be known for a training.
            write_mark(self.out, mark)
            remove_own(self.out, mark)
            mark = Mark("training", {})
        # It may have appeared since the folder was looked at.
        _check_names(self.out, mark)
        self.out.mkdir(parents=True, exist_ok=True)
        # None has a digest until the training has ended: all of them change.
        write_mark(self.out, Mark("training", dict.fromkeys((*FILES, *mark.files))))
        self.begun = True


def precision_of_training(
    module: LightningModule, given: str | int | None, accelerator: str = "auto"
) -> str | int | None:
    """Say in which precision a module is trained.

    Args:
        module: whose attribute `precision_on_gpus` names one of Lightning's, if it has any.
        given: by the user, which counts; None where nothing is given.
        accelerator: of the Trainer, as the user gave it.

    Returns:
        What the Trainer takes, None for its default.

    Example:
        >>> precision_of_training(LightningModule(), "64-true")
        '64-true'
    """
    if given is not None or not torch.cuda.is_available() or accelerator not in ("auto", "gpu", "cuda"):
        return given
    return getattr(module, "precision_on_gpus", None)


def write_training(
    out: Path,
    table: Table | None,
    datamodule: LightningDataModule | None,
    *,
    chosen: Mapping[str, Epoch],
    notices: Sequence[str],
    config: str,
) -> None:
    """Write what is known when a training has ended.

    Args:
        out: the folder of the training.
        table: a row for each image, see `rows_of`; None where nothing was predicted.
        datamodule: see `assignments_of`.
        chosen: the epochs to report, see `LastAndBest.chosen`.
        notices: what is to be known of the images and of the training, for `metrics.json`.
        config: the options of the training, as YAML.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_training(Path(folder), [{"index": 0, "label": 1}], None, chosen={}, notices=[], config="seed: 0")
        ...     (Path(folder) / "assignments.csv").read_text()
        'index,cluster\\n0,1\\n'
    """
    metrics: dict[str, object] = {name: dict(row) for name, row in chosen.items()}
    if notices or isinstance(datamodule, DefectDataModule):
        metrics["notices"] = list(notices)
    texts = {CONFIG: config, METRICS: json.dumps(metrics, indent=2) + "\n"}
    for name, text in texts.items():
        with whole_file(out / name) as part:
            part.write_text(text, encoding="utf-8")
    if not table:
        about_to_place(out / METRICS, out / METRICS, result=out)
    else:
        write_assignments(out / ASSIGNMENTS, assignments_of(table, datamodule), result=out)
    _write_digests(out)


def _write_digests(out: Path) -> None:
    mark = read_mark(out) or Mark("training", {})
    there = [name for name in (*FILES, *mark.files) if (out / name).is_file()]
    write_mark(out, Mark("training", {name: digest(out / name) for name in there}))
