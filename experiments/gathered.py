"""Finished runs in, of this machine and of others; one file of them all, of which the report is written, out.

The file is compressed by xz; each line is a run as JSON, as `KEY.json` of a store has it but for digits of its scores
beyond the fifth, of those of random subsets beyond the fourth, and purity of these where there are as many clusters as
classes: together half of the file, of which nothing is printed. Runs of one method stand together, since like ones
compress best.
A key stands for data and weights too, so these must be at hand for the report to tell of a run.
"""

import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anomaly_clustering.system.files import whole_file
from anomaly_clustering.system.locks import working_on
from experiments.cells import Store, is_record

Record = Mapping[str, Any]
# Behind the point, of scores and of those of random subsets, of which tables print the mean; they print three.
DIGITS = {"metrics": 5, "spreads": 4}
# Seconds to wait for another command that gathers in the same file, which takes a few.
PATIENCE = 300.0
# For text, 3% smaller than the default.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]


def read_gathered(file: Path) -> dict[str, Record]:
    """The runs that a file holds, by key; none where there is no file yet.

    Raises:
        ValueError: the file is damaged, or a line is no finished run.
    """
    found: dict[str, Record] = {}
    try:
        lines = lzma.decompress(file.read_bytes()).splitlines() if file.exists() else []
    except (OSError, lzma.LZMAError) as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not (is_record(record) and isinstance(record.get("key"), str)):
            raise ValueError(f"{str(file)!r}: line {number} is no finished run")
        found[record["key"]] = record
    return found


def write_gathered(file: Path, store: Store) -> None:
    """Add the runs of a store to those that a file holds, one command after the other; of one and the same the later.

    One with more metrics stays: an older version may have computed it again, without those that came since.

    Raises:
        ValueError: see `read_gathered`.
        BlockingIOError: another command has written the file for minutes.
    """
    with working_on(file, patience=PATIENCE, replaceable=False):
        # What it holds now: another command may have added to it since this one has begun.
        runs = read_gathered(file)
        for record in store.all():
            known = runs.get(record["key"])
            if known is None or _fullness(record) >= _fullness(known):
                runs[record["key"]] = record
        lines = [json.dumps(_rounded(run), separators=(",", ":")) for run in sorted(runs.values(), key=_place)]
        with whole_file(file) as part:
            part.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), filters=FILTERS))


def _fullness(run: Record) -> tuple[int, str]:
    return len(run["metrics"]), str(run.get("finished", ""))


def _place(run: Record) -> tuple[str, ...]:
    return tuple(str(run.get(name, "")) for name in ("method", "category", "seed", "key"))


def _rounded(run: Record) -> Record:
    short = {part: _short(run[part], digits) for part, digits in DIGITS.items() if part in run}
    # Tables have it of runs that were told how many clusters to make.
    if run["config"]["model"]["init_args"].get("num_clusters") is None:
        short.get("spreads", {}).pop("purity", None)
    return {**run, **short}


def _short(scores: Any, digits: int) -> Any:
    """Scores in mappings and lists of any depth, each with so many digits."""
    if isinstance(scores, Mapping):
        return {name: _short(value, digits) for name, value in scores.items()}
    return [_short(value, digits) for value in scores] if isinstance(scores, list) else round(scores, digits)
