"""Group a folder of images and leave the folder of a run behind, with the report: what `cluster` does, in Python.

python examples/group_a_folder.py photos
"""

import argparse
from pathlib import Path

from lightning import Trainer

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC
from anomaly_clustering.runs.output_folder import reserved
from anomaly_clustering.runs.run_folder import write_run

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("images", type=Path)
parser.add_argument("--clusters", type=int, help="how many; chosen if not given")
parser.add_argument("--image-size", type=int, default=256)
parser.add_argument("--out", type=Path, default=Path("my-run"))
options = parser.parse_args()

with reserved(options.out, overwrite=False):
    data = Folder(options.images, image_size=options.image_size)
    mic = MIC("embedded", num_clusters=options.clusters or "auto")
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.predict(mic, datamodule=data, return_predictions=False)
    write_run(options.out, mic, data, metrics={}, config=f"images: {options.images}\n")
print(f"{len(mic.grouping.labels)} images in {mic.grouping.num_clusters} clusters; open {options.out / 'report.html'}")
