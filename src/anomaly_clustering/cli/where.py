"""The words of the user on where a run is computed in; the options, or one line that says what is wrong, out."""

import argparse
from importlib.util import find_spec

from anomaly_clustering.cli import values

EXECUTORS = ("dask",)


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add the options on devices, machines and workers.

    Args:
        parser: of a command.
    """
    add = parser.add_argument
    add("--accelerator", choices=("auto", "cpu", "cuda"), default="auto", help="auto (default): a GPU where one is")
    add("--devices", type=values.count, default=1, metavar="N", help="GPUs, or processes, of each machine (default 1)")
    add("--num-nodes", type=values.count, default=1, metavar="M", help="machines of torchrun or SLURM (default 1)")
    add("--executor", choices=EXECUTORS, help="dask: images in shards, on workers that may come and go")
    add("--address", metavar="URL", help="of Dask's scheduler (default: workers on this machine)")
    add("--workers", type=values.count, metavar="N", help="of Dask on this machine (default 2)")


def check_where(options: argparse.Namespace) -> None:
    """See that these options go together.

    Args:
        options: as parsed.

    Raises:
        ValueError: they do not.
    """
    if options.executor and options.devices * options.num_nodes > 1:
        raise ValueError("--executor and --devices, or --num-nodes, are two ways to use many devices; give one of them")
    if options.address and options.workers:
        raise ValueError("--workers are started on this machine, --address is of those that run already; give one")
    for name in ("address", "workers"):
        if getattr(options, name) and not options.executor:
            raise ValueError(f"--{name} is for --executor dask, not for a run on this machine")
    if options.executor and find_spec("distributed") is None:
        raise ValueError('--executor dask needs Dask: pip install "anomaly-clustering[dask]"')
    if options.executor and options.method != "signed_residuals":
        raise ValueError(
            f"--executor is for --method signed_residuals, which compares each image with few others, not for "
            f"{options.method!r}; --devices is for both"
        )
    if options.executor and options.maps:
        raise ValueError("--executor is for images that are compared with few others, not for --maps; use --devices")
