"""What commands print in a terminal of 80 columns."""

import pytest
from rich.console import Console

from anomaly_clustering.cli.console import print_scores
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
