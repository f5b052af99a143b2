"""Two processes that go on where a kill has left others, or that have fewer batches than they are."""

from pathlib import Path

import pytest
from conftest import MakeImage
from test_going_on import killed_with, same_run, start

from anomaly_clustering.runs.finished_rows import FinishedRows
from anomaly_clustering.runs.store import load_run

ARGV = ["cluster", "photos", "--image-size", "32", "--views", "1", "--accelerator", "cpu"]


def photos(count: int, make_image: MakeImage, folder: Path) -> None:
    for i in range(count):
        make_image(folder / "photos" / f"{i:03d}.png", i % 3, seed=i)


def same_as_one(folder: Path) -> str:
    """Both ways to the end; what two processes said."""
    processes = [start([*ARGV, "--out", f"run{n}", "--devices", str(n)], folder) for n in (1, 2)]
    for process in processes:
        said: str = process.communicate()[0]
        assert process.returncode == 0, said
    assert same_run(load_run(folder / "run1"), load_run(folder / "run2"))
    return said


def test_a_process_may_have_no_batch_of_its_own(make_image: MakeImage, tmp_path: Path) -> None:
    photos(20, make_image, tmp_path)
    same_as_one(tmp_path)


@pytest.mark.parametrize("kept", [1, pytest.param(300, marks=pytest.mark.slow)], ids=["some", "all"])
def test_they_go_on_to_the_end(kept: int, make_image: MakeImage, tmp_path: Path) -> None:
    """Rows that are kept and rows that are new come to the first process in another order than to the second."""
    photos(300, make_image, tmp_path)
    killed_with(kept, [*ARGV, "--devices", "2", "--out", "run2"], tmp_path, "run2")
    count = FinishedRows(tmp_path / "run2").count
    assert f"Goes on with {count} of 300 images" in same_as_one(tmp_path)
