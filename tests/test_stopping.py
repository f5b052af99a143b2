"""Ctrl-C and SIGTERM: whatever a command does, it ends within a second, says so in one sentence, and leaves nobody."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
AGAIN = "error: interrupted; nothing unfinished is kept: start the command again\n"
GO_ON = "error: interrupted; epochs that have ended are kept: go on with --ckpt_path last, if there are any\n"
# Processes of a busy machine need some time to be seen as ended.
SECONDS = 2.0

# Minutes in C, without an instruction of Python between which a handler could be called.
IN_C = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)"
SCRIPT = """
import hashlib, multiprocessing, sys, time

from anomaly_clustering.cli.stopping import stop_on_signals

stop_on_signals(lambda: "error: interrupted")
{work}
"""


def start(*command: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), str(folder)])}
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Status and last words of a process that is asked to end, which it does soon, with all that it started."""
    process.send_signal(number)
    asked = time.monotonic()
    # Whatever it started holds these pipes open.
    errors = process.communicate(timeout=60)[1]
    assert time.monotonic() - asked < SECONDS
    return process.returncode, errors


def begun(process: subprocess.Popen[str]) -> None:
    """Wait for the line that a script prints before it computes, and until it does."""
    assert process.stdout
    assert process.stdout.readline()
    time.sleep(0.3)


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    while not file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("number", STATUS)
def test_a_long_computation_in_c_ends(number: signal.Signals, tmp_path: Path) -> None:
    process = start("-c", SCRIPT.format(work=f"print(flush=True)\n{IN_C}"), folder=tmp_path)
    begun(process)
    assert stopped(process, number) == (STATUS[number], "error: interrupted\n")


def test_what_does_not_tidy_up_in_time_ends(tmp_path: Path) -> None:
    work = "try:\n    print(flush=True)\n    time.sleep(60)\nfinally:\n    time.sleep(60)"
    process = start("-c", SCRIPT.format(work=work), folder=tmp_path)
    begun(process)
    assert stopped(process, signal.SIGTERM) == (143, "error: interrupted\n")


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    work = "import anomaly_clustering.cli.stopping as it\nit.GRACE = 60\nprint(flush=True)\n" + IN_C
    process = start("-c", SCRIPT.format(work=work), folder=tmp_path)
    begun(process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert stopped(process, signal.SIGINT) == (130, "error: interrupted\n")


def test_a_signal_while_something_is_thrown_away_ends_with_its_sentence_alone(tmp_path: Path) -> None:
    work = """
import os, signal

class Thrown:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

thrown = Thrown()
del thrown
time.sleep(60)
"""
    process = start("-c", SCRIPT.format(work=work), folder=tmp_path)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("error: interrupted\n", 130)


def test_a_signal_to_a_child_is_none_to_its_parent(tmp_path: Path) -> None:
    work = """
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
child.start()
child.terminate()
child.join()
time.sleep(1)
print(child.exitcode)
"""
    process = start("-c", SCRIPT.format(work=work), folder=tmp_path)
    assert process.communicate(timeout=60) == ("-15\n", "")


def test_what_nohup_has_told_to_ignore_is_ignored(tmp_path: Path) -> None:
    ignoring = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)"
    work = "import os, signal\nos.kill(os.getpid(), signal.SIGHUP)\ntime.sleep(1)\nprint('here')"
    process = start("-c", ignoring + SCRIPT.format(work=work), folder=tmp_path)
    assert process.communicate(timeout=60) == ("here\n", "")


# The module of a user, which Lightning runs: in a batch it computes for minutes in C.
LONG = f"""
import hashlib
from pathlib import Path

from lightning import LightningModule


class Long(LightningModule):
    def test_step(self, batch):
        Path("computing").touch()
        {IN_C}

    predict_step = training_step = test_step

    def configure_optimizers(self):
        return None
"""


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize(("command", "sentence"), [("test", AGAIN), ("fit", GO_ON)])
def test_lightnings_commands_end(
    number: signal.Signals, command: str, sentence: str, flat_photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.py").write_text(LONG)
    # Images are loaded by processes of their own.
    data = ["--data", "anomaly_clustering.data.Folder", "--data.root", str(flat_photos), "--data.num_workers", "2"]
    words = [command, "--model", "long.Long", *data, "--trainer.accelerator", "cpu", "--out", "out"]
    process = start("-m", "anomaly_clustering", *words, folder=tmp_path)
    wait_for(tmp_path / "computing", process)
    status, errors = stopped(process, number)
    # Lightning tells of its own attempt to end.
    assert (status, errors.splitlines(keepends=True)[-1]) == (STATUS[number], sentence)
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize(
    "words",
    [["cluster", "photos"], ["assign", "photos", "--run", "run"], ["export", "--labels", "labels.csv"], ["fit"]],
    ids=lambda words: words[0],
)
def test_a_command_that_has_just_started_ends(number: signal.Signals, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "run").mkdir()
    for name in ("run/run.safetensors", "labels.csv"):
        (tmp_path / name).touch()
    held = f"import sys\nsys.argv[1:] = {words}\nsys.meta_path.insert(0, __import__('held'))\n"
    (tmp_path / "held.py").write_text(
        "import time\n\ndef find_spec(name, path, target=None):\n    if name == 'torch' or name.endswith('.labels'):\n"
        "        open('importing', 'w').close()\n        time.sleep(60)\n"
    )
    process = start("-c", held + "from anomaly_clustering.cli.main import main\nmain()", folder=tmp_path)
    wait_for(tmp_path / "importing", process)
    assert stopped(process, number) == (STATUS[number], GO_ON if words == ["fit"] else AGAIN)


def test_a_command_ends_its_work_though_nobody_reads_what_it_prints(flat_photos: Path) -> None:
    words = ["cluster", "flat", "--clusters", "3", "--image-size", "64", "--method", "paper"]
    reading, writing = os.pipe()
    os.close(reading)
    # Nor is the terminal one that shows all signs, and the process one of two tasks of a job.
    job = {"NTASKS": "2", "JOB_NAME": "x", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_ID": "5"}
    environment = os.environ | {"PYTHONIOENCODING": "ascii"} | {f"SLURM_{name}": value for name, value in job.items()}
    done = subprocess.run(
        [sys.executable, "-m", "anomaly_clustering", *words, "--out", "run"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=flat_photos.parent,
        env=environment,
    )
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert (flat_photos.parent / "run" / "report.html").is_file()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped on this system")
@pytest.mark.parametrize("traced", ["", "1"])
def test_processes_that_read_images_are_not_waited_for_without_end(
    flat_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traced: str
) -> None:
    monkeypatch.setenv("ANOMALY_CLUSTERING_TRACEBACK", traced)
    # A reader that is stopped neither answers nor ends, as one does that waits for a network drive.
    stuck = """
import os, signal, sys
from anomaly_clustering.cli.main import main
from anomaly_clustering.data.defect_images import DefectImages
from anomaly_clustering.system import loaders

loaders.PATIENCE = 3.0
DefectImages.__getitem__ = lambda self, i: os.kill(os.getpid(), signal.SIGSTOP)
main()
"""
    data = ["--data", "anomaly_clustering.data.Folder", "--data.root", str(flat_photos), "--data.num_workers", "1"]
    model = ["--model", "anomaly_clustering.mic.MIC", "--model.num_clusters", "3", "--model.backbone", "embedded"]
    process = start("-c", stuck, "test", *model, *data, "--trainer.accelerator", "cpu", folder=tmp_path)
    # Whatever still lived would hold these pipes open.
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "error: no image came for 0.05 minutes from the processes that read them, as where" in errors
    assert ("Traceback" in errors) == bool(traced)
