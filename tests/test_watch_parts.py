"""The journal of `watch`, and how it looks at a folder."""

import argparse
import time
from pathlib import Path

import pytest

from anomaly_clustering.cli import values, watch
from anomaly_clustering.runs import journal
from anomaly_clustering.runs.journal import read_journal


def test_an_image_is_told_of_whichever_came_after_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        journal.record(tmp_path, Path(f"{name}.png"), name, {}, True, {})
    journal.record_told(tmp_path, "a")
    assert [entry.told for entry in read_journal(tmp_path)] == [True, False]
    journal.record(tmp_path, Path("copy.png"), "a", {}, True, {})
    # The command may have been ended before it told of the copy.
    assert [entry.told for entry in read_journal(tmp_path)] == [True, False, False]
    journal.record_told(tmp_path, "a")
    assert [entry.told for entry in read_journal(tmp_path)] == [True, False, True]


def test_a_first_look_at_many_files_takes_about_as_long_as_a_second_one(tmp_path: Path, capsys) -> None:
    for i in range(8000):
        (tmp_path / f"{i}.png").touch()
    took: dict[int, list[float]] = {0: [], 8000: []}
    # The best of three, since other work may come between.
    for folder in (watch._Folder(tmp_path) for _ in range(3)):
        for expected, seconds in took.items():
            begun = time.monotonic()
            assert len(folder.settled()) == expected
            seconds.append(time.monotonic() - begun)
    assert min(took[0]) < 3 * min(took[8000])
    assert capsys.readouterr().err == "watch: 8,000 files to look through\n" * 3


def test_the_words_of_a_command_are_those_of_a_shell_but_for_the_paths_of_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(values.shutil, "which", lambda word: word)
    assert values.command_words(r"./alarm 'a b' c\ d #3") == ["./alarm", "a b", "c d", "#3"]
    with monkeypatch.context() as windows:
        windows.setattr(values.os, "name", "nt")
        words = values.command_words(r'C:\tools\alarm.exe "D:\my lines\3"')
        assert words == [r"C:\tools\alarm.exe", r"D:\my lines\3"]
        # `which` knows more endings than what starts a program.
        windows.setattr(values.shutil, "which", {"alarm": r"C:\tools\alarm.com", "mail": r"C:\tools\mail.BAT"}.get)
        assert values.command_words("alarm 3") == [r"C:\tools\alarm.com", "3"]
        with pytest.raises(argparse.ArgumentTypeError, match=r"mail.BAT' is a file that another program"):
            values.command_words("mail 3")
