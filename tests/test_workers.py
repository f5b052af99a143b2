"""Processes that read images, with folders of temporary files whose paths sockets can have, and cannot."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from anomaly_clustering.data.workers import LONGEST

ONE_BATCH = """
import sys

from anomaly_clustering.data import Synthetic

data = Synthetic(sys.argv[1], per_class=1, normals=0, image_size=64, num_workers=int(sys.argv[2]))
data.prepare_data()
data.setup()
print(len(next(iter(data.val_dataloader()))["image"]))
"""
# Below the folder: 'pymp-' and eight letters, 'listener-' and eight letters.
BELOW = len("/pymp-12345678/listener-12345678")


def one_batch(photos: Path, temporary: Path, *, workers: int) -> subprocess.CompletedProcess[str]:
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", ONE_BATCH, str(photos), str(workers)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32" or sys.version_info >= (3, 14), reason="Python puts these sockets elsewhere"
)
def test_images_come_through_a_socket_with_the_longest_path_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        allowed = Path(short, "x" * (LONGEST - BELOW - len(short) - 1))
        too_long = Path(f"{allowed}x")

        assert one_batch(tmp_path, allowed, workers=1).stdout == "7\n"

        refused = one_batch(tmp_path, too_long, workers=1)
        assert f"{str(too_long)!r}: sockets in it have paths of {LONGEST + 1} bytes" in refused.stderr

        assert one_batch(tmp_path, too_long, workers=0).stdout == "7\n"
