"""The figure of ratios: verdicts in words, and what has no interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from cifar.report.compare import compare, compare_arms
from cifar.report.figures import ratios
from cifar.report.text import ratio

from .conftest import FEW, texts

if TYPE_CHECKING:
    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


def test_ratios_show_each_verdict_in_words(arms: Arms) -> None:
    """Each workload has its name, its ratio with interval, and its verdict; the margin is named."""
    comparison = compare_arms(arms["cpu"], arms["gpu"], margin=0.1)
    said = texts(ratios.draw(comparison))
    assert said.count("FASTER") == len(FEW)
    assert "Training, fed from memory" in said
    assert "shaded: within 10 %" in said
    assert ratio(comparison.pairs[0]) in said


def test_ratios_of_single_runs_have_no_bars(one: Arms) -> None:
    """Without an interval the ratio stands alone."""
    said = texts(ratios.draw(compare_arms(one["cpu"], one["cpu"])))
    assert said.count("INCONCLUSIVE") == len(FEW)


def test_ratios_of_nothing_are_an_empty_figure() -> None:
    """Two arms without a common workload still make a figure, for the page has a place for it."""
    assert isinstance(ratios.draw(compare([], [])), Figure)
