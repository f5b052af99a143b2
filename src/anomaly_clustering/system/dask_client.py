"""The address of a scheduler of Dask, or a number of workers to start here, in; a client, closed in the end, out."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def dask_client(address: str | None, workers: int, *, failures: int) -> Iterator[Any]:
    """Connect to Dask, and start it on this machine where no address is given.

    Args:
        address: of a scheduler, such as 'tcp://10.0.0.7:8786'; None starts one with its workers.
        workers: how many to start, a process each.
        failures: how many workers may die of one task; it is given to another one each time.

    Returns:
        A `distributed.Client`.

    Raises:
        ImportError: Dask is not installed.
        OSError: nobody answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ImportError('Dask is not installed; pip install "anomaly-clustering[dask]"') from None
    # Of workers that are lost and found again it tells on many lines.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as opened:
        where: Any = address
        if address is None:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            )
            where = opened.enter_context(cluster)
        try:
            client = opened.enter_context(Client(where, timeout=20))
        except (OSError, ValueError) as error:
            raise OSError(f"no scheduler of Dask answers at {address!r}: {error}") from None
        client.run_on_scheduler(_allow_failures, failures)
        yield client


def _allow_failures(count: int, dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = count
