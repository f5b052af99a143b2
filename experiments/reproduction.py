"""Finished cells in; `REPRODUCTION.md` out: every table and figure as far as it was measured, with its command."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from anomaly_clustering.system.files import whole_file
from experiments.figures import FIGURES
from experiments.found import Found
from experiments.output import file_of
from experiments.tables import TABLES

# By name of a table or figure: where and why it differs from the paper. Written by hand.
REMARKS = Path(__file__).with_name("remarks.yaml")
HEAD = """# Reproduction

Results as measured, beside those that the paper prints. This file is written by `python -m experiments reproduction`
out of finished runs; remarks on differences are kept in `experiments/remarks.yaml`. Nothing here was typed in.

{circumstances}

{data}

How the paper's silences were settled, and what that means for every number below:

{conventions}
"""


def write_reproduction(
    found_of: Callable[[str], Found],
    text_of: Callable[[str, Found], str],
    *,
    flags: Callable[[str], str],
    out: Path,
) -> None:
    """Write what is known of every table and figure into one file, without computing or drawing anything.

    Args:
        found_of: what was measured for a name.
        text_of: a table or figure as Markdown.
        flags: options of the command for a name.
        out: the file, which is written whole.

    Raises:
        FileExistsError: the file is another one, or there is nothing to write in place of it.
    """
    if out.exists() and not (out.is_file() and out.read_bytes().startswith(HEAD.splitlines()[0].encode())):
        raise FileExistsError(f"{str(out)!r} is not what this command writes, and stays; choose another --report")
    remarks: dict[str, str] = yaml.safe_load(REMARKS.read_text())
    parts: list[str] = []
    records: dict[str, Mapping[str, Any]] = {}
    for name in (*TABLES, *FIGURES):
        found = found_of(name)
        measured = {record["key"]: record for some in found.results.values() for record in some}
        records |= measured
        parts.append(_part(name, found, measured, text_of(name, found), remarks.get(name, ""), flags(name), out))
    if out.exists() and not records:
        raise FileExistsError(f"nothing is measured yet, and {str(out)!r} may tell of more; choose another --report")
    said = {name: remarks[name].strip() for name in ("data", "conventions")}
    head = HEAD.format(circumstances=_circumstances(list(records.values())), **said)
    with whole_file(out) as part:
        part.write_text("\n\n".join([head.strip(), *parts]) + "\n")


def _part(
    name: str,
    found: Found,
    measured: Mapping[str, Mapping[str, Any]],
    text: str,
    remark: str,
    flags: str,
    out: Path,
) -> str:
    text = f"#{text}".replace("\n### ", "\n#### ")
    lines = [f"    python -m experiments {name} {flags}".rstrip(), remark.strip()]
    if not measured:
        title = text.splitlines()[0]
        return "\n\n".join([title, "Not measured yet.", *filter(None, lines)])
    if name in FIGURES:
        picture = os.path.relpath(file_of(name, found, found.store.folder.parent), out.parent)
        lines.insert(1, f"The command draws it to `{Path(picture).as_posix()}.png` and `.svg`.")
    return "\n\n".join([text, *filter(None, lines)])


def _circumstances(records: Sequence[Mapping[str, Any]]) -> str:
    """What the runs were computed with, each said once."""
    if not records:
        return "No run is finished yet."
    commits = sorted({record["commit"] or "unknown" for record in records})
    versions = sorted({f"{name} {version}" for record in records for name, version in record["versions"].items()})
    return "\n".join(
        [
            f"- {len(records)} runs, {sum(record['duration_s'] for record in records) / 3600:.2f} hours in all, "
            f"finished {min(record['finished'] for record in records)[:10]} to "
            f"{max(record['finished'] for record in records)[:10]}",
            f"- on {', '.join(sorted({record['device'] for record in records}))}",
            f"- with {', '.join(versions)}",
            f"- commit {', '.join(commits)} (+: with changes)",
        ]
    )
