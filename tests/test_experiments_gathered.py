"""Finished runs of several machines, gathered in one file of which the report is written."""

import json
import lzma
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tiny_tables import SMALL, records, run

from anomaly_clustering.system.locks import working_on
from experiments import command, gathered
from experiments.__main__ import main
from experiments.cells import Store
from experiments.gathered import read_gathered, write_gathered
from experiments.methods import REPOSITORY


def write(file: Path, *runs: dict[str, Any]) -> None:
    file.write_bytes(lzma.compress("".join(f"{json.dumps(run)}\n" for run in runs).encode()))


def report(root: Path, out: Path, *flags: str) -> int:
    return main(["reproduction", "--data-root", str(root), "--out", str(out), *SMALL, "--finished", *flags])


def as_gathered(record: dict[str, Any]) -> dict[str, Any]:
    """Scores have five digits, and those of random subsets four, but purity of as many clusters as classes."""
    metrics = {name: round(value, 5) for name, value in record["metrics"].items()}
    spreads = {
        metric: {over: [round(value, 4) for value in values] for over, values in found.items()}
        for metric, found in record["spreads"].items()
        if metric != "purity"
    }
    return record | {"metrics": metrics, "spreads": spreads}


def test_runs_of_two_machines_make_one_report(root: Path, tmp_path: Path) -> None:
    first, second, file, text = (tmp_path / name for name in ("first", "second", "runs.jsonl.xz", "REPRODUCTION.md"))
    run(root, first, "--categories", "bottle", "--only", "average")
    run(root, second, "--categories", "tile", "--only", "average")
    flags = ("--measured", str(file), "--report", str(text))
    assert report(root, first, *flags) == 0
    assert "1 runs" in text.read_text()
    assert report(root, second, *flags) == 0
    assert "2 runs" in text.read_text()
    # The file is enough where nothing was measured, and stays as it is.
    before, told = file.read_bytes(), text.read_text()
    assert report(root, tmp_path / "third", *flags) == 0
    assert file.read_bytes() == before
    assert text.read_text().replace("third", "second") == told
    assert {record["key"] for record in read_gathered(file).values()} == {
        record["key"] for out in (first, second) for record in records(out)
    }


def test_two_commands_at_once_add_both_their_runs(
    root: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (record,) = records(out)
    file = tmp_path / "runs.jsonl.xz"

    def reproduce(*given: Any) -> None:
        write(file, record | {"key": "of another command"})

    monkeypatch.setattr(command, "_reproduce", reproduce)
    assert report(root, out, "--measured", str(file)) == 0
    assert read_gathered(file).keys() == {record["key"], "of another command"}


def test_a_file_that_another_command_writes_is_waited_for_and_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "PATIENCE", 0.2)
    file, writing = tmp_path / "runs.jsonl.xz", working_on(tmp_path / "runs.jsonl.xz")
    with ThreadPoolExecutor(1) as another:
        another.submit(writing.__enter__).result()
        with pytest.raises(BlockingIOError, match=r"runs\.jsonl\.xz' is in use by .*; let that end$"):
            write_gathered(file, Store(tmp_path / "cells"))
        monkeypatch.setattr(gathered, "PATIENCE", 60.0)
        waiting = threading.Timer(0.2, lambda: another.submit(writing.__exit__, None, None, None))
        waiting.start()
        write_gathered(file, Store(tmp_path / "cells"))
        waiting.join()
    assert read_gathered(file) == {}


def test_of_one_run_measured_twice_the_later_stays(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (record,) = records(out)
    later = record | {"finished": "2100-01-01T00:00:00+00:00"}
    file = tmp_path / "runs.jsonl.xz"
    write(file, later)
    assert report(root, out, "--measured", str(file), "--report", str(tmp_path / "REPRODUCTION.md")) == 0
    assert read_gathered(file) == {record["key"]: as_gathered(later)}


def test_of_one_run_measured_twice_the_one_with_more_metrics_stays(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (record,) = records(out)
    fewer = dict(list(record["metrics"].items())[:-1])
    earlier, later = ({"finished": f"{year}-01-01T00:00:00+00:00"} for year in (2000, 2100))
    store, file = Store(tmp_path / "cells"), tmp_path / "runs.jsonl.xz"
    store.folder.mkdir()
    (store.folder / f"{record['key']}.json").write_text(json.dumps(record | later | {"metrics": fewer}))
    write(file, record | earlier)
    write_gathered(file, store)
    assert read_gathered(file) == {record["key"]: as_gathered(record | earlier)}


def test_a_run_by_other_defaults_hides_none_by_todays(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (path,) = (out / "cells").glob("*.json")
    file, text = tmp_path / "runs.jsonl.xz", tmp_path / "REPRODUCTION.md"
    write(file, json.loads(path.read_text()))
    stale = json.loads(path.read_text())
    stale["config"]["model"]["init_args"]["tau"] = 0.5
    path.write_text(json.dumps(stale | {"finished": "2000-01-01T00:00:00+00:00"}))
    assert report(root, out, "--measured", str(file), "--report", str(text)) == 0
    assert "1 runs" in text.read_text()


def test_what_is_measured_here_comes_before_what_others_measured(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (record,) = records(out)
    file = tmp_path / "runs.jsonl.xz"
    earlier = {"metrics": record["metrics"] | {"nmi": 0.123}, "finished": "2000-01-01T00:00:00+00:00"}
    write(file, record | earlier)
    flags = ("--measured", str(file), "--report", str(tmp_path / "REPRODUCTION.md"))
    assert report(root, tmp_path / "other", *flags) == 0
    assert "all .123" in (tmp_path / "REPRODUCTION.md").read_text()
    assert report(root, out, *flags) == 0
    assert "all .123" not in (tmp_path / "REPRODUCTION.md").read_text()
    assert read_gathered(file) == {record["key"]: as_gathered(record)}


def test_runs_by_other_defaults_are_not_told(root: Path, out: Path, tmp_path: Path) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    (record,) = records(out)
    record["config"]["model"]["init_args"]["tau"] = 0.5
    file, text = tmp_path / "runs.jsonl.xz", tmp_path / "REPRODUCTION.md"
    write(file, record)
    shutil.rmtree(out)
    assert report(root, out, "--measured", str(file), "--report", str(text)) == 0
    assert "No run is finished yet." in text.read_text()


@pytest.mark.parametrize("line", ["", "{}", "[]", "{", '{"key": "a"}'])
def test_a_damaged_line_is_named(root: Path, out: Path, tmp_path: Path, line: str) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    file = tmp_path / "runs.jsonl.xz"
    file.write_bytes(lzma.compress(f"{json.dumps(records(out)[0])}\n{line}\n".encode()))
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"runs.jsonl.xz': line 2 is no finished run"):
        read_gathered(file)
    assert report(root, out, "--measured", str(file), "--report", str(tmp_path / "REPRODUCTION.md")) == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("keep", [0, 4, 60])
def test_a_file_that_was_cut_short_is_named(root: Path, out: Path, tmp_path: Path, keep: int) -> None:
    run(root, out, "--categories", "bottle", "--only", "average")
    file = tmp_path / "runs.jsonl.xz"
    write(file, *records(out))
    file.write_bytes(file.read_bytes()[:keep] or b"{}")
    with pytest.raises(ValueError, match=r"runs.jsonl.xz' cannot be read"):
        read_gathered(file)


def test_runs_are_gathered_for_the_report_alone(root: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, out, "--measured", "runs.jsonl.xz") == 2
    assert "--measured goes with 'reproduction --finished' alone" in capsys.readouterr().err


def test_ours_can_be_read_and_say_what_they_were_measured_with() -> None:
    runs = read_gathered(REPOSITORY / "experiments" / "measured.jsonl.xz")
    assert len(runs) > 300
    assert all(key == run["key"] and run["commit"] and run["versions"] and run["device"] for key, run in runs.items())
    # Nobody's own paths.
    assert not [run["key"] for run in runs.values() if re.search(r'"/(home|root|tmp|work)/', json.dumps(run))]
