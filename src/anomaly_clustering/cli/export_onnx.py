"""A run in; an ONNX file that tells clusters without this package out: the command `anomaly-clustering export-onnx`."""

import argparse
import logging
import warnings

from rich.console import Console

from anomaly_clustering.cli.console import print_notices, print_plainly
from anomaly_clustering.runs.fitted_and_new import fitted_to
from anomaly_clustering.runs.given_labels import decisions_on
from anomaly_clustering.runs.onnx_model import check_exporter, cluster_network, described, write_onnx
from anomaly_clustering.runs.output_folder import check_file
from anomaly_clustering.runs.store import load_run
from anomaly_clustering.system.messages import counted


def export_onnx(options: argparse.Namespace) -> None:
    """Run the command; for the options see `onnx_options`."""
    check_file(options.out, read=[options.labels, options.checkpoint])
    if options.out.exists() and not options.overwrite:
        raise FileExistsError(f"{str(options.out)!r} exists; choose another name with --out, or --overwrite it")
    if options.out.exists() and options.out.suffix.lower() != ".onnx":
        raise FileExistsError(
            f"{str(options.out)!r} is no model by its name, and would be lost; choose another one, such as "
            f"{options.out.with_suffix('.onnx').name}"
        )
    try:
        check_exporter()
    except ImportError as error:
        # Of this one the user can do something.
        raise ValueError(str(error)) from None
    run = load_run(options.run, checkpoint=options.checkpoint)
    check_file(options.out, read=[run.recipe.checkpoint])
    later, decisions = decisions_on(options.run, run, options.labels)
    fitted = fitted_to(run, later, decisions)
    network, console = cluster_network(run, fitted, half=options.half), Console()
    print_notices(console, decisions.told)
    with console.status("Exporting the network", spinner="line"), warnings.catch_warnings():
        # What the exporter says of its own parts is nothing that a user could act on.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        write_onnx(options.out, network, described(run, fitted, decisions.names))
    side, bits = run.recipe.image_size, run.recipe.bits
    clusters = counted(len(network.numbers), "cluster")
    shifted = f", values of 16 bits shifted right by {bits - 8} before" if bits > 8 else ""
    print_plainly(console, f"{clusters}; images are squeezed into {side} x {side} pixels{shifted}")
    print_plainly(console, f"The model is in {options.out}, {options.out.stat().st_size / 1e6:.0f} MB")
