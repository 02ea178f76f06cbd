"""Rounds: the arms go in; a figure of every round in its order comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from cifar.record.names import words
from cifar.report import drawing
from cifar.report.arms import Arm, by_workload
from cifar.report.figures.style import blank, evenly, legend, look, plain_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cifar.record.model import Result

MOST_RUNS = 40
"""Runs of an arm whose rounds are drawn: more are evenly chosen in their order, the first and the last included."""
MOST_JOINED = 4
"""Rounds of more arms than these are not joined by lines, which would hide them."""


def draw(arms: Mapping[str, Arm]) -> Figure:
    """Return each workload's rounds in order, run after run, as multiples of the arm's median round.

    Two bands in a panel are two modes; a slope is a run that had not warmed up, or a node that throttles.
    Of more than `MOST_RUNS` runs of an arm some are drawn, and the axis says so.
    """
    drawn = {name: Arm(name, evenly(arm.records, MOST_RUNS)) for name, arm in arms.items()}
    results = by_workload(drawn)
    with drawing.settings():
        columns = min(3, max(1, len(results)))
        lines = math.ceil(len(results) / columns) or 1
        width = 3.6 * columns if columns > 1 else 6.5
        figure, axes = blank(columns, lines, width=width, height=2.1 * lines, layout=None)
        most = max((len(runs) for sides in results.values() for runs in sides.values()), default=0)
        line = "-" if len(arms) <= MOST_JOINED else ""
        for panel, (workload, sides) in zip(axes, results.items(), strict=False):
            panel.set_title(words(workload), fontsize=9)
            for index, arm in enumerate(arms):
                if arm in sides:
                    _rounds_of(panel, sides[arm], index, line)
            _around_one(panel, most)
        step = math.ceil(most / 10)
        for panel in axes[max(0, len(results) - columns) : len(results)]:
            some = range(0, most, step)
            panel.set_xticks([run + 1.5 for run in some], [str(run + 1) for run in some], minor=True)
        legend(figure, list(arms), place="upper left")
        total = max(len(arm.records) for arm in arms.values())
        _set_out(figure, f"{MOST_RUNS} of {total:,} runs, evenly chosen" if total > MOST_RUNS else "run")
    return figure


def _rounds_of(axes: Axes, results: Sequence[Result], index: int, line: str) -> None:
    """The rounds of one arm's runs, each run within its own unit of the x axis."""
    colour, marker = look(index)
    runs = [np.asarray(result.seconds) / result.amount for result in results]
    middle = np.median([np.median(run) for run in runs])
    at = [place + (np.arange(run.size + 1) + 0.5) / run.size for place, run in enumerate(runs, start=1)]
    joined = [np.append(run / middle, np.nan) for run in runs]  # NaN parts the line between runs
    style: dict[str, Any] = {"linestyle": line, "linewidth": 0.7, "markersize": 2.6, "markeredgewidth": 0}
    axes.plot(np.concatenate(at), np.concatenate(joined), marker, color=colour, **style)


def _set_out(figure: Figure, runs: str) -> None:
    """Lay out the many panels by fixed margins in inches: to find them takes longer than to draw."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.75 / width, 0.65 / height, 1 - 0.1 / width, 1 - 0.85 / height, wspace=0.2, hspace=0.4)
    figure.supxlabel(f"{runs}; rounds in order from left to right", y=0.12 / height, fontsize=9.5)
    figure.supylabel("seconds of a round / the arm's median", x=0.08 / width, fontsize=9.5)


def _around_one(axes: Axes, runs: int) -> None:
    """Axes of one workload's rounds, a line at 1 and one between runs.

    The limits never magnify less than 5 % of noise, and are logarithmic beyond a factor of 3.
    """
    axes.set_xticks([])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlim(0.9, runs + 1.1)
    axes.grid(visible=False)
    # one collection of lines: as many ticks take a hundred times as long to draw
    between = [[(place, 0), (place, 1)] for place in range(1, runs + 2)]
    style = {"colors": mpl.rcParams["grid.color"], "linewidths": mpl.rcParams["grid.linewidth"], "zorder": 0}
    axes.add_collection(LineCollection(between, transform=axes.get_xaxis_transform(), **style), autolim=False)
    low, high = axes.dataLim.intervaly
    axes.axhline(1, color="#BBBBBB", linewidth=0.8, zorder=0)
    if high > 3 * low:
        axes.set_yscale("log")
        plain_log(axes, "y")
        return
    axes.set_ylim(min(low, 0.95) - 0.02, max(high, 1.05) + 0.02)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
