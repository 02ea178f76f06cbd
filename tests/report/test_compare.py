"""Comparing arms: what stands for a run, what may be compared, and what is left out, and why."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cifar.record.model import Record, Result
from cifar.record.reading import load
from cifar.report import compare
from cifar.report.compare import LeftOut, NotComparable
from cifar.statistics.families import Verdict
from cifar.statistics.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def made(
    arm: str, times: list[list[float]], *, images: int | None = 100, workload: str = "w", **changes: object
) -> list[Record]:
    """Records of an arm, one for each list of rounds."""
    memory = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}
    template = {"device": arm, "campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}}
    from pathlib import Path  # noqa: PLC0415

    return [
        Record(
            path=Path(f"{arm}-{run}.json"),
            arm=arm,
            run=run,
            failures=(),
            results=(Result(workload, images, tuple(rounds), None, None, memory, {}, ("ok",)),),
            **(template | changes),  # type: ignore[arg-type]
        )
        for run, rounds in enumerate(times, start=1)
    ]


def test_run_counts_not_round() -> None:
    """A thousand rounds of one run are one observation: one run has no interval, and says so."""
    found = compare.compare(made("cpu", [[1.0, 1.1] * 500]), made("gpu", [[0.1]] * 3)).pairs[0]
    assert found.ratio == pytest.approx(10.5)
    assert (found.interval, found.p, found.p_adjusted, found.verdict) == (None, None, None, Verdict.INCONCLUSIVE)
    assert "one run has no interval" in found.reason


def test_median_round_stands_for_its_run() -> None:
    """One slow round in a run does not count; ratios are of geometric means of the runs' medians."""
    found = compare.compare(made("cpu", [[1.0, 1.0, 9.0], [4.0, 4.0, 4.0]]), made("gpu", [[1.0], [1.0]])).pairs[0]
    assert found.ratio == pytest.approx(2)
    assert found.baseline.value == pytest.approx(50)
    assert found.baseline.runs == 2


def test_seconds_are_compared_as_speeds() -> None:
    """Without images a shorter time is faster, too."""
    found = compare.compare(
        made("cpu", [[2.0], [2.1], [2.05]], images=None), made("gpu", [[1.0], [1.05], [1.02]], images=None)
    )
    assert found.pairs[0].verdict is Verdict.FASTER


def test_no_spread_at_all_is_no_certainty() -> None:
    """Equal times in all runs of both arms give no interval, and the reason."""
    found = compare.compare(made("cpu", [[0.3]] * 3), made("gpu", [[0.1]] * 3)).pairs[0]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.interval is None
    assert "exactly the same time" in found.reason


def test_no_spread_in_one_arm_is_welch_with_the_others() -> None:
    """One arm without spread leaves the other's spread and degrees of freedom."""
    found = compare.compare(made("cpu", [[0.3]] * 3), made("gpu", [[0.1], [0.11], [0.105]])).pairs[0]
    assert found.verdict is Verdict.FASTER


def test_inconclusive_says_how_many_runs_would_settle_it() -> None:
    """More runs than were made, and more of them the noisier they are; beyond 1,000 no number is given."""
    calm, noisy = [[1.0], [1.08], [0.93]], [[1.0], [1.3], [0.8]]
    pairs = [
        compare.compare(made("cpu", times), made("gpu", [[t * 1.01 for t in run] for run in times])).pairs[0]
        for times in (calm, noisy)
    ]
    needed = [pair.runs_needed for pair in pairs]
    assert needed[0] is not None
    assert needed[1] is not None
    assert 3 < needed[0] < needed[1] <= 1000
    assert f"about {needed[0]} runs" in pairs[0].reason
    wild = [[1.0], [30.0], [0.05]]
    hopeless = compare.compare(made("cpu", wild), made("gpu", wild), margin=0.001).pairs[0]
    assert hopeless.runs_needed is None
    assert "more than 1000 runs" in hopeless.reason


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_margin_must_be_above_0(margin: float) -> None:
    """A margin of 0 or less would make every verdict of equivalence impossible by mistake."""
    with pytest.raises(ValueError, match=r"above 0, such as 0\.05"):
        compare.compare([], [], margin)


def test_one_arm_a_side() -> None:
    """Records of several arms on one side are no arm."""
    with pytest.raises(ValueError, match="the candidate holds records of cpu, gpu"):
        compare.compare(made("cpu", [[1.0]]), made("cpu", [[1.0]]) + made("gpu", [[1.0]]))


def test_same_arm_of_two_campaigns_is_named_by_them() -> None:
    """Before and after are told apart by their campaigns; names that are given are kept."""
    sides = made("gpu", [[1.0]], campaign="before"), made("gpu", [[1.0]], campaign="after")
    found = compare.compare(*sides)
    assert (found.baseline, found.candidate) == ("gpu@before", "gpu@after")
    assert compare.compare(*sides, names=("a", "b")).baseline == "a"


def test_same_arm_of_two_campaigns_of_one_name_is_named_by_their_folders(write: Write, tmp_path: Path) -> None:
    """A node that two jobs measured is compared with itself under two names, though each side was loaded alone."""
    for day, job in enumerate(("nodes-100", "nodes-200"), start=1):
        write(tmp_path / job / "node1", campaign="node1", day=day)
    found = compare.compare(*(load(tmp_path / job / "node1") for job in ("nodes-100", "nodes-200")))
    assert (found.baseline, found.candidate) == ("cpu@nodes-100/node1", "cpu@nodes-200/node1")


def test_fingerprints_must_be_equal() -> None:
    """A field with two values, or one that a record lacks, makes arms not comparable, and is said with its values."""
    sides = (
        made("cpu", [[1.0]] * 2, fingerprint={"keras": "3.14", "tf32": True}),
        made("gpu", [[1.0]], fingerprint={"keras": "3.15"}),
    )
    with pytest.raises(NotComparable, match=r"keras: 3\.14 against 3\.15; tf32: True against \(absent\)") as caught:
        compare.compare(*sides)
    assert caught.value.differences == {"keras": (("3.14",), ("3.15",)), "tf32": (("True",), ("(absent)",))}
    with pytest.raises(NotComparable, match=r"^not comparable, for these differ: tf32"):
        compare.compare(*sides, allow=["keras"])
    assert compare.compare(*sides, allow=["keras", "tf32"]).allowed == caught.value.differences


def test_fingerprints_must_be_equal_within_an_arm() -> None:
    """An arm whose own runs differ is not one arm."""
    mixed = made("cpu", [[1.0]], fingerprint={"driver": 1}) + made("cpu", [[1.0]], fingerprint={"driver": 2})
    with pytest.raises(NotComparable, match="driver: 1 and 2 against 1"):
        compare.compare(mixed, made("gpu", [[1.0]], fingerprint={"driver": 1}))


def test_unequal_work_is_left_out(write: Write, tmp_path: Path) -> None:
    """Other weights, or work that only one arm names, leave the workload out with the reason."""
    work = {"forward[batch=1,input=host]": (1, 0.1)}
    sides = []
    for arm, digests in (("cpu", {"weights": "a" * 64}), ("gpu", {"weights": "b" * 64}), ("gpu:1", {})):
        write(tmp_path / arm, arm, workloads=work, extra={"work": digests})
        sides.append(load(tmp_path / arm))
    found = compare.compare(sides[0], sides[1])
    assert found.pairs == ()
    assert found.left_out == (
        LeftOut(next(iter(work)), "cpu and gpu", "not the same work: weights aaaaaaaaaaaa against bbbbbbbbbbbb"),
    )
    assert compare.exit_code(found) == 4
    assert "(absent) against aaaaaaaaaaaa" in compare.compare(sides[0], sides[2]).left_out[0].reason


def test_images_against_seconds_is_left_out() -> None:
    """A workload that is a rate in one arm and a time in the other has no ratio."""
    found = compare.compare(made("cpu", [[1.0]]), made("gpu", [[1.0]], images=None))
    assert found.left_out == (LeftOut("w", "cpu and gpu", "not the same quantity: images/s against s"),)


def test_rounds_may_hold_different_numbers_of_images() -> None:
    """A faster arm repeats its call more often in a round; the rate is what counts."""
    found = compare.compare(made("cpu", [[1.0]] * 2, images=10), made("gpu", [[1.0]] * 2, images=40))
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
    found = compare.compare(*sides)
    assert [pair.workload for pair in found.pairs] == list(both)
    assert found.pairs[0].candidate.runs == 2
    assert set(found.left_out) == {
        LeftOut("training[feed=memory]", "cpu", "run 2 has no number for it and gives no reason"),
        LeftOut("training[feed=memory]", "gpu", "run 1: out of memory"),
        LeftOut("", "gpu", "run 2 was cut short; the 1 workloads it had finished are used"),
        LeftOut("training[feed=memory]", "gpu", "only cpu has a number for it"),
    }


def test_ratio_within_runs_is_free_of_their_shifts() -> None:
    """Two workloads of one process share its shift: their ratio is exact where each speed is not."""
    slow, fast = (made("cpu", [[s], [1.3 * s], [0.8 * s]], workload=name) for s, name in ((2.0, "slow"), (1.0, "fast")))
    runs = [
        Record(
            **{field: getattr(one, field) for field in Record.__dataclass_fields__ if field != "results"},
            results=one.results + other.results,
        )
        for one, other in zip(slow, fast, strict=True)
    ]
    found = compare.within(runs, "slow", "fast")
    assert found is not None
    assert found.values == pytest.approx((2, 2, 2))
    assert compare.within(runs, "slow", "missing") is None


# --- what follows


@pytest.fixture
def slower() -> compare.Comparison:
    """A candidate at 0.9 of the speed, without doubt."""
    return compare.compare(made("cpu", [[0.9], [0.9001], [0.9002]]), made("gpu", [[1.0], [1.0001], [1.0002]]))


def test_gate_needs_the_verdict_and_the_size(slower: compare.Comparison) -> None:
    """10 % slower hits a gate of 5 %, not one of 15 %; what is not SLOWER hits none."""
    assert [pair.workload for pair in compare.gate(slower, "slower:5%")] == ["w"]
    assert compare.gate(slower, "slower:15%") == []
    assert compare.gate(slower, "slower:0.5%") != []
    noisy = compare.compare(made("cpu", [[0.5], [1.5]]), made("gpu", [[1.0], [2.0]]))
    assert compare.gate(noisy, "slower:0%") == []


def failing(arm: str, runs: Sequence[int], *, skipped: bool | None = False) -> list[Record]:
    """Three runs of an arm, of which `runs` have a reason in place of a number."""
    failure = {"workload": "w", "reason": "not\n8"} | ({} if skipped is None else {"skipped": skipped})
    return [
        replace(record, results=(), failures=(failure,)) if record.run in runs else record
        for record in made(arm, [[1.0], [1.001], [1.002]])
    ]


@pytest.mark.parametrize(
    ("baseline", "candidate", "code"),
    [
        pytest.param(failing("cpu", []), failing("gpu", [1, 2, 3]), 1, id="no number at all"),
        pytest.param(failing("cpu", []), failing("gpu", [2]), 1, id="a failure in one run"),
        pytest.param(failing("cpu", [1]), failing("gpu", [2]), 0, id="both fail at times"),
        pytest.param(failing("cpu", [1]), failing("gpu", [1, 2, 3]), 1, id="fails at times, then always"),
        pytest.param(failing("cpu", [1, 2, 3]), failing("gpu", [1, 2, 3]), 4, id="never worked"),
        pytest.param(failing("cpu", [1]), failing("gpu", []), 0, id="mended"),
        pytest.param(failing("cpu", []), failing("gpu", [2], skipped=True), 0, id="skipped"),
        pytest.param(failing("cpu", []), failing("gpu", [2], skipped=None), 0, id="an older record"),
    ],
)
def test_gate_is_hit_by_a_failure(baseline: list[Record], candidate: list[Record], code: int) -> None:
    """A check that fails on the candidate alone hits any gate, and says so; without a gate it hits none."""
    found = compare.compare(baseline, candidate)
    assert compare.exit_code(found, "slower:99%") == code
    said = [hit.rpartition(": ") for hit in compare.hits(found, "slower:99%")]
    assert {(hit.partition(" for it: ")[0], reason) for hit, _, reason in said} == (
        {("slower:99% is hit: w: failed on gpu, and cpu has a number", "not 8")} if code == 1 else set()
    )
    assert compare.exit_code(found) == (0 if found.pairs else 4)


def test_hits_are_sentences(slower: compare.Comparison) -> None:
    """A pair that hits the gate is said with its ratio."""
    (said,) = compare.hits(slower, "slower:5%")
    assert said.startswith("slower:5% is hit: w: gpu is 0.9000 (")
    assert said.endswith(") times as fast as cpu")


@pytest.mark.parametrize("spec", ["slower", "slower:5", "faster:5%", "slower:-5%", "slower:100%", "slower:x%", ""])
def test_malformed_gate_is_refused(slower: compare.Comparison, spec: str) -> None:
    """A gate that is not understood must not pass."""
    with pytest.raises(ValueError, match="is no gate: write slower:5%"):
        compare.exit_code(slower, spec)


def test_exit_codes(slower: compare.Comparison) -> None:
    """0 compared, 1 gate hit, 4 nothing compared or an arm missing, 5 inconclusive only where strict."""
    inconclusive = compare.compare(made("cpu", [[1.0]]), made("gpu", [[1.0]]))
    assert compare.exit_code(slower, strict=True) == 0
    assert compare.exit_code(slower, "slower:5%") == 1
    assert compare.exit_code(inconclusive) == 0
    assert compare.exit_code(inconclusive, strict=True) == 5
    missing = compare.compare(made("cpu", [[1.0]]), [])
    assert compare.exit_code(missing, "slower:5%", strict=True) == 4
    assert missing.candidate == "(no record)"
    assert compare.exit_code(compare.compare([], [])) == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (1749.6, "1,750"),
        (23.412, "23.41"),
        (0.98762, "0.9876"),
        (0.99996, "1.000"),
        (1234567, "1,235,000"),
        (0.00012345, "0.0001234"),
    ],
)
def test_numbers_have_four_digits(value: float, expected: str) -> None:
    """Numbers are rounded to 4 significant digits and thousands are separated."""
    assert compare.number(value) == expected


def test_rows_are_text_for_a_table(slower: compare.Comparison) -> None:
    """One row a pair under the header: speeds with units and intervals, ratio, p, verdict with its reason."""
    (row,) = compare.rows(slower)
    assert len(row) == len(compare.HEADER)
    assert row[0] == "w"
    assert row[1].startswith("111.1\N{NO-BREAK SPACE}images/s (111.")
    assert row[3].startswith("0.9000 (0.8")
    assert row[4:] == ("< 0.001", "SLOWER")
    (row,) = compare.rows(compare.compare(made("cpu", [[2.0]], images=None), made("gpu", [[1.0]], images=None)))
    assert row[1:5] == ("2.000\N{NO-BREAK SPACE}s", "1.000\N{NO-BREAK SPACE}s", "2.000", "\N{EN DASH}")
    assert compare.probability(0.0421) == "0.042"


def test_seconds_have_their_interval_in_order() -> None:
    """The interval of a time has its low end first, as that of a speed."""
    assert compare.speed(compare.Estimate(0.5, Interval(0.4, 0.625), (0.4, 0.625), "s")).endswith("(1.600 to 2.500)")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1751.4, "images/s", "1,751 images/s"),
        (2.13e11, "FLOP/s", "213.0 GFLOP/s"),
        (3.9e14, "FLOP/s", "390.0 TFLOP/s"),
        (5e6, "B/s", "5.000 MB/s"),
        (12.0, "B/s", "12.00 B/s"),
        (0.5, "s", "2.000 s"),
        (1 / 0.000143, "s", "143.0 \N{MICRO SIGN}s"),
    ],
)
def test_speeds_have_the_prefix_that_reads_best(value: float, unit: str, expected: str) -> None:
    """Bytes and operations a second have a prefix, images and longer times none, short times are microseconds."""
    found = compare.speed(compare.Estimate(value, None, (value,), unit))
    assert found.replace("\N{NO-BREAK SPACE}", " ") == expected
