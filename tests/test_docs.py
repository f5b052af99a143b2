"""What the README tells users to type works as it stands there."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_python_usage(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos.parent)
    names: dict[str, object] = {}
    # That of a method of one's own is tested with the command line.
    for code in re.findall(r"```python\n(?!# my_method.py)(.*?)```", README, flags=re.DOTALL):
        exec(code, names)
    assert names["clusterer"].n_clusters_ == 6  # type: ignore[attr-defined]
    assert names["mic"].grouping.num_clusters == 6  # type: ignore[attr-defined]


def test_every_config_and_file_that_is_named_exists() -> None:
    for name in re.findall(r"configs/[\w/]+\.yaml", README):
        assert (Path(__file__).resolve().parents[1] / name).is_file(), name
