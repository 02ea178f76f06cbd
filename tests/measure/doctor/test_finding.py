"""A finding is one line, whatever it quotes."""

from __future__ import annotations

from cifar.measure.doctor.finding import Finding, some, unknown
from cifar.record.unmeasurable import Unmeasurable


def test_line():
    """Status, check and words stand in columns, then the remedy; what a terminal would obey is written out."""
    assert Finding("load", "pass", "0.1").line == "pass     load                0.1"
    finding = Finding("data", "fail", "a\nb \x1b[31m", "c")
    assert finding.line == r"fail     data                a b \x1b[31m -> c"


def test_unknown():
    """A fact that cannot be had is neither good nor bad."""
    assert unknown("clock", Unmeasurable("no governor", "ask")) == Finding("clock", "unknown", "no governor", "ask")


def test_some():
    """Of many names the first are shown, with the number of the others."""
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"
