"""How a run is listed in W&B, out of the options of a command."""

import pytest

from anomaly_clustering.runs.tracked_run import describe


def test_category_and_seed_are_read_from_the_options() -> None:
    config = {
        "model": {"class_path": "anomaly_clustering.mic.MIC", "init_args": {"seed": 3}},
        "data": {"class_path": "anomaly_clustering.data.MVTecAD", "init_args": {"category": "cable"}},
    }
    run = describe("test", config)
    assert (run.experiment, run.method, run.category, run.seed) == ("test", "MIC", "cable", 3)


@pytest.mark.parametrize(
    ("data", "category"),
    [
        ({"class_path": "mine.Photos"}, "Photos"),
        ({"class_path": "Photos", "init_args": None}, "Photos"),
        (None, "own data"),
    ],
)
def test_data_without_arguments_or_of_the_method_itself_are_described(data: object, category: str) -> None:
    run = describe("fit", {"model": {"class_path": "mine.Method"}, "data": data})
    assert (run.method, run.category, run.seed) == ("Method", category, 0)
