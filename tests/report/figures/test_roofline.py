"""The roofline: the limits of each arm, and why a dot may lie above."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.figures import roofline

from .conftest import grouped, texts

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


ROOFED = {
    "training[feed=memory]": (5000, 2.8),
    "forward[batch=32,input=host]": (32, 0.02),
    "peak[what=matmul,type=float32]": (None, 0.5),
    "peak[what=copy]": (None, 0.1),
}


def test_roofline_stands_on_the_limits_of_each_arm(write: Write, tmp_path: Path) -> None:
    """Each arm that measured its limits has a panel with their figures; an arm that did not has none."""
    limits = {"peak[what=matmul,type=float32]": 10**9, "peak[what=copy]": 10**8}
    for arm in ("cpu", "gpu", "gpu:1"):
        path = write(tmp_path, arm, workloads=ROOFED, noise=0, shift=0)
        entry = json.loads(path.read_text(encoding="utf-8"))
        for benchmark in entry["benchmarks"][:2]:
            benchmark["extra_info"]["needs"] = limits
        entry["benchmarks"][2]["extra_info"]["flop"] = 10**11
        entry["benchmarks"][3]["extra_info"]["bytes"] = 10**9
        path.write_text(json.dumps(entry), encoding="utf-8")
    write(tmp_path, "gpu:2", workloads=ROOFED)
    figure = roofline.draw(grouped(load(tmp_path)))
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["cpu", "gpu", "gpu:1"]
    assert "matrix product in float32: 200 GFLOP/s\nmemory: 10 GB/s" in texts(figure)
    (roof,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 2]
    assert max(roof.get_ydata()) == pytest.approx(200)
    assert figure.axes[0].get_ylim()[1] > 2 * 200  # where the note stands


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        pytest.param((10**11, 10**10), "", id="below"),
        pytest.param((10**14, 10**10), "above the roof: a GPU may convolve by Winograd", id="right of the bend"),
        pytest.param((10**12, 10**13), "above the roof: caches spare memory", id="left of the bend"),
    ],
)
def test_a_dot_above_the_roof_is_explained(write: Write, tmp_path: Path, needs: tuple[int, int], reason: str) -> None:
    """What a GPU does beyond its roof is drawn there, within the panel, with the reason why it can be."""
    path = write(tmp_path, "gpu", workloads=ROOFED, noise=0, shift=0)
    entry = json.loads(path.read_text(encoding="utf-8"))
    entry["benchmarks"][0]["extra_info"]["needs"] = dict(
        zip(("peak[what=matmul,type=float32]", "peak[what=copy]"), needs, strict=True)
    )
    entry["benchmarks"][2]["extra_info"]["flop"] = 10**13 + 1
    entry["benchmarks"][3]["extra_info"]["bytes"] = 10**11
    path.write_text(json.dumps(entry), encoding="utf-8")
    figure = roofline.draw(grouped(load(tmp_path)))
    assert figure is not None
    assert "matrix product in float32: 20,000 GFLOP/s\nmemory: 1,000 GB/s" in texts(figure)
    assert ("above the roof" in texts(figure)) is bool(reason)
    assert reason in texts(figure)
    (axes,) = figure.axes
    (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert axes.get_ylim()[0] < dot.get_ydata()[0] < axes.get_ylim()[1]


def test_roofline_needs_limits(one: Arms) -> None:
    """Without measured limits there is no roof to draw."""
    assert roofline.draw(one) is None
