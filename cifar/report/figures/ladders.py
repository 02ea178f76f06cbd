"""Ladders: the arms go in; a figure of the rungs from the lesson's way to the fastest comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from cifar.report import drawing, ladder
from cifar.report.figures.style import legend, log_speeds, look, offset
from cifar.report.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from cifar.report.arms import Arm
    from cifar.report.ladder import Rung


def draw(arms: Mapping[str, Arm]) -> Figure | None:
    """Return a panel for each ladder, the lesson's way on top: every rung's images/s with its 95 % interval.

    None where no arm climbed any.
    """
    climbed = {}
    for name in ladder.RUNGS:
        sides = {label: ladder.climb(arm, name) for label, arm in arms.items()}
        if any(sides.values()):
            climbed[name] = sides
    if not climbed:
        return None
    titles = {name: _titles(name, sides) for name, sides in climbed.items()}
    heights = [len(titles[name]) + 1.6 for name in climbed]
    with drawing.settings():
        figure = Figure(figsize=(10, 0.34 * sum(heights) + 0.5), dpi=150, layout="constrained", facecolor="white")
        panels = figure.subplots(len(climbed), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for panel, (name, sides) in zip(panels.flat, climbed.items(), strict=True):
            panel.set_title(name.capitalize())
            for index, rungs in enumerate(sides.values()):
                _rungs(panel, rungs, titles[name], index, len(sides))
            log_speeds(panel, "x")
            panel.set_yticks(range(len(titles[name])), titles[name])
            panel.set_ylim(len(titles[name]) - 0.4, -0.6)
        legend(figure, list(arms))
    return figure


def _titles(name: str, sides: Mapping[str, Sequence[Rung]]) -> list[str]:
    """The titles of the rungs that any arm measured, in the ladder's order."""
    measured = {rung.title for rungs in sides.values() for rung in rungs}
    return [title for title, _ in ladder.RUNGS[name].values() if title in measured]


def _rungs(axes: Axes, rungs: Sequence[Rung], titles: Sequence[str], index: int, arms: int) -> None:
    """One arm's way up a ladder; beside the axes how many times the rung before, where there is one arm."""
    colour, marker = look(index)
    places = [titles.index(rung.title) - offset(index, arms, width=0.3) for rung in rungs]
    axes.plot([rung.speed.value for rung in rungs], places, "-", color=colour, linewidth=1, alpha=0.4)
    for place, rung in zip(places, rungs, strict=True):
        low, high = rung.speed.interval or (rung.speed.value, rung.speed.value)
        hollow: dict[str, Any] = {"markerfacecolor": "white"} if rung.pays is False else {}
        axes.plot([low, high], [place, place], color=colour, linewidth=1.8)
        axes.plot(rung.speed.value, place, marker, color=colour, markersize=6, **hollow)
        if arms == 1 and rung.to_before:
            beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            times = f"{number(rung.to_before.value, 3)} times"
            axes.annotate(times, (1, place), (6, 0), va="center", fontsize=8.5, color="#333333", **beside)
