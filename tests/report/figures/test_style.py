"""What all figures share: looks that differ, and files that are the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.figures import rounds, speed, style, warmup

from .conftest import grouped

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


def test_eight_arms_differ_by_colour_and_marker() -> None:
    """Up to eight arms are told apart even in black and white."""
    assert len(set(style.COLOURS)) == len(set(style.MARKERS)) == 8


@pytest.mark.parametrize("draw", [speed.draw, warmup.draw, rounds.draw], ids=["speed", "warmup", "rounds"])
def test_arms_without_results_draw_nothing(write: Write, tmp_path: Path, draw: object) -> None:
    """A campaign of which every benchmark failed has figures without panels, not an error."""
    write(tmp_path / "none", workloads={}, failures=[{"workload": "forward[batch=250]", "reason": "no memory"}])
    assert callable(draw)
    assert style.save(draw(grouped(load(tmp_path / "none"))), tmp_path, "empty")[0].exists()


def test_files_are_the_same_each_time(one: Arms, tmp_path: Path) -> None:
    """PNG and SVG hold no date and no random names: the same records give the same bytes."""
    first = [path.read_bytes() for path in style.save(rounds.draw(one), tmp_path, "a")]
    again = [path.read_bytes() for path in style.save(rounds.draw(one), tmp_path, "b")]
    assert first == again
    assert first[0].startswith(b"\x89PNG")
    assert b"<svg" in first[1]
    assert b"dc:date" not in first[1]
