"""Help, which names all commands and waits for no import that only work needs."""

import subprocess
import sys
from typing import get_args

import pytest

from anomaly_clustering.cli.main import COMMANDS, main
from anomaly_clustering.cli.options import WEIGHTS_ACTIONS
from anomaly_clustering.cli.weights import ACTIONS
from anomaly_clustering.runs.export import LAYOUTS
from anomaly_clustering.runs.export_layouts import ExportLayout

pytestmark = pytest.mark.usefixtures("in_tmp")


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_names_all_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(argv)
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"  {command} ") for line in lines) for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "word"), [("cluster", "--clusters K"), ("assign", "--run"), ("export", "--layout"), ("test", "--model")]
)
def test_help_of_a_command(command: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert word in capsys.readouterr().out


@pytest.mark.parametrize("words", ["", "--version", "cluster --help", "assign --help", "export --help", "cluster", "x"])
def test_what_is_no_work_does_not_wait_for_the_imports_that_work_needs(words: str) -> None:
    code = """if True:
        import sys
        from anomaly_clustering.cli.main import COMMANDS, main
        try:
            main(sys.argv[1:])
        finally:
            print({"torch", "lightning", "numpy"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_what_options_offer_without_imports_is_what_there_is_to_do() -> None:
    assert tuple(ACTIONS) == WEIGHTS_ACTIONS
    assert tuple(LAYOUTS) == get_args(ExportLayout)
