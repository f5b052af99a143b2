"""New images among those of a run, as planted embeddings: whose cluster they join, and how often one is unknown."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist, squareform

from anomaly_clustering.clustering.neighbours import Neighbours, closest
from anomaly_clustering.clustering.unknown import Ranking, ScoredEmbeddings, from_center
from anomaly_clustering.mic.recipe import scores_against
from anomaly_clustering.mic.scores import novelty, rarity
from anomaly_clustering.runs.assign import Embedded, Fitted, assign, most_like, most_like_of_its_own, nearest_clusters


def seen(embeddings: np.ndarray, scores: np.ndarray | None = None) -> ScoredEmbeddings:
    """Images of which the most unusual patches are as unusual as given; all alike by default."""
    top = np.ones(len(embeddings)) if scores is None else scores
    return ScoredEmbeddings(embeddings, np.tile(top[:, None], (1, 4)))


def test_the_nearest_mean_wins() -> None:
    run = seen(np.array([[0.0, 0], [2, 0], [10, 0], [10, 4]]))
    found = nearest_clusters(seen(np.array([[1.0, 0.5], [9, 2], [10, 100]])), run, np.array([5, 5, 3, 3]))
    assert found.labels.tolist() == [5, 3, 3]
    assert found.distances.tolist() == pytest.approx([0.5, 1, 98])
    assert found.nearest.tolist() == [0, 2, 3]


def test_unknown_are_images_far_from_all_others_and_images_with_odd_patches() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    run = seen(rng.normal(np.repeat([[0.0], [9.0]], 50, 0), 1, (100, 8)), rng.normal(1, 0.1, 100))
    like = run.embeddings[:1] + 0.3
    between = np.full((1, 8), 4.5)
    new = seen(np.concatenate([like, between, like]), np.array([1.0, 1.0, 20.0]))
    found = nearest_clusters(new, run, labels)
    assert found.unknown.tolist() == [False, True, True]
    assert found.p_values[1:].max() <= 0.05 < found.p_values[0]
    # Where nothing is known of patches, as in a run of an earlier version, distances alone tell.
    found = nearest_clusters(new, run._replace(top_scores=np.full((100, 4), np.nan)), labels)
    assert found.unknown.tolist() == [False, True, False]


def test_an_image_beside_a_tight_group_is_unusual_where_it_would_not_be_among_images_far_apart() -> None:
    rng = np.random.default_rng(0)
    run = np.concatenate([rng.normal(0, 0.1, (30, 2)), rng.normal(50, 3, (30, 2))])
    of_tight, of_wide = Ranking(seen(run)).p_values(seen(np.array([[4.0, 0], [52, 50]])))
    assert of_tight <= 1 / 61 < 0.1 < of_wide


def naive_p_value(new: ScoredEmbeddings, run: ScoredEmbeddings) -> float:
    """As the formulas say: the new image joins the bag, and all of it is measured alike."""
    bag = np.concatenate([run.embeddings, new.embeddings])
    scores = np.concatenate([run.top_scores[:, 2], new.top_scores[:, 2]])
    distances = np.linalg.norm(bag[:, None] - bag, axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(1)[:, : min(3, len(bag) - 1)]
    alone = np.array([row[near].mean() for row, near in zip(distances, nearest, strict=True)])
    around = np.maximum(alone[nearest].mean(1), 0.1 * np.median(alone))
    unusual = alone * (scores / around) ** 0.25
    return float((unusual >= unusual[-1]).mean())


@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 30])
def test_p_is_what_the_formulas_say_however_few_images_there_are(images: int) -> None:
    rng = np.random.default_rng(images)
    run = ScoredEmbeddings(rng.normal(size=(images, 3)), rng.random((images, 4)))
    new = ScoredEmbeddings(rng.normal(size=(20, 3)) * 1.5, rng.random((20, 4)))
    one_by_one = [naive_p_value(ScoredEmbeddings(*(column[[i]] for column in new)), run) for i in range(20)]
    assert Ranking(run).p_values(new).tolist() == pytest.approx(one_by_one)


def p_value_of_all_measured_anew(new: ScoredEmbeddings, run: ScoredEmbeddings) -> float:
    """The formulas once more, by the same steps as `Ranking` but for all images, so that numbers are the same."""
    n = len(run.embeddings)
    of_run, distances = Neighbours(3).of(run.embeddings), cdist(new.embeddings, run.embeddings)
    numbers = np.arange(n + 1)
    nearest = closest(
        np.column_stack([of_run.distances, distances[0]]), np.column_stack([of_run.images, np.full(n, n)]), min(3, n)
    )
    its = closest(distances, numbers[None, :n], min(3, n))
    alone = np.concatenate([nearest.distances, its.distances]).mean(1)
    around = alone[np.concatenate([nearest.images, its.images])].mean(1)
    unusual = alone / np.maximum(np.maximum(around, 0.1 * np.median(alone)), 1e-150) ** 0.25
    scores = np.concatenate([run.top_scores[:, 2], new.top_scores[:, 2]])
    if not np.isnan(scores).any():
        unusual *= scores**0.25
    return float((unusual >= unusual[-1]).mean())


@pytest.mark.parametrize("images", [1, 2, 3, 4, 5, 30, 300])
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("unknown_scores", [False, True])
def test_p_is_to_the_bit_that_of_all_images_measured_anew_also_where_many_are_at_the_same_distance(
    images: int, decimals: int, unknown_scores: bool
) -> None:
    rng = np.random.default_rng(images)
    kinds = rng.integers(4, size=images + 70)
    embeddings = rng.normal(3 * kinds[:, None], 0.1 + kinds[:, None], (images + 70, 2)).round(decimals)
    scores = 1 + rng.exponential(size=images + 70).round(1)
    scores[images :: 2 if unknown_scores else 70] = np.nan
    bag = seen(embeddings, scores)
    run, new = (ScoredEmbeddings(*(column[part] for column in bag)) for part in (slice(images), slice(images, None)))
    one_by_one = [p_value_of_all_measured_anew(ScoredEmbeddings(*(c[[i]] for c in new)), run) for i in range(70)]
    assert Ranking(run).p_values(new).tolist() == one_by_one


def test_of_the_run_only_images_that_a_new_one_is_a_neighbour_to_are_measured_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, measured = np.random.default_rng(0), []
    ranking, new = Ranking(seen(rng.normal(size=(500, 5)))), seen(rng.normal(size=(40, 5)))
    monkeypatch.setattr(
        "anomaly_clustering.clustering.unknown.closest",
        lambda distances, images, count: (measured.append(distances.size), closest(distances, images, count))[1],
    )
    ranking.p_values(new)
    assert sum(measured) < 40 * 500 / 10


def test_the_nearest_of_each_image_are_others_also_where_images_are_copies() -> None:
    points = np.random.default_rng(0).normal(size=(40, 6)).round(1)
    points[10:14] = points[9]
    apart = squareform(pdist(points))
    np.fill_diagonal(apart, np.inf)
    nearest = Ranking(ScoredEmbeddings(points, np.ones((40, 4)))).nearest
    assert np.allclose(nearest.distances, np.sort(apart, axis=1)[:, :3])
    assert (nearest.images != np.arange(40)[:, None]).all()


def test_the_nearest_of_each_point_are_the_same_however_few_are_compared_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, others = np.random.default_rng(0).normal(size=(11, 4)), np.random.default_rng(1).normal(size=(7, 4))
    monkeypatch.setattr("anomaly_clustering.runs.assign.MOST_DISTANCES", 15)
    assert (most_like(points, others) == cdist(points, others).argmin(1)).all()
    assert not len(most_like(points[:0], others))


def test_what_is_most_like_of_the_same_cluster_is_looked_for_only_where_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, compared = np.random.default_rng(0), []
    others, other_labels = rng.normal(size=(60, 3)), rng.integers(-1, 4, 60)
    points, labels = rng.normal(size=(50, 3)), rng.integers(-1, 6, 50)
    distances = cdist(points, others)
    apart = (labels[:, None] != other_labels) & np.isin(labels, other_labels)[:, None]
    expected = np.where(apart, np.inf, distances).argmin(1)
    # Of some the nearest of all was found, whatever its cluster, and of others none.
    found = np.where(rng.random(50) < 0.5, expected, np.where(rng.random(50) < 0.5, -1, other_labels.argmax()))
    found[labels == other_labels.max()] = -1
    whole = most_like
    monkeypatch.setattr(
        "anomaly_clustering.runs.assign.most_like",
        lambda points, others: (compared.append(len(points)), whole(points, others))[1],
    )
    nearest = most_like_of_its_own(points, labels, others, other_labels, found)
    assert nearest.tolist() == expected.tolist()
    assert sum(compared) == ((found < 0) | (other_labels[found] != labels)).sum() < 50


@pytest.mark.parametrize("images", [5, 19, 40])
def test_exchangeable_images_are_flagged_no_more_often_than_allowed_however_few_they_are(images: int) -> None:
    rng = np.random.default_rng(images)
    # Images of a few kinds with spreads of their own, some of them copies, and scores with ties.
    p = np.empty(2000)
    for draw in range(len(p)):
        kinds = rng.integers(4, size=images + 1)
        embeddings = rng.normal(3 * kinds[:, None], 0.1 + kinds[:, None], (images + 1, 2)).round(1)
        bag = seen(embeddings, (1 + rng.exponential(size=images + 1)).round(1))
        p[draw] = Ranking(ScoredEmbeddings(*(column[1:] for column in bag))).p_values(
            ScoredEmbeddings(*(column[:1] for column in bag))
        )[0]
    assert p.min() >= 1 / (images + 1)
    for share in (0.02, 0.05, 0.1, 0.5):
        assert (p <= share).mean() <= share + 3 * np.sqrt(share * (1 - share) / len(p))
    # And not much less often, where there are images enough to tell.
    assert (p <= 0.5).mean() > 0.4


def directions(points: np.ndarray) -> np.ndarray:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("strangers", [0, 1, 30])
def test_known_images_are_flagged_no_more_often_than_allowed_whoever_came_with_them(strangers: int) -> None:
    rng = np.random.default_rng(strangers)
    run, others = 40, directions(rng.normal(size=(strangers, 5)) + 2)
    p = np.empty(1000)
    for draw in range(len(p)):
        bag = directions(rng.normal(size=(run + 1, 5)))
        bag = from_center(bag, np.concatenate([bag, others]).mean(0))
        p[draw] = Ranking(seen(bag[1:])).p_values(seen(bag[:1]))[0]
    for share in (0.05, 0.1, 0.5):
        assert (p <= share).mean() <= share + 3 * np.sqrt(share * (1 - share) / len(p))
    assert (p <= 0.5).mean() > 0.4


def fitted_and_new() -> tuple[Fitted, Embedded]:
    """Images of four types, and new ones of a fifth that is like the fourth but for what is its own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    kinds = rng.normal(size=(5, 20))
    kinds[4] = kinds[3] + rng.normal(size=20)
    points = kinds[np.append(labels, np.full(40, 4))] + 0.7 * rng.normal(size=(160, 20))
    points = directions(points - points[:120].mean(0))
    top, names = np.ones((160, 4)), [str(i) for i in range(160)]
    finding = np.ones(40, dtype=bool)
    return (
        Fitted(names[:120], points[:120], labels, top[:120], signed_root=True),
        Embedded(names[120:], points[120:], top[120:], finding, [()] * 40, ~finding),
    )


def test_the_more_images_of_a_new_type_have_come_the_more_of_them_are_unknown() -> None:
    fitted, new = fitted_and_new()
    alone = [Embedded(*(column[i : i + 1] for column in new)) for i in range(40)]
    by_themselves = [assign(one.digests, one, fitted) for one in alone]
    so_far = accumulate(alone, Embedded.followed_by)
    one_after_another = [assign(one.digests, came, fitted) for one, came in zip(alone, so_far, strict=True)]
    together = assign(new.digests, new, fitted)
    one_by_one = (sum(found.unknown.sum() for found in way) for way in (by_themselves, one_after_another))
    assert sorted(found := [*one_by_one, together.unknown.sum()]) == found
    assert len(set(found)) == 3
    # Where they would go does not depend on who has come.
    assert [found.distances[0] for found in by_themselves] == together.distances.tolist()


def test_only_images_that_are_asked_for_are_ranked_among_those_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, new = fitted_and_new()
    together, ranked, p_values = assign(new.digests, new, fitted), [], Ranking.p_values
    monkeypatch.setattr(
        Ranking, "p_values", lambda self, new: (ranked.append(len(new.embeddings)), p_values(self, new))[1]
    )
    of_run, one, again = fitted.digests[7], new.digests[30], new.digests[3]
    found = assign([one, of_run, again, one], new, fitted)
    for column, whole in zip(found[:-1], together[:-1], strict=True):
        assert column[[0, 2, 3]].tolist() == whole[[30, 3, 30]].tolist()
    assert (found.labels[1], found.nearest[1], found.unknown[1]) == (fitted.labels[7], 7, False)
    assert not assign([of_run], new, fitted).unknown.any()
    assert ranked == [2]


def test_images_without_a_finding_do_not_change_which_others_are_unknown() -> None:
    fitted, new = fitted_and_new()
    good = directions(np.random.default_rng(1).normal(size=(200, 20)) + 1)
    with_good = Embedded(
        [*new.digests, *(f"good {i}" for i in range(200))],
        np.concatenate([new.embeddings, good]),
        np.ones((240, 4)),
        np.arange(240) < 40,
        [()] * 240,
        np.zeros(240, dtype=bool),
    )
    found, again = assign(new.digests, new, fitted), assign(new.digests, with_good, fitted)
    assert found.p_values.tolist() == pytest.approx(again.p_values.tolist())
    assert not assign(with_good.digests[40:], with_good, fitted).unknown.any()


def test_images_that_coincide_are_at_home_among_themselves() -> None:
    run = seen(np.zeros((30, 2)))
    assert Ranking(run).p_values(seen(np.array([[0.0, 0], [1, 1]]))).tolist() == [1.0, 1 / 31]


def test_scores_are_those_of_eq_7_and_6_against_what_was_kept() -> None:
    bags = torch.nn.functional.normalize(torch.randn(5, 6, 4), dim=-1)
    new, references = bags[:2], bags[2:]
    # Rarity of an image among itself and the references is rarity against the references.
    among = torch.stack([rarity(torch.cat([image[None], references]))[0] for image in new])
    torch.testing.assert_close(scores_against(new, references, weights="rarity"), among)
    patches = references.flatten(0, 1)
    torch.testing.assert_close(scores_against(new, patches[None], weights="novelty"), novelty(new, patches))
    assert scores_against(new, None, weights="uniform") is None
    with pytest.raises(ValueError, match="not by 'mask'"):
        scores_against(new, None, weights="mask")
