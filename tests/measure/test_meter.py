"""The meter: what it counts as a round, and what it refuses to report."""

from __future__ import annotations

import contextlib
import time

import pytest

from cifar.measure import meter


class Clockwork:
    """A device that needs `seconds` from the dispatch of a call to its end, as a GPU does."""

    def __init__(self, seconds=0.0):
        """Idle."""
        self.seconds, self.busy_until, self.pieces = seconds, 0.0, 0

    def scope(self):
        """No scope is needed."""
        return contextlib.nullcontext()

    def dispatch(self):
        """Queue a piece of work."""
        self.pieces += 1
        self.busy_until = max(self.busy_until, time.perf_counter()) + self.seconds

    def wait(self):
        """Wait until the queue is empty."""
        time.sleep(max(0.0, self.busy_until - time.perf_counter()))

    def reset_peak_memory(self):
        """Begin to count anew."""
        self.pieces = 0

    def peak_memory(self):
        """As many bytes as pieces of work were queued."""
        return {"host_peak_bytes": self.pieces, "device_peak_bytes": None, "meaning": "made up"}


EFFORT = meter.Effort(rounds=4, fewest=2, round_seconds=0.02, workload_seconds=1.0, steps=1, deadline_seconds=60.0)


def test_round_ends_with_the_device(benchmark):
    """A call that only dispatches is charged with the device's time, not with the dispatch's."""
    device = Clockwork(seconds=0.005)
    meter.Meter(benchmark, device, EFFORT)(device.dispatch, images=1, check=lambda _: ["nothing to check"])
    calls = benchmark.extra_info["images"]
    assert calls >= 4
    assert benchmark.stats.stats.min >= 0.005 * calls


def test_memory_is_that_of_the_rounds(benchmark):
    """Neither the warm-up's memory counts nor what a check needs after the clock has stopped."""
    device = Clockwork()

    def check(_):
        device.dispatch()
        return ["nothing to check"]

    meter.Meter(benchmark, device, EFFORT)(device.dispatch, repeat=False, check=check)
    assert benchmark.extra_info["memory"]["host_peak_bytes"] == EFFORT.fewest


def test_before_precedes_each_round_and_is_not_timed(benchmark):
    """What must be so before each call, warm-up included, costs the result nothing."""
    events = []

    def before():
        events.append("before")
        time.sleep(0.05)

    meter.Meter(benchmark, Clockwork(), EFFORT)(
        lambda: events.append("call"), repeat=False, before=before, check=lambda _: ["nothing to check"]
    )
    assert events == ["before", "call"] * 3
    assert benchmark.stats.stats.max < 0.05
    assert benchmark.extra_info["warmup_seconds"] < 0.05


def test_short_calls_are_repeated_and_counted(benchmark):
    """A round lasts long enough for the clock, and its images, FLOP and needs are those of all its calls."""
    meter.Meter(benchmark, Clockwork(), EFFORT)(
        lambda: time.sleep(0.001), images=3, flop=7, needs={"peak": 5}, check=lambda _: ["nothing to check"]
    )
    calls = benchmark.extra_info["images"] // 3
    assert 5 <= calls <= 20
    assert benchmark.extra_info["flop"] == 7 * calls
    assert benchmark.extra_info["needs"] == {"peak": 5 * calls}
    assert len(benchmark.stats.stats.data) == EFFORT.rounds


def test_warm_up_is_kept_apart(benchmark):
    """A slow first call is in `warmup_seconds` and in no round."""
    pauses = iter([0.2])
    meter.Meter(benchmark, Clockwork(), EFFORT)(
        lambda: time.sleep(next(pauses, 0.001)), images=1, check=lambda _: ["nothing to check"]
    )
    assert benchmark.extra_info["warmup_seconds"] >= 0.2
    assert benchmark.stats.stats.max < 0.2


def test_long_calls_have_fewer_rounds(benchmark):
    """A call that would exceed the time for its workload is timed less often, but not less than the effort's fewest."""
    slow = meter.Effort(rounds=10, fewest=3, round_seconds=0.01, workload_seconds=0.05, steps=1, deadline_seconds=60.0)
    meter.Meter(benchmark, Clockwork(), slow)(lambda: time.sleep(0.03), images=1, check=lambda _: ["nothing"])
    assert len(benchmark.stats.stats.data) == slow.fewest


def test_check_sees_the_last_result(benchmark):
    """What is checked is the result of a timed call."""
    numbers = iter(range(10_000))
    seen = []

    def check(result):
        seen.append(result)
        return ["seen"]

    meter.Meter(benchmark, Clockwork(), EFFORT)(lambda: next(numbers), images=1, check=check)
    assert seen == [next(numbers) - 1]


def test_failed_check_raises(benchmark):
    """A failed check fails the benchmark before it has any `extra_info`."""

    def check(_result):
        assert _result == 1, "wrong answer"

    with pytest.raises(AssertionError, match="wrong answer"):
        meter.Meter(benchmark, Clockwork(), EFFORT)(int, images=1, check=check)
    assert not benchmark.extra_info


def test_once_has_one_round(benchmark):
    """What a process does once is timed once, in seconds."""
    meter.Meter(benchmark, Clockwork(), EFFORT).once(lambda: 5, check=lambda result: [f"was {result}"])
    assert len(benchmark.stats.stats.data) == 1
    assert benchmark.extra_info["images"] is None
    assert benchmark.extra_info["checks"] == ["was 5"]


def test_harness_costs_microseconds():
    """An empty round costs less than 1 % of the shortest round that any effort allows."""
    shortest = min(effort.round_seconds for effort in meter.EFFORTS.values())
    assert 0 < meter.harness_seconds(Clockwork()) < 0.01 * shortest
