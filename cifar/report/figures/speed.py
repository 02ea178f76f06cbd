"""Speed: the arms go in; a figure of images a second, by device and batch size, comes out."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar.record.names import FAMILIES, parameters, series, size, words
from cifar.report import drawing
from cifar.report.arms import by_workload
from cifar.report.comparison import estimate
from cifar.report.figures.style import blank, evenly, legend, log_speeds, look

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cifar.report.arms import Arm
    from cifar.report.comparison import Estimate

    Speeds = Mapping[str, Mapping[str, Estimate]]
    """The speed of each workload by arm."""

ELSEWHERE = ("ladder_", "growth_")
"""Families that have figures of their own."""
MOST_DOTS = 100
"""Runs of one estimate that are drawn as dots: more are evenly chosen among the values, both ends included."""
MOST_WIDE = 4
"""Names beside each other below a panel that are set in the usual size."""


def draw(arms: Mapping[str, Arm]) -> Figure:
    """Return images/s by arm: against batch size where a series has several, else in rows; every run is a dot.

    Both axes are logarithmic, so that a ratio is the same distance everywhere; bars are 95 % intervals.
    """
    speeds = _speeds(arms)
    panels = _panels([workload for workload in speeds if not workload.startswith(ELSEWHERE)])
    with drawing.settings():
        columns = min(2, max(1, len(panels)))
        lines = math.ceil(len(panels) / columns) or 1
        width = 10 if columns > 1 else 6.5
        figure, axes = blank(columns, lines, width=width, height=3.5 * lines)
        for panel, (title, workloads) in zip(axes, panels.items(), strict=False):
            panel.set_title(title)
            if _have_batches(workloads):
                _by_batch(panel, speeds, workloads, list(arms))
            else:
                _by_name(panel, speeds, workloads, list(arms))
        legend(figure, list(arms))
    return figure


def _speeds(arms: Mapping[str, Arm]) -> Speeds:
    """The speed by arm of each workload that processes images."""
    speeds = {}
    for workload, sides in by_workload(arms).items():
        if all(result.images is not None for results in sides.values() for result in results):
            speeds[workload] = {name: estimate(results) for name, results in sides.items()}
    return speeds


def _panels(workloads: Iterable[str]) -> dict[str, list[str]]:
    """The workloads of each panel: a family, forward by where its input lies, peers of one work."""
    panels: dict[str, list[str]] = {}
    for workload in workloads:
        family, place = workload.partition("[")[0], parameters(workload).get("input")
        if family == "forward":
            title = f"Forward, input on the {place or 'host'}"
        elif family in FAMILIES:
            title = family.capitalize()
        elif family.startswith("peer_"):
            title = words(workload).partition(": ")[0]
        else:
            title = workload
        panels.setdefault(title, []).append(workload)
    return panels


def _have_batches(workloads: Sequence[str]) -> bool:
    """Whether the speeds of a panel stand against batch size; peers, and workloads without one, stand side by side."""
    if workloads[0].startswith("peer_"):
        return False
    return all(_batch(workload) for workload in workloads)


def _by_batch(axes: Axes, speeds: Speeds, workloads: Sequence[str], arms: Sequence[str]) -> None:
    """Images/s against batch size, a line a series and an arm; of several the first is filled, and all are named."""
    names = list(dict.fromkeys(map(series, workloads)))
    batches = sorted({_batch(workload) for workload in workloads})
    unit = 0.09 * (math.log2(batches[-1] / batches[0]) + 1.8)
    for order, name in enumerate(names):
        members = [workload for workload in workloads if series(workload) == name]
        below = _series(axes, speeds, members, arms, order=order, unit=unit)
        if len(names) > 1:
            label = ", ".join(parameters(name).values())
            axes.annotate(label, below, (0, -4), textcoords="offset points", ha="center", va="top", fontsize=8)
            axes.margins(y=0.1)  # room for a name below the lowest
    axes.set_xticks([math.log2(batch) for batch in batches], [f"{batch:,}" for batch in batches])
    axes.set_xlim(math.log2(batches[0]) - 0.9, math.log2(batches[-1]) + 0.9)
    axes.set_xlabel("batch size (images), logarithmic")
    log_speeds(axes, "y")


def _batch(workload: str) -> int:
    """The batch size in a workload's name; 0 where it has none."""
    return size(parameters(workload).get("batch")) or 0


def _series(  # noqa: PLR0913 - what, where and in which order
    axes: Axes, speeds: Speeds, workloads: Sequence[str], arms: Sequence[str], *, order: int, unit: float
) -> tuple[float, float]:
    """One series, a line an arm, a little right of those before it in `order`; returns where its name has room."""
    ends, lowest = [], []
    for index, arm in enumerate(arms):
        measured = [workload for workload in workloads if arm in speeds[workload]]
        at = [math.log2(_batch(workload)) + 0.6 * unit * order for workload in measured]
        estimates = [speeds[workload][arm] for workload in measured]
        slot = unit / max(2, len(arms))
        _points(axes, at, estimates, index, slot=slot, arms=len(arms), hollow=order > 0)
        if measured:
            last = estimates[-1]
            ends.append(at[-1])
            lowest.append(min((*last.values, *(last.interval or ()))))
    return max(ends), min(lowest)


def _by_name(axes: Axes, speeds: Speeds, workloads: Sequence[str], arms: Sequence[str]) -> None:
    """Images/s of workloads without a batch size in their names, side by side."""
    for index, arm in enumerate(arms):
        at = [place for place, workload in enumerate(workloads) if arm in speeds[workload]]
        estimates = [speeds[workloads[place]][arm] for place in at]
        _points(axes, at, estimates, index, slot=0.7 / max(2, len(arms)), arms=len(arms), joined=False)
    names = [_short(workload) for workload in workloads]
    width, points = (14, 9.5) if len(names) <= MOST_WIDE else (max(6, 60 // len(names)), 8)
    axes.set_xticks(range(len(names)), [textwrap.fill(name, width) for name in names], fontsize=points)
    axes.set_xlim(-0.6, len(workloads) - 0.4)
    log_speeds(axes, "y")


def _short(workload: str) -> str:
    """A workload in words, without those that all of a panel begin with."""
    name = words(workload)
    return name.partition(": ")[2] or name.partition(", ")[2] or name


def _points(  # noqa: PLR0913 - what, where and how, nothing that could be one
    axes: Axes,
    at: Sequence[float],
    estimates: Sequence[Estimate],
    index: int,
    *,
    slot: float,
    arms: int,
    hollow: bool = False,
    joined: bool = True,
) -> None:
    """One arm's estimates with their intervals, and a dot a run, in its slot of those around each place."""
    colour, marker = look(index)
    middle = [place + slot * (index - (arms - 1) / 2) for place in at]
    for place, speed in zip(middle, estimates, strict=True):
        dots = speed.values if speed.runs <= MOST_DOTS else evenly(sorted(speed.values), MOST_DOTS)
        beside = place + slot * (0.25 + 0.5 * np.arange(len(dots)) / max(1, len(dots) - 1))
        axes.plot(beside, dots, ".", color=colour, markersize=5, markeredgewidth=0)
        if speed.interval:
            axes.plot([place, place], speed.interval, color=colour, linewidth=1.6)
    values, line = [speed.value for speed in estimates], "-" if joined else ""
    style: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {}
    axes.plot(middle, values, marker, linestyle=line, color=colour, linewidth=1.1, markersize=5.5, **style)
