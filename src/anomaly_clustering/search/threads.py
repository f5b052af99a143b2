"""Independent pieces of work in; their results, in order, out: computed by one thread for each core."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

# Pieces handed out ahead, for each thread: fewer, and threads wait for the one that hands them out.
AHEAD = 4

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], tasks: Iterable[T], *, device: torch.device) -> Iterator[R]:
    """`map(work, tasks)`, on a processor by as many threads as PyTorch may use, each computing alone.

    PyTorch itself would have all threads share each operation and wait for one another after it, which wastes most of
    the time where operations are short or the machine has other work. Few results are waiting at any time.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    if threads == 1:
        yield from map(work, tasks)
        return
    remaining = iter(tasks)
    # The setting is one of each thread, and that of threads that are yet to come. This thread has it as well: what is
    # done with results must not spread over cores that compute the next.
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    torch.set_num_threads(1)
    try:
        waiting: deque[Future[R]] = deque(pool.submit(work, task) for task in islice(remaining, AHEAD * threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in islice(remaining, 1))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
