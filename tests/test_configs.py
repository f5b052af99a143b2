"""Configs are claims: each parses, and its header names the paper's table, the command and the number expected."""

from pathlib import Path

import pytest
from commands import ROOT

from anomaly_clustering.cli.main import main

pytestmark = pytest.mark.usefixtures("in_tmp")


@pytest.mark.parametrize("config", sorted((ROOT / "configs" / "baselines").glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_of_baselines_parse_and_say_what_to_expect(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "\n".join(line for line in config.read_text().splitlines() if line.startswith("#"))
    command = "test" if config.stem.startswith("frozen") else "fit"
    assert "Table" in header
    assert "expected" in header
    assert f"# anomaly-clustering {command} -c configs/baselines/{config.name} -c configs/data/mtd.yaml" in header
    with pytest.raises(SystemExit) as exit_:
        main([command, "-c", str(config), "-c", str(ROOT / "configs/data/mtd.yaml"), "--print_config"])
    assert exit_.value.code == 0
    assert "class_path" in capsys.readouterr().out


@pytest.mark.parametrize("config", sorted((ROOT / "configs" / "mic").glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_are_claims_that_parse(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert "Table" in header[0]
    assert "expected" in "".join(header)
    assert f"# anomaly-clustering test -c configs/mic/{config.name} -c configs/data/" in "\n".join(header)
    with pytest.raises(SystemExit) as exit_:
        main(["test", "-c", str(config), "-c", str(ROOT / "configs/data/mtd.yaml"), "--print_config"])
    assert exit_.value.code == 0
    assert "anomaly_clustering.mic.MIC" in capsys.readouterr().out
