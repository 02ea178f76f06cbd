"""Comparing arms: what the intervals and verdicts are worth, shown by simulation, and what is left out, and why."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cifar.report import compare
from cifar.report.compare import LeftOut, NotComparable, Verdict
from cifar.report.record import Record, Result, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]
    from numpy.typing import NDArray

CORRELATIONS = (0.0, 0.5, 0.9)
SHIFTS = (0.0, 0.02, 0.1)
CELLS = [
    pytest.param(correlation, shift, id=f"AR(1) {correlation}, shift {shift:.0%}")
    for correlation in CORRELATIONS
    for shift in SHIFTS
]
TRIALS = 2000


def simulate(
    random: np.random.Generator,
    shape: tuple[int, ...],
    correlation: float,
    shift: float | NDArray[np.float64],
    noise: float = 0.03,
    rounds: int = 10,
) -> NDArray[np.float64]:
    """Log speeds of `shape`, each from the median of auto-correlated lognormal rounds of one shifted run."""
    state = random.normal(size=shape)
    logs = [state]
    for _ in range(rounds - 1):
        state = correlation * state + math.sqrt(1 - correlation**2) * random.normal(size=shape)
        logs.append(state)
    seconds = np.exp(noise * np.stack(logs, axis=-1) + (shift * random.normal(size=shape))[..., None])
    return np.asarray(-np.log(np.median(seconds, axis=-1)))


def covered(baseline: NDArray[np.float64], candidate: NDArray[np.float64], ratio: float) -> float:
    """Part of the trials whose interval holds the true ratio."""
    test = compare.welch(baseline, candidate + math.log(ratio))
    return float(np.mean((np.exp(test.low) <= ratio) & (ratio <= np.exp(test.high))))


def cries(baseline: NDArray[np.float64], candidate: NDArray[np.float64], margin: float = 0.05) -> float:
    """Part of the campaigns (the first axis) of which any workload (the second) is called FASTER or SLOWER."""
    test = compare.welch(baseline, candidate)
    verdicts = compare.decide(np.exp(test.low), np.exp(test.high), compare.holm(test.p), margin)
    return float(np.mean(np.isin(verdicts, ("FASTER", "SLOWER")).any(axis=-1)))


@pytest.mark.parametrize(("correlation", "shift"), CELLS)
def test_interval_covers_the_true_ratio(correlation: float, shift: float) -> None:
    """With 5 runs an arm the 95 % interval of a ratio of 1.3 holds it in 93 to 98 % of 2,000 trials.

    Measured over 20 seeds: 95.5 to 95.7 % a cell (Welch is a little conservative at 5 runs), 94.6 to 96.7 % in
    single seeds; the standard error of one seed is 0.46 %, so the bounds are 5 standard errors away.
    """
    random = np.random.default_rng([1, int(10 * correlation), int(100 * shift)])
    sides = (simulate(random, (TRIALS, 5), correlation, shift) for _ in range(2))
    assert 0.93 <= covered(*sides, ratio=1.3) <= 0.98


@pytest.mark.parametrize(("correlation", "shift"), CELLS)
def test_a_thing_is_not_faster_than_itself(correlation: float, shift: float) -> None:
    """Of 2,000 campaigns that compare 12 workloads with themselves, at most 5 % have any FASTER or SLOWER.

    No slack is taken: over 20 seeds the rate is 0 to 3.7 % a cell, and the standard error of one seed 0.4 %.
    """
    random = np.random.default_rng([2, int(10 * correlation), int(100 * shift)])
    assert cries(*(simulate(random, (TRIALS, 12, 5), correlation, shift) for _ in range(2))) <= 0.05


@pytest.mark.parametrize("shift", [0.02, 0.1])
def test_a_shift_common_to_a_run_cries_no_more_often(shift: float) -> None:
    """A run whose 12 workloads are all slow together leaves the rate of false verdicts at most 5 % of campaigns."""
    random = np.random.default_rng([3, int(100 * shift)])
    sides = []
    for _ in range(2):
        common = shift * random.normal(size=(TRIALS, 1, 5))
        sides.append(simulate(random, (TRIALS, 12, 5), 0.5, shift=0.0) + common)
    assert cries(*sides) <= 0.05


def test_a_margin_of_nothing_leaves_holm_alone() -> None:
    """Where the margin forgives nothing, Holm's correction by itself keeps false verdicts at 5 % of campaigns."""
    random = np.random.default_rng(4)
    assert cries(*(simulate(random, (TRIALS, 12, 5), 0.0, 0.0) for _ in range(2)), margin=1e-9) <= 0.05


@pytest.mark.parametrize("shifts", [(0.1, 0.02), (0.02, 0.1), (0.05, 0.05)], ids=str)
def test_unequal_numbers_of_runs_are_covered(shifts: tuple[float, float]) -> None:
    """3 runs against 8, five times, a fifth, the same shift: 92 to 98.5 % of 2,000 intervals hold the ratio.

    Over 20 seeds 93.7, 97.8 and 96.0 %: three runs with five times the spread of the other eight are the worst.
    """
    random = np.random.default_rng([5, int(100 * shifts[0])])
    baseline, candidate = (
        simulate(random, (TRIALS, runs), 0.5, shift) for runs, shift in zip((3, 8), shifts, strict=True)
    )
    assert 0.92 <= covered(baseline, candidate, ratio=1.3) <= 0.985


@pytest.mark.parametrize("runs", [(3, 8), (2, 5), (5, 10), (2, 2), (3, 3)], ids=str)
def test_unequal_and_small_numbers_of_runs_cry_no_more_often(runs: tuple[int, int]) -> None:
    """A thing compared with itself by few runs, or by fewer on one side, differs in at most 5 % of campaigns.

    Satterthwaite's degrees of freedom alone give 8 to 9 % for 2 against 5 and for 3 against 8 runs.
    """
    random = np.random.default_rng([8, *runs])
    assert cries(*(simulate(random, (TRIALS, 12, count), 0.5, 0.1) for count in runs)) <= 0.05


def test_own_interval_covers_the_true_speed() -> None:
    """The interval of one arm's own speed holds the truth in 93 to 98 % of trials, too."""
    random = np.random.default_rng(6)
    speeds = np.exp(random.normal(math.log(1750), 0.1, size=(1000, 5)))
    ends = [compare.interval(list(values)) for values in speeds]
    assert 0.93 <= np.mean([end.low <= 1750 <= end.high for end in ends if end]) <= 0.98


def test_the_runs_that_are_said_to_settle_it_do() -> None:
    """With as many runs as `runs_needed` says, a true difference of 8 % at 4 % of noise is settled in 4 of 5 cases."""
    random = np.random.default_rng(7)
    few = np.array([-0.04, 0.04, -0.02, 0.02, 0.0]) * 1.265  # a standard deviation of 4 %
    needed = compare.runs_needed(few, few + math.log(1.08), margin=0.05, family=1)
    assert needed is not None
    baseline, candidate = (random.normal(shift, 0.04, size=(TRIALS, 1, needed)) for shift in (0, math.log(1.08)))
    assert 0.75 <= cries(baseline, candidate) <= 0.9


# --- the same, by hand


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


def test_welch_agrees_with_another_implementation() -> None:
    """Interval and p are those of SciPy's own test, where both arms have the same number of runs."""
    from scipy import stats  # noqa: PLC0415 - heavy

    one, other = np.array([1.0, 1.2, 0.9, 1.3, 1.1]), np.array([1.5, 1.4, 1.45, 1.7, 1.3])
    found, expected = compare.welch(one, other), stats.ttest_ind(other, one, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_holm_agrees_with_a_worked_example() -> None:
    """Steps of 3, 2, 1 times p, never falling, at most 1; what has no p is no member of the family."""
    assert compare.holm([0.04, np.nan, 0.01, 0.03]).tolist() == pytest.approx([0.06, math.nan, 0.03, 0.06], nan_ok=True)
    assert compare.holm([0.9, 0.8]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.98, 1.03, 0.5, "EQUIVALENT"),
        (1.01, 1.04, 0.001, "EQUIVALENT"),
        (1.01, 1.06, 0.001, "FASTER"),
        (1.01, 1.06, 0.06, "INCONCLUSIVE"),
        (0.9, 0.99, 0.001, "SLOWER"),
        (0.9, 1.2, 0.6, "INCONCLUSIVE"),
        (np.nan, np.nan, np.nan, "INCONCLUSIVE"),
    ],
)
def test_verdicts(low: float, high: float, p: float, expected: str) -> None:
    """The margin decides first, then the adjusted p: a certain difference within the margin does not matter."""
    assert compare.decide(low, high, p, 0.05) == expected


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
    assert compare.interval([0.3, 0.3, 0.3]) is None


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
    assert compare.speed(compare.Estimate(0.5, compare.Interval(0.4, 0.625), (0.4, 0.625), "s")).endswith(
        "(1.600 to 2.500)"
    )


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
