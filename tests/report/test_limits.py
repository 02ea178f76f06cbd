"""Limits: shares of what binds, and results too good to be true."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar.record.model import Record, Result
from cifar.report import compare, limits
from cifar.report.arms import Arm
from cifar.report.gate import exit_code, hits

MEMORY = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": ""}


def result(workload, seconds, images=None, **facts):
    """One run's result of a workload."""
    facts = {"flop": None} | facts
    return Result(workload, images, tuple(seconds), None, memory=MEMORY, work={}, checks=("ok",), **facts)


def run(*results, device="cpu", number=1):
    """One run that has these results."""
    facts = {"campaign": "c", "complete": True, "started": "", "fingerprint": {}, "environment": {}, "failures": ()}
    return Record(Path(f"{number}.json"), device, device, number, results=results, **facts)


def peak(seconds, flop=1000):
    """A run's measurement of the limit of arithmetic."""
    return result("peak[what=matmul,type=float32]", seconds, flop=flop)


def work(seconds, flop, **other):
    """A workload that needs so much arithmetic."""
    return result("forward[batch=1]", seconds, 1, flop=flop, needs={"peak[what=matmul,type=float32]": flop} | other)


def test_limit_is_the_best_round_of_all_runs():
    """What slows a measurement down does not lower a limit; what nobody names is none."""
    runs = [run(peak([2.0, 1.0]), work([1.0], 500)), run(peak([4.0, 0.5]), work([1.0], 500))]
    assert limits.peaks(Arm("cpu", runs)) == {"peak[what=matmul,type=float32]": 2000.0}
    assert limits.peaks(Arm("cpu", [run(peak([1.0]))])) == {}


def test_share_is_that_of_the_median_round_and_the_largest_binds():
    """A round of 2 s that needs 500 of 1,000 a second has a share of 25 %, and of the copy's 200 of 400, too, 25 %."""
    copied = result("peak[what=copy]", [1.0], bytes=400)
    runs = [run(peak([1.0]), copied, work([2.0, 2.0, 9.0], 500, **{"peak[what=copy]": 400}))]
    found = limits.peaks(Arm("cpu", runs))
    assert limits.shares(runs[0].results[2], found) == {
        "peak[what=copy]": 0.5,
        "peak[what=matmul,type=float32]": 0.25,
    }
    assert limits.binding([runs[0].results[2]], found) == limits.Share("peak[what=copy]", 0.5)
    assert limits.binding([runs[0].results[0]], found) is None


def test_too_good_a_result_is_refused_with_the_reason():
    """More than 105 % of a measured limit is no number, in no comparison, and stands under what was left out."""
    runs = [run(peak([1.0]), work([1.0], 1060), number=number) for number in (1, 2)]
    sound = limits.sound(Arm("cpu", runs)).records
    assert [len(one.results) for one in sound] == [1, 1]
    assert sound[0].failures[0]["workload"] == "forward[batch=1]"
    assert sound[0].failures[0]["reason"].startswith("106 % of peak[what=matmul,type=float32], the limit measured")
    found = compare.compare(runs, [run(peak([1.0]), work([1.0], 900), device="gpu")])
    assert [pair.workload for pair in found.pairs] == ["peak[what=matmul,type=float32]"]
    assert any("106 %" in left.reason for left in found.left_out)


def test_a_refused_result_is_no_skip():
    """Where one of two measurements is broken, a gate cannot be passed for want of a number."""
    candidate = [run(peak([1.0]), work([1.0], 1060), number=number) for number in (1, 2)]
    found = compare.compare([run(peak([1.0]), work([1.0], 900), device="cpu#2")] * 2, candidate)
    assert exit_code(found, "slower:5%") == 1
    assert "106 %" in hits(found, "slower:5%")[0]


@pytest.mark.parametrize(
    ("device", "kind", "flop", "kept"),
    [
        pytest.param("cpu", "float32", 1060, False, id="a CPU multiplies as often as counted"),
        pytest.param("gpu", "float32", 1060, True, id="float32"),
        pytest.param("gpu:1", "tf32", 4190, True, id="tf32, and noise of 5 %"),
        pytest.param("gpu", "bfloat16", 4210, False, id="more than any convolution saves"),
    ],
)
def test_a_gpu_may_multiply_less_than_is_counted(device, kind, flop, kept):
    """Winograd's method needs up to 4 times fewer multiplications: up to 4 x 105 % a GPU's result is kept."""
    limit = f"peak[what=matmul,type={kind}]"
    needy = result("forward[batch=1]", [1.0], 1, needs={limit: flop})
    (found,) = limits.sound(Arm("it", [run(result(limit, [1.0], flop=1000), needy, device=device)])).records
    assert (needy in found.results) is kept


@pytest.mark.parametrize(("nbytes", "kept"), [(1900, True), (2200, False)])
def test_a_batch_in_the_hosts_caches_is_sent_faster(nbytes, kept):
    """Of the two passes through the host's memory that sending pageable memory takes, caches spare one at most."""
    sent = "peak[what=to-device]"
    needy = result("forward[batch=1]", [1.0], 1, needs={sent: nbytes})
    (found,) = limits.sound(Arm("gpu", [run(result(sent, [1.0], bytes=1000), needy, device="gpu")])).records
    assert (needy in found.results) is kept


def test_every_limit_is_looked_at():
    """The largest share may have an excuse where a smaller one has none."""
    copied = result("peak[what=copy]", [1.0], bytes=100)
    runs = [run(peak([1.0]), copied, work([1.0], 1060, **{"peak[what=copy]": 10_000}))]
    assert limits.sound(Arm("cpu", runs)).records[0].failures[0]["reason"].startswith("106 % of peak[what=matmul")


@pytest.mark.parametrize(
    ("flop", "moved", "limit"),
    [
        pytest.param(1040, 1, "peak[what=copy]", id="within 5 %"),
        pytest.param(1, 10_000, "peak[what=copy]", id="caches may beat a copy"),
        pytest.param(1, 10_000, "growth_cold[images=10,order=sequence]", id="a disk may serve two faster"),
    ],
)
def test_what_may_be_true_stays(flop, moved, limit):
    """Noise of 5 % is allowed; memory traffic that a cache saved, or a disk read by two, is no broken measurement."""
    runs = [run(peak([1.0]), result(limit, [1.0], bytes=100), work([1.0], flop, **{limit: moved}))]
    assert limits.sound(Arm("cpu", runs)).records == runs
