"""A folder of tiny data sets in; tables of experiments on it, with the embedded network, and their records out."""

from pathlib import Path
from typing import Any

from experiments.__main__ import main
from experiments.cells import Store

SMALL = ["--backbone", "embedded", "--image-size", "64", "--resamples", "2"]


def run(root: Path, out: Path, *flags: str, table: str = "table1") -> int:
    return main([table, "--data-root", str(root), "--out", str(out), *SMALL, *flags])


def records(out: Path) -> list[dict[str, Any]]:
    return Store(out / "cells").all()
