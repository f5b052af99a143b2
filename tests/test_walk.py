"""Which files below a folder are photographs to cluster, each once; what is left out is said, and why."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_images import red

from anomaly_clustering.cli.main import main
from anomaly_clustering.data.folder import list_folder
from anomaly_clustering.data.images import read_image
from anomaly_clustering.data.opening import UnreadableImageError
from anomaly_clustering.data.walk import folders_of_images, image_files
from anomaly_clustering.system.tables import read_csv


def test_hidden_files_are_left_out_and_the_order_is_that_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", ".hidden.png", "sub/c.png", ".thumbnails/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)] == ["a.png", "b.png", "sub/c.png"]


def test_linked_folders_are_read_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    red().save(tmp_path / "far" / "a.png")
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "near")
    names = [path.relative_to(tmp_path / "near").as_posix() for path in image_files(tmp_path / "near")]
    assert "link/a.png" in names
    assert len(names) <= 2


def names_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in image_files(folder)]


def test_an_image_counts_once_under_the_name_without_the_link(tmp_path: Path) -> None:
    for name in ("b/0.png", "b/1.png", "c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    photos = tmp_path / "photos"
    # To the folder itself, to one that comes later by name, to the folder above, and to a file.
    (photos / "latest").symlink_to(".")
    (photos / "a-link").symlink_to("b")
    (photos / "b" / "up").symlink_to("..")
    (photos / "a.png").symlink_to("c.png")
    (photos / "gone.png").symlink_to("nowhere.png")
    assert names_below(photos) == ["b/0.png", "b/1.png", "c.png"]
    # What is elsewhere is reached by its link, once.
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "2.png").touch()
    (photos / "first").symlink_to(tmp_path / "far")
    (photos / "second").symlink_to(tmp_path / "far")
    assert names_below(photos) == ["b/0.png", "b/1.png", "c.png", "first/2.png"]
    assert names_below(photos / "latest") == ["b/0.png", "b/1.png", "c.png", "first/2.png"]


def test_what_systems_keep_for_themselves_is_no_photograph(tmp_path: Path) -> None:
    for name in (
        "0.png",
        "@eaDir/0.png",
        "scratch/@eaDir/1.png",
        "$RECYCLE.BIN/2.png",
        "__MACOSX/3.png",
        "scratch/4.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names_below(tmp_path) == ["0.png", "scratch/4.png"]
    (notice,) = list_folder(tmp_path).notices
    assert "left out: $RECYCLE.BIN, @eaDir, __MACOSX, scratch/@eaDir" in notice


def test_what_this_program_wrote_is_no_photograph(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    before = names_below(Path())
    argv = ["cluster", ".", "--image-size", "64", "--clusters", "3", "--out", "found"]
    main(argv)
    rows = [f"{path},0,dent,0" for path in before]
    Path("labels.csv").write_text("\n".join(["path,cluster,label,unsure", *rows]))
    main(["export", "--labels", "labels.csv"])
    assert len(list(Path("labelled-folders").rglob("*.png"))) == len(before)
    capsys.readouterr()
    main([*argv, "--overwrite"])
    assert "left out: found, labelled-folders, which this program wrote" in capsys.readouterr().out
    assert sorted(row["path"] for row in read_csv(Path("found/assignments.csv"))) == before
    # It can still be clustered by itself.
    assert len(names_below(Path("labelled-folders"))) == len(before)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Root may read everything."""
    root = os.geteuid() == 0
    folder.chmod(0o755)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has other permissions")
def test_what_may_not_be_read_is_said_to_be_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/locked.png", "photos/secret/0.png", "closed/0.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        red().save(name)
    for name in ("photos/locked.png", "photos/secret", "closed"):
        Path(name).chmod(0)
    with as_nobody(tmp_path):
        with pytest.raises(UnreadableImageError, match=r"locked\.png' may not be read: you lack the permission"):
            read_image(Path("photos/locked.png"))
        assert list_folder(Path("photos")).notices == ["left out: secret, which may not be read"]
        with pytest.raises(PermissionError, match="'closed' may not be read"):
            list_folder(Path("closed"))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has other permissions")
def test_links_to_what_may_not_be_entered_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a/0.png", "secret/b/0.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        red().save(name)
    for link, target in {"a/link.png": "b/0.png", "b": "b", "metadata.csv": "metadata.csv"}.items():
        (Path("photos") / link).symlink_to(tmp_path / "secret" / target)
    Path("secret").chmod(0)
    with as_nobody(tmp_path):
        listing = list_folder(Path("photos"))
        assert [record.image for record in listing.records] == [Path("photos/a/0.png")]
        assert listing.notices == ["left out: a/link.png, b, metadata.csv, which may not be read"]
        assert folders_of_images(Path("photos")) == [Path("photos/a")]
        with pytest.raises(PermissionError, match="'secret/b' may not be read"):
            list_folder(Path("secret/b"))


def test_a_link_to_a_network_that_is_down_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red().save(tmp_path / "a.png")
    (tmp_path / "share").symlink_to("/mnt/share")
    looked_at = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if path.name == "share" and options.get("follow_symlinks", True):
            raise OSError(errno.ESTALE, "Stale file handle")
        return looked_at(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert list_folder(tmp_path).notices == ["left out: share, which cannot be read: Stale file handle"]


def test_links_to_nowhere_are_named(tmp_path: Path) -> None:
    red().save(tmp_path / "a.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    assert list_folder(tmp_path).notices == ["left out: gone.png, a link to what is not there"]
    (tmp_path / "gone.png").unlink()
    (tmp_path / "loop").symlink_to("loop")
    assert list_folder(tmp_path).notices == ["left out: loop, a link to what is not there"]


def test_images_by_their_content_among_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    red().save(tmp_path / "a.png")
    red().save(tmp_path / "b", "PNG")
    red().save(tmp_path / "c.gif")
    (tmp_path / "notes.txt").write_text("no image")
    (notice,) = list_folder(tmp_path).notices
    assert "3 files" in notice
    assert f"2 are images by their content, '{tmp_path / 'b'}' a PNG image for one" in notice


def test_files_of_other_kinds_among_the_normal_images_are_named(tmp_path: Path) -> None:
    for name in ("photos/a.png", "fine/b.png"):
        (tmp_path / name).parent.mkdir()
        red().save(tmp_path / name)
    (tmp_path / "fine" / "c.heic").write_text("x")
    (notice,) = list_folder(tmp_path / "photos", normals=tmp_path / "fine").notices
    assert f"1 file in '{tmp_path / 'fine'}'" in notice
