"""Finished cells in; curves and bars out: purity (Figures 4, 13), sensitivity (6 to 8), backbones (9 to 11)."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomaly_clustering.metrics.tree_purity import mean_auc, purity_curve
from experiments.categories import Group
from experiments.found import Found
from experiments.spread import spread_of
from experiments.summary import group_mean, measured_of

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")


def purity(found: Found, methods: Sequence[str]) -> Figure:
    """A panel for each category: purity against the number of clusters, in brackets mAUC."""
    figure, panels = _panels([str(category) for category in found.categories], width=3.6, height=2.9)
    for axes, category in zip(panels, found.categories, strict=True):
        for method, colour in zip(methods, COLOURS, strict=False):
            arrays = found.arrays(method, category)
            if arrays is not None:
                curve = purity_curve(arrays["tree"], torch.from_numpy(arrays["target"]))
                label = f"{method} ({mean_auc(curve):.3f})"
                axes.plot(range(1, len(curve) + 1), curve, label=label, color=colour, linewidth=1.4)
        axes.set(xlabel="number of clusters", ylabel="purity", ylim=(None, 1.02))
        axes.legend(fontsize=6.5, loc="lower right")
    return figure


def sensitivity(
    found: Found,
    panels: Mapping[str, Mapping[float, str]],
    *,
    xlabel: Mapping[str, str],
    dotted: Mapping[str, str] | None = None,
) -> Figure:
    """NMI against an option.

    Args:
        panels: title -> value of the option -> method.
        xlabel: of each panel.
        dotted: title -> method that does not depend on the option, as a dotted line.
    """
    figure, axes_of = _panels(list(panels), width=4.4, height=3.4)
    for axes, (title, methods) in zip(axes_of, panels.items(), strict=True):
        for group, colour in zip(found.groups, COLOURS, strict=False):
            shown = _curve(axes, found, group, methods, colour)
            if dotted and (level := group_mean(found.results, dotted[title], shown, "nmi")):
                axes.axhline(level.value, color=colour, linestyle=":", label=f"{_label(group, shown)}, {dotted[title]}")
        axes.set_xscale("log")
        axes.set_xticks(list(methods), [f"{value:g}" for value in methods], fontsize=7)
        axes.minorticks_off()
        axes.set(xlabel=xlabel[title], ylabel="NMI")
        axes.legend(fontsize=7)
    return figure


def _label(whole: Group, shown: Group) -> str:
    """The name of a group, with how many of its categories are shown where these are not all."""
    there, all_of_them = len(shown.members), len(whole.members)
    return whole.name if there == all_of_them else f"{whole.name} ({there} of {all_of_them})"


def _curve(axes: Axes, found: Found, group: Group, methods: Mapping[float, str], colour: str) -> Group:
    """The mean over the same categories at each value, or the curve would show what is missing; these."""
    members = {value: measured_of(found.results, method, group, "nmi") for value, method in methods.items()}
    most = max(members.values(), key=len)
    shown = group._replace(members=tuple(most))
    numbers = {value: group_mean(found.results, method, shown, "nmi") for value, method in methods.items()}
    points = [(value, number) for value, number in numbers.items() if number]
    errors = [number.standard_error or 0 for _, number in points]
    _band(axes, found, shown, {value: methods[value] for value, _ in points}, colour)
    axes.errorbar(
        [value for value, _ in points],
        [number.value for _, number in points],
        yerr=errors if any(errors) else None,
        marker="o",
        markersize=3.5,
        capsize=2,
        color=colour,
        label=_label(group, shown),
    )
    return shown


def _band(axes: Axes, found: Found, group: Group, methods: Mapping[float, str], colour: str) -> None:
    """One standard deviation over random subsets to either side of their mean, where they were scored."""
    spreads = {value: spread_of(found.results, method, group.members, "nmi") for value, method in methods.items()}
    known = {value: spread for value, spread in spreads.items() if spread and spread.deviation is not None}
    low = [spread.mean - (spread.deviation or 0) for spread in known.values()]
    high = [spread.mean + (spread.deviation or 0) for spread in known.values()]
    axes.fill_between(list(known), low, high, color=colour, alpha=0.15, linewidth=0)


def bars(found: Found, networks: Sequence[str], methods: Sequence[str], names: Mapping[tuple[str, str], str]) -> Figure:
    """NMI of each method, a panel for each network; the groups are stacked, as in the paper.

    All bars of a group are means over the same categories, those that were measured for each of them.

    Args:
        names: (network, method) -> name of the two together.
    """
    figure, panels = _panels(list(networks), width=3.0, height=3.2, share=True)
    shown = {group: _common(found, group, list(names.values())) for group in found.groups}
    for axes, network in zip(panels, networks, strict=True):
        bottom = [0.0] * len(methods)
        for group, colour in zip(found.groups, COLOURS, strict=False):
            numbers = [group_mean(found.results, names[network, method], shown[group], "nmi") for method in methods]
            heights = [number.value if number else 0.0 for number in numbers]
            label = _label(group, shown[group])
            drawn = axes.bar(range(len(methods)), heights, bottom=bottom, color=colour, label=label, width=0.7)
            axes.bar_label(
                drawn, [f"{height:.2f}" if height else "" for height in heights], label_type="center", size=6
            )
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        axes.set_xticks(range(len(methods)), methods, rotation=35, ha="right", fontsize=6.5)
        axes.set_ylabel("sum of NMI" if len(found.groups) > 1 else "NMI")
        if not any(bottom):
            axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="grey")
        else:
            axes.legend(fontsize=6.5)
    return figure


def _common(found: Found, group: Group, methods: Sequence[str]) -> Group:
    """The categories of a group on which each of some methods was measured; those of none do not count."""
    measured = [there for name in methods if (there := measured_of(found.results, name, group, "nmi"))]
    common = [member for member in group.members if measured and all(member in there for there in measured)]
    return group._replace(members=tuple(common))


def _panels(titles: Sequence[str], *, width: float, height: float, share: bool = False) -> tuple[Figure, list[Axes]]:
    """Axes in rows of at most five, each with its title."""
    columns = min(len(titles), 5)
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share).ravel()
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    for axes in grid[len(titles) :]:
        axes.remove()
    return figure, list(grid[: len(titles)])
