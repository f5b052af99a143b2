"""Experiments: what options and methods of one's own become before anything is computed, and which are refused."""

import itertools
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MakeImage
from tiny_tables import SMALL, run

from experiments import tables
from experiments.__main__ import main
from experiments.agreement import agree
from experiments.asked import all_parts, methods_of
from experiments.categories import MTD, MVTEC, SYNTHETIC, Category, num_images, weights_digest
from experiments.cells import Settings, Store, cell, is_mic
from experiments.followed_options import check_followed
from experiments.ladder import LADDER
from experiments.methods import WEIGHTED, Method, with_options
from experiments.missing import measured
from experiments.options import _pairs, command_of
from experiments.output import name_of
from experiments.plan import make_plan
from experiments.tables import RESAMPLES


def test_mic_is_known_by_any_of_its_class_paths() -> None:
    assert all(
        map(is_mic, ("anomaly_clustering.MIC", "anomaly_clustering.mic.MIC", "anomaly_clustering.mic.module.MIC"))
    )
    assert not is_mic("baselines.SCAN")


def test_dry_run_lists_what_is_missing_and_how_long_it_takes(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(root, out, "--dry-run")
    printed = capsys.readouterr().out
    assert "Maximum Hausdorff, bottle, seed 0" in printed
    assert "12 of 12 runs" in printed
    assert "unknown" in printed
    assert not out.exists()
    run(root, out, "--only", "average")
    capsys.readouterr()
    run(root, out, "--dry-run")
    printed = capsys.readouterr().out
    assert "9 of 12 runs" in printed
    # Of methods that never ran nothing is guessed: training takes a hundred times as long as clustering.
    assert "they take" not in printed
    assert "unknown, since none was run yet: Maximum Hausdorff, " in printed
    run(root, out, "--dry-run", "--tau", "0.05")
    printed = capsys.readouterr().out
    assert "12 of 12 runs" in printed
    assert re.search(r"they take 0:00:\d\d and more", printed)


def test_other_subsets_seeds_and_networks_have_files_of_their_own(tmp_path: Path) -> None:
    def name(*words: str) -> str:
        command = command_of([*words, "--out", str(tmp_path)])
        return name_of(words[0], measured(words[0], replace(command, finished=True), Store(tmp_path / "cells"), {}))

    usual = name("table1")
    assert usual == "table1-wide_resnet50_2.racm_in1k"
    assert name("table1", "--resamples", str(RESAMPLES), "--seeds", "1") == usual
    assert name("table1", "--resamples", "5", "--seeds", "3") == f"{usual}-3seeds-5subsets"
    assert name("rival", "--seeds", "3") == name("rival") != name("rival", "--seeds", "1")
    assert name("figure9") == f"figure9-{Settings().backbone}"
    others = {name("figure9", "--backbones", *names) for names in (["resnet18"], ["resnet18@layer3"], ["embedded"])}
    assert len(others | {name("figure9")}) == 4
    # Where a file of weights lies makes no other figure.
    (tmp_path / "mine.safetensors").touch()
    assert name("figure9", "--backbones", f"resnet18={tmp_path / 'mine.safetensors'}").endswith("-resnet18-mine")


def test_what_cannot_be_configured_is_missing(root: Path) -> None:
    methods = {
        "absent": Method("configs/baselines/absent.yaml"),
        "unknown option": with_options(WEIGHTED, taux=0.1),
        "fine": WEIGHTED,
    }
    plan = make_plan(methods, [MVTEC[0], MTD], 1, Settings(root, backbone="embedded"))
    assert "there is no configs/baselines/absent.yaml" in plan.unavailable["absent"]
    assert "'taux' is not accepted" in plan.unavailable["unknown option"]
    assert [cell.method for cell in plan.once()] == ["fine"]
    assert MTD in plan.missing


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--only", "nothing"), "'nothing': no method begins so"),
        (("--only", "average", "weihgted"), "'weihgted': no method begins so"),
        (("--preset", "smalldata"), "--preset 'smalldata': there is no such file"),
        (("--trained", "max_epoch=2"), "--trained 'max_epoch': none of baselines."),
        (("--trained", "IIC.neighbours=2"), "--trained 'IIC.neighbours': none of baselines."),
        (("--trained", "IIC.max_epochs@MDT=2"), "--trained: 'MDT' is not one of"),
        (("--trained", "IIC.neighbours@MTD=2"), "--trained 'IIC.neighbours@MTD': none of baselines."),
        (("--trained", "max_epochs"), "--trained: 'max_epochs' is not of the form NAME=VALUE"),
        (("--categories", "bottl"), "'bottl' is not one of"),
        (("--image-size", "0"), "--image-size must be at least 32, got 0"),
        (("--num-workers", "-1"), "--num-workers must be at least 0, got -1"),
        (("--seeds", "0"), "--seeds must be at least 1, got 0"),
        (("--resamples", "1"), "--resamples must be 0 (none) or at least 2, got 1"),
        (("--checkpoint", "absent.pth"), "checkpoint 'absent.pth' does not exist"),
        (("--backbones", "resnet18=a.pth", "resnet18=b.pth"), "--backbones: 'resnet18' is there twice"),
        (("--data", "synthetic", "--folders", "mine=."), "--data synthetic is measured alone"),
        (("--backbones", "embedded"), "networks. For table1 give --backbone"),
        (("--dry-run", "--finished"), "--dry-run lists what is missing, and --finished computes nothing of it"),
        (("--report", "all.md"), "--report is what 'reproduction' writes, and not table1"),
        (("--folders", "mine=.", "--categories", "mine"), "--categories: nothing of table1 is measured on mine; "),
        (("--only", "IIC", "SCAN"), "--only 'IIC': no method begins so"),
        (("--trained", "lr=1", "--trained", "lr=2"), "--trained: 'lr' is given twice, as '1' and as '2'"),
        (("--folders", "a=.", "a=.."), "--folders: 'a' is given twice, as '.' and as '..'"),
    ],
)
def test_wrong_options_say_so(
    root: Path, out: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert run(root, out, *flags) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_figure_of_several_networks_takes_no_network_of_its_own(root: Path, out: Path, capsys) -> None:
    assert run(root, out, table="figure9") == 2
    assert "several networks are compared by figure9. Give --backbones" in capsys.readouterr().err


def test_options_that_are_for_other_tables_are_told(root: Path, out: Path, capsys) -> None:
    # A report gives one command for each table, with the options of all.
    assert run(root, out, "--folders", f"mine={root}", "--trained", "SCAN.max_epochs=2", "--dry-run") == 0
    told = capsys.readouterr().err
    assert re.search(r"--folders changes nothing of table1: .*ladder.* take folders", told)
    assert re.search(r"--trained 'SCAN.max_epochs' changes nothing of table1: it is of .*table8", told)
    assert run(root, out, "--trained", "SCAN.max_epochs@synthetic=2", "--dry-run", table="table8") == 0
    assert "changes nothing of table8, which synthetic is no category of" in capsys.readouterr().err
    assert run(root, out, "--tau", "0.1", "--dry-run", table="figure6") == 0
    assert "--tau changes nothing of figure6, where it has values of its own" in capsys.readouterr().err


def test_what_a_report_prints_for_each_table_is_taken(root: Path, out: Path, capsys) -> None:
    some = ["--folders", f"mine={root}", "--categories", "cable", "MTD", "mine", "--only", "average", "IIC"]
    words = ["reproduction", "--data-root", str(root), *SMALL, *some]
    for name, command in all_parts(command_of(words)):
        if any(method.startswith(("Average", "IIC")) for method in methods_of(name, command)):
            check_followed(command_of([name, *shlex.split(command.flags)]))
    assert run(root, out, "--dry-run", *some) == 0
    told = capsys.readouterr().err
    assert "--categories: nothing of table1 is measured on mine; " in told
    assert "--only 'IIC': no method of table1 begins so" in told


def test_a_figure_of_several_networks_is_not_called_by_that_of_a_table_beside_it(root: Path, out: Path, capsys) -> None:
    assert main(["table1", "figure9", "--data-root", str(root), "--out", str(out), *SMALL, "--finished"]) == 0
    said = capsys.readouterr()
    table, figure = said.out.split("# Figure 9")
    assert ("pixels with embedded: " in table, f"pixels with {Settings.backbone}: " in figure) == (True, True)
    assert "--backbone, --checkpoint, --last-layer change nothing of figure9: " in said.err


def test_an_option_that_is_given_again_adds_to_what_it_was_given_before(tmp_path: Path) -> None:
    words = ["--trained", "max_epochs=5", "--only", "IIC", "--folders", f"a={tmp_path}", "--categories", "a"]
    words += ["--trained", "lr=0.1", "--only", "SCAN", "--folders", f"b={tmp_path}", "--categories", "b"]
    command = command_of(["rival", *words, "--backbones", "a", "--backbones", "b"])
    assert (command.settings.trained, command.only) == ({"max_epochs": 5, "lr": 0.1}, ["IIC", "SCAN"])
    assert (
        [str(category) for category in command.categories] == [str(folder) for folder in command.folders] == ["a", "b"]
    )
    assert [network.name for network in command.networks] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("600", 600), ("1e-4", 1e-4), ("off", "off"), ("1:00:00", "1:00:00"), ("[0.9, 1]", [0.9, 1]), ("x=y", "x=y")],
)
def test_values_are_read_as_json(text: str, value: Any) -> None:
    assert _pairs("trained", [f"name={text}"]) == {"name": value}


@pytest.mark.parametrize("named", [["unknown", "names"], ["--report=names", "unknown"], ["--finished", "unknown"]])
def test_a_value_that_is_also_the_name_of_a_table_stays_with_its_option(named: list[str]) -> None:
    words = ["--out", "unknown", *named, "--only", "names", "unknown", "--data=paper"]
    assert command_of(words).flags == "--out unknown --only names unknown --data=paper"


def test_a_dry_run_writes_no_report(root: Path, out: Path, tmp_path: Path) -> None:
    report = tmp_path / "REPRODUCTION.md"
    assert run(root, out, "--dry-run", "--report", str(report), table="reproduction") == 0
    assert not report.exists()


def test_cells_that_share_features_are_neighbours() -> None:
    settings = Settings(synthetic=True, backbone="embedded")
    cells = make_plan(tables.TABLES["table8"].methods, [SYNTHETIC], 1, settings).once()
    distances = [cell.config["model"]["init_args"].get("distance") for cell in cells]
    assert sum(a != b for a, b in itertools.pairwise(distances)) == 1


def test_options_of_trained_methods(root: Path, tmp_path: Path) -> None:
    config, small = tmp_path / "own.yaml", tmp_path / "own_small_data.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\ntrainer: {max_epochs: 2}\n")
    small.write_text("model: {class_path: baseline.Brightness, init_args: {clusters: 2}}\ntrainer: {max_epochs: 9}\n")
    trained = {"Brightness.learning_rate": 0.5, "learning_rate": 0.1, "Other.clusters": 7, "other": 1}
    trained |= {"Brightness.max_epochs": 5, "max_epochs": 7, "precision": "bf16-mixed", "Other.max_time": "00:01:00:00"}
    settings = Settings(root, image_size=64, preset="small_data", trained=trained)
    found = cell("own", Method(str(config)), MVTEC[0], 0, settings).config
    assert found["model"]["init_args"] == {"clusters": 2, "learning_rate": 0.5}
    assert found["trainer"] == {"max_epochs": 5, "precision": "bf16-mixed"}
    # The files of one choice of options do not replace those of another, nor those of none.
    names = [replace(settings, trained=some).name for some in ({}, trained, {"other": 1})]
    assert names[0].endswith("small_data")
    assert len(set(names)) == 3


def test_options_of_trained_methods_on_one_category(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("model: {class_path: baseline.Brightness}\n")
    trained = {"Brightness.max_epochs@MTD": 3, "max_epochs@bottle": 4, "Brightness.clusters@bottle": 5, "max_epochs": 6}
    settings = Settings(root, image_size=64, trained=trained)
    bottle, cable = (cell("own", Method(str(config)), category, 0, settings) for category in MVTEC[:2])
    assert bottle.config["trainer"] == {"max_epochs": 4}
    assert bottle.config["model"]["init_args"] == {"clusters": 5}
    assert cable.config["trainer"] == {"max_epochs": 6}
    # What is for the method comes before what is for the category.
    of_both = replace(settings, trained={"Brightness.max_epochs": 9, "max_epochs@bottle": 4})
    assert cell("own", Method(str(config)), MVTEC[0], 0, of_both).config["trainer"] == {"max_epochs": 9}
    # What is for other categories leaves a run what it was.
    alone = replace(settings, trained={"max_epochs": 6})
    assert cell("own", Method(str(config)), MVTEC[1], 0, alone).key == cable.key


@pytest.mark.parametrize(
    ("options", "embedding"), [({}, {}), ({"embedding": "paper"}, {"embedding": "paper"})], ids=["default", "paper"]
)
def test_a_tau_reaches_what_is_trained_on_regions(options: dict[str, Any], embedding: dict[str, Any]) -> None:
    method = Method("configs/baselines/prototypes.yaml", options)
    usual, asked = (
        cell("", method, SYNTHETIC, 0, Settings(synthetic=True, backbone="embedded", tau=tau)) for tau in (None, 0.05)
    )
    assert asked.key != usual.key
    assert asked.config["model"]["init_args"].items() >= ({"tau": 0.05} | embedding).items()


def test_a_tau_that_is_asked_for_takes_the_place_of_one_that_is_chosen() -> None:
    settings = Settings(synthetic=True, backbone="embedded", tau=0.05)
    for method in (Method("configs/mic/signed_residuals.yaml"), LADDER["+ levels"], LADDER["+ levels (semi)"]):
        found = cell("", method, SYNTHETIC, 0, settings).config["model"]["init_args"]
        assert (found["tau"], found["effective_patches"]) == (0.05, None)


def test_vectors_that_are_given_are_part_of_what_a_run_is_of(tmp_path: Path) -> None:
    file, keys = tmp_path / "features.npy", []
    settings = Settings(synthetic=True, backbone="embedded", trained={"SCAN.features": str(file)})
    for value in (0.0, 1.0):
        np.save(file, np.full((3, 2), value))
        # As in another command.
        weights_digest.cache_clear()
        keys.append(cell("", Method("configs/baselines/scan.yaml"), SYNTHETIC, 0, settings).key)
    assert keys[0] != keys[1]
    # Where they lie makes no difference.
    moved = replace(settings, trained={"SCAN.features": str(file.rename(tmp_path / "moved.npy"))})
    assert cell("", Method("configs/baselines/scan.yaml"), SYNTHETIC, 0, moved).key == keys[1]
    assert agree({"features": str(file)}, {"features": "moved.npy"})
    # Of GATCluster they are a number, and no file.
    gatcluster = [
        cell("", Method("configs/baselines/gatcluster.yaml"), SYNTHETIC, 0, replace(settings, trained=of)).key
        for of in ({"GATCluster.features": 20}, {"GATCluster.features": 30})
    ]
    assert gatcluster[0] != gatcluster[1]
    assert not agree({"features": 20}, {"features": 30})


def test_the_report_of_all_replaces_nothing_else_and_is_not_emptied(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("my own notes", "# Reproduction\n\nmeasured in a year"):
        Path("REPRODUCTION.md").write_text(text)
        assert main(["reproduction", "--backbone", "embedded"]) == 2
        assert "choose another --report" in capsys.readouterr().err
        assert Path("REPRODUCTION.md").read_text() == text


@pytest.mark.parametrize(("resamples", "drawn"), [("0", ""), ("2", ", of which a random subset has 8")])
def test_a_folder_of_too_few_images_for_a_row_is_named(
    resamples: str, drawn: str, tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(9):
        make_image(tmp_path / "mine" / ("good", "bad")[i % 2] / f"{i}.png", kind=i % 2, seed=i)
    words = [
        "names",
        "--folders",
        f"mine={tmp_path / 'mine'}",
        "--categories",
        "mine",
        "--only",
        "Signed residuals, 15",
    ]
    network = ["--backbone", "embedded", "--image-size", "64", "--resamples", resamples]
    assert main([*words, *network, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    few = f"{str(tmp_path / 'mine')!r} has 9 images{drawn}, and the row needs at least 15"
    assert f"Missing: Signed residuals, 15 clusters on mine ({few}" in said.out
    assert "Traceback" not in said.err


def test_normal_images_are_not_among_those_to_cluster(photos: Path, flat_photos: Path) -> None:
    assert num_images(Category("mine", folder=photos, normals=flat_photos)) == 15
