"""Commands in processes that are forked from one that has imported everything, and what is known of how they ended.

Imports take seconds; the process is started once, for all tests that use it, see `killed.py`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import MakeImage

HERE = Path(__file__).resolve().parent
SMALL = ["--clusters", "3", "--image-size", "32", "--method", "paper"]


@dataclass
class Ended:
    """How a command ended."""

    status: int
    said: str
    operations: list[str] = field(default_factory=list)


class Zygote:
    """Runs commands in processes that have imported everything."""

    def __init__(self, place: Path):
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "killed.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HERE.parent,
            # As pytest has it in its own process.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (HERE.parent / "src", HERE.parent)))},
        )

    def run(
        self,
        argv: list[str],
        folder: Path,
        *,
        program: str = "cluster",
        kill_at: int | None = None,
        interrupt: bool = False,
        warm: bool = False,
    ) -> Ended:
        assert self.process.stdin
        assert self.process.stdout
        output = self.place / "ended.json"
        output.unlink(missing_ok=True)
        request = {"argv": argv, "folder": str(folder), "program": program, "kill_at": kill_at, "warm": warm}
        request["interrupt"] = interrupt
        self.process.stdin.write(json.dumps(request | {"output": str(output)}) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        said = output.with_suffix(".txt")
        return Ended(
            status,
            said.read_text(errors="replace") if said.exists() else "",
            json.loads(output.read_text()) if output.exists() else [],
        )

    def end(self) -> None:
        """By a word: the end of its input would never come while another process that tests forked holds it open."""
        with self.process:
            assert self.process.stdin
            self.process.stdin.write("null\n")
            self.process.stdin.flush()
            try:
                self.process.wait(120)
            finally:
                self.process.kill()


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    started = Zygote(tmp_path_factory.mktemp("zygote"))
    yield started
    started.end()


@pytest.fixture
def here(tmp_path: Path, make_image: "MakeImage", zygote: Zygote) -> Path:
    """A folder with photographs of three classes, and two that come later."""
    folder = tmp_path / "here"
    for kind, name in enumerate(("good", "bright", "bar")):
        for seed in range(2):
            make_image(folder / "photos" / name / f"{seed}.png", kind, seed=seed)
    for seed in (7, 8):
        make_image(folder / f"new{seed}" / f"{seed}.png", 1, seed=seed)
    (folder / "tmp").mkdir()
    zygote.run(["cluster", "photos", "--out", "warm", *SMALL], folder, warm=True)
    shutil.rmtree(folder / "warm", ignore_errors=True)
    return folder


def done(ended: Ended) -> None:
    assert ended.status == 0, ended.said
