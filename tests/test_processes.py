"""Weights and labels of Eq. 5, 6 and 7, and of signed residuals, on one process and on two."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys
from pathlib import Path

import numpy as np
from lightning import Trainer

from anomaly_clustering.data import Folder
from anomaly_clustering.mic import MIC, method_arguments

photos, out, devices = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
data = Folder(photos, normals=photos / "good", image_size=64, batch_size=4, num_workers=0)
residuals = {normals: method_arguments("signed_residuals", normals=normals) for normals in (False, True)}
ways = {
    "Eq5": {"tau": 0.1},
    "Eq6": {"weights": "novelty", "tau": 0.1},
    "Eq7": {"num_references": 6, "tau": 0.1},
    "residuals": residuals[False] | {"num_references": 6},
    "residuals_to_normals": residuals[True],
}
for precision in ("fp32", "bf16", "auto"):
    for name, way in ways.items():
        # With tau .02 the last bit of a score is 2e-6 of a weight near one, more than what is asked for here.
        mic = MIC("embedded", precision=precision, num_clusters=3, **way)
        trainer = Trainer(
            accelerator="cpu",
            devices=devices,
            strategy="ddp" if devices > 1 else "auto",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        trainer.test(mic, datamodule=data, verbose=False)
        if trainer.is_global_zero:
            np.savez(out / f"{precision}-{name}", weights=mic.grouping.weights, labels=mic.grouping.labels)
"""


@pytest.mark.slow
def test_one_process_and_two_agree(photos: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for devices in (1, 2):
        out = tmp_path / str(devices)
        out.mkdir()
        subprocess.run([sys.executable, script, photos, out, str(devices)], check=True, timeout=600)
    found = sorted((tmp_path / "1").iterdir())
    assert len(found) == 15
    for path in found:
        one, two = np.load(path), np.load(tmp_path / "2" / path.name)
        assert np.abs(one["weights"] - two["weights"]).max() < 1e-6, path.name
        assert (one["labels"] == two["labels"]).all(), path.name
