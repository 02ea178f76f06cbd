"""Numbers, speeds and ratios as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.report.compare import compare
from cifar.report.comparison import Estimate
from cifar.report.text import HEADER, number, probability, rows, speed
from cifar.statistics.intervals import Interval

from .handmade import made

if TYPE_CHECKING:
    from cifar.report.comparison import Comparison


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1749.6, "1,750"),
        (23.412, "23.41"),
        (0.98762, "0.9876"),
        (0.99996, "1.000"),
        (1234567, "1,235,000"),
        (0.00012345, "0.0001234"),
    ],
)
def test_numbers_have_four_digits(value: float, expected: str) -> None:
    """Numbers are rounded to 4 significant digits and thousands are separated."""
    assert number(value) == expected


def test_rows_are_text_for_a_table(slower: Comparison) -> None:
    """One row a pair under the header: speeds with units and intervals, ratio, p, verdict with its reason."""
    (row,) = rows(slower)
    assert len(row) == len(HEADER)
    assert row[0] == "w"
    assert row[1].startswith("111.1\N{NO-BREAK SPACE}images/s (111.")
    assert row[3].startswith("0.9000 (0.8")
    assert row[4:] == ("< 0.001", "SLOWER")
    (row,) = rows(compare(made("cpu", [[2.0]], images=None), made("gpu", [[1.0]], images=None)))
    assert row[1:5] == ("2.000\N{NO-BREAK SPACE}s", "1.000\N{NO-BREAK SPACE}s", "2.000", "\N{EN DASH}")
    assert probability(0.0421) == "0.042"


def test_seconds_have_their_interval_in_order() -> None:
    """The interval of a time has its low end first, as that of a speed."""
    assert speed(Estimate(0.5, Interval(0.4, 0.625), (0.4, 0.625), "s")).endswith("(1.600 to 2.500)")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1751.4, "images/s", "1,751 images/s"),
        (2.13e11, "FLOP/s", "213.0 GFLOP/s"),
        (3.9e14, "FLOP/s", "390.0 TFLOP/s"),
        (5e6, "B/s", "5.000 MB/s"),
        (12.0, "B/s", "12.00 B/s"),
        (0.5, "s", "2.000 s"),
        (1 / 0.000143, "s", "143.0 \N{MICRO SIGN}s"),
    ],
)
def test_speeds_have_the_prefix_that_reads_best(value: float, unit: str, expected: str) -> None:
    """Bytes and operations a second have a prefix, images and longer times none, short times are microseconds."""
    found = speed(Estimate(value, None, (value,), unit))
    assert found.replace("\N{NO-BREAK SPACE}", " ") == expected
