"""The paper's figures on real images and real weights, and the report of such a run in a browser. Minutes: slow."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import SHARED
from lightning import Trainer
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from anomaly_clustering.data import MTD
from anomaly_clustering.mic.module import MIC, Weights
from anomaly_clustering.runs.run_folder import write_run

DATA, RESNET18 = SHARED / "data" / "mtd", SHARED / "weights" / "resnet18_layer3.safetensors"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA.is_dir() and RESNET18.is_file()), reason=f"no real data and weights at {SHARED}"),
]


@pytest.fixture(autouse=True)
def _all_cores() -> Iterator[None]:
    """Unlike the tiny tensors of other tests, these are worth more than one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


def run(weights: Weights) -> tuple[MIC, MTD, dict[str, float]]:
    mic, data = MIC("resnet18", checkpoint=RESNET18, weights=weights), MTD(DATA)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    return mic, data, dict(trainer.test(mic, datamodule=data, verbose=False)[0])


def test_average() -> None:
    _, _, scores = run("uniform")
    assert scores["nmi"] == pytest.approx(0.112, abs=0.03)


def test_semi_supervised() -> None:
    _, _, scores = run("novelty")
    assert scores["nmi"] >= 0.36


def test_unsupervised_and_its_report(tmp_path: Path) -> None:
    mic, data, scores = run("rarity")
    assert scores["nmi"] == pytest.approx(0.170, abs=0.03)
    assert scores["f1"] == pytest.approx(0.363, abs=0.04)
    expected = AgglomerativeClustering(6, linkage="ward").fit_predict(mic.grouping.embeddings)
    assert adjusted_rand_score(expected, mic.grouping.labels) == 1

    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the PATH")
    write_run(tmp_path / "mtd", mic, data, metrics=scores, config="")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((tmp_path / "mtd" / "report.html").as_uri())
        assert page.locator("section[data-cluster]").count() == 6
        assert page.locator("figure").count() == 583
        heat = page.locator("figure .heat").first
        assert not heat.is_visible() or heat.evaluate("e => getComputedStyle(e).opacity") == "0"
        page.locator("#heat-toggle").click()
        page.wait_for_timeout(500)
        assert heat.evaluate("e => getComputedStyle(e).opacity") == "1"
        browser.close()
