"""Figures: what they show of one arm, of two and of eight, and the files that they become."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from cifar.record.reading import load
from cifar.report import figures
from cifar.report.arms import Arm
from cifar.report.compare import compare, compare_arms
from cifar.report.text import ratio

from .handmade import grouped

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]

    Arms = dict[str, Arm]

FEW = {
    "forward[batch=1,input=host]": (1, 0.01),
    "forward[batch=32,input=host]": (32, 0.02),
    "forward[batch=250,by=predict]": (250, 0.1),
    "training[feed=memory]": (5000, 2.8),
    "startup[stage=import]": (None, 3.0),
    "new": (10, 1.0),
}


ROOFED = {
    "training[feed=memory]": (5000, 2.8),
    "forward[batch=32,input=host]": (32, 0.02),
    "peak[what=matmul,type=float32]": (None, 0.5),
    "peak[what=copy]": (None, 0.1),
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


def test_throughput_has_a_panel_a_family(arms: Arms) -> None:
    """Images/s of each family, forward by where its input lies, every arm in the legend; seconds stay out."""
    figure = figures.throughput(arms)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Training", "Forward, input on the host", "new"]
    assert {"cpu", "gpu", "images/s", "batch size (images), logarithmic"} <= set(texts(figure).split("\n"))
    assert {"host", "predict"} <= set(texts(figure).split("\n"))


def test_peers_of_one_work_share_a_panel(write: Write, tmp_path: Path) -> None:
    """What one would pick instead stands side by side, each batch size apart."""
    peers = {f"peer_forward[batch={batch},by={by}]": (batch, 0.1) for batch in (1, 250) for by in ("ours", "jax")}
    write(tmp_path, workloads=peers)
    panels = figures.throughput(grouped(load(tmp_path))).axes
    work = "Frameworks to choose from, forward, batch"
    assert [axes.get_title(loc="left") for axes in panels] == [f"{work} 1", f"{work} 250"]
    assert all([text.get_text() for text in axes.get_xticklabels()] == ["ours", "jax"] for axes in panels)


def test_one_series_needs_no_key(write: Write, tmp_path: Path) -> None:
    """Where a panel has one series, it is not named."""
    write(
        tmp_path, workloads={"generator[by=ours,batch=32]": (1000, 0.1), "generator[by=ours,batch=250]": (1000, 0.05)}
    )
    assert "ours" not in texts(figures.throughput(grouped(load(tmp_path)))).split("\n")


def test_throughput_shows_every_run(arms: Arms) -> None:
    """Each run's speed is a dot, beside the mean of all."""
    dots = [line for line in figures.throughput(arms).axes[0].lines if line.get_marker() == "."]
    speeds = [record.results[3].value for arm in arms.values() for record in arm.records]
    assert sorted(value for line in dots for value in line.get_ydata()) == pytest.approx(sorted(speeds))


def test_throughput_leaves_a_gap_for_what_an_arm_lacks(arms: Arms, write: Write, tmp_path: Path) -> None:
    """An arm without a workload is shown with the others that it has."""
    write(tmp_path / "more", "gpu:1", workloads={"forward[batch=1,input=host]": (1, 0.01)})
    figures.throughput(arms | grouped(load(tmp_path / "more")))


def test_ratios_show_each_verdict_in_words(arms: Arms) -> None:
    """Each workload has its name, its ratio with interval, and its verdict; the margin is named."""
    comparison = compare_arms(arms["cpu"], arms["gpu"], margin=0.1)
    said = texts(figures.ratios(comparison))
    assert said.count("FASTER") == len(FEW)
    assert "Training, fed from memory" in said
    assert "shaded: within 10 %" in said
    assert ratio(comparison.pairs[0]) in said


def test_ratios_of_single_runs_have_no_bars(one: Arms) -> None:
    """Without an interval the ratio stands alone."""
    said = texts(figures.ratios(compare_arms(one["cpu"], one["cpu"])))
    assert said.count("INCONCLUSIVE") == len(FEW)


def test_ratios_of_nothing_are_an_empty_figure() -> None:
    """Two arms without a common workload still make a figure, for the page has a place for it."""
    assert isinstance(figures.ratios(compare([], [])), Figure)


def test_warmup_counts_calls_not_rounds(write: Write, tmp_path: Path) -> None:
    """A round of 8 calls is an eighth of its seconds beside the first call."""
    write(tmp_path, workloads={"training[feed=memory]": (80, 8.0)}, extra={"calls": 8}, noise=0.0, shift=0.0)
    (axes,) = figures.warmup(grouped(load(tmp_path))).axes
    assert sorted({round(float(x), 6) for line in axes.lines for x in line.get_xdata()}) == [1.0, 24.4]


def test_warmup_without_the_number_of_calls_stands_alone(write: Write, tmp_path: Path) -> None:
    """Where the record does not say how many calls a round has, no steady call is made up."""
    write(tmp_path, workloads={"new": (10, 8.0)}, extra={"calls": None}, noise=0.0, shift=0.0)
    (axes,) = figures.warmup(grouped(load(tmp_path))).axes
    assert {float(x) for line in axes.lines for x in line.get_xdata() if x == x} == {24.4}  # noqa: PLR0124 - not NaN


def test_warmup_of_an_arm_that_lacks_a_workload(arms: Arms, write: Write, tmp_path: Path) -> None:
    """An arm without a workload leaves its row to the others."""
    write(tmp_path / "more", "gpu:1", workloads={"new": (10, 0.1)})
    assert "gpu:1" in texts(figures.warmup(arms | grouped(load(tmp_path / "more"))))


def test_rounds_keep_their_order(one: Arms) -> None:
    """Each workload has a panel with all its rounds in order, relative to their median."""
    figure = figures.rounds(one)
    assert len(figure.axes) == len(FEW)
    result = one["cpu"].records[0].results[3]
    (line,) = (line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert list(line.get_ydata())[:-1] == pytest.approx([seconds / result.median for seconds in result.seconds])


def test_rounds_of_two_modes_are_on_a_logarithmic_axis(write: Write, tmp_path: Path) -> None:
    """Rounds that differ by more than a factor of 3 are shown by their ratios."""
    write(tmp_path, workloads={"new": (10, 1.0)}, noise=1.5)
    assert figures.rounds(grouped(load(tmp_path))).axes[0].get_yscale() == "log"


def test_rounds_of_an_arm_that_lacks_a_workload(arms: Arms, write: Write, tmp_path: Path) -> None:
    """A panel shows the arms that have its workload."""
    write(tmp_path / "more", "gpu:1", workloads={"new": (10, 0.1)})
    assert len(figures.rounds(arms | grouped(load(tmp_path / "more"))).axes) == len(FEW)


def test_eight_arms_differ_by_colour_and_marker() -> None:
    """Up to eight arms are told apart even in black and white."""
    assert len(set(figures.COLOURS)) == len(set(figures.MARKERS)) == 8


@pytest.mark.parametrize("draw", [figures.throughput, figures.warmup, figures.rounds])
def test_arms_without_results_draw_nothing(write: Write, tmp_path: Path, draw: object) -> None:
    """A campaign of which every benchmark failed has figures without panels, not an error."""
    write(tmp_path / "none", workloads={}, failures=[{"workload": "forward[batch=250]", "reason": "no memory"}])
    assert callable(draw)
    assert figures.save(draw(grouped(load(tmp_path / "none"))), tmp_path, "empty")[0].exists()


def test_files_are_the_same_each_time(one: Arms, tmp_path: Path) -> None:
    """PNG and SVG hold no date and no random names: the same records give the same bytes."""
    first = [path.read_bytes() for path in figures.save(figures.rounds(one), tmp_path, "a")]
    again = [path.read_bytes() for path in figures.save(figures.rounds(one), tmp_path, "b")]
    assert first == again
    assert first[0].startswith(b"\x89PNG")
    assert b"<svg" in first[1]
    assert b"dc:date" not in first[1]


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
    figure = figures.roofline(grouped(load(tmp_path)))
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
    figure = figures.roofline(grouped(load(tmp_path)))
    assert figure is not None
    assert "matrix product in float32: 20,000 GFLOP/s\nmemory: 1,000 GB/s" in texts(figure)
    assert ("above the roof" in texts(figure)) is bool(reason)
    assert reason in texts(figure)
    (axes,) = figure.axes
    (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert axes.get_ylim()[0] < dot.get_ydata()[0] < axes.get_ylim()[1]


def test_roofline_needs_limits(one: Arms) -> None:
    """Without measured limits there is no roof to draw."""
    assert figures.roofline(one) is None


def test_a_single_exact_speed_has_room_around_it(write: Write, tmp_path: Path) -> None:
    """One run of exactly 10 images/s, where a logarithmic axis would have no extent, is drawn like any other."""
    write(tmp_path, workloads={"training[feed=memory]": (10, 1.0)}, noise=0, shift=0)
    (axes,) = figures.throughput(grouped(load(tmp_path))).axes
    assert axes.get_ylim() == pytest.approx((5, 20))


def test_of_many_runs_some_are_drawn(write: Write, tmp_path: Path) -> None:
    """Of 120 runs 40 show their rounds, the first and the last among them, and 100 are dots; the axis says so."""
    for run in range(1, 121):
        write(tmp_path, "cpu", run, workloads={"training[feed=memory]": (10, 1.0)}, rounds=2)
    arms = grouped(load(tmp_path))
    rounds = figures.rounds(arms)
    assert rounds.get_supxlabel().startswith("40 of 120 runs")
    (drawn,) = (line.get_ydata() for line in rounds.axes[0].lines if len(line.get_ydata()) > 2)
    medians = [record.results[0].median for record in arms["cpu"].records]
    assert len(drawn) == 40 * (2 + 1)
    assert drawn[0] / drawn[-2] == pytest.approx(
        arms["cpu"].records[0].results[0].seconds[0] / arms["cpu"].records[-1].results[0].seconds[1]
    )
    dots = max((line.get_ydata() for line in figures.throughput(arms).axes[0].lines), key=len)
    assert len(dots) == 100
    assert (min(dots), max(dots)) == pytest.approx((10 / max(medians), 10 / min(medians)))
