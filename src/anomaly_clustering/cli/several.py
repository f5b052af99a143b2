"""Options on where a run is computed in; a Trainer whose processes or workers share the images out."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from lightning import Trainer

from anomaly_clustering.cli.together import end_with_the_others, telling_the_others
from anomaly_clustering.mic.trainer import ACCELERATOR, plain_trainer
from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.going_on import GoingOn
from anomaly_clustering.runs.shards import FAILURES, by_dask
from anomaly_clustering.system.dask_client import dask_client

# Of Dask on this machine, where no other number is given.
WORKERS = 2


@contextmanager
def trainer_for(
    options: argparse.Namespace, finished: FinishedRows, *, say: Callable[[str], object]
) -> Iterator[Trainer]:
    """A Trainer for the options of `cluster`; where one of several processes fails, the others are told.

    Args:
        options: see `add_where`.
        finished: keeps rows of images until the run is complete.
        say: is told what a run goes on with.

    Raises:
        ValueError: there are no such devices.
        OSError: nobody answers at the address of Dask.
    """
    with ExitStack() as opened:
        elsewhere = None
        if options.executor:
            client = opened.enter_context(dask_client(options.address, options.workers or WORKERS, failures=FAILURES))
            if not client.scheduler_info(n_workers=-1)["workers"]:
                say(f"No worker has come to {options.address!r} yet: waiting for one")
            elsewhere = by_dask(client, options.accelerator)
        with telling_the_others():
            trainer = plain_trainer(
                progress_bar=True,
                accelerator=ACCELERATOR if options.accelerator == "auto" else options.accelerator,
                devices=options.devices,
                num_nodes=options.num_nodes,
                callbacks=[GoingOn(finished, say=say, elsewhere=elsewhere)],
            )
            end_with_the_others(trainer)
            yield trainer
