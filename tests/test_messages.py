"""Whatever files are called, messages fit on a screen and say which file is meant."""

from pathlib import Path

import pytest
from test_stored_run import stored

from anomaly_clustering.cli.main import main
from anomaly_clustering.system.messages import LONGEST_MESSAGE, LONGEST_NAME, shortened

LONG = "deep/" * 1_000 + "a.png"


def test_honest_messages_stay_as_they_are() -> None:
    for message in (
        "the image's mask isn't there: no 'photos/a.png', as other programs' masks have; \"it's\"",
        f"image {'photos/' + 'x' * 250!r} is not there",
        "x " * (LONGEST_MESSAGE // 2),
    ):
        assert shortened(message) == message


@pytest.mark.parametrize("name", [LONG, f"it's {LONG}", f'it\'s "{LONG}" \\', f"{LONG}'s"])
def test_of_a_long_name_both_ends_are_shown_and_the_sentence_around_it_stays(name: str) -> None:
    written, half = repr(name)[1:-1], LONGEST_NAME // 4
    before, after = shortened(f"the image's {name!r} isn't {'there'!r}").split("...")
    assert before.endswith(written[:half])
    assert before.startswith("the image's ")
    assert written[-half:] in after
    assert after.endswith(f" ({len(written)} characters) isn't 'there'")
    assert len(before + after) < LONGEST_NAME


def test_a_long_message_of_any_kind_has_both_ends() -> None:
    message = shortened("begin " + "x " * 100_000 + "end")
    assert message.startswith("begin x")
    assert message.endswith("x end")
    assert len(message) < LONGEST_MESSAGE + 10


@pytest.mark.parametrize(
    "words",
    [
        ["cluster", LONG],
        ["cluster", "photos", "--out", LONG],
        ["cluster", "photos", "--out", "x" * 250],
        ["cluster", "photos", "--normal", LONG],
        ["cluster", "photos", "--maps", LONG],
        ["assign", "photos", "--run", LONG],
        ["export", "--labels", LONG],
        ["export", "--labels", "labels.csv"],
        ["export", "--labels", "labels.csv", "--run", "run"],
        ["assign", "photos", "--run", "run"],
        ["test", "-c", LONG],
        ["fit", "--model", LONG],
        ["cluster", "photos", "--checkpoint", LONG, "--backbone", "resnet18"],
    ],
    ids=lambda words: " ".join(word[:20] for word in words),
)
def test_paths_of_thousands_of_characters(
    words: list[str], flat_photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(flat_photos.parent)
    flat_photos.rename("photos")
    Path("labels.csv").write_text(f"path,cluster,label,unsure\n{LONG},0,dent,0\n")
    run = stored()
    run.paths[0] = Path(LONG)
    Path("run").mkdir()
    run.save(Path("run"))
    with pytest.raises(SystemExit):
        main(words)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "[Errno" not in said
    assert len(said) < 800
    assert said.count("\n") == 1
