"""A file that the user names takes the place of nothing that a run needs, and is refused before the work."""

import json
import re
from pathlib import Path

import pytest
import timm
import torch
from commands import refused

from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.runs import output_folder
from anomaly_clustering.runs.mark import Mark, write_mark
from anomaly_clustering.runs.output_folder import check_file, reserved
from anomaly_clustering.runs.store import load_run


def test_an_exported_model_takes_the_place_of_no_file_of_a_run(
    clustered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("anomaly_clustering.cli.export_onnx.cluster_network", worked)
    Path("folder").mkdir()
    Path("file").touch()
    Path("labels.csv").write_text("path,cluster,label,unsure\n")
    Path("link").symlink_to(clustered)
    of_run = "is a file of the run in '.*', which would be lost; choose another name"
    for out, why in {
        "run/run.safetensors": of_run,
        "run/run.json": of_run,
        "run/../link/assignments.csv": of_run,
        "folder": "'folder' is a folder; give a file",
        "file/model.onnx": "'file/model.onnx' cannot be made",
        "labels.csv": "'labels.csv' is read here, and would be lost",
        "photos/bar/0.png": "0.png' is no model by its name, and would be lost; choose another one, such as 0.onnx",
    }.items():
        argv = ["export-onnx", "--run", "run", "--out", out, "--overwrite", "--labels", "labels.csv"]
        assert re.search(why, refused(argv, capsys)), out
    load_run(clustered)


def test_what_a_run_was_told_of_its_own_images_is_nothing_that_came_later(tmp_path: Path) -> None:
    run, said = tmp_path / "run", list[str]()
    run.mkdir()
    write_mark(run, Mark("run", dict.fromkeys(["metadata.csv", "assigned.csv"])))
    (run / "metadata.csv").touch()
    with reserved(run, overwrite=True, say=said.append):
        assert said == []
    (run / "assigned.csv").touch()
    with reserved(run, overwrite=True, say=said.append):
        assert "goes with it when this one is done: assigned.csv, metadata.csv; copy" in said[0]


def test_a_saved_estimator_takes_the_place_of_no_file_of_a_run_and_of_no_weights(
    clustered: Path, flat_photos: Path
) -> None:
    torch.save(timm.create_model("resnet18").state_dict(), "weights.pt")
    clusterer = AnomalyClusterer(3, backbone="resnet18", checkpoint="weights.pt", image_size=64, views=1)
    clusterer.fit(flat_photos)
    for file, why in {
        "run/run.safetensors": "is a file of the run in",
        "weights.pt": "'weights.pt' is read here, and would be lost",
    }.items():
        with pytest.raises(FileExistsError, match=why):
            clusterer.save(file)
    load_run(clustered)
    clusterer.save(clustered / "clusterer.safetensors")
    assert (AnomalyClusterer.load(clustered / "clusterer.safetensors").labels_ == clusterer.labels_).all()


@pytest.mark.parametrize("content", ["{}", json.dumps({"format": "of another program"}), "no JSON"])
def test_a_file_of_another_program_that_is_called_as_the_mark_of_a_run_is_no_hindrance(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "run.json").write_text(content)
    check_file(tmp_path / "model.onnx")
    check_file(tmp_path / "below" / "model.onnx")
    (tmp_path / output_folder.STORE).touch()
    with pytest.raises(ValueError, match="is damaged, or is not the mark of a run"):
        check_file(tmp_path / "model.onnx")
