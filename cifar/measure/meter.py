"""From a call to its timed rounds on a device: warm-up apart, each round ends with the device, checks first."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from cifar.backend.device import Device

Check = Callable[[Any], list[str]]


@dataclass(frozen=True)
class Effort:
    """How much of a workload one run measures: a choice between the time it takes and the noise it leaves."""

    rounds: int
    """Rounds of a workload, fewer where that exceeds `workload_seconds`, but never under `fewest`."""
    fewest: int
    round_seconds: float
    """A round repeats its call until it lasts about this long, so that the clock's own cost vanishes."""
    workload_seconds: float
    steps: int
    """Batches of a short training epoch, and of a stretch of the lesson's generator."""
    deadline_seconds: float
    """For each of its workloads a run may take so long in the mean, before it is taken to hang."""


EFFORTS = {
    "quick": Effort(rounds=5, fewest=1, round_seconds=0.05, workload_seconds=0.5, steps=2, deadline_seconds=30.0),
    "default": Effort(rounds=10, fewest=2, round_seconds=0.1, workload_seconds=3.0, steps=6, deadline_seconds=120.0),
    "thorough": Effort(rounds=20, fewest=5, round_seconds=0.5, workload_seconds=60.0, steps=40, deadline_seconds=900.0),
}


class Meter:
    """Times one workload on one device and fills the `extra_info` of its pytest-benchmark result."""

    def __init__(self, benchmark: BenchmarkFixture, device: Device, effort: Effort) -> None:
        """Measure by `benchmark` what runs on `device`."""
        self._benchmark, self.device, self.effort = benchmark, device, effort

    def __call__(  # noqa: PLR0913 each is a fact about the workload
        self,
        call: Callable[[], Any],
        *,
        check: Check,
        images: int | None = None,
        flop: int | None = None,
        nbytes: int | None = None,
        needs: dict[str, int] | None = None,
        work: dict[str, str] | None = None,
        repeat: bool = True,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Time rounds of `call`, each with a barrier at its end, then check the last call's result.

        `call()` processes `images` images by `flop` floating-point operations, or moves `nbytes` bytes: the
        first of these that is named is the result.  `needs` says how much of what a workload of `test_peak.py`
        measures, named as in `peak[what=copy]`, the call uses up at least.  `repeat=False` says that one call
        is long enough to be a round; `before()` precedes each such round and is not timed.  `check(result)`
        says in words what it checked and raises AssertionError, which leaves no number behind.  `work` names
        by digest what must be equal between arms.
        """
        with self.device.scope():
            prepare = before or (lambda: None)
            prepare()
            if self._benchmark.disabled:
                check(_round(self.device, call, 1))
                return
            warmup_seconds = _seconds(self.device, call)
            calls, rounds = self._plan(call) if repeat else (1, self.effort.fewest)
            self.device.reset_peak_memory()
            result = self._benchmark.pedantic(  # type: ignore[no-untyped-call]
                _round, (self.device, call, calls), setup=prepare, rounds=rounds
            )
            memory = self.device.peak_memory()  # before the check, which needs memory of its own
            checks = check(result)
        amounts = {"images": images, "flop": flop, "bytes": nbytes}
        self._keep(calls, warmup_seconds, memory, checks, work or {}, needs or {}, **amounts)

    def once(self, call: Callable[[], Any], *, check: Check) -> None:
        """Time `call` a single time, for what a process does only once; the result is seconds, not images/s."""
        with self.device.scope():
            self.device.reset_peak_memory()
            result = self._benchmark.pedantic(_round, (self.device, call, 1))  # type: ignore[no-untyped-call]
            memory = self.device.peak_memory()
            checks = check(result)
        self._keep(1, None, memory, checks, {}, {}, images=None, flop=None, bytes=None)

    def _keep(  # noqa: PLR0913, PLR0917 each is a fact about the workload
        self,
        calls: int,
        warmup_seconds: float | None,
        memory: dict[str, int | str | None],
        checks: list[str],
        work: dict[str, str],
        needs: dict[str, int],
        **amounts: int | None,
    ) -> None:
        """Fill the result's `extra_info`: amounts and needs of a call become those of a round."""
        self._benchmark.extra_info.update(
            {name: None if amount is None else amount * calls for name, amount in amounts.items()},
            calls=calls,
            needs={limit: amount * calls for limit, amount in needs.items()},
            warmup_seconds=warmup_seconds,
            checks=checks,
            work=work,
            memory=memory,
        )

    def note(self, **facts: Any) -> None:
        """Add further facts to the result's `extra_info`."""
        self._benchmark.extra_info.update(facts)

    def _plan(self, call: Callable[[], Any]) -> tuple[int, int]:
        """Calls a round and rounds a workload, from a trial call, the faster of two if they are short."""
        seconds = _seconds(self.device, call)
        if seconds < self.effort.round_seconds:
            seconds = min(seconds, _seconds(self.device, call))
        calls = max(1, math.ceil(self.effort.round_seconds / seconds))
        fitting = int(self.effort.workload_seconds / (seconds * calls))
        return calls, min(self.effort.rounds, max(self.effort.fewest, fitting))


def harness_seconds(device: Device) -> float:
    """Median seconds of a round whose call does nothing: what the harness and the barrier add to a round."""
    return statistics.median(_seconds(device, int) for _ in range(100))


def _round(device: Device, call: Callable[[], Any], calls: int) -> Any:
    """`calls` calls in a row, then one barrier; the last call's result."""
    for _ in range(calls):
        result = call()
    device.wait()
    return result


def _seconds(device: Device, call: Callable[[], Any]) -> float:
    """Seconds of a round of one call."""
    start = time.perf_counter()
    _round(device, call, 1)
    return time.perf_counter() - start
