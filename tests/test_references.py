"""How many images all are compared with: asked for, or by the number of images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_mic import folder, run_mic

from anomaly_clustering.mic.module import MIC
from anomaly_clustering.mic.presets import method_arguments
from anomaly_clustering.mic.reference_images import draw_stream_positions
from anomaly_clustering.mic.references import draw_positions


def drawn(total: int, **arguments: Any) -> int | None:
    """How many of so many images; None where all pairs are compared."""
    found = draw_positions(MIC("embedded", **arguments).options, SimpleNamespace(records=range(total)))
    return None if found is None else len(found)


def test_the_paper_compares_all_pairs_and_auto_does_up_to_2000_images() -> None:
    assert [drawn(total) for total in (2000, 2001)] == [None, None]
    assert [drawn(total, num_references="auto") for total in (2000, 2001, 90_000)] == [None, 64, 64]
    assert [drawn(total, num_references="all") for total in (2000, 2001)] == [None, None]
    assert drawn(2001, num_references=300) == 300


@pytest.mark.parametrize(("asked", "expected"), [(None, 32), ("auto", 32), ("all", 500), (64, 64)])
def test_signed_residuals_compare_with_32_unless_asked(asked: Any, expected: int) -> None:
    options = MIC("embedded", **method_arguments("signed_residuals", normals=False, num_references=asked)).options
    assert len(draw_stream_positions(options, SimpleNamespace(records=range(500)))) == expected


def test_a_sample_is_said_to_be_one(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomaly_clustering.mic.references.ALL_PAIRS", 10)
    monkeypatch.setattr("anomaly_clustering.mic.references.REFERENCES", 6)
    mic, _ = run_mic(folder(photos), num_references="auto")
    (notice,) = mic.notices
    said = "15 images are compared with 6 of them, in place of all (Eq. 7); --references all compares all"
    assert notice == said
