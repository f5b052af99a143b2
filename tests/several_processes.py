"""A test that several processes on this machine run, speaking gloo."""

from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp


def process(rank: int, world: int, store: str, body: Callable[[int, int], None]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    body(rank, world)
    dist.destroy_process_group()


def run(body: Callable[[int, int], None], world: int, tmp_path: Path) -> None:
    mp.spawn(process, args=(world, str(tmp_path / "store"), body), nprocs=world)
