"""The figure of warm-ups: first calls beside steady ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.reading import load
from cifar.report.figures import warmup

from .conftest import grouped, texts

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


def test_warmup_counts_calls_not_rounds(write: Write, tmp_path: Path) -> None:
    """A round of 8 calls is an eighth of its seconds beside the first call."""
    write(tmp_path, workloads={"training[feed=memory]": (80, 8.0)}, extra={"calls": 8}, noise=0.0, shift=0.0)
    (axes,) = warmup.draw(grouped(load(tmp_path))).axes
    assert sorted({round(float(x), 6) for line in axes.lines for x in line.get_xdata()}) == [1.0, 24.4]


def test_warmup_without_the_number_of_calls_stands_alone(write: Write, tmp_path: Path) -> None:
    """Where the record does not say how many calls a round has, no steady call is made up."""
    write(tmp_path, workloads={"new": (10, 8.0)}, extra={"calls": None}, noise=0.0, shift=0.0)
    (axes,) = warmup.draw(grouped(load(tmp_path))).axes
    assert {float(x) for line in axes.lines for x in line.get_xdata() if x == x} == {24.4}  # noqa: PLR0124 - not NaN


def test_warmup_of_an_arm_that_lacks_a_workload(arms: Arms, write: Write, tmp_path: Path) -> None:
    """An arm without a workload leaves its row to the others."""
    write(tmp_path / "more", "gpu:1", workloads={"new": (10, 0.1)})
    assert "gpu:1" in texts(warmup.draw(arms | grouped(load(tmp_path / "more"))))
