"""Comparing arms: what stands for a run, what may be compared, and what is left out, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from cifar.record.reading import load
from cifar.report.compare import compare
from cifar.report.comparison import LeftOut, NotComparable
from cifar.report.gate import exit_code
from cifar.statistics.families import Verdict

from .handmade import made

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_run_counts_not_round() -> None:
    """A thousand rounds of one run are one observation: one run has no interval, and says so."""
    found = compare(made("cpu", [[1.0, 1.1] * 500]), made("gpu", [[0.1]] * 3)).pairs[0]
    assert found.ratio == pytest.approx(10.5)
    assert (found.interval, found.p, found.p_adjusted, found.verdict) == (None, None, None, Verdict.INCONCLUSIVE)
    assert "one run has no interval" in found.reason


def test_median_round_stands_for_its_run() -> None:
    """One slow round in a run does not count; ratios are of geometric means of the runs' medians."""
    found = compare(made("cpu", [[1.0, 1.0, 9.0], [4.0, 4.0, 4.0]]), made("gpu", [[1.0], [1.0]])).pairs[0]
    assert found.ratio == pytest.approx(2)
    assert found.baseline.value == pytest.approx(50)
    assert found.baseline.runs == 2


def test_seconds_are_compared_as_speeds() -> None:
    """Without images a shorter time is faster, too."""
    found = compare(made("cpu", [[2.0], [2.1], [2.05]], images=None), made("gpu", [[1.0], [1.05], [1.02]], images=None))
    assert found.pairs[0].verdict is Verdict.FASTER


def test_no_spread_at_all_is_no_certainty() -> None:
    """Equal times in all runs of both arms give no interval, and the reason."""
    found = compare(made("cpu", [[0.3]] * 3), made("gpu", [[0.1]] * 3)).pairs[0]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.interval is None
    assert "exactly the same time" in found.reason


def test_no_spread_in_one_arm_is_welch_with_the_others() -> None:
    """One arm without spread leaves the other's spread and degrees of freedom."""
    found = compare(made("cpu", [[0.3]] * 3), made("gpu", [[0.1], [0.11], [0.105]])).pairs[0]
    assert found.verdict is Verdict.FASTER


def test_inconclusive_says_how_many_runs_would_settle_it() -> None:
    """More runs than were made, and more of them the noisier they are; beyond 1,000 no number is given."""
    calm, noisy = [[1.0], [1.08], [0.93]], [[1.0], [1.3], [0.8]]
    pairs = [
        compare(made("cpu", times), made("gpu", [[t * 1.01 for t in run] for run in times])).pairs[0]
        for times in (calm, noisy)
    ]
    needed = [pair.runs_needed for pair in pairs]
    assert needed[0] is not None
    assert needed[1] is not None
    assert 3 < needed[0] < needed[1] <= 1000
    assert f"about {needed[0]} runs" in pairs[0].reason
    wild = [[1.0], [30.0], [0.05]]
    hopeless = compare(made("cpu", wild), made("gpu", wild), margin=0.001).pairs[0]
    assert hopeless.runs_needed is None
    assert "more than 1000 runs" in hopeless.reason


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_margin_must_be_above_0(margin: float) -> None:
    """A margin of 0 or less would make every verdict of equivalence impossible by mistake."""
    with pytest.raises(ValueError, match=r"above 0, such as 0\.05"):
        compare([], [], margin)


def test_one_arm_a_side() -> None:
    """Records of several arms on one side are no arm."""
    with pytest.raises(ValueError, match="the candidate holds records of cpu, gpu"):
        compare(made("cpu", [[1.0]]), made("cpu", [[1.0]]) + made("gpu", [[1.0]]))


def test_same_arm_of_two_campaigns_is_named_by_them() -> None:
    """Before and after are told apart by their campaigns; names that are given are kept."""
    sides = made("gpu", [[1.0]], campaign="before"), made("gpu", [[1.0]], campaign="after")
    found = compare(*sides)
    assert (found.baseline, found.candidate) == ("gpu@before", "gpu@after")
    assert compare(*sides, names=("a", "b")).baseline == "a"


def test_same_arm_of_two_campaigns_of_one_name_is_named_by_their_folders(write: Write, tmp_path: Path) -> None:
    """A node that two jobs measured is compared with itself under two names, though each side was loaded alone."""
    for day, job in enumerate(("nodes-100", "nodes-200"), start=1):
        write(tmp_path / job / "node1", campaign="node1", day=day)
    found = compare(*(load(tmp_path / job / "node1") for job in ("nodes-100", "nodes-200")))
    assert (found.baseline, found.candidate) == ("cpu@nodes-100/node1", "cpu@nodes-200/node1")


def test_fingerprints_must_be_equal() -> None:
    """A field with two values, or one that a record lacks, makes arms not comparable, and is said with its values."""
    sides = (
        made("cpu", [[1.0]] * 2, fingerprint={"keras": "3.14", "tf32": True}),
        made("gpu", [[1.0]], fingerprint={"keras": "3.15"}),
    )
    with pytest.raises(NotComparable, match=r"keras: 3\.14 against 3\.15; tf32: True against \(absent\)") as caught:
        compare(*sides)
    assert caught.value.differences == {"keras": (("3.14",), ("3.15",)), "tf32": (("True",), ("(absent)",))}
    with pytest.raises(NotComparable, match=r"^not comparable, for these differ: tf32"):
        compare(*sides, allow=["keras"])
    assert compare(*sides, allow=["keras", "tf32"]).allowed == caught.value.differences


def test_fingerprints_must_be_equal_within_an_arm() -> None:
    """An arm whose own runs differ is not one arm."""
    mixed = made("cpu", [[1.0]], fingerprint={"driver": 1}) + made("cpu", [[1.0]], fingerprint={"driver": 2})
    with pytest.raises(NotComparable, match="driver: 1 and 2 against 1"):
        compare(mixed, made("gpu", [[1.0]], fingerprint={"driver": 1}))


def test_unequal_work_is_left_out(write: Write, tmp_path: Path) -> None:
    """Other weights, or work that only one arm names, leave the workload out with the reason."""
    work = {"forward[batch=1,input=host]": (1, 0.1)}
    sides = []
    for arm, digests in (("cpu", {"weights": "a" * 64}), ("gpu", {"weights": "b" * 64}), ("gpu:1", {})):
        write(tmp_path / arm, arm, workloads=work, extra={"work": digests})
        sides.append(load(tmp_path / arm))
    found = compare(sides[0], sides[1])
    assert found.pairs == ()
    assert found.left_out == (
        LeftOut(next(iter(work)), "cpu and gpu", "not the same work: weights aaaaaaaaaaaa against bbbbbbbbbbbb"),
    )
    assert exit_code(found) == 4
    assert "(absent) against aaaaaaaaaaaa" in compare(sides[0], sides[2]).left_out[0].reason


def test_images_against_seconds_is_left_out() -> None:
    """A workload that is a rate in one arm and a time in the other has no ratio."""
    found = compare(made("cpu", [[1.0]]), made("gpu", [[1.0]], images=None))
    assert found.left_out == (LeftOut("w", "cpu and gpu", "not the same quantity: images/s against s"),)


def test_rounds_may_hold_different_numbers_of_images() -> None:
    """A faster arm repeats its call more often in a round; the rate is what counts."""
    found = compare(made("cpu", [[1.0]] * 2, images=10), made("gpu", [[1.0]] * 2, images=40))
    assert found.pairs[0].ratio == pytest.approx(4)


def test_nothing_is_dropped_in_silence(write: Write, tmp_path: Path) -> None:
    """Workloads of one arm, failures, runs cut short and gaps without a reason all are listed."""
    both = {"forward[batch=1,input=host]": (1, 0.1)}
    only = {"training[feed=memory]": (10, 0.1)}
    write(tmp_path, "cpu", 1, workloads=both | only)
    write(tmp_path, "cpu", 2, workloads=both)
    write(tmp_path, "gpu", 1, workloads=both, failures=[{"workload": next(iter(only)), "reason": "out of memory"}])
    write(tmp_path, "gpu", 2, workloads=both, complete=False)
    records = load(tmp_path)
    sides = [[record for record in records if record.arm == arm] for arm in ("cpu", "gpu")]
    found = compare(*sides)
    assert [pair.workload for pair in found.pairs] == list(both)
    assert found.pairs[0].candidate.runs == 2
    assert set(found.left_out) == {
        LeftOut("training[feed=memory]", "cpu", "run 2 has no number for it and gives no reason"),
        LeftOut("training[feed=memory]", "gpu", "run 1: out of memory"),
        LeftOut("", "gpu", "run 2 was cut short; the 1 workloads it had finished are used"),
        LeftOut("training[feed=memory]", "gpu", "only cpu has a number for it"),
    }
