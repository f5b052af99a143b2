"""The weights of a run's network lie elsewhere, or are others by now: nothing is compared with the wrong ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from commands import SMALL, refused, rows
from safetensors.torch import save_file

from anomaly_clustering import AnomalyClusterer
from anomaly_clustering.cli.main import main
from anomaly_clustering.runs.store import load_run

LATER = [
    ["assign", "later", "--run", "run"],
    ["update", "later", "--run", "run"],
    ["watch", "later", "--run", "run", "--once"],
    ["export-onnx", "--run", "run", "--out", "model.onnx"],
]


def weights(seed: int, file: Path) -> str:
    """All weights of a ResNet-18, random."""
    torch.manual_seed(seed)
    file.parent.mkdir(exist_ok=True)
    save_file(timm.create_model("resnet18").state_dict(), file)
    return str(file)


@pytest.fixture
def moved(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the weights of a run are now, which are not where they were."""
    monkeypatch.chdir(flat_photos.parent)
    first = weights(0, Path("then/net.safetensors"))
    network = ["--backbone", "resnet18", "--layer", "layer2", "--checkpoint", first]
    main(["cluster", "flat", "--clusters", "3", "--method", "paper", *SMALL, *network, "--out", "run"])
    shutil.copytree("flat", "later")
    Path("later/00.png").write_bytes(Path("later/00.png").read_bytes() + b"\0")
    Path("now").mkdir()
    return shutil.move(first, "now/net.safetensors")


@pytest.mark.parametrize("words", LATER, ids=lambda words: words[0])
def test_weights_that_are_gone_or_others_are_named(words: list[str], moved: str, capsys) -> None:
    said = refused(words, capsys)
    assert "then/net.safetensors' are not there any more" in said.replace("',", "'")
    others = weights(1, Path("others/net.safetensors"))
    assert "others/net.safetensors' are not those that the run was made with" in refused(
        [*words, "--checkpoint", others], capsys
    )


@pytest.mark.parametrize("words", LATER[:3], ids=lambda words: words[0])
def test_weights_are_taken_from_where_they_are_now(words: list[str], moved: str) -> None:
    main([*words, "--checkpoint", moved])
    found = {row["path"]: row for row in rows(Path("run"), "assigned.csv")}
    own = {Path(row["path"]).name: row["cluster"] for row in rows(Path("run"))}
    assert found["later/00.png"]["same_as"] == ""
    assert {Path(path).name: row["cluster"] for path, row in found.items()} == own


def test_runs_of_earlier_versions_take_what_they_are_given(moved: str) -> None:
    run = load_run(Path("run"), checkpoint=Path(moved))
    assert (run.recipe.checkpoint, len(run.recipe.network_digest)) == (moved, 32)


def test_an_estimator_finds_its_weights_where_they_are_now(tmp_path: Path) -> None:
    images = [np.full((64, 64, 3), grey, np.uint8) for grey in (0, 9, 90, 99, 200, 209)]
    first = weights(0, tmp_path / "then" / "net.safetensors")
    options = {"backbone": "resnet18", "layer": "layer2", "image_size": 64, "embedding": "paper"}
    clusterer = AnomalyClusterer(3, checkpoint=first, **options).fit(images)
    clusterer.save(tmp_path / "clusterer.safetensors")
    now = shutil.move(first, tmp_path / "net.safetensors")
    with pytest.raises(FileNotFoundError, match="are not there any more"):
        AnomalyClusterer.load(tmp_path / "clusterer.safetensors").predict([images[0] + 1])
    loaded = AnomalyClusterer.load(tmp_path / "clusterer.safetensors", checkpoint=now)
    assert loaded.predict([images[0] + 1, *images]).tolist()[1:] == clusterer.labels_.tolist()
    others = weights(1, tmp_path / "others.safetensors")
    with pytest.raises(ValueError, match="are not those that the run was made with"):
        AnomalyClusterer.load(tmp_path / "clusterer.safetensors", checkpoint=others).predict([images[0] + 1])
