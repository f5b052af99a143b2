"""What the paper printed, and that the copies of it agree with each other as far as the paper does."""

import pytest

from anomaly_clustering.system.tables import read_csv
from experiments.categories import DEFECTIVE_MTD, GROUPS, MEANS, MVTEC, OBJECT, TEXTURE, single
from experiments.markdown import _short
from experiments.published import FOLDER, SAME_RUNS, Key, of_group, published
from experiments.tables import TABLES

NAMES = [path.stem for path in sorted(FOLDER.glob("*.csv"))]


def test_all_tables_and_the_later_results_are_there() -> None:
    assert {f"table{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10)} | {"localisation", "later"} == set(NAMES)
    assert len(published("table7")) == 16 * 5 * 3
    assert len(published("table8")) == (12 + 6) * 3 * 3


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_possible_and_of_methods_that_are_measured(name: str) -> None:
    for key, number in published(name).items():
        assert -0.02 <= number.value <= 1, key
        categories = {category.name for category in (*MVTEC, DEFECTIVE_MTD)}
        assert key.category in {"", "object", "texture", "all", *categories}
        if name != "later":
            assert key.method in TABLES[name].methods
            assert key.metric in TABLES[name].metrics


@pytest.mark.parametrize("group", [OBJECT, TEXTURE], ids=str)
def test_means_of_table_7_are_those_of_table_1(group) -> None:
    for method in TABLES["table1"].methods:
        for metric in ("nmi", "ari", "f1"):
            printed = of_group(published("table1"), method, group, metric)
            mean = of_group(published("table7"), method, group, metric)
            assert printed is not None
            assert mean is not None
            assert mean.value == pytest.approx(printed.value, abs=0.0016)


def test_tables_print_the_same_run_alike() -> None:
    everywhere: dict[Key, dict[str, float]] = {}
    for name in ("table1", "table2", "table5", "table7", "table8", "localisation"):
        for key, number in published(name).items():
            same = key._replace(method=SAME_RUNS.get(key.method, key.method))
            everywhere.setdefault(same, {})[name] = number.value
    repeated = {key: values for key, values in everywhere.items() if len(values) > 1}
    assert len(repeated) > 40
    assert not {key: values for key, values in repeated.items() if max(values.values()) - min(values.values()) > 1e-9}


def test_a_mean_of_parts_is_weighted_by_their_size() -> None:
    found = of_group(published("table1"), "Average", MEANS[0], "nmi")
    assert found is not None
    assert found.value == pytest.approx((10 * 0.244 + 5 * 0.273) / 15)
    assert of_group(published("table1"), "Average", MEANS[1], "nmi").value == pytest.approx(  # type: ignore[union-attr]
        (10 * 0.244 + 5 * 0.273 + 0.065) / 16
    )
    assert of_group(published("table9"), "Average", GROUPS[2], "nmi") is None
    assert of_group(published("table7"), "Average", single(MVTEC[0]), "nmi").value == 0.426  # type: ignore[union-attr]


def test_nothing_is_known_of_a_table_without_numbers() -> None:
    assert published("figure6") == {}


def test_later_results_say_whether_good_images_were_clustered_and_where_they_were_printed() -> None:
    rows = read_csv(FOLDER / "later.csv")
    assert {row["good"] for row in rows} == {"with", "without"}
    for row in rows:
        assert (row["good"] == "without") == (row["category"] == DEFECTIVE_MTD.name), row
        assert row["source"], row
        # What these papers call F1 is accuracy, and stands there as that.
        assert row["metric"] in ("nmi", "ari", "accuracy"), row


@pytest.mark.parametrize(("value", "text"), [(0.181, ".181"), (-0.05, "-.050"), (1.0, "1.000"), (10.0, "10.000")])
def test_shares_have_three_digits(value: float, text: str) -> None:
    assert _short("nmi", value) == text


@pytest.mark.parametrize(("value", "text"), [(20.0, "20.0"), (10.04, "10.0"), (0.26, "0.3")])
def test_counts_have_one_digit(value: float, text: str) -> None:
    assert _short("num_clusters", value) == text
