"""Independent pieces of work in; their results, in order, out: computed by one thread for each core."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

# Pieces handed out ahead, for each thread: with fewer, threads would wait for new ones.
AHEAD = 4

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], tasks: Iterable[T], *, device: torch.device) -> Generator[R, None, None]:
    """`map(work, tasks)`, on a processor by as many threads as PyTorch may use, each computing alone.

    PyTorch itself would have all threads share each operation and wait for one another after it, which wastes most of
    the time where operations are short or the machine has other work; and it would round otherwise for each number of
    threads. Few results are waiting at any time.

    Args:
        work: is called once for each task, with or without gradients and in the precision as here.
        tasks: are taken as threads become free.
        device: where `work` computes; work for an accelerator is handed out by this thread alone.

    Until it ends, or is closed, PyTorch computes by one thread in all of the process. A loop over `in_order(...)` that
    is left closes it; who has it by a name wraps it in `contextlib.closing`, or an error that is held holds it too.

    Example:
        >>> list(in_order(lambda number: number**2, [1, 2, 3], device=torch.device("cpu")))
        [1, 4, 9]
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    if threads == 1:
        yield from map(work, tasks)
        return
    work, remaining = _as_here(work), iter(tasks)
    # PyTorch keeps the setting for each thread, and for threads that are yet to come. This thread needs it as well, or
    # what it does with results would spread over cores that compute the next.
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


def _as_here(work: Callable[[T], R]) -> Callable[[T], R]:
    """Work as it is done in this thread: each has its own setting of gradients and of autocast."""
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    autocast, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def there(task: T) -> R:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad), torch.autocast("cpu", dtype, autocast):
            return work(task)

    return there
