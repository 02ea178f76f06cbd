"""Hand-made records, those that the record's own tests read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cifar.report.compare import compare

from ..record.conftest import (  # noqa: TID252 - the rooms of tests are no packages
    ENVIRONMENT,
    FINGERPRINT,
    GPU_ENVIRONMENT,
    WITHOUT_GPU,
    Write,
    write,
)
from .handmade import made

if TYPE_CHECKING:
    from cifar.report.comparison import Comparison

__all__ = ["ENVIRONMENT", "FINGERPRINT", "GPU_ENVIRONMENT", "WITHOUT_GPU", "Write", "write"]


@pytest.fixture
def slower() -> Comparison:
    """A candidate at 0.9 of the speed, without doubt."""
    return compare(made("cpu", [[0.9], [0.9001], [0.9002]]), made("gpu", [[1.0], [1.0001], [1.0002]]))
