"""Executors under fire: workers that are killed, functions that fail, commands that end without warning."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_tables import run

from experiments import run as run_module
from experiments.categories import SYNTHETIC
from experiments.cells import Cell, Store
from experiments.compute import Outcome
from experiments.executors import InProcess, LocalProcesses, Name, open_executor

ROOT = Path(__file__).resolve().parents[1]

SLOW = pytest.mark.slow


def add(a: int, b: int) -> int:
    return a + b


def fail(message: str) -> None:
    raise ValueError(message)


def die(folder: Path, times: int) -> int:
    """Kill this process as often as said, then tell how often it was called."""
    called = len(list(folder.iterdir()))
    (folder / str(called)).touch()
    if called < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return called + 1


def test_in_process_computes_at_once(tmp_path: Path) -> None:
    executor = InProcess()
    assert executor.submit(add, 1, b=2).result(timeout=0) == 3
    assert "broken" in str(executor.submit(fail, "broken").exception(timeout=0))


@pytest.mark.parametrize("name", ["processes", "dask", "submitit"])
def test_executors_compute_fail_and_outlive_a_killed_worker(
    name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Jobs of submitit start from nothing.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    if name != "processes":
        pytest.importorskip("distributed" if name == "dask" else name)
    (tmp_path / "calls").mkdir()
    with open_executor(name, workers=2, address=None, folder=tmp_path / "jobs", parameters={"cluster": "local"}) as (
        executor,
        at_a_time,
    ):
        assert at_a_time() >= 2
        killed = executor.submit(die, tmp_path / "calls", 1)
        sums = [executor.submit(add, i, i) for i in range(3)]
        broken = executor.submit(fail, "says why")
        assert [future.result(timeout=120) for future in sums] == [0, 2, 4]
        assert "says why" in str(broken.exception(timeout=120))
        assert killed.result(timeout=120) == 2


def visible_gpus() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize(("given", "expected"), [(None, {"0", "1"}), ("3,5", {"3", "5"})])
def test_each_process_sees_a_gpu_of_its_own(
    given: str | None, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The processes are not asked, since there the question itself could fix what they see.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with LocalProcesses(2) as executor:
        assert {executor.pools[number].submit(visible_gpus).result() for number in range(2)} == expected


def count_and_fail(folder: Path) -> None:
    (folder / str(len(list(folder.iterdir())))).touch()
    raise ValueError("says why")


def test_a_function_that_fails_in_a_job_of_slurm_is_not_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    (tmp_path / "calls").mkdir()
    where = {"folder": tmp_path / "jobs", "parameters": {"cluster": "local"}}
    with open_executor("submitit", workers=1, address=None, **where) as (executor, _):
        assert "says why" in str(executor.submit(count_and_fail, tmp_path / "calls").exception(timeout=120))
    assert len(list((tmp_path / "calls").iterdir())) == 1


@pytest.mark.parametrize(("name", "package"), [("submitit", "submitit"), ("dask", "distributed")])
def test_an_executor_that_is_not_installed_is_named(
    name: str, package: str, root: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert run(root, out, "--only", "average", "--executor", name) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert 'is not installed; pip install "anomaly-clustering[' in line


def test_workers_of_dask_that_join_later_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": None, "processes": False, "threads_per_worker": 1}
    with (
        LocalCluster(n_workers=1, **quiet) as cluster,
        open_executor("dask", workers=1, address=cluster.scheduler_address, folder=tmp_path, parameters={}) as opened,
    ):
        at_a_time = opened[1]
        assert at_a_time() == 2
        cluster.scale(2)
        cluster.wait_for_workers(2)
        assert at_a_time() == 4

        def no_answer(client: Client) -> None:
            raise TimeoutError("the scheduler does not answer")

        monkeypatch.setattr(Client, "nthreads", no_answer)
        assert at_a_time() == 4


def test_workers_that_join_while_a_run_goes_on_are_given_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "BETWEEN_LOOKS", 0.01)
    both, workers = threading.Barrier(2), itertools.chain([1], itertools.repeat(2))

    def until_both_run() -> Outcome:
        both.wait(10)
        return Outcome({}, {})

    class Workers(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            return super().submit(until_both_run)

    cells = [Cell("", SYNTHETIC, seed, {}, str(seed)) for seed in range(2)]
    with Workers(2) as executor:
        assert run_module.run(cells, Store(tmp_path), executor, at_a_time=lambda: next(workers)) == {}


def test_a_cell_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    executor: Executor = LocalProcesses(1)
    (tmp_path / "calls").mkdir()
    try:
        with pytest.raises(BrokenProcessPool):
            executor.submit(die, tmp_path / "calls", 5).result(timeout=120)
        assert len(list((tmp_path / "calls").iterdir())) == 2
        assert executor.submit(add, 1, 1).result(timeout=120) == 2
    finally:
        executor.shutdown()


@pytest.mark.parametrize("given", [None, "error::ImportWarning"])
def test_processes_leave_the_environment_as_it_was(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if given is None:
        monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    else:
        monkeypatch.setenv("PYTHONWARNINGS", given)
    before = dict(os.environ)
    LocalProcesses(1).shutdown()
    assert dict(os.environ) == before


def start(out: Path, cache: Path, *flags: str) -> subprocess.Popen[str]:
    """Table 8 on the synthetic set without what is trained, which is twelve cells."""
    untrained = ["k-means", "gmm", "spectral", "single", "complete", "average", "ward"]
    arguments = ["table8", "--data", "synthetic", "--backbone", "embedded", "--image-size", "64", "--out", str(out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", *arguments, "--only", *untrained, *flags],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("waited two minutes in vain")


def finished(out: Path) -> dict[str, int]:
    """Every finished cell, readable, with the time it was written."""
    paths = list((out / "cells").glob("*.json")) if out.exists() else []
    assert all(json.loads(path.read_text())["metrics"] for path in paths)
    assert all(path.with_suffix(".npz").is_file() for path in paths)
    return {path.name: path.stat().st_mtime_ns for path in paths}


@SLOW
@pytest.mark.parametrize("flags", [(), ("--executor", "processes", "--workers", "2")], ids=["inprocess", "processes"])
def test_kill_9_then_the_same_command(tmp_path: Path, flags: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    process = start(out, tmp_path, *flags)
    wait_for(lambda: len(finished(out)) >= 3, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = finished(out)
    assert 3 <= len(before) < 12
    again = start(out, tmp_path, *flags)
    errors = again.communicate(timeout=300)[1]
    assert again.returncode == 0, errors
    assert f"[{12 - len(before)}/{12 - len(before)}]" in errors
    after = finished(out)
    assert len(after) == 12
    assert before.items() <= after.items()


def sleep(started: Path) -> None:
    started.touch()
    time.sleep(600)


def test_jobs_of_slurm_end_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    begun = tmp_path / "begun"
    with open_executor(
        "submitit", workers=1, address=None, folder=tmp_path / "jobs", parameters={"cluster": "local"}
    ) as (executor, _):
        job = executor.submit(sleep, begun)
        while not begun.exists():
            assert not job.done()
            time.sleep(0.05)
        asked = time.monotonic()
    assert time.monotonic() - asked < 60
    assert job.exception()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=SLOW)])
@pytest.mark.parametrize("phase", ["importing", "computing", pytest.param("processes", marks=SLOW)])
def test_interrupted_in_every_phase(tmp_path: Path, phase: str, number: signal.Signals, status: int) -> None:
    out = tmp_path / "out"
    flags = ("--executor", "processes", "--workers", "2") if phase == "processes" else ()
    process = start(out, tmp_path, *flags)
    if phase == "importing":
        time.sleep(0.5)
    else:
        wait_for(lambda: len(finished(out)) >= 1, process)
    process.send_signal(number)
    asked = time.monotonic()
    # Workers hold this pipe open.
    errors = process.communicate(timeout=60)[1]
    assert time.monotonic() - asked < 2
    assert process.returncode == status
    said = [line for line in errors.splitlines() if not line.startswith("[")]
    assert said == ["interrupted; finished cells are kept"]
    finished(out)


@SLOW
def test_two_dask_workers_one_of_them_killed(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    scheduler_file, out = tmp_path / "scheduler.json", tmp_path / "out"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1",
    }

    def dask(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stderr=subprocess.DEVNULL)

    scheduler = dask("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(scheduler_file))
    workers = []
    try:
        wait_for(scheduler_file.is_file, scheduler)
        address = json.loads(scheduler_file.read_text())["address"]
        flags = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers = [dask("dask_worker", address, *flags) for _ in range(2)]
        process = start(out, tmp_path, "--executor", "dask", "--address", address)
        wait_for(lambda: len(finished(out)) >= 2, process)
        before = finished(out)
        workers[0].kill()
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors
        assert len(finished(out)) == 12
        assert before.items() <= finished(out).items()
    finally:
        for started in (*workers, scheduler):
            started.kill()
            started.wait()
