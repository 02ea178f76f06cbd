"""What a comparison is made of: ratios within runs."""

from __future__ import annotations

import pytest

from cifar.record.model import Record
from cifar.report.arms import Arm
from cifar.report.comparison import within

from .handmade import made


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
    found = within(Arm("cpu", runs), "slow", "fast")
    assert found is not None
    assert found.values == pytest.approx((2, 2, 2))
    assert within(Arm("cpu", runs), "slow", "missing") is None
