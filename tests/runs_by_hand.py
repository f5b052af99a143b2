"""Runs and trainings, of earlier versions too, written without an image, and files of the user beside them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from test_stored_run import stored

from anomaly_clustering.runs.checkpoints import WholeCheckpoints
from anomaly_clustering.runs.mark import files_into
from anomaly_clustering.runs.output_folder import mark_of_run
from anomaly_clustering.runs.run_folder import new_run
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.runs.training import TrainingFolder, reserved_to_train, write_training
from anomaly_clustering.system.tables import write_csv


def write_files(folder: Path) -> None:
    run = stored()
    run.save(folder)
    write_csv(folder / "assignments.csv", ["path", "cluster"], [(path, 0) for path in run.paths])
    (folder / "metrics.json").write_text(json.dumps({"num_images": len(run.paths)}))
    (folder / "config.yaml").write_text("tau: 0.02")
    (folder / "report.html").write_text("<html>")


def write_run(out: Path, *, overwrite: bool = False, meanwhile: Callable[[], None] = lambda: None) -> None:
    with new_run(out, overwrite=overwrite) as folder:
        write_files(folder)
        meanwhile()


def write_old_run(out: Path) -> None:
    """As before there were marks."""
    out.mkdir()
    write_files(out)


def train(
    out: Path, *, overwrite: bool = False, goes_on: bool = False, meanwhile: Callable[[], None] = lambda: None
) -> None:
    with reserved_to_train(out, ckpt_path="last" if goes_on else None, overwrite=overwrite):
        training = TrainingFolder(out, overwrite=overwrite)
        meanwhile()
        state = {"pytorch-lightning_version": "2.6", "state_dict": {}, "callbacks": {"LastAndBest": {"rows": []}}}
        checkpoints = WholeCheckpoints(out, training.begin)
        checkpoints.save_checkpoint(state, out / "checkpoints" / "last.ckpt")
        checkpoints.remove_checkpoint(out / "checkpoints" / "my_best_model.pt")
        write_csv(out / "epochs.csv", ["epoch"], [(0,)])
        write_training(out, [{"index": 0, "label": 1}], None, chosen={}, notices=[], config="seed: 0")


def write_old_training(out: Path) -> None:
    train(out)
    (out / "run.json").unlink()


def assign(out: Path, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    mark = mark_of_run(out)
    if mark is None or mark.kind != "run":
        raise FileNotFoundError("no run")
    load_run(out)
    with files_into(out, mark) as new:
        for name in ("assigned.csv", "assigned.safetensors", "report.html", "thumbnails/0.jpg", "thumbnails/1.jpg"):
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text("assigned")
        meanwhile()


def put(path: Path, kind: str, outside: Path) -> bool:
    """Something of the user's; whether it could be put there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path):
            return False
        if kind == "link":
            path.symlink_to(outside / "precious.txt")
        elif kind == "link to a folder":
            path.symlink_to(outside, target_is_directory=True)
        elif kind == "folder":
            path.mkdir()
        else:
            path.write_text(f"the user's own {path.name}")
    except OSError:
        return False
    return True
