"""The figure of rounds: their order, their axes, and which of many are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.figures import rounds, speed

from .conftest import FEW, grouped

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


def test_rounds_keep_their_order(one: Arms) -> None:
    """Each workload has a panel with all its rounds in order, relative to their median."""
    figure = rounds.draw(one)
    assert len(figure.axes) == len(FEW)
    result = one["cpu"].records[0].results[3]
    (line,) = (line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert list(line.get_ydata())[:-1] == pytest.approx([seconds / result.median for seconds in result.seconds])


def test_rounds_of_two_modes_are_on_a_logarithmic_axis(write: Write, tmp_path: Path) -> None:
    """Rounds that differ by more than a factor of 3 are shown by their ratios."""
    write(tmp_path, workloads={"new": (10, 1.0)}, noise=1.5)
    assert rounds.draw(grouped(load(tmp_path))).axes[0].get_yscale() == "log"


def test_rounds_of_an_arm_that_lacks_a_workload(arms: Arms, write: Write, tmp_path: Path) -> None:
    """A panel shows the arms that have its workload."""
    write(tmp_path / "more", "gpu:1", workloads={"new": (10, 0.1)})
    assert len(rounds.draw(arms | grouped(load(tmp_path / "more"))).axes) == len(FEW)


def test_of_many_runs_some_are_drawn(write: Write, tmp_path: Path) -> None:
    """Of 120 runs 40 show their rounds, the first and the last among them, and 100 are dots; the axis says so."""
    for run in range(1, 121):
        write(tmp_path, "cpu", run, workloads={"training[feed=memory]": (10, 1.0)}, rounds=2)
    arms = grouped(load(tmp_path))
    figure = rounds.draw(arms)
    assert figure.get_supxlabel().startswith("40 of 120 runs")
    (drawn,) = (line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 2)
    medians = [record.results[0].median for record in arms["cpu"].records]
    assert len(drawn) == 40 * (2 + 1)
    assert drawn[0] / drawn[-2] == pytest.approx(
        arms["cpu"].records[0].results[0].seconds[0] / arms["cpu"].records[-1].results[0].seconds[1]
    )
    dots = max((line.get_ydata() for line in speed.draw(arms).axes[0].lines), key=len)
    assert len(dots) == 100
    assert (min(dots), max(dots)) == pytest.approx((10 / max(medians), 10 / min(medians)))
