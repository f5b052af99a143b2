"""A process of several dies, whichever it is and whatever it does: the others say so and end within seconds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Of a busy machine; most are gone in half a second.
SECONDS = 8.0
# What the processes of a run may be doing: waiting for one another, or not, as processes that load images are not.
MODULE = """
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from lightning import LightningModule

RANK = os.environ.get("LOCAL_RANK", "0")


class Waits(LightningModule):
    def __init__(self, waiting_rank: int = -1, raises: bool = False):
        super().__init__()
        self.waiting_rank, self.raises = waiting_rank, raises
        self.layer = torch.nn.Linear(1, 1)

    def test_step(self, batch):
        Path(f"in-step-{RANK}").write_text(str(os.getpid()))
        if self.global_rank == self.waiting_rank:
            dist.broadcast(torch.ones(1), src=1 - self.waiting_rank)  # In C, until the other one sends.
        if self.raises and self.global_rank == 1:
            raise ValueError("the camera is off")
        time.sleep(600)

    training_step = test_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())
"""


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, flat_photos: Path) -> Iterator[Start]:
    """Starts a command of two processes, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        started.append(_start(tmp_path, flat_photos, *words))
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _start(folder: Path, photos: Path, *words: str) -> subprocess.Popen[str]:
    (folder / "waits.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    data = ["--data", "anomaly_clustering.data.Folder", "--data.root", str(photos), "--data.num_workers", "0"]
    trainer = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    return subprocess.Popen(
        [sys.executable, "-m", "anomaly_clustering", *words, *data, *trainer, "--out", "out"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def said_after(killed: int, number: signal.Signals, process: subprocess.Popen[str]) -> list[str]:
    """The lines of all processes from the death of one to the end of the last, which holds the pipe open."""
    os.kill(killed, number)
    asked = time.monotonic()
    said = process.communicate(timeout=120)[1]
    assert time.monotonic() - asked < SECONDS
    assert process.returncode != 0
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("error: ")]


SLOW = pytest.mark.slow
QUICK = [(0.0, "all", signal.SIGINT), (0.0, "second", signal.SIGTERM)]


@pytest.mark.parametrize(
    ("rank", "waiting", "command"),
    [
        (0, True, "test"),
        (1, False, "fit"),
        *(pytest.param(*case, marks=SLOW) for case in [(0, False, "test"), (1, True, "test"), (1, False, "test")]),
        *(pytest.param(*case, marks=SLOW) for case in [(0, True, "fit"), (0, False, "fit"), (1, True, "fit")]),
    ],
)
def test_a_rank_is_killed(rank: int, waiting: bool, command: str, start: Start, tmp_path: Path) -> None:
    other = str(1 - rank) if waiting else "-1"
    process = start(command, "--model", "waits.Waits", "--model.waiting_rank", other)
    files = [tmp_path / f"in-step-{each}" for each in range(2)]
    until(lambda: all(file.exists() and file.read_text() for file in files), process)
    pid = int(files[rank].read_text())
    how = "epochs that have ended are kept: go on with --ckpt_path last, if there are any"
    if command == "test":
        how = "nothing unfinished is kept: start the command again"
    (line,) = said_after(pid, signal.SIGKILL, process)
    assert line.startswith(f"error: rank {rank} of 2 (process {pid} on ")
    assert line.endswith(f") has died, most often because memory ran out; {how}")


def second_of(first: int) -> int | None:
    """The process of rank 1, as soon as it is there; the first one starts others too, for a moment."""
    for pid in Path(f"/proc/{first}/task/{first}/children").read_text().split():
        try:
            if b"LOCAL_RANK=1" in Path(f"/proc/{pid}/environ").read_bytes():
                return int(pid)
        except OSError:
            continue
    return None


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found by Linux's /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_is_killed_before_they_have_found_one_another(rank: int, start: Start, tmp_path: Path) -> None:
    process = start("test", "--model", "waits.Waits")
    until(lambda: second_of(process.pid), process)
    killed = second_of(process.pid) if rank else process.pid
    assert killed
    (line,) = said_after(killed, signal.SIGKILL, process)
    assert line.startswith(f"error: rank {rank} was killed before the run began")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found by Linux's /proc")
@pytest.mark.parametrize(
    ("wait", "to", "number"),
    [
        pytest.param(wait, to, number, marks=[] if (wait, to, number) in QUICK else SLOW)
        for wait in (0.0, 0.5, 3.0)
        for to in ("all", "first", "second")
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
)
def test_a_signal_before_they_have_found_one_another_ends_all_with_one_sentence(
    number: signal.Signals, to: str, wait: float, start: Start, tmp_path: Path
) -> None:
    process = start("test", "--model", "waits.Waits")
    until(lambda: second_of(process.pid), process)
    second = second_of(process.pid)
    time.sleep(wait)
    assert second
    said = said_after({"all": -process.pid, "first": process.pid, "second": second}[to], number, process)
    if to == "second":
        assert said == [f"error: rank 1 was ended by {number.name} before the run began; start the command again"]
        assert process.returncode == 1
    else:
        assert said == ["error: interrupted; nothing unfinished is kept: start the command again"]
        assert process.returncode == 128 + number
    assert [path.name for path in tmp_path.glob(".*")] == []


@SLOW
def test_a_rank_fails_and_says_why(start: Start, tmp_path: Path) -> None:
    process = start("test", "--model", "waits.Waits", "--model.raises", "true")
    said = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert lines[0] == "error: the camera is off"
    assert all(
        line.startswith("error: rank 1 of 2 (process ") and ") failed; it says why; " in line for line in lines[1:]
    )


@SLOW
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_first_ends_all_with_one_sentence(
    number: signal.Signals, status: int, start: Start, tmp_path: Path
) -> None:
    process = start("test", "--model", "waits.Waits", "--model.waiting_rank", "0")
    files = [tmp_path / f"in-step-{each}" for each in range(2)]
    until(lambda: all(file.exists() and file.read_text() for file in files), process)
    said = said_after(process.pid, number, process)
    assert said == ["error: interrupted; nothing unfinished is kept: start the command again"]
    assert process.returncode == status
