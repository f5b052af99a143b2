"""Where cells run: executors with the interface of `concurrent.futures`, for this process, many, Dask or SLURM.

A worker that is killed loses the cell that it computes; that cell is tried once more, on another worker.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from anomaly_clustering.system.dask_client import dask_client

T = TypeVar("T")
Name = Literal["inprocess", "processes", "dask", "submitit"]
ATTEMPTS = 2


class InProcess(Executor):
    """Computes in `submit`, before it returns."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalProcesses(Executor):
    """Processes of this machine; each has one GPU to itself, where there are any, and its share of the cores.

    A pool of one process each, since a pool is broken as a whole when one of its processes is killed.
    """

    def __init__(self, workers: int):
        import torch  # Here: a worker that is spawned imports this module before its GPU is chosen.

        self.gpus = torch.cuda.device_count()
        self.threads = ThreadPoolExecutor(workers)
        self.pools: dict[int, ProcessPoolExecutor] = {}
        self.workers = workers
        self.free: queue.Queue[int] = queue.Queue()
        with _silent_tracker():
            for number in range(workers):
                self.pools[number] = self._pool(number)
                self.free.put(number)

    def _pool(self, number: int) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        told = (number, self.workers, self.gpus)
        return ProcessPoolExecutor(1, mp_context=spawn, initializer=_start_worker, initargs=told)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self.threads.submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        number = self.free.get()

        def attempt() -> T:
            try:
                return self.pools[number].submit(fn, *args, **kwargs).result()
            except BrokenProcessPool:
                self.pools[number] = self._pool(number)
                raise

        try:
            return _twice(attempt, BrokenProcessPool)
        finally:
            self.free.put(number)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self.pools.values():
            pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def _silent_tracker() -> Iterator[None]:
    """Python's own process that removes what killed ones have left, which starts with the first pool, tells of nothing.

    One sentence was promised where a command is interrupted.
    """
    given = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [given, "ignore:resource_tracker"]))
    try:
        yield
    finally:
        if given is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = given


def _start_worker(number: int, workers: int, gpus: int) -> None:
    """First thing in a process: its GPU, its cores, and that it ends with the command that started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    # A terminal sends it to all its processes; the command decides for all, and says so once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if gpus:
        # Before anything asks CUDA in this process, which from then on sees what it saw first.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % gpus]
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


class Submitit(Executor):
    """Jobs of SLURM, of which at most so many are queued at a time.

    Args:
        folder: for job scripts, pickled results and logs; all machines see it.
        cluster: 'slurm', or 'local' to try it without one.
        parameters: of `submitit.AutoExecutor`, such as `slurm_partition` or `timeout_min`.

    Raises:
        ImportError: submitit is not installed.
    """

    def __init__(self, folder: Path, workers: int, *, cluster: str = "slurm", parameters: dict[str, Any] | None = None):
        try:
            import submitit
        except ImportError:
            raise ImportError('submitit is not installed; pip install "anomaly-clustering[cluster]"') from None

        self.threads = ThreadPoolExecutor(workers)
        self.jobs = submitit.AutoExecutor(folder, cluster=cluster)
        self.jobs.update_parameters(**{"name": "anomaly-clustering", "timeout_min": 240, **(parameters or {})})
        self.died = submitit.core.utils.UncompletedJobError
        # A kind of the other: of a worker that has told what the function raised, and so has not died.
        self.failed = submitit.core.utils.FailedJobError
        self.lock = threading.Lock()
        self.running: set[Any] = set()
        self.closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self.threads.submit(self._run, fn, *args, **kwargs)

    def _run(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        def attempt() -> T:
            with self.lock:
                if self.closed:
                    raise RuntimeError("cannot submit a job after shutdown")
                job = self.jobs.submit(fn, *args, **kwargs)
                self.running.add(job)
            try:
                result: T = job.result()
            finally:
                self.running.discard(job)
            return result

        return _twice(attempt, self.died, but=(self.failed,))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            # Where the command is interrupted, nobody waits for these any more, and they may be hours in the queue.
            with self.lock:
                self.closed = True
                for job in self.running.copy():
                    job.cancel(check=False)
        self.threads.shutdown(wait, cancel_futures=cancel_futures)


def _twice(attempt: Callable[[], T], died: type[BaseException], but: tuple[type[BaseException], ...] = ()) -> T:
    """Once more if the worker died; what the function itself raises is raised at once."""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except died as error:
            if isinstance(error, but):
                raise
    return attempt()


@contextmanager
def open_executor(
    name: Name, *, workers: int, address: str | None, folder: Path, parameters: dict[str, Any]
) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """An executor, and a function that tells how many cells it can take at a time by now.

    Args:
        workers: processes on this machine, or jobs in SLURM's queue.
        address: of a Dask scheduler; without it one is started on this machine.
        folder: where submitit keeps its files.
        parameters: of submitit.
    """
    if name == "dask":
        with _dask(address, workers) as both:
            yield both
        return
    executor: Executor
    if name == "processes":
        executor = LocalProcesses(workers)
    elif name == "submitit":
        cluster = parameters.pop("cluster", "slurm")
        executor = Submitit(folder, workers, cluster=cluster, parameters=parameters)
    else:
        executor, workers = InProcess(), 1
    try:
        yield executor, lambda: workers
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _dask(address: str | None, workers: int) -> Iterator[tuple[Executor, Callable[[], int]]]:
    # A task whose worker died is given to another one so many times; Dask's default is three.
    with dask_client(address, workers, failures=ATTEMPTS - 1) as client:
        most = 1

        def at_a_time() -> int:
            nonlocal most
            # A scheduler that does not answer for a while has the workers that it had.
            with suppress(OSError):
                # However many threads a worker has, it computes one cell at a time.
                most = max(2 * len(client.nthreads()), 1)
            return most

        yield client.get_executor(pure=False), at_a_time
