"""Peak memory of grouping ever more images with references (Eq. 7), where no bag of patches is kept.

    python benchmarks/streaming.py
    python benchmarks/streaming.py --images 5000 10000 20000 --references 64

The images are small generated ones, drawn once into --folder. Each number of images is grouped in a process of its own.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

from lightning import Trainer
from rich.console import Console
from rich.table import Table

from anomaly_clustering.data.datamodule import DefectDataModule, Listing
from anomaly_clustering.data.mvtec import list_mvtec
from anomaly_clustering.data.synthetic import write_once
from anomaly_clustering.mic import MIC

SIZE = 64


def run(folder: Path, images: int, references: int) -> tuple[float, float, float]:
    """Seconds, and MiB of peak memory before the first image and at the end."""

    def first() -> Listing:
        listing = list_mvtec(folder)
        step = len(listing.records) // images
        records = [record._replace(mask=None) for record in listing.records[: images * step : step]]
        return Listing(records, listing.class_names)

    data = DefectDataModule(first, image_size=SIZE, batch_size=64, num_workers=0)
    mic = MIC("embedded", num_references=references)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    before, start = _peak(), time.perf_counter()
    trainer.test(mic, datamodule=data, verbose=False)
    return time.perf_counter() - start, before, _peak()


def _peak() -> float:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5000, 10000, 20000])
    parser.add_argument("--references", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "anomaly-clustering-benchmark")
    options = parser.parse_args()
    classes = 7
    per_class = -(-max(options.images) // classes)
    folder = options.folder / f"{per_class}x{SIZE}px"
    write_once(folder, per_class=per_class, normals=0, size=SIZE, difficulty=0.5, seed=0)
    table = Table("images", "seconds", "MiB before", "MiB at most", title=f"{options.references} references")
    for images in options.images:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, before, peak = pool.apply(run, (folder, images, options.references))
        table.add_row(str(images), f"{seconds:.0f}", f"{before:.0f}", f"{peak:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
