"""Too little memory, whoever says so, ends a command with a sentence that says what takes less."""

import sys
from collections.abc import Callable
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from anomaly_clustering.cli.main import COMMANDS, RESEARCH, main
from anomaly_clustering.cli.memory import out_of_memory

ROOT = Path(__file__).resolve().parents[1]
# More than the address space of a process.
MUCH = 10**15


@pytest.mark.parametrize(
    "work",
    [lambda: bytearray(MUCH), lambda: np.ones(MUCH), lambda: torch.ones(MUCH), lambda: mmap(-1, MUCH)],
    ids=["python", "numpy", "torch", "system"],
)
def test_all_that_take_memory_are_understood(work: Callable[[], object]) -> None:
    with pytest.raises((MemoryError, RuntimeError, OSError)) as raised:
        work()
    assert out_of_memory(raised.value, "cluster") == (
        "memory ran out: give a smaller --image-size, or fewer images at a time"
    )


def test_what_pytorch_says_of_other_memory_is_understood() -> None:
    gpu = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 2.00 GiB free")
    assert out_of_memory(gpu, "test").startswith("the memory of the GPU ran out: lower data.batch_size")
    shared = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that ...")
    assert out_of_memory(shared, "test").startswith("memory ran out: lower data.batch_size")
    assert out_of_memory(RuntimeError("DataLoader worker (pid 7) is killed by signal: Aborted."), "test") == ""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 "
            "bytes."
        ),
        OSError(
            "[WinError 1455] Die Auslagerungsdatei ist zu klein. Error loading 'torch_cpu.dll' or its dependencies."
        ),
    ],
)
def test_windows_says_it_in_its_own_words(error: Exception) -> None:
    assert out_of_memory(error, "assign") == "memory ran out: give fewer images at a time"


@pytest.mark.parametrize(
    "end", ["(pid(s) 4242, 7) exited unexpectedly", "(pid 7) exited unexpectedly with exit code 1."]
)
def test_a_process_that_ended_without_a_word_may_have_had_too_little(end: str) -> None:
    assert out_of_memory(RuntimeError(f"DataLoader worker {end}"), "assign") == (
        "a process that reads images has ended, most often because memory ran out: give fewer images at a time; if it "
        "said above why, mend that"
    )


def test_no_command_is_advised_of_options_that_are_not_its_own() -> None:
    for command in set(COMMANDS) - set(RESEARCH):
        assert "data." not in out_of_memory(MemoryError(), command)


def test_a_command_ends_with_the_sentence(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    module = f"""if True:
        import torch
        from lightning import LightningModule

        class Takes(LightningModule):
            def predict_step(self, batch):
                return torch.ones({MUCH})
    """
    Path("takes_memory.py").write_text(module)
    data = ["-c", str(ROOT / "configs/data/folder.yaml"), "--data.root", str(photos), "--data.num_workers", "0"]
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--model", "takes_memory.Takes", *data, "--trainer.accelerator", "cpu"])
    sys.modules.pop("takes_memory")
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: memory ran out: lower data.batch_size")
