"""The ladder: rungs in order, what each one buys, and which of them do not pay or learn less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cifar.record.model import Record, Result
from cifar.report import ladder, page
from cifar.report.arms import Arm
from cifar.report.figures import ladders

MEMORY = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}


def climbing(name, speeds, arm="cpu", accuracies=()):
    """Two runs of an arm: rung to images/s of each run, and the first runs' accuracies."""
    learnt = dict(accuracies)
    facts = {"campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}, "failures": ()}
    return [
        Record(
            Path(f"{arm}-{run}.json"),
            arm,
            arm,
            run,
            results=tuple(
                Result(
                    f"ladder_{name}[rung={rung}]",
                    100,
                    (100 / both[run - 1],),
                    None,
                    None,
                    memory=MEMORY,
                    work={},
                    checks=("ok",),
                    accuracy=learnt.get(rung) if run == 1 else None,
                    epoch_seconds=20.0 if run == 1 and rung in learnt else None,
                    epoch_outside=5.0 if run == 1 and rung == "lesson" else None,
                )
                for rung, both in speeds.items()
            ),
            **facts,
        )
        for run in (1, 2)
    ]


def test_rungs_come_in_the_ladders_order_with_their_ratios():
    """Whatever the order in the record: each rung against the one before, and against the first, run by run."""
    runs = climbing("generator", {"mapped": (640.0, 704.0), "lesson": (10.0, 11.0), "aligned": (20.0, 22.0)})
    rungs = ladder.climb(Arm("cpu", runs), "generator")
    assert [rung.title for rung in rungs] == ["as taught", "a chunk a batch", "file mapped"]
    assert [rung.to_before and round(rung.to_before.value, 6) for rung in rungs] == [None, 2.0, 32.0]
    assert [rung.to_first and round(rung.to_first.value, 6) for rung in rungs] == [None, 2.0, 64.0]
    assert rungs[0].speed.runs == 2
    assert ladder.climb(Arm("cpu", runs), "training") == []


@pytest.mark.parametrize(
    ("second", "pays"), [((20.0, 21.0), True), ((5.0, 5.1), False), ((9.0, 12.0), None), ((20.0, 20.0), None)]
)
def test_a_rung_pays_or_does_not_or_cannot_be_told(second, pays):
    """Only an interval on one side of 1 says so; ratios without any spread have none."""
    runs = climbing("forward", {"lesson": (10.0, 10.0), "eager": second})
    assert [rung.pays for rung in ladder.climb(Arm("cpu", runs), "forward")] == [None, pays]


def test_a_rung_that_learns_less_is_marked():
    """More than 0.06 below the lesson's accuracy after as many epochs is less; without a number nothing is said."""
    speeds = dict.fromkeys(("lesson", "fit", "compiled", "bytes"), (10.0, 11.0))
    runs = climbing("training", speeds, accuracies={"lesson": 0.5, "fit": 0.48, "bytes": 0.1})
    rungs = ladder.climb(Arm("cpu", runs), "training")
    assert [rung.learns_less for rung in rungs] == [False, False, False, True]
    assert [rung.accuracy for rung in rungs] == [0.5, 0.48, None, 0.1]


def test_answer_is_the_highest_rung_that_learns(tmp_path):
    """The fastest rung counts, but not one that learns nothing; tables and figure are in the report."""
    speeds = {"lesson": (10.0, 11.0), "fit": (20.0, 22.2), "bfloat16": (90.0, 99.0)}
    runs = climbing("training", speeds, accuracies={"lesson": 0.5, "fit": 0.5, "bfloat16": 0.1})
    found = page.write(runs + climbing("generator", {"lesson": (1.0, 1.1)}), tmp_path)
    answer = found.answer.replace("\N{NO-BREAK SPACE}", " ")
    assert answer.startswith("Ladder, training: on cpu \u201cour generator\u201d is 2.01 times (")
    assert re.search(r"as fast as \u201cas taught\u201d: 21.07 images/s \(.* to .*\), 2 runs\.$", answer)
    said = found.markdown.read_text(encoding="utf-8")
    assert "accuracy 0.100 after 20.0\N{NO-BREAK SPACE}s (learns less)" in said
    assert "after 20.0\N{NO-BREAK SPACE}s, of them 5.00\N{NO-BREAK SPACE}s outside its steps |" in said
    assert "figures/ladders.png" in said
    assert "figures/throughput.png" not in said, "nothing would be in it"


def test_a_ladder_of_one_rung_says_so(tmp_path):
    """Nothing above the lesson's way: the answer is its speed."""
    found = page.write(climbing("generator", {"lesson": (10.0, 10.0)}), tmp_path)
    assert found.answer.startswith("Ladder, generator: no rung is faster than the first, \u201cas taught\u201d, on cpu")


def test_an_arm_without_a_rung_has_a_dash(tmp_path):
    """A table's row stands for all arms; one that did not climb so far has a dash there."""
    runs = climbing("forward", {"lesson": (10.0, 11.0), "eager": (20.0, 21.0)})
    runs += climbing("forward", {"lesson": (10.0, 11.0)}, arm="gpu")
    said = page.write(runs, tmp_path).markdown.read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if line.startswith("| layer by layer"))
    assert row.endswith("| \N{EN DASH} |")


def test_figure_has_a_panel_a_ladder_and_every_arm():
    """Two arms of unequal ladders share the panels, the names those of the longer one."""
    speeds = {"lesson": (50.0, 51.0), "eager": (20.0, 21.0), "compiled": (90.0, 91.0)}
    short = Arm("cpu", climbing("forward", {"lesson": (10.0, 11.0)}))
    tall = Arm("gpu", climbing("forward", speeds, arm="gpu"))
    for arms in ({"cpu": short, "gpu": tall}, {"gpu": tall, "cpu": short}):
        figure = ladders.draw(arms)
        (panel,) = figure.axes
        assert [tick.get_text() for tick in panel.get_yticklabels()] == ["predict", "layer by layer", "one graph"]
        assert {text.get_text() for legend in figure.legends for text in legend.get_texts()} == {"cpu", "gpu"}
    assert ladders.draw({"cpu": Arm("cpu", [])}) is None
