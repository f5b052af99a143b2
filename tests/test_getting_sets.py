"""Public data sets that are not there yet: where each is to be had, on whose terms, and which options it has."""

from pathlib import Path

import pytest
from tiny_copies import CATEGORY, DRAW, opened

from anomaly_clustering.data import PublicDataset
from anomaly_clustering.data.sets.known import DATA_SETS, Name

pytestmark = pytest.mark.usefixtures("own_cache")


def test_every_owner_s_terms_are_told_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered = {name for name, known in DATA_SETS.items() if known.url}
    assert offered == {"visa", "mvtec_loco", "infrared_solar_modules", "deep_pcb"}

    class Reached(Exception):
        pass

    def reach(*_: object, **__: object) -> None:
        raise Reached

    monkeypatch.setattr("anomaly_clustering.data.download.urlopen", reach)
    for name in sorted(offered):
        data = PublicDataset(name, tmp_path / name, category=CATEGORY.get(name), download=True)
        with pytest.raises(Reached):
            data.prepare_data()
        assert capsys.readouterr().err == f"Downloading {DATA_SETS[name].terms}\n"
    for name in sorted(DATA_SETS.keys() - offered):
        with pytest.raises(ValueError, match=rf"owner of {name} offers no download.*Get .* from http.*data\.root"):
            PublicDataset(name, tmp_path / name, category=CATEGORY.get(name), download=True)


@pytest.mark.parametrize("name", DRAW)
def test_what_is_not_there_says_where_to_get_it(name: Name, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"absent' does not exist\. Get .*{DATA_SETS[name].page}.*data\.root"
    ) as told:
        opened(name, tmp_path / "absent")
    assert ("data.download" in str(told.value)) == bool(DATA_SETS[name].url)
    # Another data set, or an empty folder, is not taken for it.
    (tmp_path / "empty").mkdir()
    with pytest.raises((FileNotFoundError, ValueError), match="empty"):
        opened(name, tmp_path / "empty")


@pytest.mark.usefixtures("unchecked_types")
def test_options_that_a_data_set_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name must be one of aitex, .*, got 'imagenet'"):
        PublicDataset("imagenet", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"visa has several products.*data\.category, one of candle, "):
        PublicDataset("visa", tmp_path)
    with pytest.raises(ValueError, match=r"neu_det has no categories; leave data\.category 'pcb1' out"):
        PublicDataset("neu_det", tmp_path, category="pcb1")
    with pytest.raises(ValueError, match=r"an image of mpdd has one type alone; leave data\.several out"):
        PublicDataset("mpdd", tmp_path, category="tubes", several="keep")


@pytest.mark.parametrize(
    ("name", "there"),
    [("visa", "pcb1"), ("mvtec_loco", "pushpins"), ("mpdd", "bracket_black"), ("real_iad", "usb")],
)
def test_an_unknown_category_lists_those_there(name: Name, there: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"category 'other'.*it has \['{there}'\]"):
        PublicDataset(name, tmp_path, category="other").setup()
