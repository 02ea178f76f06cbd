"""Ratios: a comparison goes in; a figure of every workload's ratio comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cifar.record.names import words
from cifar.report import drawing
from cifar.report.figures.style import VERDICT_COLOURS, blank, plain_log
from cifar.report.text import ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cifar.report.comparison import Comparison, Pair


def draw(comparison: Comparison) -> Figure:
    """Return every workload's ratio with its 95 % interval beside 1 and the margin, coloured by verdict."""
    pairs = comparison.pairs[::-1]
    with drawing.settings():
        figure, (axes,) = blank(1, 1, width=10, height=1.6 + 0.34 * max(1, len(pairs)))
        axes.axvspan(1 / (1 + comparison.margin), 1 + comparison.margin, color="#0072B2", alpha=0.12, linewidth=0)
        axes.axvline(1, color="#444444", linewidth=1)
        axes.set_xscale("log")
        for place, pair in enumerate(pairs):
            _ratio(axes, place, pair)
        axes.set_yticks(range(len(pairs)), [words(pair.workload) for pair in pairs])
        axes.set_ylim(-0.7, len(pairs) - 0.3)
        axes.grid(visible=False, axis="y")
        plain_log(axes, "x", suffix="\N{MULTIPLICATION SIGN}")
        axes.set_xlabel(f"speed of {comparison.candidate} / speed of {comparison.baseline}   (right: faster)")
        arms = f"{comparison.candidate} against {comparison.baseline}"
        axes.set_title(f"{arms}: 95 % intervals; shaded: within {100 * comparison.margin:.4g} %")
    return figure


def _ratio(axes: Axes, place: int, pair: Pair) -> None:
    """One row of the figure: the interval, and beside the axes verdict and numbers."""
    colour = VERDICT_COLOURS[pair.verdict]
    low, high = pair.interval or (pair.ratio, pair.ratio)
    axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(pair.ratio, place, "o", color=colour, markersize=6)
    beside: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    axes.annotate(pair.verdict.value, (1, place), (8, 0), color=colour, fontsize=8.5, weight="bold", **beside)
    axes.annotate(ratio(pair), (1, place), (92, 0), color="#333333", fontsize=8.5, **beside)
