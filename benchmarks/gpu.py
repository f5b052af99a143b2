"""How close the search and the trainings of the baselines come to what a GPU can do.

    python -m benchmarks.gpu

Of the search shares of the peak, errors, memory, and the data sets of Table 1; of the trainings shares of their bare
steps. Takes less than four minutes on one GPU and needs no files but the repository: bags are random, of the sizes that
WideResNet-50 gives, and images are made up. The peak is what a large product of float16 reaches on the same GPU,
measured just before.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.search.nearest import Block, nearest_distances, pairwise_nearest
from anomaly_clustering.search.precision import Precision, fused_runs_on, resolve

DEVICE = torch.device("cuda")
# Bags, patches of each, channels, and the precisions of the products.
SHAPES: list[tuple[int, int, int, list[Precision]]] = [
    (200, 1024, 512, ["fp16", "bf16", "fp32"]),
    (200, 1024, 128, ["fp16", "fp32"]),
    (200, 784, 768, ["fp16"]),
    (150, 1369, 384, ["fp16"]),
    (40, 4096, 512, ["fp16"]),
    (200, 1024, 1536, ["fp16"]),
]
# Images to cluster and normal ones: the categories of MVTec AD, then Magnetic Tile Defects.
SETS = {
    "bottle": (83, 209),
    "cable": (150, 224),
    "capsule": (132, 219),
    "carpet": (117, 280),
    "grid": (78, 264),
    "hazelnut": (110, 391),
    "leather": (124, 245),
    "metal_nut": (115, 220),
    "pill": (167, 267),
    "screw": (160, 320),
    "tile": (117, 230),
    "toothbrush": (42, 60),
    "transistor": (100, 213),
    "wood": (79, 247),
    "zipper": (151, 240),
    "MTD": (583, 761),
}
PATCHES, CHANNELS = 1024, 512


def random_bags(count: int, patches: int, channels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator(DEVICE).manual_seed(seed)
    bags = torch.empty(count, patches, channels, device=DEVICE)
    for bag in bags:
        bag.copy_(F.normalize(torch.randn(patches, channels, generator=generator, device=DEVICE).relu(), dim=-1))
    return bags


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    run()  # Compiles.
    times = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times)


def memory(run: Callable[[], object]) -> float:
    """MiB beyond what is allocated before."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def peaks() -> tuple[float, float]:
    """Operations a second of a product of float16, and bytes a second of a copy."""
    side = 8192
    square = torch.randn(side, side, device=DEVICE, dtype=torch.float16)
    product = torch.empty_like(square)
    # Several in a row, or the time of a launch would count.
    operations = 10 * 2 * side**3 / seconds(lambda: [torch.mm(square, square.T, out=product) for _ in range(10)])
    numbers = torch.randn(2**28, device=DEVICE)
    copied = torch.empty_like(numbers)
    return operations, 2 * numbers.nbytes / seconds(lambda: copied.copy_(numbers), 5)


def take(blocks: Iterator[Block]) -> None:
    for _ in blocks:
        pass


def errors(patches: int, channels: int, precision: Precision) -> tuple[float, float, float]:
    """Mean, largest and least difference from float64, of a few bags and both ways."""
    bags = random_bags(6, patches, channels, seed=1)
    found = bags.new_empty(6, 6, patches)
    for rows, columns, distances in pairwise_nearest(bags, precision):
        found[rows, columns] = distances
    differences = []
    for i, queries in enumerate(bags.double()):
        for j, references in enumerate(bags.double()):
            if i != j:
                differences.append(found[i, j] - torch.cdist(queries, references).amin(1))
    joined = torch.cat(differences)
    return joined.mean().item(), joined.max().item(), joined.min().item()


def shares(peak: float) -> Table:
    columns = (
        "bags",
        "precision",
        "seconds",
        "TFLOP/s",
        "of the peak",
        "MiB beyond the bags",
        "mean error",
        "worst",
        "least",
    )
    table = Table(*columns, title="All pairs once, both ways, exact distances included")
    for count, patches, channels, precisions in SHAPES:
        bags = random_bags(count, patches, channels)
        operations = count * (count - 1) * patches**2 * channels
        for precision in precisions:
            taken = seconds(lambda bags=bags, precision=precision: take(pairwise_nearest(bags, precision)))
            beyond = memory(lambda bags=bags, precision=precision: take(pairwise_nearest(bags, precision)))
            mean, most, least = errors(patches, channels, precision)
            table.add_row(
                f"{count} of {patches} x {channels}",
                precision,
                f"{taken:.4f}",
                f"{operations / taken / 1e12:.0f}",
                f"{operations / taken / peak:.1%}",
                f"{beyond:.0f}",
                f"{mean:.1e}",
                f"{most:.1e}",
                f"{least:.1e}",
            )
    return table


def table1(peak: float) -> Table:
    """Eq. 5 and Eq. 6 on bags of the sizes of the 16 data sets, through the functions that `MIC` calls."""
    columns = ("images", "normal", "Eq. 5, s", "of the peak", "MiB", "Eq. 6, s", "of the peak", "MiB")
    table = Table("", *columns, title=f"Table 1's data sets, {PATCHES} x {CHANNELS}, precision auto")
    totals, operations = [0.0, 0.0], [0.0, 0.0]
    normal_patches = random_bags(max(normal for _, normal in SETS.values()), PATCHES, CHANNELS, seed=1).flatten(0, 1)
    for name, (images, normal) in SETS.items():
        bags = random_bags(images, PATCHES, CHANNELS)
        runs = (
            (lambda bags=bags: rarity(bags, precision="auto"), images * (images - 1)),
            (
                lambda bags=bags, normal=normal: novelty(bags, normal_patches[: normal * PATCHES], precision="auto"),
                2 * images * normal,
            ),
        )
        cells = []
        for number, (run, halves) in enumerate(runs):
            work = halves * PATCHES**2 * CHANNELS
            taken = seconds(run)
            totals[number] += taken
            operations[number] += work
            cells += [f"{taken:.4f}", f"{work / taken / peak:.1%}", f"{memory(run):.0f}"]
        table.add_row(name, str(images), str(normal), *cells)
    whole = [cell for t, o in zip(totals, operations, strict=True) for cell in (f"{t:.3f}", f"{o / t / peak:.1%}", "")]
    table.add_row("all", "", "", *whole, style="bold")
    return table


def check_novelty() -> str:
    """Against float64, with unequal numbers of patches."""
    bags, normal_patches = random_bags(2, 300, 96), random_bags(1, 50_001, 96, seed=1)[0]
    exact = torch.cdist(bags.double(), normal_patches.double()).amin(2)
    error = novelty(bags, normal_patches, "fp16") - exact
    references = random_bags(3, 77, 96, seed=2)
    one_way = nearest_distances(bags, references, "fp16")
    exact = torch.cdist(bags.double()[:, None], references.double()[None]).amin(3)
    other = one_way - exact
    return (
        f"novelty against 50,001 patches: mean error {error.mean():.1e}, worst {error.abs().max():.1e}; 300 patches "
        f"against 77: mean {other.mean():.1e}, worst {other.abs().max():.1e}"
    )


def search(console: Console) -> None:
    chosen = resolve("auto", DEVICE)
    fused_or_not = "the fused search" if fused_runs_on(DEVICE, chosen) else "the plain search"
    console.print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}; 'auto' is {chosen} in {fused_or_not}")
    peak, copy = peaks()
    console.print(f"measured peaks: {peak / 1e12:.0f} TFLOP/s of float16 products, {copy / 1e12:.2f} TB/s of copies")
    console.print(shares(peak))
    console.print(check_novelty())
    console.print(table1(peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["search", "training"], help="one of the two")
    parser.add_argument("--device", default="cuda", help="of the trainings alone: 'cpu' to compare there")
    parser.add_argument("--tiny", action="store_true", help="trainings of a few seconds, to see that they run")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("benchmarks.gpu needs a GPU that PyTorch can use, and there is none")
    if device.type != "cuda" and options.only != "training":
        raise SystemExit("the search is measured on a GPU: add --only training")
    console = Console(width=150)
    if options.only != "training":
        search(console)
    if options.only != "search":
        # Only here, since they import Lightning.
        from benchmarks.training import trainings

        name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
        console.print(f"{name}, PyTorch {torch.__version__}")
        console.print(trainings(device, tiny=options.tiny, say=console.print))


if __name__ == "__main__":
    main()
