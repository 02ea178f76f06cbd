"""Roofline: the arms go in; a figure of what each workload computes under the limits of its arm comes out."""

from __future__ import annotations

import math
import textwrap
from statistics import median
from typing import TYPE_CHECKING, Any

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


def draw(arms: Mapping[str, Arm]) -> Figure | None:
    """Return FLOP/s against FLOP a byte, a panel for each arm, under the roof that its limits make; None without any.

    S. Williams, A. Waterman and D. Patterson, Communications of the ACM 52 (2009) 65-76: left of the ridge memory
    binds, right of it arithmetic.  Bytes are counted as in the records; a cache may spare some of them.  Where a
    workload lies above the roof the panel says why it can.
    """
    peaks = {name: limits.peaks(arm) for name, arm in arms.items()}
    roofed = [name for name, found in peaks.items() if MEMORY in found and len(_arithmetic(found)) == 1]
    if not roofed:
        return None
    results = by_workload(arms)
    with drawing.settings():
        columns = min(2, len(roofed))
        lines = math.ceil(len(roofed) / columns)
        figure, axes = blank(columns, lines, width=5.5 * columns + 1, height=4.2 * lines)
        for panel, name in zip(axes, roofed, strict=False):
            here = {workload: sides[name] for workload, sides in results.items() if name in sides}
            _roof(panel, here, peaks[name], list(arms).index(name), arms[name].device)
            panel.set_title(name)
        for panel in axes[len(roofed) :]:
            panel.remove()
    return figure


def _arithmetic(found: Mapping[str, float]) -> list[str]:
    """The limits of arithmetic among the limits of an arm."""
    return [limit for limit in found if limit.startswith("peak[what=matmul")]


def _computed(result: Result, arithmetic: str) -> float:
    """Floating-point operations a second of the median round."""
    return result.needs[arithmetic] / result.median


def _roof(
    axes: Axes, results: Mapping[str, Sequence[Result]], peaks: Mapping[str, float], index: int, device: str
) -> None:
    """One arm's roof and its workloads below it, forward passes hollow; large batches are named."""
    (arithmetic,) = _arithmetic(peaks)
    colour, marker = look(index)
    ridge = peaks[arithmetic] / peaks[MEMORY]
    placed = {
        workload: (
            runs[0].needs[arithmetic] / runs[0].needs[MEMORY],
            median(_computed(run, arithmetic) for run in runs),
        )
        for workload, runs in results.items()
        if all({arithmetic, MEMORY} <= run.needs.keys() for run in runs)
    }
    at = [ridge / 10, *(intensity for intensity, _ in placed.values()), ridge * 10]
    span = np.geomspace(min(at) / 1.5, max(at) * 1.5, 200)
    roof = np.minimum(span * peaks[MEMORY], peaks[arithmetic]) / 1e9
    axes.plot(span, roof, color="#444444", linewidth=1.4)
    for workload, (intensity, speed) in placed.items():
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
    note = f"{words(arithmetic).removeprefix('Limit: ')}: {_round(peaks[arithmetic] / 1e9)} GFLOP/s\n"
    note += f"memory: {_round(peaks[MEMORY] / 1e9)} GB/s\nfilled: training; hollow: forward"
    if above := _above(placed.values(), peaks, arithmetic, device):
        note += "\n" + textwrap.fill(f"above the roof: {above}", 58)
    axes.annotate(note, (0.02, 0.97), xycoords="axes fraction", ha="left", va="top", fontsize=8.5)


def _round(value: float) -> str:
    """Four digits at most: 17,600; 875.3; 10."""
    return f"{float(f'{value:.4g}'):,.10g}"


def _above(placed: Iterable[tuple[float, float]], peaks: Mapping[str, float], arithmetic: str, device: str) -> str:
    """Why workloads of such intensities and speeds can lie above the roof; empty where none does."""
    beaten = {
        arithmetic if speed > peaks[arithmetic] else MEMORY: None
        for intensity, speed in placed
        if speed > min(intensity * peaks[MEMORY], peaks[arithmetic])
    }
    return "; ".join(limits.excuse(limit, device).reason for limit in beaten)
