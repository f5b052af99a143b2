"""How fast a work goes, and how long the rest will take: told early, and rightly."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_mic import folder

from anomaly_clustering.mic.embedding_bar import EmbeddingBar
from anomaly_clustering.mic.estimate import SHORT
from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.pace import Pace
from anomaly_clustering.mic.progress import progress_bar
from anomaly_clustering.mic.trainer import plain_trainer
from anomaly_clustering.system.progress import tracked


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def ends(batches: int, workers: int, seconds: float, start: float) -> Iterator[float]:
    """When batches end of which workers read one each in some seconds, with a start that is like nothing after it."""
    for k in range(batches):
        yield start + seconds * (k // workers + 1) + 0.01 * (k % workers)


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_from_a_tenth_on_what_is_left_is_right_within_a_quarter_or_a_round(workers: int, start: float) -> None:
    batches, seconds = 160, 2.0
    times = list(ends(batches, workers, seconds, start))
    clock = Clock()
    pace = Pace(32 * batches, a_round=workers, now=clock)
    for k, at in enumerate(times):
        clock.seconds = at
        pace.advance(32)
        left = times[-1] - at
        # Workers finish a round at once, so that nothing is known better than to a round.
        if k >= batches / 10:
            assert pace.left == pytest.approx(left, abs=max(left / 4, seconds)), k


def test_what_is_left_is_counted_down_between_two_steps() -> None:
    clock = Clock()
    pace = Pace(100, now=clock)
    assert pace.left is None
    for clock.seconds in (5.0, 6.0):
        pace.advance(10)
    assert pace.left == 8.0
    clock.seconds = 8.5
    assert pace.left == 5.5
    clock.seconds = 60.0
    assert pace.left == 0.0


def test_what_was_finished_before_counts_as_done_but_not_as_fast() -> None:
    clock = Clock()
    pace = Pace(100, done=60, now=clock)
    for clock.seconds in (1.0, 2.0):
        pace.advance(10)
    assert (pace.rate, pace.left) == (10.0, 2.0)


class Slow(Clock):
    """A clock on which more than a minute passes between two looks."""

    def __call__(self) -> float:
        self.seconds += 100.0
        return self.seconds


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        ({"num_references": 6}, ", each compared with 6 of them (with all of them "),
        ({}, ", and comparing all with all, takes about "),
        ({"weights": "uniform"}, " takes about "),
    ],
)
def test_the_user_is_told_once_how_long_a_long_work_takes(
    photos: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, object], how: str
) -> None:
    for now, told in ((Slow(), True), (Clock(), False)):
        trainer = plain_trainer(progress_bar=True, accelerator="cpu")
        bar = trainer.progress_bar_callback
        assert isinstance(bar, EmbeddingBar)
        bar.now = now
        mic = MIC("embedded", num_clusters=3, **arguments)  # type: ignore[arg-type]
        trainer.validate(mic, folder(photos), verbose=False)
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Embedding 15 photographs")]
        assert len(lines) == told
        assert all(line.startswith("Embedding 15 photographs" + how) and line.endswith(" here") for line in lines)
    assert SHORT < 100


def test_a_bar_of_images_is_shown_and_its_end_says_how_fast_they_were(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = plain_trainer(progress_bar=True, accelerator="cpu")
    trainer.validate(MIC("embedded", num_clusters=3), folder(photos), verbose=False)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Embedding photographs"))
    assert " 15/15 " in line
    assert line.split()[-3].endswith("/s")
    assert line.split()[-2:] == ["0:00:00", "left"]
    assert plain_trainer(progress_bar=False).progress_bar_callback is None


def test_a_bar_that_goes_away_leaves_nothing_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked("abc", "Reading letters")) == ["a", "b", "c"]
    with progress_bar("Comparing images", 3, shown=True) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
