"""Hand-made records, those that the record's own tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cifar.record.reading import load
from cifar.report import page
from cifar.report.compare import compare

from ..record.conftest import (  # noqa: TID252 - the rooms of tests are no packages
    ENVIRONMENT,
    FINGERPRINT,
    GPU_ENVIRONMENT,
    WITHOUT_GPU,
    Write,
    write,
)
from .handmade import WORKLOADS, made

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cifar.report.comparison import Comparison

__all__ = ["ENVIRONMENT", "FINGERPRINT", "GPU_ENVIRONMENT", "WITHOUT_GPU", "Write", "write"]


@pytest.fixture
def slower() -> Comparison:
    """A candidate at 0.9 of the speed, without doubt."""
    return compare(made("cpu", [[0.9], [0.9001], [0.9002]]), made("gpu", [[1.0], [1.0001], [1.0002]]))


@pytest.fixture
def measured(write, tmp_path):
    """Measure several nodes into a folder each: a function of their speeds, which returns the folders."""

    def measured(speeds, arm="cpu", runs=5, base=None, **changes):
        known = base or (ENVIRONMENT if arm.startswith("cpu") else GPU_ENVIRONMENT)
        folders = []
        for place, (node, faster) in enumerate(speeds.items()):
            folder = tmp_path / node
            here = known | {"node": known["node"] | {"hostname": node}}
            for run in range(1, runs + 1):
                same = {"campaign": node, "environment": here, "seed": place, "day": place + 1}
                write(folder, arm, run, faster=faster, **same | changes)
            folders.append(folder)
        return folders

    return measured


@pytest.fixture
def report(write: Write, tmp_path: Path) -> Any:
    """Write runs of some arms, given as their options by name, and their report."""

    def report(arms: dict[str, dict[str, Any]], runs: Sequence[int] = (1, 2, 3), **options: Any) -> page.Report:
        for arm, how in arms.items():
            for run in runs:
                write(tmp_path / "campaign", arm, run, **({"workloads": WORKLOADS} | how))
        return page.write(load(tmp_path / "campaign"), tmp_path / "report", **options)

    return report
