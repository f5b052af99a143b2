"""Classes that tell nothing: all images of one, as where photos lie in a single folder."""

import json
from pathlib import Path

import pytest
from commands import SMALL
from conftest import MakeImage

from anomaly_clustering.cli.main import main


def test_the_only_folder_that_photos_lie_in_is_no_class(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(6):
        make_image(Path(f"photos/2026-03/part/{seed}.png"), 1 + seed % 2, seed=seed)
    main(["cluster", "photos", "--clusters", "2", *SMALL])
    said = capsys.readouterr().out
    assert "all images are of one class, '2026-03', which tells nothing of clusters: nothing is scored" in said
    metrics = json.loads(Path("photos-clusters/metrics.json").read_text())
    assert not metrics.keys() & {"nmi", "ari", "f1", "accuracy", "purity"}
    assert "Purity" not in said
    # With a second one there are scores.
    make_image(Path("photos/2026-04/part/9.png"), 1, seed=9)
    main(["cluster", "photos", "--clusters", "2", "--out", "two", *SMALL])
    assert "nmi" in json.loads(Path("two/metrics.json").read_text())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["cluster", "tiny", "--skip-unreadable"],
            "there is one image alone, 'tiny/0.png': at least 2 are needed; left out",
        ),
        (["cluster", "broken", "--skip-unreadable"], "there are no images to cluster; left out"),
        (["cluster", "tiny", "--out", "a_file"], "'a_file' is a file; choose another folder with --out"),
    ],
)
def test_what_left_too_few_images_is_told_with_it(
    tmp_path: Path,
    make_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_image(Path("tiny/0.png"), 1, seed=0)
    for folder in ("tiny", "broken"):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "1.png").write_bytes(b"no image")
    Path("a_file").touch()
    with pytest.raises(SystemExit):
        main([*argv, *SMALL])
    assert message in capsys.readouterr().err
