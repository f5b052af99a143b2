"""A folder of a known layout is taken for what it is: the images that are meant, and no mask, are clustered."""

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeImage
from PIL import Image
from tiny_copies import mvtec_loco, visa

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.layouts import INDICES, recognise
from anomaly_clustering.estimator import AnomalyClusterer
from anomaly_clustering.system.tables import read_csv

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "data"


@pytest.fixture
def make_mask():
    def make(path: Path) -> None:
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[10:20, 10:20] = 255
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)

    return make


@pytest.fixture
def bottle(tmp_path: Path, make_image: MakeImage, make_mask) -> Path:
    """A category in MVTec AD's layout."""
    for seed in range(4):
        make_image(tmp_path / "bottle/train/good" / f"{seed}.png", 0, seed=50 + seed)
        for kind, name in enumerate(("good", "bright", "bar")):
            make_image(tmp_path / "bottle/test" / name / f"{seed}.png", kind, seed=seed)
            if kind:
                make_mask(tmp_path / "bottle/ground_truth" / name / f"{seed}_mask.png")
    return tmp_path / "bottle"


def test_of_a_category_of_mvtec_the_test_images_are_clustered(
    bottle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bottle.parent)
    main(["cluster", "bottle", "--clusters", "3", "--image-size", "64"])
    table = read_csv(Path("bottle-clusters/assignments.csv"))
    assert [row["path"] for row in table] == sorted(str(path) for path in Path("bottle/test").rglob("*.png"))
    assert {row["class"] for row in table} == {"good", "bright", "bar"}
    printed = capsys.readouterr().out
    assert (
        "Notice: the images to cluster are those in 'bottle/test'; left out: ground_truth, train beside it" in printed
    )
    assert "(--normal bottle/train/good)" in printed
    main(["assign", "bottle", "--run", "bottle-clusters"])
    assert "12 images, 12 of the run itself" in capsys.readouterr().out


def test_the_estimator_takes_the_same_images_and_says_so(bottle: Path) -> None:
    fitted = AnomalyClusterer(3, image_size=64).fit(bottle)
    assert len(fitted.labels_) == 12
    assert "left out: ground_truth, train beside it" in fitted.notices_[0]
    assert (fitted.predict(bottle) == fitted.labels_).all()


def test_normal_images_of_the_category_are_used_if_they_are_given_and_not_offered_again(bottle: Path) -> None:
    listing = list_folder(bottle, normals=bottle / "train/good", masks=bottle / "ground_truth")
    assert sum(record.is_normal_train for record in listing.records) == 4
    clustered = [record for record in listing.records if not record.is_normal_train]
    assert len(clustered) == 12
    assert {record.mask.parent.name for record in clustered if record.mask} == {"bright", "bar"}
    assert not any("--normal" in notice for notice in listing.notices)


def test_a_folder_that_is_given_as_normal_images_is_no_part_to_choose(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("train/0.png", "test/crack/0.png", "test/bar/0.png"):
        make_image(tmp_path / name)
    with pytest.raises(ValueError, match="parts of a data set"):
        list_folder(tmp_path)
    listing = list_folder(tmp_path, normals=tmp_path / "train")
    assert listing.class_names == ["bar", "crack"]
    assert [record.image.parent.name for record in listing.records] == ["bar", "crack", "train"]


@pytest.mark.parametrize(("where", "images", "masks"), [("Data", "Images", "Masks"), ("", "images", "mask")])
def test_images_beside_masks_in_folders_of_that_name(
    tmp_path: Path, make_image: MakeImage, make_mask, where: str, images: str, masks: str
) -> None:
    for name in ("Anomaly", "Normal"):
        make_image(tmp_path / "pcb1" / where / images / name / "0.png")
    make_mask(tmp_path / "pcb1" / where / masks / "Anomaly" / "0.png")
    listing = list_folder(tmp_path / "pcb1")
    assert [record.image.parent.name for record in listing.records] == ["Anomaly", "Normal"]
    assert listing.class_names == ["Anomaly", "Normal"]
    assert f"left out: {masks} beside it" in listing.notices[0]
    assert f"--normal {tmp_path / 'pcb1' / where / images / 'Normal'}" in listing.notices[1]


def test_a_folder_of_masks_beside_types_of_defects_is_left_out(
    tmp_path: Path, make_image: MakeImage, make_mask
) -> None:
    for name in ("good", "crack"):
        make_image(tmp_path / "photos" / name / "0.png")
    make_mask(tmp_path / "photos/mask/crack/0.png")
    listing = list_folder(tmp_path / "photos")
    assert listing.class_names == ["crack", "good"]
    assert listing.notices == [f"left out: {tmp_path / 'photos/mask'}, where masks are"]
    # Photographs of a defect that is called so stay.
    make_image(tmp_path / "photos/mask/crack/1.png")
    assert list_folder(tmp_path / "photos").class_names == ["crack", "good", "mask"]
    # Given by itself it is clustered, whatever it is called.
    assert len(list_folder(tmp_path / "photos/mask").records) == 2


def test_several_categories_and_parts_of_a_data_set_are_refused(bottle: Path, make_image: MakeImage) -> None:
    make_image(bottle.parent / "cable/test/good/0.png")
    make_image(bottle.parent / "cable/train/good/0.png")
    with pytest.raises(ValueError, match=r"holds 2 data sets with a folder 'test' each, such as '.*bottle'; give"):
        recognise(bottle.parent)
    for part in ("train", "val"):
        make_image(bottle.parent / "yolo" / part / "crack/0.png")
    with pytest.raises(ValueError, match=r"holds 'train', 'val', parts of a data set.*such as '.*yolo/train'"):
        recognise(bottle.parent / "yolo")


def test_a_defect_type_called_test_is_one(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("test", "crack"):
        make_image(tmp_path / name / "0.png")
    assert list_folder(tmp_path).class_names == ["crack", "test"]


def test_of_a_product_of_mvtec_ad_2_the_public_test_images_are_clustered(
    tmp_path: Path, make_image: MakeImage, make_mask
) -> None:
    for name in ("good", "bad"):
        make_image(tmp_path / "can/test_public" / name / "000_regular.png")
    make_mask(tmp_path / "can/test_public/ground_truth/bad/000_regular_mask.png")
    for name in ("train/good", "validation/good", "test_private", "test_private_mixed"):
        make_image(tmp_path / "can" / name / "000_regular.png")
    layout = recognise(tmp_path / "can")
    assert layout.images == tmp_path / "can/test_public"
    assert layout.normals == tmp_path / "can/train/good"
    listing = list_folder(tmp_path / "can")
    assert [record.image.parent.name for record in listing.records] == ["bad", "good"]


def test_a_file_that_tells_types_is_pointed_out(tmp_path: Path) -> None:
    visa(tmp_path / "visa")
    assert (
        "image_anno.csv' tells types of defects that folders do not: `test -c configs/data/visa.yaml` reads it"
        in (recognise(tmp_path / "visa" / "pcb1").notices[-1])
    )
    mvtec_loco(tmp_path / "loco")
    assert "configs/data/mvtec_loco.yaml" in recognise(tmp_path / "loco" / "pushpins").notices[-1]
    # A table is one of images if it names files: what `--metadata` takes has the same name.
    for columns, notices in (("file_name,label", 1), ("path,batch", 0)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / "metadata.csv").write_text(f"{columns}\n")
        assert len(recognise(tmp_path / "photos").notices) == notices
    # Its name is that of Roboflow, and none by default.
    (tmp_path / "photos" / "_annotations.coco.json").touch()
    (notice,) = recognise(tmp_path / "photos").notices
    assert "`test -c configs/data/coco.yaml --data.annotations _annotations.coco.json` reads it" in notice
    assert {options.split()[0] for options in INDICES.values()} <= {path.name for path in CONFIGS.iterdir()}


@pytest.mark.parametrize("parts", [("images", "masks"), ("test", "train/good"), ("Data/Images", "Data/Masks")])
def test_images_beside_the_part_that_is_clustered_are_counted(
    parts: tuple[str, str], tmp_path: Path, make_image: MakeImage
) -> None:
    for name in (f"{parts[0]}/crack/0.png", f"{parts[1]}/0.png", "1.png", "2.JPG", ".hidden.png"):
        make_image(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    listing = list_folder(tmp_path)
    assert len(listing.records) == 1
    assert f"left out: 2 images directly in '{tmp_path}', '1.png' for one" in listing.notices


def test_of_folders_that_differ_in_capitals_alone_the_one_left_out_is_named(
    tmp_path: Path, make_image: MakeImage, make_mask
) -> None:
    for name in ("Images/a/0.png", "images/b/1.png"):
        make_image(tmp_path / name)
    make_mask(tmp_path / "masks/b/1.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("names are the same whatever their capitals here")
    assert "images to cluster are those in" in (notice := list_folder(tmp_path).notices[0])
    assert notice.endswith("left out: Images, masks beside it")
