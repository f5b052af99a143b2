"""Finished cells in; `REPRODUCTION.md` out: every table and figure as far as it was measured, with its command."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from anomaly_clustering.system.files import whole_file
from experiments.figures import FIGURES
from experiments.found import Found
from experiments.output import file_of

# By name of a table or figure, some by that of a network too: where and why it differs from the paper. Written by hand.
REMARKS = Path(__file__).with_name("remarks.yaml")
HEAD = """# Reproduction

Results as measured, beside those that the paper prints. This file is written by `python -m experiments reproduction`
out of finished runs; remarks on differences are kept in `experiments/remarks.yaml`. Nothing here was typed in.

{circumstances}

{data}

How the paper's silences were settled, and what that means for every number below:

{conventions}
"""


class Part(NamedTuple):
    """A table or figure as far as it was measured.

    Args:
        text: as Markdown.
        flags: of the command that makes it.
        network: that it was measured with, where there are several; else empty.
    """

    name: str
    found: Found
    text: str
    flags: str
    network: str = ""


def write_reproduction(parts: Sequence[Part], *, out: Path) -> None:
    """Write what is known of every table and figure into one file, without computing or drawing anything.

    Args:
        parts: one after the other.
        out: the file, which is written whole.

    Raises:
        FileExistsError: the file is another one, or there is nothing to write in place of it.
    """
    if out.exists() and not (out.is_file() and out.read_bytes().startswith(HEAD.splitlines()[0].encode())):
        raise FileExistsError(f"{str(out)!r} is not what this command writes, and stays; choose another --report")
    remarks: dict[str, Any] = yaml.safe_load(REMARKS.read_text(encoding="utf-8"))
    texts: list[str] = []
    records: dict[str, Mapping[str, Any]] = {}
    last = {part.name: part for part in parts}
    for part in parts:
        measured = {record["key"]: record for some in part.found.results.values() for record in some}
        records |= measured
        remark = _remark(remarks.get(part.name, ""), part, last=part is last[part.name])
        texts.append(_text(part, bool(measured), remark, out))
    if out.exists() and not records:
        raise FileExistsError(f"nothing is measured yet, and {str(out)!r} may tell of more; choose another --report")
    said = {name: remarks[name].strip() for name in ("data", "conventions")}
    head = HEAD.format(circumstances=_circumstances(list(records.values())), **said)
    with whole_file(out) as file:
        file.write_text("\n\n".join([head.strip(), *texts]) + "\n", encoding="utf-8")


def _remark(remark: str | Mapping[str, str], part: Part, *, last: bool) -> str:
    """One by networks is on that of the part; another one is on all networks, and stands below the last."""
    if isinstance(remark, str):
        return remark * last
    return remark.get(part.found.settings.backbone, "")


def _text(part: Part, measured: bool, remark: str, out: Path) -> str:
    title, _, rest = f"#{part.text}".replace("\n### ", "\n#### ").partition("\n")
    title += f" ({part.network})" * bool(part.network)
    lines = [f"    python -m experiments {part.name} {part.flags}".rstrip(), remark.strip()]
    if not measured:
        return "\n\n".join([title, "Not measured yet.", *filter(None, lines)])
    if part.name in FIGURES:
        picture = _seen_from(out.parent, file_of(part.name, part.found, part.found.store.folder.parent))
        lines.insert(1, f"The command draws it to `{picture}.png` and `.svg`.")
    return "\n\n".join([f"{title}\n{rest}", *filter(None, lines)])


def _seen_from(folder: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # On another drive of Windows.
        return Path(os.path.abspath(file)).as_posix()


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
