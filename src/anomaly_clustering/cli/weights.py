"""Names of networks in; their weights, in a folder to carry to an offline machine, out: the command `weights`."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from anomaly_clustering.cli.console import print_plainly
from anomaly_clustering.features.hub import Offered, cache_of, cached, fetch, is_whole, look_up, repositories
from anomaly_clustering.features.published import Published, of_repository, published
from anomaly_clustering.system.results import keeping

# How a command is told where weights lie.
POWERSHELL, SHELL = '$env:HF_HOME = "DIR"; $env:HF_HUB_OFFLINE = "1";', "HF_HOME=DIR HF_HUB_OFFLINE=1"


class Wanted(NamedTuple):
    """The weights of a network that the user has named.

    Attributes:
        published: where.
        there: the file, if it is in the folder already; whole or not.
        whole: whether it is.
        offered: by the hub; None where the hub need not be asked, or did not answer.
        why: the hub did not answer.
    """

    published: Published
    there: Path | None
    whole: bool
    offered: Offered | None
    why: str


def weights(options: argparse.Namespace) -> None:
    """Run the command; for the options see `weights_options`."""
    ACTIONS[options.action](options)


def _fetch(options: argparse.Namespace) -> None:
    cache = cache_of(options.folder)
    # What is spelt wrong, or cannot be had, is told before anything is downloaded.
    wanted = _wanted(options, ask=look_up)
    _print(wanted)
    keeping(lambda: "what has come is kept: start the command again to go on")
    for one in wanted:
        if one.offered:
            fetch(one.offered, cache, called=one.published.network)
    _say(f"All of it is in {str(options.folder or cache)!r}.")
    if options.folder:
        _say("On a machine without a network, to which you carry that folder:")
        command = f"anomaly-clustering cluster photos --backbone {options.names[0]}"
        _say(f"  {POWERSHELL if os.name == 'nt' else SHELL} {command}")


def _show(options: argparse.Namespace) -> None:
    def ask(repository: str) -> Offered | str:
        try:
            return look_up(repository)
        except OSError as error:
            return str(error)

    _print(_wanted(options, ask=ask))


def _list(options: argparse.Namespace) -> None:
    if options.folder and not options.folder.is_dir():
        raise NotADirectoryError(f"{str(options.folder)!r} is no folder that is there; give one with weights")
    cache = cache_of(options.folder)
    found = [known for repository in repositories(cache) if (known := of_repository(repository))]
    _print([_look(known, cache) for known in found])
    if not found:
        _say(f"No weights of timm are in {str(options.folder or cache)!r}.")


ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {"fetch": _fetch, "show": _show, "list": _list}


def _wanted(options: argparse.Namespace, *, ask: Callable[[str], Offered | str]) -> list[Wanted]:
    known = dict.fromkeys(published(name) for name in options.names)
    looked = [_look(one, cache_of(options.folder)) for one in known]
    asked = []
    for one in looked:
        answer = "" if one.whole else ask(one.published.repository)
        asked.append(one._replace(why=answer) if isinstance(answer, str) else one._replace(offered=answer))
    return asked


def _look(published: Published, cache: Path) -> Wanted:
    there = cached(published.repository, cache)
    return Wanted(published, there, bool(there and is_whole(there)), None, "")


def _print(wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        _say(one.published.network)
        _say(f"  licence  {one.published.licence or 'not stated'} ({one.published.terms})")
        _say(f"  size     {_size(one)}")
        _say(f"  from     {one.published.page}")


def _size(one: Wanted) -> str:
    if one.there and one.whole:
        return f"{_megabytes(one.there.stat().st_size)}, is there"
    before = "what is there was cut off; " if one.there else ""
    if one.offered is None:
        return f"{before}not known: {one.why}" if one.why else f"{before}fetch it again"
    return f"{before}{_megabytes(one.offered.size)} to download"


def _megabytes(size: int | None) -> str:
    return "an unknown number of MB" if size is None else f"{size / 1e6:,.{0 if size > 1e7 else 1}f} MB"


def _say(line: str) -> None:
    print_plainly(Console(), line)
