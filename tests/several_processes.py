"""A test that several processes on this machine run, speaking gloo."""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp


def process(rank: int, world: int, store: str, body: Callable[[int, int], None]) -> None:
    address, patience = f"file://{store}", timedelta(minutes=2)
    dist.init_process_group("gloo", address, rank=rank, world_size=world, timeout=patience)
    body(rank, world)
    dist.destroy_process_group()


def run(body: Callable[[int, int], None], world: int, tmp_path: Path) -> None:
    """Forked where that is safe, since what they import takes them longer than what they check."""
    how = "fork" if sys.platform == "linux" else "spawn"
    mp.start_processes(process, (world, str(tmp_path / "store"), body), nprocs=world, start_method=how)
