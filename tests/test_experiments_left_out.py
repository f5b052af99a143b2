"""Types of defects that a run has not seen: how they are left out, and how well they are told when they come."""

from pathlib import Path
from statistics import fmean

import pytest
from conftest import MakeImage
from tiny_tables import SMALL, records

from anomaly_clustering.data import Folder, Synthetic
from experiments.__main__ import main
from experiments.categories import MTD, MVTEC, Category
from experiments.left_out import LeftOut, without_each


@pytest.fixture
def steel(tmp_path: Path, make_image: MakeImage) -> Path:
    """A folder of four classes of six images each, the first of which are good."""
    for kind, name in enumerate(("bright", "good", "bar", "spot")):
        for seed in range(6):
            make_image(tmp_path / "steel" / name / f"{seed}.png", kind, seed=seed)
    return tmp_path / "steel"


def test_the_run_has_two_thirds_of_the_other_classes(steel: Path) -> None:
    data = LeftOut(Folder(steel, image_size=64, num_workers=0), "good", split=1)
    data.setup()
    assert data.class_names == ["bar", "bright", "spot"]
    assert len(data.records) == 12
    assert len(data.known) == len(data.unknown) == 6
    # Each image once, and labels are those of the names that are left.
    of_run = [record.image for record in data.records]
    assert sorted([*of_run, *(record.image for record in (*data.known, *data.unknown))]) == sorted(steel.rglob("*.png"))
    assert {record.image.parent.name for record in data.unknown} == {"good"}
    assert [data.class_names[record.label] for record in data.records] == [image.parent.name for image in of_run]


def test_another_split_is_another_third(steel: Path) -> None:
    def known(split: int) -> list[Path]:
        data = LeftOut(Folder(steel, image_size=64, num_workers=0), "bar", split=split)
        data.setup()
        return [record.image for record in data.known]

    assert known(0) == known(0)
    assert known(0) != known(1)


def test_normal_images_stay(tmp_path: Path) -> None:
    whole = Synthetic(tmp_path / "set", per_class=2, normals=3, image_size=64, num_workers=0)
    whole.prepare_data()
    data = LeftOut(whole, "scratch")
    data.setup()
    assert len(data.normal_records) == 3


def test_a_class_that_is_not_there_cannot_be_left_out(steel: Path) -> None:
    data = LeftOut(Folder(steel, image_size=64, num_workers=0), "rust")
    with pytest.raises(ValueError, match=r"no class 'rust' to leave out, but \['bar', 'bright', 'good', 'spot'\]"):
        data.setup()


def test_each_type_of_defect_is_left_out_once_and_good_images_never(steel: Path) -> None:
    mine = Category("steel", folder=steel)
    found = without_each([MTD, MVTEC[0], mine], None)
    assert found[:2] == [MTD, MVTEC[0]]  # They are not there.
    assert [str(category) for category in found[2:]] == ["steel, bar", "steel, bright", "steel, spot"]
    assert {category.whole for category in found[2:]} == {mine}


def test_a_type_that_is_plain_to_see_is_told(steel: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["unknown", *SMALL, "--out", str(out), "--folders", f"steel={steel}", "--categories", "steel"]
    command += ["--seeds", "2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    block = printed.split("### AUROC of p")[1].split("###")[0]
    rows = {line.split("|")[1].strip(): line.split("|")[2].split() for line in block.splitlines() if "|" in line}
    assert list(rows)[2:] == ["steel, bar", "steel, bright", "steel, spot", "steel, mean", "mean of 3"]
    assert rows["steel, mean"] == rows["mean of 3"]
    found = records(out)
    assert len(found) == 6
    assert {record["seed"] for record in found} == {0, 1}
    assert fmean(record["metrics"]["unknown_auroc"] for record in found) > 0.7
    # Of twelve images none can be unknown at 5%.
    assert {record["metrics"][name] for record in found for name in ("flagged", "false_alarms")} == {0}
    assert main([*command, "--dry-run"]) == 0
    assert "unknown: 0 of " in capsys.readouterr().out
