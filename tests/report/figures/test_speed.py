"""The figure of speeds: panels, dots, and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.figures import speed

from .conftest import grouped, texts

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    from cifar.report.arms import Arm

    Arms = dict[str, Arm]


def test_throughput_has_a_panel_a_family(arms: Arms) -> None:
    """Images/s of each family, forward by where its input lies, every arm in the legend; seconds stay out."""
    figure = speed.draw(arms)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Training", "Forward, input on the host", "new"]
    assert {"cpu", "gpu", "images/s", "batch size (images), logarithmic"} <= set(texts(figure).split("\n"))
    assert {"host", "predict"} <= set(texts(figure).split("\n"))


def test_peers_of_one_work_share_a_panel(write: Write, tmp_path: Path) -> None:
    """What one would pick instead stands side by side, each batch size apart."""
    peers = {f"peer_forward[batch={batch},by={by}]": (batch, 0.1) for batch in (1, 250) for by in ("ours", "jax")}
    write(tmp_path, workloads=peers)
    panels = speed.draw(grouped(load(tmp_path))).axes
    work = "Frameworks to choose from, forward, batch"
    assert [axes.get_title(loc="left") for axes in panels] == [f"{work} 1", f"{work} 250"]
    assert all([text.get_text() for text in axes.get_xticklabels()] == ["ours", "jax"] for axes in panels)


def test_one_series_needs_no_key(write: Write, tmp_path: Path) -> None:
    """Where a panel has one series, it is not named."""
    write(
        tmp_path, workloads={"generator[by=ours,batch=32]": (1000, 0.1), "generator[by=ours,batch=250]": (1000, 0.05)}
    )
    assert "ours" not in texts(speed.draw(grouped(load(tmp_path)))).split("\n")


def test_throughput_shows_every_run(arms: Arms) -> None:
    """Each run's speed is a dot, beside the mean of all."""
    dots = [line for line in speed.draw(arms).axes[0].lines if line.get_marker() == "."]
    speeds = [record.results[3].value for arm in arms.values() for record in arm.records]
    assert sorted(value for line in dots for value in line.get_ydata()) == pytest.approx(sorted(speeds))


def test_throughput_leaves_a_gap_for_what_an_arm_lacks(arms: Arms, write: Write, tmp_path: Path) -> None:
    """An arm without a workload is shown with the others that it has."""
    write(tmp_path / "more", "gpu:1", workloads={"forward[batch=1,input=host]": (1, 0.01)})
    speed.draw(arms | grouped(load(tmp_path / "more")))


def test_a_single_exact_speed_has_room_around_it(write: Write, tmp_path: Path) -> None:
    """One run of exactly 10 images/s, where a logarithmic axis would have no extent, is drawn like any other."""
    write(tmp_path, workloads={"training[feed=memory]": (10, 1.0)}, noise=0, shift=0)
    (axes,) = speed.draw(grouped(load(tmp_path))).axes
    assert axes.get_ylim() == pytest.approx((5, 20))


def test_colour_is_that_of_the_legend(write: Write, tmp_path: Path) -> None:
    """An arm has the colour that the legend gives it, also where the first workload lacks the arms before it."""
    write(tmp_path, "cpu", workloads={"forward[batch=1,input=host]": (1, 0.1)})
    write(tmp_path, "gpu", workloads={"training[by=new]": (10, 0.01), "forward[batch=1,input=host]": (1, 0.01)})
    figure = speed.draw(grouped(load(tmp_path)))
    legend = {handle.get_label(): handle.get_color() for handle in figure.legends[0].legend_handles}
    colours = {axes.get_title(loc="left"): set() for axes in figure.axes}
    for axes in figure.axes:
        colours[axes.get_title(loc="left")] = {line.get_color() for line in axes.lines if len(line.get_xdata())}
    assert colours == {"Training": {legend["gpu"]}, "Forward, input on the host": set(legend.values())}


@pytest.mark.parametrize("batch", ["all", "0", "\N{SUPERSCRIPT TWO}", "1e3"])
def test_batch_that_is_no_number(write: Write, tmp_path: Path, batch: str) -> None:
    """A workload of somebody's own whose batch is a word, or that has none, stands beside the others by its name."""
    workloads = {f"mine[batch={batch}]": (10, 0.1), "generator[by=mine]": (10, 0.1), "generator[batch=32]": (10, 0.1)}
    write(tmp_path, workloads=workloads)
    titles = [axes.get_title(loc="left") for axes in speed.draw(grouped(load(tmp_path))).axes]
    assert titles == ["Generator", f"mine[batch={batch}]"]
