"""How fast and in how much memory nearest patches are found on this machine, beside FAISS and scikit-learn.

    pip install -e '.[benchmark]'
    python benchmarks/nearest.py
    python benchmarks/nearest.py --growth --channels 128

Every method finds, for each patch of each bag, the nearest patch of each other bag. All get the same number of threads;
the runs of the methods alternate, and medians are printed, since machines have other work.
"""

import argparse
import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import permutations
from statistics import median
from typing import Any

import faiss
import psutil
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from sklearn.metrics import pairwise_distances_argmin_min
from torch import Tensor

from anomaly_clustering.search.float_factors import matrix_product
from anomaly_clustering.search.nearest import pairwise_nearest
from anomaly_clustering.search.precision import TYPES, resolve
from anomaly_clustering.system.threads import in_order


def with_faiss(bags: Tensor) -> None:
    arrays = bags.numpy()
    for i, references in enumerate(arrays):
        index = faiss.IndexFlatL2(arrays.shape[2])
        index.add(references)
        for j, queries in enumerate(arrays):
            if i != j:
                index.search(queries, 1)


def with_sklearn(bags: Tensor) -> None:
    for queries, references in permutations(bags.numpy(), 2):
        pairwise_distances_argmin_min(queries, references)


def with_cdist(bags: Tensor) -> None:
    for queries, references in permutations(bags, 2):
        torch.cdist(queries, references).amin(-1)


def bare_products(dtype: torch.dtype) -> Callable[[Tensor], None]:
    """What a matrix product of each pair takes without looking into it: the peak that can be reached."""

    def run(bags: Tensor) -> None:
        rounded = bags.to(dtype)

        def products(i: int) -> None:
            room = torch.empty(bags.shape[1] ** 2, dtype=dtype)
            for j in range(i):
                matrix_product(rounded[i : i + 1], rounded[j : j + 1], room)

        for _ in in_order(products, range(len(bags)), device=bags.device):
            pass

    return run


def ours(precision: Any) -> Callable[[Tensor], None]:
    def run(bags: Tensor) -> None:
        for _ in pairwise_nearest(bags, precision):
            pass

    return run


def bare_products_of_integers(bags: Tensor) -> None:
    rows = torch.randint(-127, 128, bags.shape, dtype=torch.int8, generator=torch.Generator().manual_seed(0))
    columns = rows.transpose(1, 2).contiguous()

    def products(i: int) -> None:
        room = torch.empty(bags.shape[1], bags.shape[1], dtype=torch.int32)
        for j in range(i):
            torch._int_mm(rows[i], columns[j], out=room)

    for _ in in_order(products, range(len(bags)), device=bags.device):
        pass


METHODS: dict[str, Callable[[Tensor], None]] = {
    "FAISS IndexFlatL2": with_faiss,
    "scikit-learn": with_sklearn,
    "torch.cdist": with_cdist,
    "ours, fp32": ours("fp32"),
    "ours, bf16": ours("bf16"),
    "products alone, fp32": bare_products(torch.float32),
    "products alone, bf16": bare_products(torch.bfloat16),
}
with suppress(ValueError):  # Where the processor has none.
    resolve("int8", torch.device("cpu"))
    METHODS |= {"ours, int8": ours("int8"), "products alone, int8": bare_products_of_integers}


def random_bags(count: int, patches: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(count, patches, channels, generator=generator).relu(), dim=-1)


def seconds(run: Callable[[Tensor], None], bags: Tensor) -> float:
    start = time.perf_counter()
    run(bags)
    return time.perf_counter() - start


def memory_beyond_bags(name: str, shape: tuple[int, int, int]) -> float:
    """MiB, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory, (name, shape))


def _memory(name: str, shape: tuple[int, int, int]) -> float:
    METHODS[name](random_bags(3, *shape[1:]))  # Libraries and compiled code are not what is measured.
    bags = random_bags(*shape)
    process, done = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    METHODS[name](bags)
    done.set()
    watcher.join()
    return (most - before) / 2**20


def comparison(shape: tuple[int, int, int], repeats: int) -> Table:
    bags = random_bags(*shape)
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    for repeat in range(repeats + 1):
        for name, run in METHODS.items():
            taken = seconds(run, bags)
            if repeat:  # The first run warms up.
                times[name].append(taken)
    medians = {name: median(values) for name, values in times.items()}
    table = Table(title=f"{shape[0]} bags of {shape[1]} x {shape[2]}, {torch.get_num_threads()} threads")
    for column in ("", "seconds", "times FAISS's speed", "of the products' speed", "MiB beyond the bags"):
        table.add_column(column, justify="left" if not column else "right")
    for name, taken in medians.items():
        peak = medians.get(f"products alone, {name[-4:]}")
        table.add_row(
            name,
            f"{taken:.3f}",
            f"{medians['FAISS IndexFlatL2'] / taken:.2f}",
            f"{peak / taken:.0%}" if peak and name.startswith("ours") else "",
            f"{memory_beyond_bags(name, shape):.0f}",
        )
    return table


def growth(patches: int, channels: int) -> Table:
    chosen = resolve("auto", torch.device("cpu"))
    name = next(f"ours, {name}" for name, dtype in TYPES.items() if dtype == chosen)
    table = Table("bags", "seconds", "ms a pair", "MiB beyond the bags", title=f"{name}, {patches} x {channels}")
    for count in (50, 100, 200, 400, 800):
        bags = random_bags(count, patches, channels)
        taken = seconds(METHODS[name], bags)
        memory = memory_beyond_bags(name, (count, patches, channels))
        table.add_row(str(count), f"{taken:.2f}", f"{2e3 * taken / count / (count - 1):.3f}", f"{memory:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bags", type=int, default=16)
    parser.add_argument("--patches", type=int, default=1024)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--growth", action="store_true", help="how cost grows from 50 to 800 bags, in place of peers")
    options = parser.parse_args()
    faiss.omp_set_num_threads(torch.get_num_threads())
    if options.growth:
        Console().print(growth(options.patches, options.channels))
    else:
        Console().print(comparison((options.bags, options.patches, options.channels), options.repeats))


if __name__ == "__main__":
    main()
