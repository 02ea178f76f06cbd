"""The tables that explain: what holds the work back, what one would pick instead, and how the cost grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar.record.model import Record, Result
from cifar.report import growth, page
from cifar.report.arms import Arm, Arms
from cifar.report.figures import growths
from cifar.report.tables.explain import explain


def run(speeds, arm="cpu", number=1, peaks=()):
    """One run: workload to images/s, or to seconds where negative; peaks of memory in bytes by workload."""
    memory = dict(peaks)
    results = [
        Result(
            *(workload, 100 if speed > 0 else None, (100 / speed if speed > 0 else -speed,), None, None),
            memory={"host_peak_bytes": memory.get(workload), "device_peak_bytes": None, "meaning": ""},
            work={},
            checks=("ok",),
        )
        for workload, speed in speeds.items()
    ]
    facts = {"campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}, "failures": ()}
    return Record(Path(f"{arm}-{number}.json"), arm, arm, number, results=tuple(results), **facts)


def sides(**arms):
    """Arms by name from the runs of each."""
    return {name: Arm(name, runs) for name, runs in arms.items()}


def cells(arms, title):
    """The rows of the table of that title, as lists of plain text."""
    (table,) = (table for table in explain(Arms(arms, {}, {})) if table["title"] == title)
    return [
        [cell.replace("\N{NO-BREAK SPACE}", " ").replace("\N{EN DASH}", "-") for cell in row] for row in table["rows"]
    ]


FEEDS = {
    "generator[by=lesson,batch=250]": 100,
    "generator[by=aligned,batch=250]": 900,
    "generator[by=ours,batch=250]": 10_000,
    "training[feed=memory,by=keras]": 300,
    "training[feed=memory]": 400,
    "training[by=lesson]": 75,
    "training[by=aligned]": 180,
    "training[feed=generator]": 400,
}


def test_what_holds_it_back_is_told():
    """Waiting, and what another generator would give, on a CPU from the sum and on a GPU from the slower of both."""
    arms = sides(cpu=[run(FEEDS)], gpu=[run(FEEDS, "gpu")], none=[run({"new": 1.0}, "gpu:1")])
    verdict, lesson, aligned, ours = cells(arms, "What holds it back")
    waiting = "fed by the lesson's generator it waits for data 75 % of its time"
    aligned_gives = "an aligned layout would make it 3.00 times as fast, measured 2.40"
    assert verdict == [
        "training: what holds it back",
        f"{waiting}; {aligned_gives}; our generator and step would make it 5.13 times as fast, measured 5.33",
        f"{waiting}; {aligned_gives}; our generator and step would make it 4.00 times as fast, measured 5.33",
        "-",
    ]
    assert lesson[0] == "training fed by the lesson's generator"
    assert lesson[1] == (
        "generator alone 100.0 images/s, network alone 300.0 images/s; "
        "together 75.00 images/s predicted, 75.00 images/s measured (off by +0 %); waits 75 %"
    )
    assert "180.0 images/s measured (off by +25 %); waits 40 %" in aligned[1]
    assert "400.0 images/s predicted, 400.0 images/s measured (off by +0 %); waits 0 %" in ours[2]
    assert ours[3] == "-"


def test_a_network_that_does_not_wait_is_bound_by_itself():
    """Where there is nothing to gain nothing is promised; and what was not measured has no row."""
    ours = {workload: FEEDS[workload] for workload in FEEDS if "lesson" not in workload and "aligned" not in workload}
    rows = cells(sides(cpu=[run(ours)]), "What holds it back")
    assert rows[0][1] == "fed by our generator and step it hardly waits for data: the network binds"
    assert [row[0] for row in rows] == ["training: what holds it back", "training fed by our generator and step"]


def test_peers_stand_beside_ours():
    """Each peer's speed, and how many times as fast ours is within the runs; batches are not mixed up."""
    speeds = {
        "peer_forward[batch=1,by=ours]": 30.0,
        "peer_forward[batch=250,by=ours]": 50.0,
        "peer_forward[batch=1,by=jax]": 10.0,
        "peer_forward[batch=250,by=jax]": 100.0,
    }
    faster = {workload: 1.1 * speed for workload, speed in speeds.items()}
    few = {"peer_forward[batch=1,by=jax]": 7.0}
    arms = sides(cpu=[run(speeds), run(faster, number=2)], gpu=[run(few, "gpu")])
    rows = {row[0]: row[1:] for row in cells(arms, "Beside what one would pick instead")}
    assert [row[0].split("; ")[-1] for row in rows.values()] == [
        "31.46 images/s",
        "ours 3.00 times",
        "52.44 images/s",
        "ours 0.500 times",
    ]
    assert next(iter(rows.values()))[1] == "-"


GROWING = {
    "growth_runs[runs=10]": -2.0,
    "growth_runs[runs=100]": -4.0,
    "growth_images[images=1000,order=whole]": 1000.0,
    "growth_images[images=10000,order=whole]": 500.0,
}


def test_growth_is_told():
    """Times over the whole range, the power at its end, memory where it is known, and what is worse than linear."""
    peaks = {"growth_runs[runs=10]": 2**20, "growth_runs[runs=100]": 3 * 2**20}
    arms = sides(cpu=[run(GROWING, peaks=peaks)], gpu=[run({"growth_runs[runs=10]": -1.0}, "gpu")])
    report, images = cells(arms, "How the cost grows")
    took = "10.0 times as much (10 to 100) takes 2.00 times as long (2.00 to 4.00 s), at the end as n^0.30"
    assert report == ["The report against the runs in the folder", f"{took}; memory 1.00 to 3.00 MiB", "-"]
    assert images[0] == "An epoch of our generator against the images in the file, order whole"
    assert images[1] == (
        "10.0 times as much (1,000 to 10,000) takes 20.0 times as long (1.00 to 20.0 s), "
        "at the end as n^1.30 (faster than linear)"
    )
    drawn = growths.draw(arms)
    assert drawn is not None
    assert [line.get_ydata().tolist() for line in drawn.axes[0].lines[1:]] == [[2.0, 4.0]]
    assert drawn.axes[-1].get_ylim()[0] == 0, "memory begins at zero"
    assert growths.draw(sides(cpu=[run({"new": 1.0})])) is None


def test_curves_are_sorted_by_size():
    """Sizes come in the order of numbers, whatever the order of the records; the middle run's memory counts."""
    runs = [
        run({"growth_batch[batch=1000]": 10.0, "growth_batch[batch=25]": 5.0}, peaks={}),
        run({"growth_batch[batch=250]": 10.0}, number=2),
    ]
    (curve,) = growth.curves(Arm("cpu", runs)).values()
    assert curve.sizes == (25, 250, 1000)
    assert curve.seconds == pytest.approx((5.0, 25.0, 100.0))
    assert curve.peaks == ()
    assert curve.exponent == pytest.approx(1.0)


def test_report_shows_growth(tmp_path):
    """The figure is among the report's, and its sentence among the tables."""
    found = page.write([run(GROWING, number=number) for number in (1, 2)], tmp_path)
    said = found.markdown.read_text(encoding="utf-8")
    assert "figures/growths.png" in said
    assert "How the cost grows" in said
