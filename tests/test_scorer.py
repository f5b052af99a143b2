"""Scores of a grouping, brought together by the processes of a run."""

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from anomaly_clustering.clustering.grouping import group_embeddings
from anomaly_clustering.mic.result import Grouping
from anomaly_clustering.mic.scorer import Scorer


def test_all_scores_lie_on_the_device_of_the_metrics_where_a_group_of_gpus_can_exchange_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embeddings = np.array([[0.0], [4.0], [9.0], [9.5]])
    groups = group_embeddings(embeddings, 2, "ward", seed=0)
    scores = np.zeros(4), np.zeros((4, 4)), np.zeros((0, 4))
    known, uniform = np.array([0, 0, 1, 1]), np.full((4, 2, 2), 0.25)
    grouping = Grouping(np.arange(4), known, uniform, embeddings, None, groups, *scores)
    # A device that is not the processor, whose tensors have no numbers that torchmetrics could look at.
    gpu = torch.device("meta")
    monkeypatch.setattr(MetricCollection, "update", lambda self, *arrays: None)
    monkeypatch.setattr(MetricCollection, "compute", lambda self: {name: torch.zeros((), device=gpu) for name in self})
    found = Scorer().to(gpu).against_classes(grouping, slice(0, None, 2))
    assert {"nmi", "mauc", "r@90%", "r@95%", "r@99%"} <= found.keys()
    assert {score.device for score in found.values()} == {gpu}
