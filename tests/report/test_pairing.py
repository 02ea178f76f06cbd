"""Pairing: which arms are compared with which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record.reading import load
from cifar.report import pairing

from .handmade import grouped

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_devices_of_two_campaigns_are_compared_with_each_other(write: Write, tmp_path: Path) -> None:
    """A CPU measured here and a GPU measured there meet in one report."""
    write(tmp_path / "here", "cpu", campaign="here")
    write(tmp_path / "there", "gpu", campaign="there")
    assert pairing.pairs(grouped(load(tmp_path / "here", tmp_path / "there"))) == [("cpu", "gpu")]
