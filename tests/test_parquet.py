"""Beside the CSV table there is the same one as Parquet, where pyarrow is installed, and no word where it is not."""

from pathlib import Path

import numpy as np
import pytest

from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.parquet import write_parquet
from anomaly_clustering.system.tables import read_csv

read_table = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed").read_table


def test_the_table_is_that_of_the_csv_file_with_numbers_as_numbers(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "run"
    main(["cluster", str(photos), "--out", str(out), "--image-size", "64", "--method", "paper"])
    table, rows = read_table(out / "assignments.parquet"), read_csv(out / "assignments.csv")
    assert table.column_names == list(rows[0])
    for row, found in zip(rows, table.to_pylist(), strict=True):
        written = {name: f"{cell:.6f}" if isinstance(cell, float) else str(cell) for name, cell in found.items()}
        assert written == row


def test_names_are_kept_as_far_as_they_are_text(tmp_path: Path) -> None:
    names = ["=1+1.png", "caf\udce9.png", "a,b\n.png"]
    rows = [{"path": Path(name), "cluster": np.int64(i), "score": 0.1} for i, name in enumerate(names)]
    write_parquet(tmp_path / "a.parquet", rows)
    found = read_table(tmp_path / "a.parquet").to_pydict()
    assert found == {"path": ["=1+1.png", "caf\\udce9.png", "a,b\n.png"], "cluster": [0, 1, 2], "score": [0.1] * 3}


def test_the_folder_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    place = tmp_path / "caf\udce9"
    place.mkdir()
    write_parquet(place / "a.parquet", [{"cluster": 0}])
    assert [file.name for file in place.iterdir()] == ["a.parquet"]


def test_without_pyarrow_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomaly_clustering.runs.parquet.find_spec", lambda name: None)
    write_parquet(tmp_path / "a.parquet", [{"cluster": 0}])
    assert list(tmp_path.iterdir()) == []
