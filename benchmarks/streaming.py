"""Memory and time of `anomaly-clustering cluster` for ever more images, from the folder to the report.

    python benchmarks/streaming.py
    python benchmarks/streaming.py --images 2000 5000 --exact 500

A few hundred distinct images of 96 pixels are drawn once, and linked into folders of as many files as are asked for;
each file is read, decoded and embedded as any other. `cluster` runs as a user runs it, in a process of its own, and is
watched from outside. A row is printed as soon as it is known, so that nothing is lost when the benchmark is stopped.
NMI of the first images, as they were grouped among all, stands beside that of these images alone when each is compared
with all others (Eq. 5).
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from anomaly_clustering.data.sources import Folder
from anomaly_clustering.data.synthetic import write_once
from anomaly_clustering.metrics.agreement import normalized_mutual_information
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.mic.trainer import plain_trainer

SIZE, CLASSES = 96, 7
# The network, and all that is loaded with it, without many images.
FEW = 200
SECONDS_BETWEEN_LOOKS = 0.25
COLUMNS = (
    *("images", "seconds", "s per thousand", "processor s", "MiB at most", "MiB beyond it", "workers, MiB", "NMI"),
    "of the first",
)
ROW = "{:>9} {:>9} {:>14} {:>11} {:>11} {:>14} {:>13} {:>7} {:>13}"


class Seen(NamedTuple):
    """What a run took: seconds, those of all processors, and MiB at most of its process and of its workers together."""

    seconds: float
    processors: float
    process: float
    workers: float


def images(folder: Path, count: int, distinct: int) -> Path:
    """A folder with subfolders of classes, in which so many files are links to few."""
    drawn = folder / f"{distinct}x{SIZE}px"
    write_once(drawn, per_class=-(-distinct // CLASSES), normals=0, size=SIZE, difficulty=0.5, seed=0)
    by_class = {path.name: sorted(path.glob("*.png")) for path in sorted((drawn / "test").iterdir())}
    linked = folder / f"{count}-of-{distinct}"
    if linked.exists():
        return linked
    unfinished = linked.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    names = list(by_class)
    for i in range(count):
        name, number = names[i % len(names)], i // len(names)
        files = by_class[name]
        (unfinished / name).mkdir(parents=True, exist_ok=True)
        os.link(files[number % len(files)], unfinished / name / f"{number:06d}.png")
    unfinished.rename(linked)
    return linked


def watched(command: list[str], log: Path) -> Seen:
    """Run a command to its end, and look at its memory all the time."""
    start, before, process, workers = time.perf_counter(), _used(), 0, 0
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as running,
    ):
        own = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                process = max(process, own.memory_info().rss)
                workers = max(workers, sum(_own(child) for child in own.children(recursive=True)))
            except psutil.Error:
                # It, or a worker, has just ended.
                pass
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)!r} ended with {running.returncode}: see {str(log)!r}")
    return Seen(time.perf_counter() - start, _used() - before, process / 2**20, workers / 2**20)


def _used() -> float:
    """Seconds of processors that the processes took which this one has started and which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own(worker: psutil.Process) -> int:
    """Memory of a worker; what it shares with the process that it was forked from counts in part, on Linux."""
    known = worker.memory_full_info()
    return int(getattr(known, "pss", known.uss))


def row(folder: Path, count: int, distinct: int, first: int, views: int) -> tuple[Seen, float, float]:
    """What clustering so many images took, NMI of all of them, and of the first of each class."""
    photos, out = images(folder, count, distinct), folder / f"run-{count}"
    options = ["--out", str(out), "--overwrite", "--clusters", str(CLASSES), "--image-size", str(SIZE)]
    options += ["--views", str(views)]
    seen = watched(
        [sys.executable, "-m", "anomaly_clustering", "cluster", str(photos), *options], out.with_suffix(".log")
    )
    found = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert found["num_images"] == count, found
    with (out / "assignments.csv").open(encoding="utf-8") as file:
        rows = [line for line in csv.DictReader(file) if int(Path(line["path"]).stem) < first // CLASSES]
    names = sorted({line["class"] for line in rows})
    labels, target = [int(line["cluster"]) for line in rows], [names.index(line["class"]) for line in rows]
    shutil.rmtree(out)
    return seen, found["nmi"], float(normalized_mutual_information(torch.tensor(labels), torch.tensor(target)))


def exact(folder: Path, count: int, distinct: int, views: int) -> tuple[float, float]:
    """NMI of some images alone, each compared with all others (Eq. 5): by the default method, and the paper's."""
    photos, found = images(folder, count, distinct), []
    for name, chosen in (("signed_residuals", {"num_references": count, "views": views}), ("paper", {})):
        data = Folder(photos, image_size=SIZE)
        mic = MIC("embedded", num_clusters=CLASSES, **method_arguments(name, normals=False, **chosen))  # type: ignore[arg-type]
        trainer = plain_trainer(progress_bar=False)
        trainer.validate(mic, datamodule=data, verbose=False)
        found.append(trainer.callback_metrics["nmi"].item())
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--distinct", type=int, default=700, help="files that the others are links to")
    parser.add_argument("--exact", type=int, default=2000, help="images that are compared with all others")
    parser.add_argument("--views", type=int, default=4, help="of each image; time grows with them")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "anomaly-clustering-benchmark")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    few, *_ = row(options.folder, FEW, options.distinct, FEW, options.views)
    print(f"{os.cpu_count()} cores; with {FEW} images, that is the network, the process takes {few.process:.0f} MiB")
    print(ROW.format(*COLUMNS), flush=True)
    for count in options.images:
        seen, nmi, of_first = row(options.folder, count, options.distinct, options.exact, options.views)
        per_thousand, beyond = 1000 / count, seen.process - few.process
        times = (seen.seconds, seen.seconds * per_thousand, seen.processors * per_thousand)
        numbers = (count, *times, seen.process, beyond, seen.workers)
        print(ROW.format(*(f"{number:.0f}" for number in numbers), f"{nmi:.3f}", f"{of_first:.3f}"), flush=True)
    by_default, by_paper = exact(options.folder, options.exact, options.distinct, options.views)
    print(
        f"the first {options.exact} images alone, each compared with all others: NMI {by_default:.3f}, "
        f"by the paper's method {by_paper:.3f}"
    )


if __name__ == "__main__":
    main()
