"""Roofline: the arms go in; a figure of what each workload computes under the limits of its arm comes out."""

from __future__ import annotations

import math
import textwrap
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cifar.record.names import words
from cifar.report import drawing, limits
from cifar.report.arms import by_workload
from cifar.report.figures.style import blank, look, plain_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cifar.record.model import Result
    from cifar.report.arms import Arm

MEMORY = "peak[what=copy]"
"""The limit that slopes in a roofline."""


class Roof(NamedTuple):
    """What an arm's limits allow: operations a second, by the limit of that name, and bytes a second."""

    arithmetic: str
    flops: float
    memory: float

    def at(self, intensity: float) -> float:
        """Return the operations a second that are possible at so many operations a byte."""
        return min(intensity * self.memory, self.flops)


def draw(arms: Mapping[str, Arm]) -> Figure | None:
    """Return FLOP/s against FLOP a byte, a panel for each arm, under the roof that its limits make; None without any.

    S. Williams, A. Waterman and D. Patterson, Communications of the ACM 52 (2009) 65-76: left of the ridge memory
    binds, right of it arithmetic.  Bytes are counted as in the records; a cache may spare some of them.  Where a
    workload lies above the roof the panel says why it can.
    """
    measured = {name: _roof(limits.peaks(arm)) for name, arm in arms.items()}
    roofs = {name: roof for name, roof in measured.items() if roof is not None}
    if not roofs:
        return None
    results = by_workload(arms)
    with drawing.settings():
        columns = min(2, len(roofs))
        lines = math.ceil(len(roofs) / columns)
        figure, axes = blank(columns, lines, width=5.5 * columns + 1, height=4.2 * lines)
        for panel, (name, roof) in zip(axes, roofs.items(), strict=False):
            own = {workload: sides[name] for workload, sides in results.items() if name in sides}
            _panel(panel, roof, _dots(own, roof), list(arms).index(name), arms[name].device)
            panel.set_title(name)
        for panel in axes[len(roofs) :]:
            panel.remove()
    return figure


def _roof(peaks: Mapping[str, float]) -> Roof | None:
    """The roof that the limits of an arm make; None where memory or arithmetic has none, or arithmetic several."""
    arithmetic = [limit for limit in peaks if limit.startswith("peak[what=matmul")]
    if MEMORY not in peaks or len(arithmetic) != 1:
        return None
    return Roof(arithmetic[0], peaks[arithmetic[0]], peaks[MEMORY])


def _dots(results: Mapping[str, Sequence[Result]], roof: Roof) -> dict[str, tuple[float, float]]:
    """Operations a byte and operations a second of each workload that says what it needs, medians over the runs."""
    dots = {}
    for workload, runs in results.items():
        if all({roof.arithmetic, MEMORY} <= run.needs.keys() for run in runs):
            needs = runs[0].needs
            speeds = [run.needs[roof.arithmetic] / run.median for run in runs]
            dots[workload] = needs[roof.arithmetic] / needs[MEMORY], median(speeds)
    return dots


def _panel(axes: Axes, roof: Roof, dots: Mapping[str, tuple[float, float]], index: int, device: str) -> None:
    """One arm's roof and its workloads below it, forward passes hollow; what the roof is made of is noted."""
    ridge = roof.flops / roof.memory
    intensities = [ridge / 10, *(intensity for intensity, _ in dots.values()), ridge * 10]
    span = np.geomspace(min(intensities) / 1.5, max(intensities) * 1.5, 200)
    axes.plot(span, np.minimum(span * roof.memory, roof.flops) / 1e9, color="#444444", linewidth=1.4)
    colour, marker = look(index)
    for workload, (intensity, speed) in dots.items():
        hollow: dict[str, Any] = {"markerfacecolor": "white"} if workload.startswith("forward") else {}
        axes.plot(intensity, speed / 1e9, marker, color=colour, markersize=6, **hollow)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log(axes, "x")
    plain_log(axes, "y")
    axes.set_xlabel("arithmetic intensity (FLOP / byte)")
    axes.set_ylabel("GFLOP/s")
    low, high = axes.dataLim.intervaly
    axes.set_ylim(low / 1.5, high * (high / low) ** 0.35)  # room for the note above the roof
    note = _note(roof, dots.values(), device)
    axes.annotate(note, (0.02, 0.97), xycoords="axes fraction", ha="left", va="top", fontsize=8.5)


def _note(roof: Roof, dots: Iterable[tuple[float, float]], device: str) -> str:
    """What the roof is made of, how to read the dots, and why some of them can lie above it."""
    limit = words(roof.arithmetic).removeprefix("Limit: ")
    lines = [
        f"{limit}: {_round(roof.flops / 1e9)} GFLOP/s",
        f"memory: {_round(roof.memory / 1e9)} GB/s",
        "filled: training; hollow: forward",
    ]
    reasons = _reasons(roof, dots, device)
    if reasons:
        lines.append(textwrap.fill(f"above the roof: {'; '.join(reasons)}", 58))
    return "\n".join(lines)


def _reasons(roof: Roof, dots: Iterable[tuple[float, float]], device: str) -> list[str]:
    """Why workloads of such intensities and speeds can lie above the roof; empty where none does."""
    beaten: dict[str, None] = {}
    for intensity, speed in dots:
        if speed > roof.at(intensity):
            beaten[roof.arithmetic if speed > roof.flops else MEMORY] = None
    return [limits.excuse(limit, device).reason for limit in beaten]


def _round(value: float) -> str:
    """Four digits at most: 17,600; 875.3; 10."""
    return f"{float(f'{value:.4g}'):,.10g}"
