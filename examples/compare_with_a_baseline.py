"""Group a folder whose subfolders are known classes by this method and by baselines; their scores side by side.

In a clone, since `baselines` is not installed:

    python -m examples.compare_with_a_baseline photos

All use the embedded network, on the CPU. The floor is the mean of its last feature map, clustered as it is; SCAN and
TEMI train heads on that mean, by their presets for small data. None of them sees a class.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml
from lightning import LightningModule, Trainer, seed_everything

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC
from baselines import SCAN, TEMI

PRESETS = Path(__file__).resolve().parents[1] / "configs" / "baselines"
SCORES = ("nmi", "ari", "f1", "accuracy")


def preset(name: str) -> dict[str, Any]:
    """The arguments of a method that a config holds."""
    return yaml.safe_load((PRESETS / f"{name}_small_data.yaml").read_text(encoding="utf-8"))["model"]["init_args"]


def score(method: LightningModule, data: Folder, epochs: int) -> dict[str, float]:
    """Scores against the known classes, after a training where there is something to train."""
    quiet = {name: False for name in ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar")}
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, **quiet)
    if isinstance(method, MIC):
        trainer.validate(method, data, verbose=False)
    else:
        trainer.fit(method, data)
    return {name: trainer.callback_metrics[name].item() for name in SCORES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=100, help="of SCAN and TEMI")
    options = parser.parse_args()
    seed_everything(0, verbose=False)
    # Every epoch is scored, which starts processes anew; a few hundred images are read faster without them.
    data = Folder(options.images, image_size=options.image_size, num_workers=0)
    data.setup()
    k = data.num_classes
    if k < 2:
        parser.error(f"{options.images} has {k} subfolders with images; two or more are needed to score by")
    # The size of image and crop by which these methods are evaluated: 256 and 224.
    crop = options.image_size * 7 // 8
    methods = {
        "weighted averages, Ward (ours)": MIC("embedded", num_clusters=k),
        "last map, Ward": MIC("embedded", layer="last", distance="holistic", num_clusters=k),
        "last map, k-means": MIC("embedded", layer="last", distance="holistic", num_clusters=k, method="kmeans"),
        "heads on the last map, SCAN": SCAN(
            "embedded", scan_epochs=options.epochs, selflabel_epochs=0, crop=crop, **preset("scan")
        ),
        "heads on the last map, TEMI": TEMI("embedded", crop=crop, **preset("temi")),
    }
    print(f"{len(data.records)} images, {k} classes and clusters")
    print(f"{'':32}" + "".join(f"{name:>10}" for name in SCORES))
    for name, method in methods.items():
        found = score(method, data, options.epochs)
        print(f"{name:32}" + "".join(f"{found[name]:10.3f}" for name in SCORES), flush=True)


if __name__ == "__main__":
    main()
