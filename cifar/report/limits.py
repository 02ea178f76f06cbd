"""Limits: an arm goes in; each workload's share of what binds it comes out, and what is too good to be true."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cifar.record.model import Record, Result
    from cifar.report.arms import Arm

MOST = 1.05
"""A larger share of a limit is no result but a broken measurement, unless there is an excuse."""


class Excuse(NamedTuple):
    """How many times a limit a workload may do, for which reason."""

    times: float
    reason: str


NOISE = Excuse(1, "limits scatter as all that is measured")
MATMUL = "peak[what=matmul"
EXCUSES = {
    "peak[what=copy]": Excuse(math.inf, "caches spare memory traffic that was counted"),
    "growth_cold[": Excuse(math.inf, "a disk serves several readers faster than one"),
    "peak[what=to-device]": Excuse(
        2, "what lies in the host's caches is read faster on its way through a pinned buffer"
    ),
    MATMUL: Excuse(4, "a GPU may convolve by Winograd's method, with up to 4 times fewer multiplications than counted"),
}
"""By how the limit's name begins.

To be sent, pageable memory is read and written once on the host, and caches spare the reading. Of a 3x3 kernel's
multiplications Winograd's method needs the 2.25th part, as F(2x2, 3x3), or the 4th, as F(4x4, 3x3): A. Lavin and
S. Gray, Fast Algorithms for Convolutional Neural Networks (2015), arXiv:1509.09308.
"""


@dataclass(frozen=True, slots=True)
class Share:
    """How close to its limit a result comes: `limit` is the workload that measured the limit that binds it."""

    limit: str
    share: float


def peaks(arm: Arm) -> dict[str, float]:
    """Return the speed of each workload that another one names as its limit, in its unit: the best of all rounds.

    The best, for what disturbs a measurement makes it slower, and a limit is what was possible.
    """
    named = {limit for results in arm.results.values() for result in results for limit in result.needs}
    return {
        workload: max(result.amount / min(result.seconds) for result in results)
        for workload, results in arm.results.items()
        if workload in named
    }


def shares(result: Result, limits: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each of `limits` (see `peaks`) that the median round reaches, the largest first.

    A round that needs n of what the limit gives p of a second cannot take less than n / p seconds; that over the
    seconds it took is the share.
    """
    known = {}
    for limit, needed in result.needs.items():
        if limit in limits:
            known[limit] = needed / limits[limit] / result.median
    return dict(sorted(known.items(), key=lambda item: -item[1]))


def binding(results: Sequence[Result], limits: Mapping[str, float]) -> Share | None:
    """Return the limit that binds one workload, from its results of all runs (the median run counts); None for none."""
    largest = []
    for result in results:
        known = shares(result, limits)
        if known:
            largest.append(Share(*next(iter(known.items()))))
    largest.sort(key=lambda share: share.share)
    return largest[len(largest) // 2] if largest else None


def excuse(limit: str, device: str) -> Excuse:
    """Return how many times `limit` a workload may do on `device`; on a CPU arithmetic has no excuse."""
    if device == "cpu" and limit.startswith(MATMUL):
        return NOISE
    return next((excuse for name, excuse in EXCUSES.items() if limit.startswith(name)), NOISE)


def sound(arm: Arm) -> Arm:
    """Return the arm, in whose records results above 105 % of a limit have become failures that say so.

    Where there is an excuse for more, 105 % of that much (see EXCUSES).
    They are no skips: nobody chose to go without the number, and a gate must not pass for want of it.
    """
    limits = peaks(arm)
    records = [_sound(record, limits) for record in arm.records]
    changed = any(after is not before for after, before in zip(records, arm.records, strict=True))
    return dataclasses.replace(arm, records=records) if changed else arm


def _sound(record: Record, limits: Mapping[str, float]) -> Record:
    """One record without its results that cannot be true."""
    kept, failures = [], []
    for result in record.results:
        reason = _too_good(result, limits, record.device)
        if reason:
            failures.append({"workload": result.workload, "reason": reason, "skipped": False})
        else:
            kept.append(result)
    if not failures:
        return record
    return dataclasses.replace(record, results=tuple(kept), failures=(*record.failures, *failures))


def _too_good(result: Result, limits: Mapping[str, float], device: str) -> str:
    """Why a result cannot be true, empty if it can."""
    for limit, share in shares(result, limits).items():
        if share > MOST * excuse(limit, device).times:
            percent = f"{100 * share:.0f} %"
            return f"{percent} of {limit}, the limit measured beside it: one of the two measurements is broken"
    return ""
