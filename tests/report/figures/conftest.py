"""Arms to draw, and the words in a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.arms import Arm

from ..handmade import grouped  # noqa: TID252 - the rooms of tests are no packages

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]
    from matplotlib.figure import Figure

    Arms = dict[str, Arm]

__all__ = ["FEW", "grouped", "texts"]

FEW = {
    "forward[batch=1,input=host]": (1, 0.01),
    "forward[batch=32,input=host]": (32, 0.02),
    "forward[batch=250,by=predict]": (250, 0.1),
    "training[feed=memory]": (5000, 2.8),
    "startup[stage=import]": (None, 3.0),
    "new": (10, 1.0),
}


def texts(figure: Figure) -> str:
    """All words in a figure."""
    found = [text.get_text() for axes in figure.axes for text in axes.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join([*found, *(text.get_text() for legend in figure.legends for text in legend.get_texts())])


@pytest.fixture
def arms(write: Write, tmp_path: Path) -> Arms:
    """A CPU and a GPU, three runs each."""
    for run in (1, 2, 3):
        write(tmp_path, "cpu", run, workloads=FEW)
        write(tmp_path, "gpu", run, workloads=FEW, faster=20)
    return grouped(load(tmp_path))


@pytest.fixture
def one(arms: Arms) -> Arms:
    """A single arm with a single run, as a first try on a laptop leaves it."""
    return {"cpu": Arm("cpu", arms["cpu"].records[:1])}
