"""The command line as users meet it: what it writes, and how it refuses."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from conftest import MakeImage
from lightning import LightningModule
from PIL import Image

from anomaly_clustering.cli.main import COMMANDS, main
from anomaly_clustering.runs.training import precision_of_training
from baselines import IIC

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--image-size", "64"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(folder: Path, name: str = "assignments.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def configured(command: str, *flags: str) -> list[str]:
    """Arguments of a LightningCLI command on a folder, with the embedded network and small images."""
    return [
        command,
        *("-c", str(ROOT / "configs/mic/weighted_average.yaml")),
        *("-c", str(ROOT / "configs/data/folder.yaml")),
        *("--model.backbone", "embedded", "--data.image_size", "64", "--data.num_workers", "0"),
        *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
        *flags,
    ]


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; the last line it says, after making sure that nothing was written."""
    before = sorted(Path.cwd().rglob("*"))
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code not in (0, None)
    assert sorted(Path.cwd().rglob("*")) == before
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


# What the commands write.


def test_cluster_groups_a_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cluster", str(photos), "--clusters", "3", *SMALL])
    out = Path("photos-clusters")
    assert sorted(path.name for path in out.iterdir()) == [
        "assignments.csv",
        "assignments.parquet",
        "config.yaml",
        "metrics.json",
        "report.html",
        "run.json",
        "run.safetensors",
    ]
    table = rows(out)
    assert [row["path"] for row in table] == sorted(str(path) for path in photos.rglob("*.png"))
    assert {row["class"] for row in table} == {"good", "bright", "bar"}
    assert {row["cluster"] for row in table} == {"0", "1", "2"}
    assert all(float(row["distance_to_center"]) >= 0 for row in table)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy"] == 1
    printed = capsys.readouterr().out
    assert "3, as given" in printed
    assert "report.html" in printed


def test_cluster_makes_more_clusters_than_there_are_types_and_says_why(
    flat_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["cluster", str(flat_photos), "--out", "there", *SMALL])
    metrics = json.loads(Path("there/metrics.json").read_text())
    assert "nmi" not in metrics
    assert metrics["num_clusters"] == 7  # of three types, 15 images
    assert {row["class"] for row in rows(Path("there"))} == {""}
    assert "7, so that each is mostly of one type; give the same name to" in " ".join(capsys.readouterr().out.split())


def test_cluster_with_normal_images(photos: Path) -> None:
    main(["cluster", str(photos), "--normal", str(photos / "good"), "--clusters", "2", *SMALL])
    assert len(rows(Path("photos-clusters"))) == 10
    assert "5 normal images" in Path("photos-clusters/report.html").read_text()


def test_cluster_synthetic_needs_no_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    main(["cluster", "--synthetic", *SMALL])
    assert len({row["class"] for row in rows(Path("synthetic-clusters"))}) >= 6


def test_test_prints_scores_and_writes_the_resolved_config(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(configured("test", "--data.root", str(photos), "--out", "run"))
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("NMI", "ARI", "F1", "1.000"))
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["model"]["init_args"]["tau"] == 0.02
    assert config["data"]["init_args"]["root"] == str(photos)
    assert json.loads(Path("run/metrics.json").read_text())["nmi"] == pytest.approx(1)


def test_the_resolved_config_repeats_the_run(photos: Path) -> None:
    main(configured("test", "--data.root", str(photos), "--out", "first"))
    main(["test", "-c", "first/config.yaml", "--out", "second"])
    assert Path("first/assignments.csv").read_text() == Path("second/assignments.csv").read_text()


def test_a_module_of_ones_own_takes_part(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found in the working directory by its `class_path`, and scored by its own means."""
    monkeypatch.delitem(sys.modules, "my_method", raising=False)
    Path("my_method.py").write_text(
        "import torch\n"
        "from lightning import LightningModule\n"
        "from anomaly_clustering.metrics import clustering_metrics\n"
        "class Brightness(LightningModule):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.scores = clustering_metrics()\n"
        "    def test_step(self, batch):\n"
        "        preds = (batch['image'].amax((1, 2, 3)) > 0.95).long()\n"
        "        self.scores.update(preds, batch['target'], batch['index'])\n"
        "    def on_test_epoch_end(self):\n"
        "        self.log_dict(self.scores.compute())\n"
    )
    argv = ["test", "--model", "my_method.Brightness", "--data", "anomaly_clustering.data.Folder"]
    main([*argv, "--data.root", str(photos), "--data.image_size", "64", "--trainer.accelerator", "cpu"])
    assert "nmi" in capsys.readouterr().out


def test_predict_needs_no_labels(flat_photos: Path) -> None:
    main(configured("predict", "--data.root", str(flat_photos), "--model.num_clusters", "4"))
    assert {row["cluster"] for row in rows(Path("runs/predict"))} == {"0", "1", "2", "3"}


def test_two_processes_give_what_one_gives(photos: Path) -> None:
    """15 images on 2 processes: the sampler repeats one."""
    for name, devices in (("one", []), ("two", ["--trainer.devices", "2", "--trainer.strategy", "ddp"])):
        argv = configured("test", "--data.root", str(photos), "--out", name, "--data.batch_size", "4", *devices)
        subprocess.run([sys.executable, "-m", "anomaly_clustering", *argv], check=True, timeout=300)
    one, two = rows(Path("one")), rows(Path("two"))
    for key in ("path", "class", "cluster"):
        assert [row[key] for row in one] == [row[key] for row in two]
    distances = np.array([[float(row["distance_to_center"]) for row in table] for table in (one, two)])
    assert np.abs(distances[0] - distances[1]).max() < 1.5e-6  # The file has six digits.
    assert json.loads(Path("one/metrics.json").read_text()) == json.loads(Path("two/metrics.json").read_text())


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_names_all_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(argv)
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"  {command} ") for line in lines) for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "word"), [("cluster", "--clusters K"), ("assign", "--run"), ("export", "--layout"), ("test", "--model")]
)
def test_help_of_a_command(command: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert word in capsys.readouterr().out


@pytest.mark.parametrize("words", ["", "--version", "cluster --help", "assign --help", "export --help", "cluster", "x"])
def test_what_is_no_work_does_not_wait_for_the_imports_that_work_needs(words: str) -> None:
    code = """if True:
        import sys
        from anomaly_clustering.cli.main import COMMANDS, main
        try:
            main(sys.argv[1:])
        finally:
            print({"torch", "lightning", "numpy"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


# Bad input: one line that names the file or value, a non-zero status, nothing written.


def test_empty_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "'empty' holds no images" in refused(["cluster", "empty"], capsys)


def test_folder_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'absent' does not exist" in refused(["cluster", "absent"], capsys)


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["clutser", "photos"], capsys)
    assert line.startswith("error: there is no command 'clutser'; choose one of cluster, export, assign, update")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_text_named_png(photos: Path, capsys: pytest.CaptureFixture[str], workers: str) -> None:
    (photos / "bar" / "text.png").write_text("no image")
    line = refused(configured("test", "--data.root", str(photos), "--data.num_workers", workers), capsys)
    assert line.startswith("error: ")
    assert "text.png' is not an image" in line


def cut_jpeg(folder: Path) -> None:
    Image.effect_noise((64, 64), 50).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])


def test_truncated_jpeg(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_jpeg(flat_photos)
    line = refused(["cluster", str(flat_photos), *SMALL], capsys)
    assert line.startswith("error: ")
    assert "cut.jpg' is damaged" in line
    assert line.endswith("; --skip-unreadable lists such files and goes on without them")


def test_truncated_jpeg_is_listed_and_left_out_if_asked(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_jpeg(flat_photos)
    main(["cluster", str(flat_photos), "--skip-unreadable", *SMALL])
    assert len(rows(Path("flat-clusters"))) == 15
    assert "cut.jpg" in capsys.readouterr().out.replace("\n", "")
    assert "cut.jpg" in json.loads(Path("flat-clusters/metrics.json").read_text())["notices"][0]
    assert "cut.jpg" in Path("flat-clusters/report.html").read_text()


def test_image_of_one_pixel(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (1, 1)).save(flat_photos / "dot.png")
    assert "dot.png' has 1x1 pixels" in refused(["cluster", str(flat_photos), *SMALL], capsys)


def test_fewer_images_than_clusters(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(["cluster", str(flat_photos), "--clusters", "100", *SMALL], capsys)
    assert "between 2 and 15 (the number of images), got 100" in line


def test_one_image_has_nothing_to_be_grouped_with(
    tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    make_image(tmp_path / "one" / "a.png")
    line = refused(["cluster", "one", *SMALL], capsys)
    assert line == "error: there is one image alone, 'one/a.png': at least 2 are needed"


@pytest.mark.parametrize("count", [2, 4])
def test_few_images_are_enough(tmp_path: Path, make_image: MakeImage, count: int) -> None:
    for i in range(count):
        make_image(tmp_path / "few" / f"{i}.png", seed=i)
    main(["cluster", "few", "--method", "paper", *SMALL])
    assert {row["cluster"] for row in rows(Path("few-clusters"))} == {"0", "1"}


def test_a_place_where_a_disk_is_mounted_is_refused_before_the_work(
    flat_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(["cluster", str(flat_photos), "--out", "/", *SMALL], capsys)
    assert line == "error: '/' is where a disk is mounted; choose a folder in it with --out"


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Lightning turns a second one off."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict", "error: interrupted; nothing unfinished is kept: start the command again"),
        ("fit", "error: interrupted; epochs that have ended are kept: go on with --ckpt_path last, if there are any"),
    ],
)
def test_interrupted(
    command: str, message: str, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = """if True:
        import torch
        from lightning import LightningModule

        class Interrupted(LightningModule):
            def training_step(self, batch):
                raise KeyboardInterrupt

            predict_step = training_step

            def configure_optimizers(self):
                return None
    """
    Path("stops.py").write_text(module)
    monkeypatch.delitem(sys.modules, "stops", raising=False)
    data = ["-c", str(ROOT / "configs/data/folder.yaml"), "--data.root", str(photos), "--data.num_workers", "0"]
    with pytest.raises(SystemExit) as exit_:
        main([command, "--model", "stops.Interrupted", *data, "--trainer.accelerator", "cpu"])
    assert exit_.value.code == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == message


def test_files_beside_the_images_take_no_librarys_place(flat_photos: Path) -> None:
    Path("yaml.py").write_text("raise SystemExit('not this one')")
    command = [str(Path(sys.executable).with_name("anomaly-clustering")), "cluster", "absent"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == "error: 'absent' does not exist\n"


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_precision_of_the_trainer(precision: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(configured("test", "--data.root", str(photos), "--trainer.precision", precision), capsys)
    assert line == f"error: the trainer's precision must be '32-true' for MIC, got '{precision}'"


def test_lightning_says_nothing_of_itself(flat_photos: Path) -> None:
    """In a process of its own, since it sets its levels when it is imported."""
    command = [sys.executable, "-m", "anomaly_clustering", "cluster", str(flat_photos), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_identical_images(tmp_path: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        make_image(tmp_path / "same" / f"{i}.png", seed=1)
    assert "all 5 images look the same" in refused(["cluster", "same", *SMALL], capsys)


@pytest.mark.parametrize("k", ["0", "1", "-3", "six", "2.5"])
def test_number_of_clusters(flat_photos: Path, capsys: pytest.CaptureFixture[str], k: str) -> None:
    assert f"got '{k}'" in refused(["cluster", str(flat_photos), f"--clusters={k}"], capsys)
    line = refused(configured("test", "--data.root", str(flat_photos), f"--model.num_clusters={k}"), capsys)
    assert "num_clusters" in line
    assert f"got {k}" in line or f"value: {k}" in line


@pytest.mark.parametrize("tau", ["0", "-1", "nan"])
def test_tau(flat_photos: Path, capsys: pytest.CaptureFixture[str], tau: str) -> None:
    line = refused(["cluster", str(flat_photos), f"--tau={tau}"], capsys)
    assert line == f"error: tau must be a positive number, got {float(tau)}"
    line = refused(configured("test", "--data.root", str(flat_photos), f"--model.tau={tau}"), capsys)
    assert "tau" in line
    assert f"got {float(tau)}" in line or f"value: {tau}" in line


def with_masks(photos: Path) -> Path:
    for name in ("bar", "bright"):
        for seed in range(5):
            mask = Image.new("L", (64, 64), 0)
            mask.paste(255, (0, 0, 8, 8))
            (photos.parent / "masks" / name).mkdir(parents=True, exist_ok=True)
            mask.save(photos.parent / "masks" / name / f"{seed}.png")
    return photos.parent / "masks"


def by_mask(photos: Path, masks: Path) -> list[str]:
    return configured("test", "--data.root", str(photos), "--data.masks", str(masks), "--model.weights", "mask")


def test_mask_of_another_size(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = with_masks(photos)
    Image.new("L", (5, 7)).save(masks / "bar" / "2.png")
    line = refused(by_mask(photos, masks), capsys)
    assert "bar/2.png' has 5x7 pixels, but its image 64x64" in line


def test_mask_missing(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = with_masks(photos)
    (masks / "bar" / "2.png").unlink()
    assert "bar/2.png' is missing" in refused(by_mask(photos, masks), capsys)


def test_empty_mask_falls_back_to_uniform_and_says_so(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = with_masks(photos)
    Image.new("L", (64, 64)).save(masks / "bar" / "2.png")
    main(by_mask(photos, masks))
    assert "bar/2.png" in capsys.readouterr().out.replace("\n", "")
    notices = json.loads(Path("runs/test/metrics.json").read_text())["notices"]
    assert any("empty mask, so weights are uniform" in notice and "bar/2.png" in notice for notice in notices)


def test_checkpoint_of_another_network(flat_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "other.pth")
    line = refused(["cluster", str(flat_photos), "--backbone", "resnet18", "--checkpoint", "other.pth"], capsys)
    assert "other.pth' does not fit network 'resnet18'; keys:" in line


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


def test_pickle_that_would_run_code(flat_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Evil(), tmp_path / "evil.pth")
    line = refused(["cluster", str(flat_photos), "--backbone", "resnet18", "--checkpoint", "evil.pth"], capsys)
    assert "loading it could run code" in line


def test_archive_with_paths_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import zipfile

    with zipfile.ZipFile("mtd.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    argv = [*configured("test")[:3], "-c", str(ROOT / "configs/data/mtd.yaml"), "--data.root", "mtd.zip"]
    line = refused([*argv, "--model.backbone", "embedded", "--trainer.accelerator", "cpu"], capsys)
    assert "'../outside.txt' points outside" in line


def test_output_folder_that_holds_a_run(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["cluster", str(photos), "--clusters", "3", *SMALL]
    main(argv)
    capsys.readouterr()
    assert "'photos-clusters' already holds a run" in refused(argv, capsys)
    main([*argv[:3], "2", *SMALL, "--overwrite"])
    assert json.loads(Path("photos-clusters/metrics.json").read_text())["num_clusters"] == 2


def test_hostile_file_names(flat_photos: Path) -> None:
    names = ['"><script>alert(1).png', "it's & <blink>.png", "new\nline.png", "ümlaut 漢字.png", "\udcff.png"]
    for name, source in zip(names, sorted(flat_photos.iterdir()), strict=False):
        shutil.move(source, flat_photos / name)
    main(["cluster", str(flat_photos), "--clusters", "3", *SMALL])
    assert {Path(row["path"]).name for row in rows(Path("flat-clusters"))} >= set(names)
    scripts: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag in ("script", "blink"):
                scripts.append(tag)

    Parser().feed(Path("flat-clusters/report.html").read_text())
    # The page's own: what it shows, and what shows it.
    assert scripts == ["script"] * 3


def test_unknown_flags_fail(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'sigma' is not accepted" in refused(
        configured("test", "--data.root", str(photos), "--model.sigma", "3"), capsys
    )
    assert "--colour" in refused(["cluster", str(photos), "--colour"], capsys)


def test_unknown_network(flat_photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no network 'resnet18x'" in refused(["cluster", str(flat_photos), "--backbone", "resnet18x"], capsys)


def scan(photos: Path, *flags: str) -> list[str]:
    return [
        *("fit", "--model", "baselines.SCAN", "--model.backbone", "embedded", "--model.crop", "64"),
        *("--model.neighbours", "auto", "--model.selflabel_epochs", "0", "--model.cached_views", "2"),
        *("--data", "anomaly_clustering.data.Folder", "--data.root", str(photos), "--data.image_size", "64"),
        *("--data.num_workers", "0", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", *flags),
    ]


def test_fit_leaves_a_folder_that_can_be_gone_on_with(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(scan(photos, "--trainer.max_epochs", "2"))
    out = Path("runs/fit")
    names = {"assignments.csv", "checkpoints", "config.yaml", "epochs.csv", "metrics.json", "run.json"}
    assert {path.name for path in out.iterdir()} == names
    assert [row["path"] for row in rows(out)] == sorted(str(path) for path in photos.rglob("*.png"))
    assert {row["class"] for row in rows(out)} == {"good", "bright", "bar"}
    assert "best by accuracy (oracle)" in capsys.readouterr().out
    assert "already holds a training; go on with it with --ckpt_path last" in refused(scan(photos), capsys)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["last.ckpt"]
    main(scan(photos, "--trainer.max_epochs", "3", "--ckpt_path", "last"))
    assert json.loads((out / "metrics.json").read_text())["last"]["epoch"] == 2
    main(scan(photos, "--trainer.max_epochs", "1", "--overwrite"))
    assert json.loads((out / "metrics.json").read_text())["last"]["epoch"] == 0


def test_fit_says_what_is_wrong(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(scan(photos, "--ckpt_path", "last"), capsys)
    assert "there is no training in 'runs/fit' to go on with" in line
    assert "num_clusters must be between 2 and 15" in refused(scan(photos, "--model.num_clusters", "16"), capsys)
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    assert "which is not of a run" in refused(scan(photos, "--out", "mine", "--overwrite"), capsys)


def test_the_own_method_of_the_docs_is_trained_and_scored(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test has a module of this name.
    monkeypatch.delitem(sys.modules, "my_method", raising=False)
    (code,) = re.findall(
        r"```python\n# my_method.py\n(.*?)```", (ROOT / "docs" / "own.md").read_text(), flags=re.DOTALL
    )
    Path("my_method.py").write_text(code)
    argv = [
        "fit",
        "--model",
        "my_method.MyModule",
        "--data",
        "anomaly_clustering.data.Folder",
        "--data.root",
        str(photos),
    ]
    main([*argv, "--data.image_size", "64", "--data.num_workers", "0", "--trainer.max_epochs", "2"])
    assert len(rows(Path("runs/fit"))) == 15
    assert json.loads(Path("runs/fit/metrics.json").read_text())["best_by_accuracy"]["accuracy"] >= 1 / 3


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


@pytest.mark.parametrize(
    ("gpus", "given", "accelerator", "expected"),
    [
        (True, None, "auto", "bf16-mixed"),
        (True, "32-true", "auto", "32-true"),
        (True, None, "cpu", None),
        (False, None, "auto", None),
    ],
)
def test_a_method_trains_in_its_own_precision_on_gpus_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch, gpus: bool, given: str | None, accelerator: str, expected: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    assert precision_of_training(IIC(num_clusters=2, trunk="conv3"), given, accelerator) == expected
    assert precision_of_training(LightningModule(), given, accelerator) == given


def test_a_checkpoint_from_elsewhere_begins_a_training_of_its_own(photos: Path, capsys) -> None:
    for name in ("a", "b"):
        main(scan(photos, "--trainer.max_epochs", "1", "--out", name))
    before = {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()}
    words = scan(photos, "--trainer.max_epochs", "2", "--out", "b", "--ckpt_path", "a/checkpoints/last.ckpt")
    with pytest.raises(SystemExit):
        main(words)
    assert "'b' already holds a training; go on with it with --ckpt_path last" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path("b").rglob("*") if path.is_file()} == before
    main([*words, "--overwrite"])
    assert [row["epoch"] for row in rows(Path("b"), "epochs.csv")][-1] == "1"


def test_a_checkpoint_decides_on_weights_alone(photos: Path, capsys) -> None:
    words = scan(photos, "--trainer.max_epochs", "1", "--ckpt_path", "other.ckpt")
    for hyper_parameters in ({"_class_path": "this.x"}, 5, {"crop": 7}):
        torch.save({"state_dict": {}, "epoch": 0, "hyper_parameters": hyper_parameters}, "other.ckpt")
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().err.startswith("error: ")
    assert "this" not in sys.modules


def test_a_checkpoint_of_other_options_is_said_not_to_fit(photos: Path, capsys) -> None:
    main(scan(photos, "--trainer.max_epochs", "1", "--model.num_clusters", "3", "--out", "run"))
    words = scan(
        photos, "--trainer.max_epochs", "2", "--model.num_clusters", "4", "--out", "run", "--ckpt_path", "last"
    )
    with pytest.raises(SystemExit):
        main(words)
    assert "the checkpoint is not of the module as it is configured" in capsys.readouterr().err
    Path("image.ckpt").write_bytes(next(photos.rglob("*.png")).read_bytes())
    with pytest.raises(SystemExit):
        main(scan(photos, "--out", "new", "--ckpt_path", "image.ckpt"))
    assert "checkpoint 'image.ckpt' is damaged, or is not of a training" in capsys.readouterr().err
