"""The fused search against the formula in float64: on a GPU where there is one, else in Triton's interpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from anomaly_clustering.search import precision
from anomaly_clustering.search.precision import fused_runs_on

LAWS = Path(__file__).with_name("fused_laws.py")


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_laws() -> None:
    # Triton reads this when it is imported.
    environment = os.environ | ({} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(LAWS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=LAWS.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_triton_a_gpu_is_searched_in_the_plain_way_and_a_warning_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forget() -> None:
        for cached in (precision.interpreted, precision._has_triton):
            cached.cache_clear()

    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    forget()
    try:
        with pytest.warns(UserWarning, match="Triton 3.4 or newer is not installed") as warned:
            found = [fused_runs_on(torch.device("cuda"), torch.float16) for _ in range(2)]
    finally:
        forget()
    assert found == [False, False]
    assert len(warned) == 1
