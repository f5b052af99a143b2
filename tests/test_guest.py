"""The estimator works inside somebody's program: it leaves the program's settings alone, and is not changed by them."""

import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.mic import MIC
from anomaly_clustering.mic.apart import apart
from anomaly_clustering.mic.quiet import LOGGERS
from anomaly_clustering.mic.trainer import plain_trainer


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    noise = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2
    noise[:4, :, 20:36, 20:36] = 1.0
    noise[4:, :, 40:44, 8:56] = 0.6
    return noise


@pytest.fixture(scope="module")
def fitted(images: torch.Tensor) -> AnomalyClusterer:
    return AnomalyClusterer(2, image_size=64, views=1).fit(images)


def settings() -> tuple[object, ...]:
    return [*warnings.filters], [logging.getLogger(name).level for name in LOGGERS]


def test_threads_leave_levels_filters_and_random_numbers_of_the_program_alone(
    images: torch.Tensor, fitted: AnomalyClusterer
) -> None:
    before = settings()
    torch.manual_seed(1)
    expected = torch.rand(1000).tolist()
    torch.manual_seed(1)
    drawn: list[float] = []
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(0.002) and len(drawn) < 1000:
            drawn.append(torch.rand(1).item())

    def work(number: int) -> list[int]:
        if number % 4 == 0:
            return AnomalyClusterer(2, image_size=64, views=1).fit(images).labels_.tolist()
        return fitted.predict(images[[0, 7]] * (1 - number / 100)).tolist()

    with ThreadPoolExecutor(4) as pool:
        drawing = pool.submit(draw)
        found = list(pool.map(work, range(9)))
        ended.set()
        drawing.result()
    assert settings() == before
    assert drawn == expected[: len(drawn)]
    assert found == [[0] * 4 + [1] * 4 if number % 4 == 0 else [0, 1] for number in range(9)]


def test_an_autocast_of_the_program_does_not_count(images: torch.Tensor, fitted: AnomalyClusterer) -> None:
    new = images[[0, 7]] * 0.9
    with torch.autocast("cpu", torch.bfloat16):
        again = AnomalyClusterer(2, image_size=64, views=1).fit(images)
        assert (again.embeddings_ == fitted.embeddings_).all()
        assert (again.assign(new, false_alarms=0.2).distances == fitted.assign(new, false_alarms=0.2).distances).all()
        mic = MIC("embedded", num_clusters=2)
        batch = {"image": images, "index": torch.arange(8), "target": torch.arange(8) // 4}
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        (scores,) = trainer.validate(mic, DataLoader([batch], batch_size=None), verbose=False)
        assert scores["nmi"] == 1


def test_a_default_device_of_the_program_does_not_count(images: torch.Tensor, fitted: AnomalyClusterer) -> None:
    class Makes(LightningModule):
        @apart
        def zeros(self) -> torch.Tensor:
            return torch.zeros(2)

    step_of_mic = Makes()
    step_of_mic.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    # Whoever makes a tensor there, and looks at its numbers, fails.
    with torch.device("meta"):
        assert step_of_mic.zeros().tolist() == [0, 0]
        again = AnomalyClusterer(2, image_size=64, views=1).fit(images)
        found = again.assign(images[[0, 7]] * 0.9, false_alarms=0.2)
    assert (again.embeddings_ == fitted.embeddings_).all()
    assert (found.distances == fitted.assign(images[[0, 7]] * 0.9, false_alarms=0.2).distances).all()


def test_of_several_gpus_the_one_that_the_program_has_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"is_available": True, "device_count": 4, "current_device": 2}
    for question, answer in answers.items():
        monkeypatch.setattr(torch.cuda, question, lambda *_, answer=answer: answer)
    alone, two = (plain_trainer(progress_bar=False, accelerator="cuda", devices=count) for count in (1, 2))
    assert alone.strategy.root_device == torch.device("cuda", 2)
    assert two.num_devices == 2


def test_known_images_need_no_network(images: torch.Tensor, fitted: AnomalyClusterer) -> None:
    known = deepcopy(fitted)
    known.recipe_ = replace(known.recipe_, checkpoint="absent.pth")
    with pytest.raises(FileNotFoundError, match="absent"):
        known.predict(images * 0.9)
    assert known.predict(images[[5, 1]]).tolist() == [1, 0]
