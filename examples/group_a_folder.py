"""Group a folder of images and leave the folder of a run behind, with the report: what `cluster` does, in Python.

python examples/group_a_folder.py photos
"""

import argparse
from pathlib import Path

from lightning import Trainer

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC, method_arguments
from anomaly_clustering.runs.output_folder import reserved
from anomaly_clustering.runs.run_folder import write_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clusters", type=int, help="how many; chosen if not given")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("my-run"))
    options = parser.parse_args()

    with reserved(options.out, overwrite=False):
        data = Folder(options.images, image_size=options.image_size)
        method = method_arguments("signed_residuals", normals=False)
        mic = MIC("embedded", num_clusters=options.clusters or "auto", **method)
        trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        trainer.predict(mic, datamodule=data, return_predictions=False)
        write_run(options.out, mic, data, metrics={}, config=f"images: {options.images}\n")
    print(
        f"{len(mic.grouping.labels)} images in {mic.grouping.num_clusters} clusters; open {options.out / 'report.html'}"
    )


# Processes that read images import this file where the system starts them anew, as macOS and Windows do.
if __name__ == "__main__":
    main()
