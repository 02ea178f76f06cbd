"""Grouping: the records that were read go in; the arms of a report, grouped once, come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.report import limits, pooling
from cifar.report.arms import Arm, Arms, by_arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.record.model import Record


def group(records: Sequence[Record], *, pool: bool = True) -> Arms:
    """Return the arms of the records; what cannot be true in them is a failure, as `limits.sound` says.

    Arms that several nodes measured are taken over their nodes too, unless `pool` is off (see `pooling.pools`).
    """
    each = {name: limits.sound(Arm(name, runs)) for name, runs in by_arm(records).items()}
    pools = pooling.pools(record for arm in each.values() for record in arm.records) if pool else {}
    pooled = {name: Arm(name, runs) for name, runs in pools.items()}
    over = {name: Arm(name, pooling.means(runs)) for name, runs in pools.items()}
    return Arms(each, pooled, over)
