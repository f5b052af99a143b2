"""Benchmarks run through, since a GPU to run them on is seldom at hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "benchmarks.gpu", *flags]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=1200)


@pytest.mark.slow
def test_all_trainings_are_measured_beside_their_bare_steps() -> None:
    done = run("--only", "training", "--device", "cpu", "--tiny")
    assert done.returncode == 0, done.stderr
    for name in ("IIC, small data", "IIC, faithful", "GATCluster", "SCAN, step 2", "SCAN, self-labelling"):
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name}: "))
        bare, trained, share, aim, *_ = line.removeprefix(f"{name}: ").split(", ")
        assert int(bare.replace(",", "")) > 0
        assert int(trained.replace(",", "")) > 0
        assert share.endswith("%")
        assert aim in ("50%", "80%")


def test_the_search_is_for_gpus() -> None:
    done = run("--device", "cpu")
    assert done.returncode == 1
    assert done.stderr.strip() == "the search is measured on a GPU: add --only training"
