"""Speed: the arms go in; a figure of images a second, by device and batch size, comes out."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar.record.names import FAMILIES, parameters, series, words
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
    speeds = _estimates(arms, images=True)
    groups = _panels([workload for workload in speeds if not workload.startswith(ELSEWHERE)])
    with drawing.settings():
        columns = min(2, max(1, len(groups)))
        lines = math.ceil(len(groups) / columns) or 1
        figure, axes = blank(columns, lines, width=10 if columns > 1 else 6.5, height=3.5 * lines)
        for panel, (title, workloads) in zip(axes, groups.items(), strict=False):
            panel.set_title(title)
            if any("batch" in parameters(workload) for workload in workloads) and not workloads[0].startswith("peer_"):
                _by_batch(panel, speeds, workloads)
            else:
                _by_name(panel, speeds, workloads)
        legend(figure, list(arms))
    return figure


def _estimates(arms: Mapping[str, Arm], *, images: bool) -> dict[str, dict[str, Estimate]]:
    """The speed of each workload by arm, of those that process images or of those that do not."""
    return {
        workload: {arm: estimate(results) for arm, results in sides.items()}
        for workload, sides in by_workload(arms).items()
        if all((result.images is not None) is images for results in sides.values() for result in results)
    }


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


def _by_batch(axes: Axes, speeds: Mapping[str, Mapping[str, Estimate]], workloads: Sequence[str]) -> None:
    """Images/s against batch size, a line a series and an arm; of several the first is filled, and all are named."""
    lines = list(dict.fromkeys(map(series, workloads)))
    arms = list(dict.fromkeys(arm for sides in speeds.values() for arm in sides))
    batches = sorted({int(parameters(workload)["batch"]) for workload in workloads})
    unit = 0.09 * (math.log2(batches[-1] / batches[0]) + 1.8)
    for order, line in enumerate(lines):
        ends: list[tuple[float, float]] = []
        for index, arm in enumerate(arms):
            here = [workload for workload in workloads if series(workload) == line and arm in speeds[workload]]
            at = [math.log2(int(parameters(workload)["batch"])) + 0.6 * unit * order for workload in here]
            estimates = [speeds[workload][arm] for workload in here]
            _points(axes, at, estimates, index, slot=unit / max(2, len(arms)), arms=len(arms), hollow=order > 0)
            if here:
                ends.append((at[-1], min((*estimates[-1].values, *(estimates[-1].interval or ())))))
        if len(lines) > 1:
            below = max(ends)[0], min(lowest for _, lowest in ends)
            name = ", ".join(parameters(line).values())
            axes.annotate(name, below, (0, -4), textcoords="offset points", ha="center", va="top", fontsize=8)
            axes.margins(y=0.1)  # room for a name below the lowest
    axes.set_xticks([math.log2(batch) for batch in batches], [f"{batch:,}" for batch in batches])
    axes.set_xlim(math.log2(batches[0]) - 0.9, math.log2(batches[-1]) + 0.9)
    axes.set_xlabel("batch size (images), logarithmic")
    log_speeds(axes, "y")


def _by_name(axes: Axes, speeds: Mapping[str, Mapping[str, Estimate]], workloads: Sequence[str]) -> None:
    """Images/s of workloads without a batch size in their names, side by side."""
    arms = list(dict.fromkeys(arm for sides in speeds.values() for arm in sides))
    for index, arm in enumerate(arms):
        here = [(place, speeds[workload][arm]) for place, workload in enumerate(workloads) if arm in speeds[workload]]
        at, estimates = [place for place, _ in here], [estimate for _, estimate in here]
        _points(axes, at, estimates, index, slot=0.7 / max(2, len(arms)), arms=len(arms), joined=False)
    names = [words(workload) for workload in workloads]
    names = [name.partition(": ")[2] or name.partition(", ")[2] or name for name in names]
    width, size = (14, 9.5) if len(names) <= MOST_WIDE else (max(6, 60 // len(names)), 8)
    axes.set_xticks(range(len(names)), [textwrap.fill(name, width) for name in names], fontsize=size)
    axes.set_xlim(-0.6, len(workloads) - 0.4)
    log_speeds(axes, "y")


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
