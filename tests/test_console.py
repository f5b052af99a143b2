"""What commands print in a terminal of 80 columns, and what becomes of it where it cannot be written."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from anomaly_clustering.cli.console import print_scores
from anomaly_clustering.cli.lasting_output import Lasting
from anomaly_clustering.metrics.titles import TITLES


def test_all_scores_take_two_lines_of_80_columns_and_none_is_torn_from_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_scores(Console(width=80), dict.fromkeys(TITLES, 0.1234))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    told = [part for line in lines for part in line.split("  ")]
    assert told == [f"{title} 0.123" for title in TITLES.values()]


def test_what_was_resampled_stands_below_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores(Console(width=80), {"nmi": 0.5, "nmi_mean": 0.48, "nmi_se": 0.012, "ari": 0.25})
    assert capsys.readouterr().out.splitlines() == ["NMI 0.500  ARI 0.250", "Resampled:  NMI 0.480 ± 0.012"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_output_that_finds_no_room_is_told_and_ends_in_a_status_of_its_own() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "anomaly_clustering", "--version"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "error: what is printed cannot be written: No space left on device\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["cluster", "--help"]], ids=" ".join)
def test_that_nobody_reads_what_is_printed_is_no_fault(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "anomaly_clustering", *words]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_is_printed_once_there_is_room_again_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.FileIO):
        """A disk that has no room for the first text."""

        refuses = 1

        def write(self, text: object) -> int:
            if self.refuses:
                self.refuses -= 1
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    stream = Lasting(io.TextIOWrapper(io.BufferedWriter(Full(tmp_path / "log", "w"))))
    for text in ("first\n", "second\n"):
        print(text, end="", file=stream, flush=True)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
    assert capsys.readouterr().err.count("cannot be written") == 1
