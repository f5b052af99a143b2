"""Commands in; how they ended out: each in a process of its own, ended before the file operation of a number.

A process that has imported everything is forked for each command, since imports take seconds. Requests and answers are
lines of JSON on standard input and output; the last request is null.
"""

import _thread
import contextlib
import json
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# Those of Python that change files, with the arguments that are paths, and those that say relative to which folder.
CHANGES = {
    "os.mkdir": ((0,), (2,)),
    "os.rmdir": ((0,), (1,)),
    "os.remove": ((0,), (1,)),
    "os.rename": ((0, 1), (2, 3)),
    "os.link": ((0, 1), (2, 3)),
    "os.symlink": ((0, 1), (2,)),
    "os.chmod": ((0,), (2,)),
    "os.truncate": ((0,), ()),
    "shutil.copyfile": ((1,), ()),
}


class FileOperations:
    """Counts what this process does to files below a folder, and ends it before the operation of a number.

    It is killed, or interrupted as Python does it at Ctrl-C, in its main thread. Workers that it forks are left alone.
    """

    def __init__(self, below: Path, kill_at: int | None, *, interrupt: bool):
        self.below = str(below)
        self.kill_at = kill_at
        self.interrupt = interrupt
        self.process = os.getpid()
        self.seen: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if os.getpid() != self.process:
            return
        if event == "open":
            path, mode, flags = arguments
            changes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & WRITING)
            if not (changes and self._is_below(path)):
                return
        elif event in CHANGES:
            paths, folders = CHANGES[event]
            relative = any(arguments[i] not in (None, -1) for i in folders)
            if not (relative or any(self._is_below(arguments[i]) for i in paths)):
                return
        elif event != "fcntl.flock":
            return
        self.seen.append(f"{event} {arguments}")
        if len(self.seen) == self.kill_at:
            if self.interrupt:
                if threading.current_thread() is threading.main_thread():
                    raise KeyboardInterrupt
                _thread.interrupt_main()
                return
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_below(self, path: Any) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(self.below)


def run(request: dict[str, Any]) -> None:
    """In the forked process: never returns to its caller's stack."""
    folder, output = Path(request["folder"]), Path(request["output"])
    os.chdir(folder)
    text = os.open(output.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(text, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
    (folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = str(folder / "tmp")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    sys.argv = [request["program"], *request["argv"]]
    operations = FileOperations(folder, request["kill_at"], interrupt=request["interrupt"])
    sys.addaudithook(operations)
    code: object = 0
    try:
        code = program(request["program"])(request["argv"])
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 70
    operations.kill_at = None
    seen = list(operations.seen)
    sys.stdout.flush()
    sys.stderr.flush()
    output.write_text(json.dumps(seen))
    os._exit(code if isinstance(code, int) else int(bool(code)))


def program(name: str) -> Any:
    if name == "experiments":
        from experiments.__main__ import main as experiments

        return experiments
    from anomaly_clustering.cli.main import main

    return main


def serve() -> None:
    import torch

    import experiments.__main__  # noqa: F401

    torch.set_num_threads(1)
    # Sockets of loaders lie in the first folder that is asked for, and no socket may have a path of over 107 letters.
    multiprocessing.util.get_temp_dir()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if request is None:
            return
        if request["warm"]:
            # So that what is compiled when it is first used is compiled once.
            os.chdir(request["folder"])
            # Whether it works is for the tests to say, which need this process.
            with contextlib.suppress(SystemExit, Exception):
                program(request["program"])(request["argv"])
            status = 0
        else:
            child = os.fork()
            if child == 0:
                run(request)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(json.dumps(status) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
