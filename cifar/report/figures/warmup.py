"""Warm-up: the arms go in; a figure of first calls beside steady ones comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cifar.record.names import in_order, words
from cifar.report import drawing
from cifar.report.figures.style import blank, legend, look, offset, plain_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from cifar.report.arms import Arm


def draw(arms: Mapping[str, Arm]) -> Figure:
    """Return the seconds of each workload's first call (hollow) beside those of a steady one (filled).

    A record that does not say how many calls a round has leaves the steady one out.
    """
    firsts = {name: _calls(arm) for name, arm in arms.items()}
    workloads = in_order(dict.fromkeys(workload for calls in firsts.values() for workload in calls))[::-1]
    with drawing.settings():
        height = 1.6 + len(workloads) * (0.2 + 0.14 * len(arms))
        figure, (axes,) = blank(1, 1, width=8.5, height=height)
        for index, (name, calls) in enumerate(firsts.items()):
            colour, marker = look(index)
            for place, workload in enumerate(workloads):
                if workload not in calls:
                    continue
                first, steady = calls[workload]
                y = place + offset(index, len(arms), width=min(0.62, 0.3 * (len(arms) - 1)))
                axes.plot([steady, first], [y, y], color=colour, linewidth=1.2, alpha=0.55)
                axes.plot(first, y, marker, color=colour, markerfacecolor="white", markersize=5.5)
                axes.plot(steady, y, marker, color=colour, markersize=5.5, label=name)
        axes.set_xscale("log")
        axes.set_yticks(range(len(workloads)), [words(workload) for workload in workloads])
        axes.set_ylim(-0.6, len(workloads) - 0.4)
        plain_log(axes, "x", suffix=" s")
        axes.set_xlabel("seconds of one call, median over runs   (hollow: first, filled: steady)")
        axes.set_title("Warm-up beside steady state")
        legend(figure, list(arms))
    return figure


def _calls(arm: Arm) -> dict[str, tuple[float, float]]:
    """Seconds of the first call and of a steady one by workload, medians over an arm's runs."""
    calls = {}
    for workload, results in arm.results.items():
        seconds = []
        for result in results:
            if result.warmup_seconds is not None:
                steady = result.median / result.calls if result.calls else math.nan
                seconds.append((result.warmup_seconds, steady))
        if seconds:
            first, steady = np.median(seconds, axis=0).tolist()
            calls[workload] = first, steady
    return calls
