"""Pictures: the arms and their comparisons go in; the figures of a report, each with its words, come out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cifar.record.text import plain
from cifar.report.figures import growths, ladders, nodes, ratios, roofline, rounds, speed, warmup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from cifar.report.arms import Arms
    from cifar.report.comparison import Comparison
    from cifar.report.nodes import Spread

MOST_RATIOS = 4
"""Comparisons of single nodes that have a figure each; of more none has."""
WORDS = {
    "throughput": (
        "Throughput by device and batch size",
        "Images per second of each arm, on logarithmic axes; bars are 95 % intervals, small dots runs (or nodes).",
    ),
    "ladders": (
        "From the lesson's way to the fastest",
        "Each rung changes one thing; hollow ones are slower than the rung before, times are against the rung before.",
    ),
    "growths": (
        "How the cost grows",
        "Seconds and memory against size; the grey line is linear through the largest size, memory begins at zero.",
    ),
    "roofline": (
        "How close to the roof",
        "What each workload computes a second: left of the bend its memory traffic binds it, right of it arithmetic.",
    ),
    "nodes": (
        "Nodes beside each other",
        "Each node's speed over the mean of all, a dot a node, for each workload; a node that is off is named.",
    ),
    "warmup": (
        "Warm-up beside steady state",
        "Seconds of the first call beside those of a call in the median round.",
    ),
    "rounds": (
        "Every round, in order",
        "Each round of each run as a multiple of the arm's median round: two bands are two modes, a slope is a drift.",
    ),
}
"""Title and text of each figure, by the name of its files."""
RATIOS = "Ratio of the speeds with its 95 % interval for each workload; the band is the margin of equivalence."
"""The text of the ratios of any two arms."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with its name (of its files), title, and what it shows, in words."""

    name: str
    title: str
    text: str
    figure: Figure


def pictures(arms: Arms, spreads: Sequence[Spread], comparisons: Sequence[Comparison]) -> list[Picture]:
    """Return the report's figures: those of all arms, and one of ratios for each comparison; none that is empty.

    Arms that are pooled over their nodes are drawn as one; comparisons of many single nodes have tables only.
    """
    by_node, by_run = arms.by_node, arms.by_run
    first = {"throughput": speed.draw(by_node)}
    last = {
        "ladders": ladders.draw(by_node),
        "growths": growths.draw(by_node),
        "roofline": roofline.draw(by_run),
        "nodes": nodes.draw(spreads) if spreads else None,
        "warmup": warmup.draw(by_node),
        "rounds": rounds.draw(by_run),
    }
    compared = [] if arms.over and len(comparisons) > MOST_RATIOS else _ratios(comparisons)
    drawn = [*_named(first), *compared, *_named(last)]
    return [picture for picture in drawn if picture.figure.axes]


def _named(figures: Mapping[str, Figure | None]) -> list[Picture]:
    """The figures that there are, with their words."""
    return [Picture(name, *WORDS[name], figure) for name, figure in figures.items() if figure is not None]


def _ratios(comparisons: Sequence[Comparison]) -> list[Picture]:
    """The ratios of each comparison."""
    drawn = []
    for place, comparison in enumerate(comparisons, start=1):
        name = "ratios" if len(comparisons) == 1 else f"ratios-{place}"
        title = f"{comparison.candidate} against {comparison.baseline}"
        drawn.append(Picture(name, title, RATIOS, ratios.draw(comparison)))
    return drawn


def shown(picture: Picture, png: Path, svg: Path) -> dict[str, Any]:
    """Return a picture for the templates; identifiers in its SVG get its name, for all share one page."""
    drawing = svg.read_text(encoding="utf-8")
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{picture.name}-", drawing)
    label = Markup('<svg role="img" aria-label="{}"').format(plain(f"{picture.title}: {picture.text}"))
    drawing = drawing.replace("<svg", label, 1)
    return {
        "name": picture.name,
        "title": picture.title,
        "text": picture.text,
        "svg": Markup(drawing),  # noqa: S704 - drawn by matplotlib, which escapes what it is given
        "png": f"figures/{png.name}",
        "svg_file": f"figures/{svg.name}",
    }
