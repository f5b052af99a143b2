"""Shapes in annotations are checked while the tests run; fixtures make small folders of images."""

import gc
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import here, zygote  # noqa: F401
from jaxtyping import config, install_import_hook
from PIL import Image

# Before anything imports the package.
install_import_hook(["anomaly_clustering", "baselines"], "beartype.beartype")
# What its asserts compare is told where they fail, as in tests.
pytest.register_assert_rewrite("commands")
# Tensors are tiny here: threads would only wait for one another, those of commands that tests start as well.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared"

MakeImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_readers_left() -> Iterator[None]:
    """Processes that read images end with the loop over them, which an error that was expected keeps alive."""
    yield
    if multiprocessing.active_children():
        gc.collect()


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in the test's own folder, where what they write by relative paths lies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept in the user's cache folder is made by this code, where all processes of the tests see it."""
    base, of_user = tmp_path_factory.getbasetemp(), Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        # Of other libraries all is where it was.
        for name, folder in (("HF_HOME", "huggingface"), ("TORCH_HOME", "torch"), ("MPLCONFIGDIR", "matplotlib")):
            patch.setenv(name, os.environ.get(name) or str(of_user / folder))
        patch.setenv("XDG_CACHE_HOME", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
        # Servers of tests are on this machine.
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        patch.setenv("no_proxy", ",".join(filter(None, ("127.0.0.1,localhost,::1", others))))
        yield


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is kept in the user's cache folder lies in the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def unchecked_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """What users have, who run the package without the check of types and shapes: they must see errors of our own."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


@pytest.fixture
def make_image() -> MakeImage:
    """Writes a noisy grey image with a defect of a kind (0: none, 1: bright square, 2: dark bar) at a random place."""

    def make(path: Path, kind: int = 0, *, seed: int = 0, size: int = 64) -> Path:
        rng = np.random.default_rng([seed, kind])
        pixels = rng.normal(128, 12, (size, size))
        y, x = rng.integers(4, size - 28, 2)
        if kind == 1:
            pixels[y : y + 14, x : x + 14] = 250
        if kind == 2:
            pixels[y : y + 4, x : x + 26] = 5
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB").save(path)
        return path

    return make


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of 5 images each of 'good', 'bright' and 'bar', all different."""
    for kind, name in enumerate(["good", "bright", "bar"]):
        for seed in range(5):
            make_image(tmp_path / "photos" / name / f"{seed}.png", kind, seed=seed)
    return tmp_path / "photos"


@pytest.fixture
def masks(photos: Path) -> Path:
    """Masks beside the photos, one for each of 'bright' and 'bar': a corner of 8 x 8 pixels, wherever the defect is."""
    for name in ("bar", "bright"):
        for seed in range(5):
            mask = Image.new("L", (64, 64), 0)
            mask.paste(255, (0, 0, 8, 8))
            (photos.parent / "masks" / name).mkdir(parents=True, exist_ok=True)
            mask.save(photos.parent / "masks" / name / f"{seed}.png")
    return photos.parent / "masks"


@pytest.fixture
def flat_photos(tmp_path: Path, make_image: MakeImage) -> Path:
    """The same images in one folder, without labels."""
    for kind in range(3):
        for seed in range(5):
            make_image(tmp_path / "flat" / f"{kind}{seed}.png", kind, seed=seed)
    return tmp_path / "flat"


@pytest.fixture
def root(tmp_path: Path, make_image: MakeImage) -> Path:
    """Three categories of MVTec AD with three classes of three images each, and masks."""
    for category in ("bottle", "cable", "tile"):
        folder = tmp_path / "data" / "mvtec" / category
        for seed in range(3):
            make_image(folder / "train" / "good" / f"{seed}.png", seed=100 + seed)
            for kind, name in enumerate(("good", "bright", "bar")):
                make_image(folder / "test" / name / f"{seed}.png", kind, seed=seed)
                if kind:
                    make_image(folder / "ground_truth" / name / f"{seed}_mask.png", kind, seed=seed)
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder that results are written into, not made yet."""
    return tmp_path / "out"


@pytest.fixture
def clustered(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run on 15 images: five good ones, five with a bright square, five with a dark bar."""
    from anomaly_clustering.cli.main import main

    monkeypatch.chdir(photos.parent)
    main(["cluster", "photos", "--clusters", "3", "--method", "paper", "--image-size", "128", "--out", "run"])
    return Path("run")


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("the browser test needs chromium, chromium-browser or google-chrome on the PATH; found none")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=executable, args=quiet)
        yield instance
        instance.close()


@pytest.fixture
def open_report(browser, tmp_path) -> Iterator[Callable]:
    """Opens a report from its file and fails where the page complained, showed an alert or asked for a resource."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (complaints.append(f"alert {dialog.message}"), dialog.dismiss()))
    tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))

    def open_page(report):
        from anomaly_clustering.report.page import write_report

        write_report(tmp_path / "report.html", report)
        tab.goto((tmp_path / "report.html").as_uri())
        return tab

    yield open_page
    tab.close()
    assert complaints == []


@pytest.fixture
def no_memory() -> Iterator[torch.device]:
    """Tensors are shapes without values, so that the largest network takes neither memory nor time."""
    with torch.device("meta") as device:
        yield device
