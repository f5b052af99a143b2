"""`anomaly-clustering weights`: what a colleague carries on a stick is what the hub has, whole, and works offline."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import timm
import torch
from hub import COMMIT, Hub, serving
from huggingface_hub import constants
from safetensors.torch import load_file, save

from anomaly_clustering.cli.main import main
from anomaly_clustering.features.backbone import Backbone
from anomaly_clustering.features.hub import fetch, is_whole, look_up
from anomaly_clustering.features.published import published

NETWORK, REPOSITORY = "test_resnet", "timm/test_resnet.r160_in1k"
FILE = f"hub/models--timm--test_resnet.r160_in1k/snapshots/{COMMIT}/model.safetensors"
PART = "hub/models--timm--test_resnet.r160_in1k/blobs/{}.incomplete"


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    return save(timm.create_model(NETWORK).state_dict())


@pytest.fixture
def hub(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """With one network, in the place of the hub for this process and those that it starts."""
    with serving() as hub:
        hub.files[REPOSITORY, "model.safetensors"] = content
        reach(hub.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        yield hub


def reach(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client reads the variable when it is imported."""
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("network", [NETWORK, "wide_resnet50_2"])
def test_a_carried_folder_works_offline(network: str, hub: Hub, tmp_path: Path, flat_photos: Path) -> None:
    weights = save(timm.create_model(network).state_dict())
    hub.files[published(network).repository, "model.safetensors"] = weights
    main(["weights", "fetch", network, "--folder", "stick"])
    # To another file system, as one copies to a stick that knows no links.
    assert not [path for path in Path("stick").rglob("*") if path.is_symlink()]
    shutil.copytree("stick", "laptop")
    shutil.rmtree("stick")
    hub.asked.clear()
    environment = {**os.environ, "HF_HOME": "laptop", "HF_HUB_OFFLINE": "1"}
    program = [sys.executable, "-m", "anomaly_clustering"]
    words = ["cluster", str(flat_photos), "--backbone", network, "--image-size", "64", "--views", "1", "--out", "out"]
    done = subprocess.run([*program, *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    of_timm = f"import timm; timm.create_model('{network}', pretrained=True)"
    subprocess.run([sys.executable, "-c", of_timm], env=environment, check=True)
    assert hub.asked == []


def test_licence_and_size_are_shown_before_anything_is_downloaded(
    hub: Hub, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files.clear()
    hub.files[REPOSITORY, "model.safetensors"] = content
    hub.changed = True
    error(["weights", "fetch", NETWORK, "--folder", "stick"], capsys)
    main(["weights", "show", NETWORK])
    shown = capsys.readouterr().out
    assert "licence  apache-2.0 (any use, also commercial)" in shown
    assert f"size     {len(content) / 1e6:.1f} MB to download" in shown
    assert f"from     {hub.url}/{REPOSITORY}" in shown
    assert hub.downloads == [0]


def test_the_licence_of_dinov3_is_called_what_it_is(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "show", "vit_small_patch16_dinov3"])
    shown = capsys.readouterr().out
    assert "licence  dinov3-license (Meta's own terms, not an open source licence: read them first)" in shown
    # A copy that wants no account.
    assert f"from     {hub.url}/timm/vit_small_patch16_dinov3.lvd1689m" in shown


def test_what_is_there_is_not_downloaded_again(
    hub: Hub, content: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["weights", "fetch", NETWORK, NETWORK, "--folder", "stick"])
    assert (Path("stick") / FILE).read_bytes() == content
    assert hub.downloads == [0]
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    main(["weights", "fetch", NETWORK, "--folder", "stick"])
    main(["weights", "list", "--folder", "stick"])
    assert capsys.readouterr().out.count(f"size     {len(content) / 1e6:.1f} MB, is there") == 2
    assert hub.asked == []
    with pytest.raises(SystemExit):
        main(["weights", "list", "--folder", "stik"])
    assert "'stik' is no folder that is there" in capsys.readouterr().err


def test_a_killed_download_goes_on(hub: Hub) -> None:
    # The hub's client writes 10 MB at a time.
    hub.files[REPOSITORY, "model.safetensors"] = content = save({"weight": torch.rand(6_000_000)})
    hub.pause_after = 15_000_000
    program = [sys.executable, "-m", "anomaly_clustering", "weights", "fetch", NETWORK, "--folder", "stick"]
    with subprocess.Popen(program, stderr=subprocess.PIPE) as process:
        assert hub.paused.wait(60)
        part = Path("stick") / PART.format(hashlib.sha256(content).hexdigest())
        while not (part.is_file() and part.stat().st_size):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    assert 0 < kept < len(content)
    assert not (Path("stick") / FILE).exists()
    hub.pause_after = None
    main(["weights", "fetch", NETWORK, "--folder", "stick"])
    assert hub.downloads == [0, kept]
    assert (Path("stick") / FILE).read_bytes() == content
    assert not list(Path("stick").rglob("*.incomplete"))


def test_what_the_hub_does_not_have_is_not_kept(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.changed = True
    said = error(["weights", "fetch", NETWORK, "--folder", "stick"], capsys)
    assert "has the SHA-256" in said
    assert "nothing was kept" in said
    assert [path for path in Path("stick").rglob("*") if path.is_file()] == []


def test_a_part_that_is_too_long_is_begun_anew(hub: Hub, content: bytes) -> None:
    part = Path("stick") / PART.format(hashlib.sha256(content).hexdigest())
    part.parent.mkdir(parents=True)
    part.write_bytes(content + b"more")
    main(["weights", "fetch", NETWORK, "--folder", "stick"])
    assert (Path("stick") / FILE).read_bytes() == content


def test_an_answer_cannot_write_elsewhere(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.commit = "../../../../elsewhere"
    said = error(["weights", "fetch", NETWORK, "--folder", "stick"], capsys)
    assert "does not answer as the Hugging Face Hub does" in said
    assert not Path("stick").exists()


def test_processes_of_one_run_download_once(hub: Hub, tmp_path: Path) -> None:
    offered = look_up(REPOSITORY)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: fetch(offered, tmp_path / "hub", called=NETWORK), range(3)))
    assert len(set(found)) == 1
    assert hub.downloads == [0]


def test_half_a_file_is_named_and_fetched_again(
    hub: Hub, content: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["weights", "fetch", NETWORK])
    file = Path("home") / FILE
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors' was cut off.*copy it again.*weights fetch"):
        Backbone(NETWORK)
    main(["weights", "list"])
    assert "what is there was cut off; fetch it again" in capsys.readouterr().out
    main(["weights", "fetch", NETWORK])
    assert file.read_bytes() == content


def test_cluster_downloads_by_the_same_way(hub: Hub, content: bytes) -> None:
    backbone = Backbone(NETWORK)
    weights = load_file(Path("home") / FILE)
    assert torch.equal(backbone.network.conv1[0].weight, weights["conv1.0.weight"])
    Backbone(NETWORK)
    assert hub.downloads == [0]


def test_names_that_timm_does_not_know(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'wide_resnet50_2'" in error(["weights", "fetch", "wide_resnet50"], capsys)
    # What Meta calls it.
    assert "patch16_dinov3" in error(["weights", "show", "facebook/dinov3-vits16-pretrain-lvd1689m"], capsys)
    assert "it has 'resnet18.a1_in1k'" in error(["weights", "fetch", "resnet18.imagenet"], capsys)
    assert "installed with this package" in error(["weights", "fetch", "embedded"], capsys)
    assert "name a network of timm" in error(["weights", "fetch"], capsys)
    assert hub.asked == []


def test_one_wrong_name_among_many_is_told_before_anything_is_downloaded(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    error(["weights", "fetch", NETWORK, "resnet81"], capsys)
    error(["weights", "fetch", NETWORK, "resnet18"], capsys)
    assert hub.downloads == []


def test_gated_private_and_other_files(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.gated.add("timm/resnet18.a1_in1k")
    hub.files["timm/resnet34.a1_in1k", "pytorch_model.bin"] = b""
    assert "is gated: its owner" in error(["weights", "fetch", "resnet18"], capsys)
    assert "holds no model.safetensors" in error(["weights", "fetch", "resnet34"], capsys)
    assert "shows no repository 'timm/resnet50.a1_in1k'" in error(["weights", "fetch", "resnet50"], capsys)


def test_no_network(hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reach("http://127.0.0.1:9", monkeypatch)
    assert "http://127.0.0.1:9 was not reached" in error(["weights", "fetch", NETWORK], capsys)
    with pytest.raises(ConnectionError, match=r"not in .*home.*could not be downloaded.*'embedded'.*weights fetch"):
        Backbone(NETWORK)
    main(["weights", "show", NETWORK])
    assert "size     not known: http://127.0.0.1:9 was not reached" in capsys.readouterr().out
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in error(["weights", "fetch", NETWORK], capsys)


def test_a_disk_that_is_too_small_is_told_before_the_download(
    hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1000))
    assert "and the disk of 'stick" in error(["weights", "fetch", NETWORK, "--folder", "stick"], capsys)
    assert hub.downloads == []


def test_weights_without_their_end_are_not_whole(content: bytes, tmp_path: Path) -> None:
    for size, whole in [(0, False), (7, False), (len(content) - 1, False), (len(content), True)]:
        (tmp_path / "a.safetensors").write_bytes(content[:size])
        assert is_whole(tmp_path / "a.safetensors") == whole
