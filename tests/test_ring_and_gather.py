"""Several processes on this machine, speaking gloo, hold parts of one data set."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from several_processes import run
from torch import Tensor

from anomaly_clustering.mic.positions import first_copies
from anomaly_clustering.mic.processes import gather, on_first, ring
from anomaly_clustering.mic.scores import rarity
from anomaly_clustering.mic.shard import Shard

N = 11


def data() -> Tensor:
    return F.normalize(torch.randn(N, 6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)


def rarity_is_that_of_one_process(rank: int, world: int) -> None:
    # As DistributedSampler deals them, unequal in number.
    positions = torch.arange(rank, N, world)
    shard = Shard(data()[positions], positions)
    scores = rarity(shard.bags, positions=positions, references=ring(shard))
    assert torch.allclose(scores, rarity(data())[positions], atol=1e-7)


def gather_keeps_lengths(rank: int, world: int) -> None:
    assert [len(part) for part in gather(torch.zeros(rank + 1, 2))] == list(range(1, world + 1))


def repetitions_are_dropped(rank: int, world: int) -> None:
    # 11 samples for 3 processes: the sampler repeats sample 0 at the end.
    index = torch.tensor([*range(rank, N, world), 0][:4])
    kept = torch.cat(gather(index[first_copies(index)]))
    assert sorted(kept.tolist()) == list(range(N))


def more_are_two_images_each(rank: int, world: int) -> None:
    # Two data sets of three images, both counted from 0, as the sampler deals them.
    index = torch.tensor([0, 1, 2, 0, 1, 2])[rank::world]
    with pytest.raises(ValueError, match="two images have index 0, and one would be taken for the other"):
        first_copies(index)


class Unportable(Exception):
    """Cannot be made again from its arguments, so that it does not survive a journey to another process."""

    def __init__(self, code: int, reason: str):
        super().__init__(reason)


def an_error_of_the_first_reaches_all(rank: int, world: int) -> None:
    def fail(error: Exception) -> None:
        assert rank == 0, "the others do not work"
        raise error

    assert on_first(lambda: {"found by": rank}) == {"found by": 0}
    for error in (ValueError("bad value"), KeyError("median"), OSError(28, "disk full"), MemoryError("too large")):
        with pytest.raises(type(error)) as found:
            on_first(lambda error=error: fail(error))
        assert str(found.value) == str(error)
    with pytest.raises(Unportable if rank == 0 else RuntimeError, match="odd"):
        on_first(lambda: fail(Unportable(3, "odd")))
    # Nobody is left waiting.
    assert len(gather(torch.zeros(1))) == world


def of_two(rank: int, world: int) -> None:
    rarity_is_that_of_one_process(rank, world)
    more_are_two_images_each(rank, world)
    an_error_of_the_first_reaches_all(rank, world)


def of_three(rank: int, world: int) -> None:
    rarity_is_that_of_one_process(rank, world)
    gather_keeps_lengths(rank, world)
    repetitions_are_dropped(rank, world)


@pytest.mark.parametrize(("checks", "world"), [(of_two, 2), (of_three, 3)])
def test_several_processes(checks: Callable[[int, int], None], world: int, tmp_path: Path) -> None:
    run(checks, world, tmp_path)


def test_one_process_needs_no_group() -> None:
    assert on_first(lambda: 1) == 1
    shard = Shard(data(), torch.arange(N))
    assert list(ring(shard)) == [shard]
    assert torch.equal(gather(shard.positions)[0], shard.positions)
    assert first_copies(torch.tensor([4, 5])).tolist() == [True, True]
