"""What the user asked for in; an error or a notice about options that no table or figure of it follows, out."""

from collections.abc import Iterable, Sequence

from experiments.asked import (
    NETWORK,
    REPRODUCTION,
    Command,
    all_parts,
    categories_of,
    compares_networks,
    methods_of,
    takes_folders,
)
from experiments.categories import Category
from experiments.cells import Settings, class_of, file_of, follows_tau, is_mic, takes
from experiments.figures import FIGURES
from experiments.methods import REPOSITORY, Method
from experiments.tables import TABLES

KNOWN = (*TABLES, *FIGURES)


def check_followed(command: Command) -> None:
    """Fail before any work: an option that nothing follows would go unnoticed for hours.

    Raises:
        ValueError: nothing that was named follows an option.
    """
    _check_methods(command)
    _check_networks(command)
    settings = command.settings
    if settings.synthetic and command.folders:
        raise ValueError("--data synthetic is measured alone: leave it out, or --folders and --normals")
    if command.dry_run and command.finished:
        raise ValueError("--dry-run lists what is missing, and --finished computes nothing of it: give one of them")
    if command.report is not None and REPRODUCTION not in command.names:
        raise ValueError(f"--report is what '{REPRODUCTION}' writes, and not {', '.join(command.names)}: leave it out")
    _check_categories(command)
    methods = [method for table in TABLES.values() for method in table.methods.values()]
    if settings.preset and all(file_of(method, settings) == REPOSITORY / method.config for method in methods):
        raise ValueError(
            f"--preset {settings.preset!r}: there is no such file of any method, as scan_small_data.yaml is"
        )
    classes = _trained(methods, command)
    for option in settings.trained:
        if not any(takes(path, option) for path in classes):
            raise ValueError(f"--trained {option!r}: none of {', '.join(classes)} has it")


def told_of_unfollowed(command: Command) -> list[str]:
    """What is for other tables than those that were named: the commands of a report have the options of all.

    Returns:
        Sentences for the user.
    """
    parts = all_parts(command)
    named, notices = ", ".join(command.names), []
    for begin in _beginning_no(command.only, [method for name, of in parts for method in methods_of(name, of)]):
        notices.append(f"--only {begin!r}: no method of {named} begins so")
    comparing = [name for name, _ in parts if compares_networks(name)]
    if comparing and _has_network(command) and not command.networks:
        notices.append(f"{', '.join(NETWORK)} change nothing of {', '.join(comparing)}: give --backbones for these")
    if command.folders and not any(takes_folders(name) for name, _ in parts):
        notices.append(f"--folders changes nothing of {named}: {_folders()} take folders")
    if absent := [str(category) for category in command.categories if category not in _measured_on(command)]:
        notices.append(
            f"--categories: nothing of {named} is measured on {', '.join(absent)}; {_folders()} take --folders"
        )
    methods = [method for name, of in parts for method in methods_of(name, of).values()]
    if command.settings.tau is not None and not any(map(follows_tau, methods)):
        notices.append(f"--tau changes nothing of {named}, where it has values of its own")
    trained = _trained(methods, command)
    for option in command.settings.trained:
        if not any(takes(path, option) for path in trained):
            having = [name for name in TABLES if any(takes(path, option) for path in _trained_by(name, command))]
            notices.append(f"--trained {option!r} changes nothing of {named}: it is of {', '.join(having)}")
        elif (where := option.partition("@")[2]) and where not in map(str, _measured_on(command)):
            notices.append(f"--trained {option!r} changes nothing of {named}, which {where} is no category of")
    return notices


def _check_methods(command: Command) -> None:
    methods = list(dict.fromkeys(method for name, of in all_parts(command) for method in methods_of(name, of)))
    # Some may be of other tables, since the commands of a report have the options of all.
    anywhere = [method for name in KNOWN for method in methods_of(name, command)]
    nowhere, absent = (_beginning_no(command.only, among) for among in (anywhere, methods))
    for begin in nowhere or (absent if len(absent) == len(command.only) else ()):
        raise ValueError(f"--only {begin!r}: no method begins so; there are {methods}")


def _beginning_no(begins: Sequence[str], methods: Sequence[str]) -> list[str]:
    return [begin for begin in begins if not any(method.lower().startswith(begin.lower()) for method in methods)]


def _check_networks(command: Command) -> None:
    names = [network.name for network in command.networks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--backbones: {name!r} is there twice, and rows are told by the names of networks alone")
    if names and not any(name == REPRODUCTION or compares_networks(name) for name in command.names):
        comparing = ", ".join(filter(compares_networks, FIGURES))
        raise ValueError(
            f"--backbones is for {comparing} and {REPRODUCTION}, which compare several networks. For "
            f"{', '.join(command.names)} give --backbone"
        )
    if _has_network(command) and not names and all(map(compares_networks, command.names)):
        raise ValueError(
            f"{', '.join(NETWORK)}: several networks are compared by {', '.join(command.names)}. Give --backbones"
        )


def _has_network(command: Command) -> bool:
    """Whether a network of the command's own was asked for."""
    given, usual = command.settings, Settings()
    return any(getattr(given, name) != getattr(usual, name) for name in ("backbone", "checkpoint", "last_layer"))


def _check_categories(command: Command) -> None:
    # Some may be of other tables, since the commands of a report have the options of all.
    if command.categories and _measured_on(command).isdisjoint(command.categories):
        absent = ", ".join(map(str, command.categories))
        raise ValueError(
            f"--categories: nothing of {', '.join(command.names)} is measured on {absent}; {_folders()} take --folders"
        )


def _measured_on(command: Command) -> set[Category]:
    return {category for name, of in all_parts(command) for category in categories_of(name, of)}


def _folders() -> str:
    return ", ".join(filter(takes_folders, KNOWN))


def _trained_by(name: str, command: Command) -> list[str]:
    return _trained(methods_of(name, command).values(), command)


def _trained(methods: Iterable[Method], command: Command) -> list[str]:
    """The classes of those that are trained."""
    files = {file_of(method, command.settings) for method in methods}
    return sorted({path for file in files if file.is_file() and not is_mic(path := class_of(file))})
