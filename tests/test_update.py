"""Unknown images become proposed groups, and known ones by a decision; what was known keeps its number and name."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from commands import SMALL, rows
from conftest import MakeImage
from PIL import Image

from anomaly_clustering.cli.main import main
from anomaly_clustering.clustering.proposals import proposed_groups

ALARMS = ["--false-alarms", "0.1"]


def test_groups_keep_their_numbers_as_images_come_and_new_ones_get_new_numbers() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(10 * k, 0.5, (8, 4)) for k in range(3)])
    first = proposed_groups(points[:16], np.full(16, -1), 100)
    assert sorted(set(first.tolist())) == [100, 101]
    assert (first == np.repeat(first[[0, 8]], 8)).all()
    more = proposed_groups(points, np.append(first, np.full(8, -1)), 102)
    assert (more[:16] == first).all()
    assert more[16:].tolist() == [102] * 8


def test_there_are_no_more_groups_than_images_in_each() -> None:
    rng = np.random.default_rng(0)
    # Pairs that are alike: by the mean silhouette each would be a group.
    pairs = rng.normal(size=(30, 20)).repeat(2, 0) + rng.normal(0, 0.01, (60, 20))
    assert len(set(proposed_groups(pairs, np.full(60, -1), 100).tolist())) <= 8


def test_a_few_images_and_images_without_parts_are_one_group() -> None:
    rng = np.random.default_rng(0)
    for points in (rng.normal(size=(3, 4)), rng.normal(size=(40, 64)), np.zeros((9, 2)), np.zeros((1, 2))):
        assert set(proposed_groups(points, np.full(len(points), -1), 7).tolist()) == {7}
        # To within rounding, as a network sees frames of a covered lens.
        rounded = points[:1] + 1e-8 * np.arange(len(points))[:, None]
        assert set(proposed_groups(rounded, np.full(len(points), -1), 7).tolist()) == {7}
    assert proposed_groups(np.empty((0, 2)), np.empty(0, dtype=np.int64), 7).tolist() == []


def test_thousands_of_images_are_grouped_by_the_same_rule_as_few() -> None:
    rng = np.random.default_rng(0)
    none = np.full(6000, -1)
    assert set(proposed_groups(rng.normal(size=(4097, 8)), none[:4097], 100).tolist()) == {100}
    clouds = rng.normal(size=(6000, 8)) + 20 * np.eye(8)[np.arange(6000) % 3]
    groups = proposed_groups(clouds, none, 100)
    assert sorted(set(groups.tolist())) == [100, 101, 102]
    assert (groups == groups[np.arange(6000) % 3]).all()


def make_other(path: Path, seed: int) -> None:
    """A checked pattern, which no image of the run is like."""
    pixels = (np.indices((64, 64)).sum(0) // 8 % 2 * 255 + np.random.default_rng(seed).normal(0, 12, (64, 64))).clip(
        0, 255
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def run(flat_photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(flat_photos.parent)
    main(["cluster", "flat", "--clusters", "3", *SMALL])
    return Path("flat-clusters")


def saved_labels(run: Path, found: list[dict[str, str]], *, name: str, not_in: str = "") -> None:
    """As the report saves them: all images, and a name for the proposed group."""
    lines = ["path,cluster,label,unsure,not_in"]
    lines += [f"{row['path']},{row['cluster']},,0," for row in rows(run)]
    for row in found:
        lines.append(f"{row['path']},{row['cluster']},{name if int(row['cluster']) >= 100 else ''},0,{not_in}")
    Path("labels.csv").write_text("\n".join(lines))


def test_update_proposes_groups_that_a_name_makes_known_for_good(run: Path, make_image: MakeImage, capsys) -> None:
    for seed in range(3):
        make_other(Path(f"new/other{seed}.png"), seed)
    make_image(Path("new/bar.png"), 2, seed=20)
    main(["update", "new", "--run", str(run), *ALARMS])
    assert "proposed groups, with so many images: 100 (3)" in capsys.readouterr().out
    first = rows(run, "assigned.csv")
    assert [(row["cluster"], row["unknown"]) for row in first if "other" in row["path"]] == [("100", "1")] * 3
    page = (run / "report.html").read_text()
    assert page.index('id="cluster-100"') < page.index('id="cluster-0"')
    # Twice in a row nothing changes, nor without new images, nor by assign.
    for words in (["update", "new"], ["update"], ["assign", "new"]):
        main([*words, "--run", str(run), *ALARMS])
        assert rows(run, "assigned.csv") == first
    saved_labels(run, first, name="checked")
    main(["update", "--run", str(run), "--labels", "labels.csv", *ALARMS])
    for seed in range(3, 5):
        make_other(Path(f"later/other{seed}.png"), seed)
    main(["update", "later", "--run", str(run), *ALARMS])
    found = rows(run, "assigned.csv")
    checked = [(row["cluster"], row["label"], row["unknown"]) for row in found if "other" in row["path"]]
    assert checked == [("100", "checked", "0")] * 5
    # To the page they are a cluster as any other.
    assert [(run / "report.html").read_text().count(f"{t}</span>") for t in ("new", "new, unlike the run")] == [6, 0]
    # What was known is where it was.
    (bar,), (before,) = ([row for row in table if "bar" in row["path"]] for table in (found, first))
    assert bar["cluster"] == before["cluster"]


def test_a_name_given_by_hand_names_no_group_that_was_proposed_since(run: Path, make_image: MakeImage) -> None:
    for seed in range(3):
        make_other(Path(f"new/other{seed}.png"), seed)
    main(["update", "new", "--run", str(run), *ALARMS])
    saved_labels(run, rows(run, "assigned.csv"), name="checked")
    main(["update", "--run", str(run), "--labels", "labels.csv", *ALARMS])
    for seed in range(3):
        Path("later").mkdir(exist_ok=True)
        Image.effect_noise((64, 64), 90 + seed).convert("RGB").save(f"later/noise{seed}.png")
    main(["update", "later", "--run", str(run), *ALARMS])
    found = rows(run, "assigned.csv")
    assert {row["cluster"] for row in found if "noise" in row["path"]} == {"101"}
    # The file is older than the group. One image gets another name.
    Path("labels.csv").write_text(
        Path("labels.csv").read_text().replace("other0.png,100,checked", "other0.png,100,odd")
    )
    main(["update", "--run", str(run), "--labels", "labels.csv", *ALARMS])
    after = {Path(row["path"]).stem: (row["cluster"], row["label"]) for row in rows(run, "assigned.csv")}
    assert after == {
        "other0": ("102", "odd"),
        **{f"other{seed}": ("100", "checked") for seed in (1, 2)},
        **{f"noise{seed}": ("101", "") for seed in range(3)},
    }


def test_export_finds_what_was_moved_and_leaves_out_what_is_gone_only_when_asked(
    run: Path, make_image: MakeImage, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        make_image(Path(f"new/{seed}.png"), 2, seed=20 + seed)
    main(["assign", "new", "--run", str(run), *ALARMS])
    lines = [f"{row['path']},{row['cluster']},dent,0," for row in rows(run)]
    digests = [hashlib.sha256(Path(f"new/{seed}.png").read_bytes()).hexdigest()[:16] for seed in range(2)]
    lines += [f"new/{seed}.png,0,dent,0,sha256:{digest}" for seed, digest in enumerate(digests)]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure,content", *lines]))
    Path("archive").mkdir()
    Path("new/1.png").rename("archive/moved.png")
    main(["assign", "archive", "--run", str(run), *ALARMS])
    argv = ["export", "--labels", "labels.csv", "--layout", "coco", "--run", str(run)]
    main([*argv, "--out", "all"])
    assert Path("all/images/moved.png").is_file()
    # The folder of the run's own images has another name, and one of them, of which there is a copy, as well.
    Path("flat").rename("renamed")
    first = min(Path("renamed").iterdir())
    first.rename(first.with_name("other.png"))
    main([*argv, "--out", "renamed_all", "--images", "renamed", "--images", "new", "--images", "archive"])
    images = {path.name for path in Path("renamed_all/images").iterdir()}
    assert len(images) == len(list(Path("all/images").iterdir()))
    assert "other.png" in images
    first.with_name("other.png").rename(first)
    Path("renamed").rename("flat")
    # The run knows where its own images are, once they were assigned from there.
    Path("flat").rename("renamed")
    main(["assign", "renamed", "--run", str(run), *ALARMS])
    main([*argv, "--out", "known"])
    assert {path.name for path in Path("known/images").iterdir()} == images - {"other.png"} | {first.name}
    Path("renamed").rename("flat")
    Path("new/0.png").unlink()
    with pytest.raises(SystemExit):
        main([*argv, "--out", "some"])
    said = capsys.readouterr().err
    assert "image 'new/0.png' is not there" in said
    assert "or leave out what is gone with --skip-missing" in said
    main([*argv, "--out", "some", "--skip-missing"])
    assert "Left out, since their files are gone: 1 image, first 'new/0.png'" in capsys.readouterr().out
    assert len(list(Path("some/images").iterdir())) == len(list(Path("all/images").iterdir())) - 1


def test_a_share_of_false_alarms_holds_until_another_is_given(run: Path) -> None:
    make_other(Path("new/other.png"), 0)
    for words, share, unknown in (
        (["update"], 0.05, "0"),
        (["update", "--false-alarms", "0.1"], 0.1, "1"),
        (["assign"], 0.1, "1"),
        (["watch", "--once", "--every", "0.02"], 0.1, "1"),
        (["watch", "--once", "--every", "0.02", "--false-alarms", "0.01"], 0.01, "0"),
        (["update"], 0.01, "0"),
    ):
        main([words[0], "new", "--run", str(run), *words[1:]])
        assert json.loads((run / "decisions.json").read_text())["false_alarms"] == share
        assert [row["unknown"] for row in rows(run, "assigned.csv")] == [unknown]


def test_an_image_is_not_put_where_a_person_said_that_it_is_not(run: Path, make_image: MakeImage) -> None:
    make_image(Path("new/bar.png"), 2, seed=20)
    main(["assign", "new", "--run", str(run), *ALARMS])
    (row,) = rows(run, "assigned.csv")
    saved_labels(run, [row | {"cluster": "-1"}], name="", not_in=f"{row['cluster']};7")
    main(["assign", "new", "--run", str(run), "--labels", "labels.csv", *ALARMS])
    # The labels hold for later calls.
    main(["update", "--run", str(run), *ALARMS])
    (after,) = rows(run, "assigned.csv")
    assert (after["cluster"], after["unknown"]) == ("100", "1")


def test_decisions_that_are_damaged_are_named(run: Path, make_image: MakeImage, capsys) -> None:
    make_image(Path("new/bar.png"), 2, seed=20)
    main(["assign", "new", "--run", str(run)])
    (run / "run.json").unlink()
    for content in ("{", '{"labels": [0]}', "[]", "[" * 100_000):
        (run / "decisions.json").write_text(content)
        with pytest.raises(SystemExit):
            main(["assign", "new", "--run", str(run)])
        assert "decisions.json' is damaged" in capsys.readouterr().err
