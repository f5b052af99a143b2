"""Which differences between methods mean something: numbers that move, paired over the same subsets of the images."""

from typing import Any

import numpy as np
import pytest

from experiments.categories import MTD, MVTEC, Category, Group, single
from experiments.markdown import markdown
from experiments.methods import WEIGHTED
from experiments.published import Key, Number
from experiments.spread import Spread, leads, spread_of
from experiments.summary import entries
from experiments.tables import Table

BOTTLE, CABLE = MVTEC[:2]
NONE = np.zeros(0)


def spread(*values: float) -> Spread:
    return Spread(np.array(values), NONE)


def seeded(*values: float) -> Spread:
    return Spread(np.array(values), NONE, of_subsets=False)


def record(nmi: float, subsets: list[float] | None = None, taus: list[float] | None = None) -> dict[str, Any]:
    """A finished run as the store has it."""
    spreads = {"nmi": {"subsets": subsets, "taus": taus or []}} if subsets else {}
    return {"metrics": {"nmi": nmi}, "spreads": spreads}


def test_what_is_ahead_on_each_subset_leads_however_far_the_subsets_are_apart() -> None:
    # Unpaired, the difference of .01 is nothing beside the standard deviation of .2.
    hard_and_easy = np.linspace(0.2, 0.8, 20)
    found = leads({"a": spread(*hard_and_easy), "b": spread(*(hard_and_easy - 0.01))})
    assert found == {"a": "**"}


def test_a_tie_is_not_bold() -> None:
    same = spread(*np.linspace(0.2, 0.8, 20))
    assert leads({"a": same, "b": same}) == {}
    # Nor are two that tie ahead of a third: they share the lead.
    assert leads({"a": same, "b": same, "c": spread(*np.linspace(0.1, 0.7, 20))}) == {"a": "*", "b": "*"}


@pytest.mark.parametrize(("lost", "mark"), [(1, {"a": "**"}), (2, {})])
def test_one_subset_of_twenty_may_be_lost(lost: int, mark: dict[str, str]) -> None:
    behind = np.full(20, 0.4)
    behind[:lost] = 0.6
    assert leads({"a": spread(*np.full(20, 0.5)), "b": spread(*behind)}) == mark


def test_a_row_is_compared_with_rows_that_know_as_much() -> None:
    low, middle, high = (spread(*(np.linspace(0, 0.1, 20) + at)) for at in (0.1, 0.2, 0.3))
    assert leads({"a": low, "b": middle, "c (semi)": high}) == {"b": "**"}
    assert leads({"a": low, "c (semi)": high}) == {}


def test_the_best_epoch_is_compared_with_nothing() -> None:
    seeds = {"IIC (best epoch)": spread(0.1, 0.11, 0.12), "SCAN (best epoch)": spread(0.3, 0.31, 0.32)}
    assert leads(seeds) == {}
    assert leads(seeds | {"IIC": spread(0.1, 0.11, 0.12), "SCAN": spread(0.2, 0.21, 0.22)}) == {"SCAN": "**"}


def test_one_number_alone_does_not_lead_but_must_be_beaten() -> None:
    scored, trained = spread(*np.linspace(0.4, 0.5, 20)), spread(0.45)
    assert leads({"trained": spread(0.6), "a": scored}) == {}
    assert leads({"trained": trained, "a": scored}) == {}
    assert leads({"trained": spread(0.3), "a": scored}) == {"a": "**"}
    assert leads({"trained": spread(0.3), "b": spread(0.2)}) == {}


def test_a_mean_over_categories_moves_less_than_each_of_them() -> None:
    results = {("a", BOTTLE): [record(0.5, [0.4, 0.6])], ("a", CABLE): [record(0.7, [0.8, 0.6])]}
    both = spread_of(results, "a", [BOTTLE, CABLE], "nmi")
    assert both is not None
    assert both.values == pytest.approx([0.6, 0.6])
    assert both.deviation == pytest.approx(0)
    assert spread_of(results, "a", [BOTTLE, MTD], "nmi") is None


def test_trained_methods_move_over_seeds() -> None:
    results = {("a", BOTTLE): [{"metrics": {"best_nmi": value}} for value in (0.1, 0.2, 0.3)]}
    found = spread_of(results, "a", [BOTTLE], "best_nmi")
    assert found is not None
    assert (found.mean, found.deviation) == pytest.approx((0.2, 0.1))


def test_of_unlike_numbers_of_seeds_there_is_a_mean_of_all_and_no_deviation() -> None:
    seeds = {BOTTLE: (0.1, 0.3, 0.8), CABLE: (0.2, 0.9)}
    results = {("a", of): [record(value) for value in values] for of, values in seeds.items()}
    found = spread_of(results, "a", [BOTTLE, CABLE], "nmi")
    assert found is not None
    assert found.mean == pytest.approx((0.4 + 0.55) / 2)
    assert found.deviation is None
    group = Group("object", "all", "all", (BOTTLE, CABLE))
    assert shown(results, group)[2] == ".475 [.450] +.025"
    # Nor where one category has one seed, of which nobody knows how far it moves.
    assert shown(results | {("a", CABLE): [record(0.2)]}, group)[2].startswith(".300 [")


def test_seeds_are_no_pairs() -> None:
    seeds = {"a": seeded(0.4, 0.5, 0.6), "b": seeded(0.39, 0.49, 0.59)}
    assert leads(seeds) == {}
    assert leads(seeds | {"a": seeded(0.6, 0.61, 0.62)}) == {"a": "**"}
    # As many subsets as seeds: a training is one number beside them, whatever the order of its seeds.
    subsets = spread(0.4, 0.5, 0.6)
    assert leads({"a": subsets, "b": seeds["b"], "c": spread(0, 0, 0)}) == {"a": "*", "b": "*"}


def shown(results: dict[tuple[str, Category], list[dict[str, Any]]], group: Group, **options: Any) -> list[str]:
    """The cells of a column of a table of two methods, as a reader sees them, its head first."""
    table = Table("", {"a": WEIGHTED, "b": WEIGHTED}, metrics=("nmi",), groups=(group,), **options)
    numbers = {Key("a", "all", "all", "nmi"): Number(0.45)}
    printed = {Key("a", BOTTLE.dataset, BOTTLE.name, "nmi"): Number(0.4)}
    text = markdown(table, entries(table, numbers, results, printed))
    return [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("|")]


def test_a_number_on_all_images_stands_beside_its_mean_over_subsets_and_over_tau() -> None:
    results = {
        ("a", BOTTLE): [record(0.52, [0.4, 0.5, 0.6], [0.3, 0.4, 0.5, 0.6, 0.7])],
        ("b", BOTTLE): [record(0.55, [0.3, 0.4, 0.5])],
    }
    numbers = ["**.500 ± .100**, all .520", ".400 ± .100, all .550"]
    head, line, *found = shown(results, single(BOTTLE), band=True)
    assert (head, found[:2]) == ("bottle".ljust(6), numbers)
    # The head and the line below it come again, then the row of 'a' alone: 'b' does not depend on tau.
    assert found[2:] == ["bottle", "-" * 11, ".500 ± .158"]
    assert set(line) == {"-"}


def test_a_mean_of_some_categories_is_labelled_so_and_beside_the_papers_mean_of_the_same() -> None:
    group = Group("mean of 2", "all", "all", (BOTTLE, CABLE))
    results = {("a", BOTTLE): [record(0.5)], ("b", BOTTLE): [record(0.5)]}
    head, _, a, b = shown(results, group)
    assert head == "mean of 1 of 2"
    assert a == ".500 [.400] +.100"
    assert b == ".500"


def test_a_row_that_was_published_alone_says_of_how_many_categories_and_is_left_out_where_it_has_no_number() -> None:
    group = Group("mean of 2", "all", "all", (CABLE, BOTTLE))
    table = Table("", {"a": WEIGHTED}, metrics=("nmi", "f1"), groups=(group,))
    results = {("a", CABLE): [{"metrics": {"nmi": 0.5, "f1": 0.6}}]}
    blocks = markdown(table, entries(table, {Key("later", "all", "all", "nmi"): Number(0.7)}, results)).split("### ")
    assert "| later | - [of 2: .700] |" in blocks[1]
    assert "later" not in blocks[2]


def test_means_over_other_categories_are_not_compared() -> None:
    group = Group("mean of 2", "all", "all", (BOTTLE, CABLE))
    high, low = record(0.6, [0.6, 0.62]), record(0.5, [0.5, 0.52])
    results = {("a", BOTTLE): [high], ("b", BOTTLE): [low], ("a", CABLE): [high]}
    assert not any("*" in text for text in shown(results, group))
    assert shown(results | {("b", CABLE): [low]}, group)[2].startswith("**")
    # As many of them, but not the same ones.
    others = {("a", BOTTLE): [high], ("b", CABLE): [low]}
    assert shown(others, group)[0].strip() == "mean of 2"
    assert all("(1/2)" in text and "*" not in text for text in shown(others, group)[2:])


def test_a_mean_that_was_printed_of_other_categories_is_said_to_be_and_not_compared() -> None:
    group = Group("mean of 2", "all", "all", (CABLE, BOTTLE))
    results = {("a", CABLE): [record(0.5)]}
    assert shown(results, group)[2] == ".500 [of 2: .450]"


def test_the_error_over_subsets_is_not_made_small_by_seeds_that_saw_the_same_subsets() -> None:
    subsets = np.linspace(0.2, 0.8, 20).tolist()
    runs = {("a", BOTTLE): [record(0.5, subsets), record(0.5, [value + 0.02 for value in subsets])]}
    table = Table("Own", {"a": WEIGHTED}, metrics=("nmi",), groups=(single(BOTTLE),), of_subsets=True)
    (found,) = entries(table, {}, runs)
    assert found.ours == pytest.approx((0.51, np.std(subsets, ddof=1) / 20**0.5))
