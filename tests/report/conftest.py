"""Hand-made records, those that the record's own tests read."""

from __future__ import annotations

from ..record.conftest import (  # noqa: TID252 - the rooms of tests are no packages
    ENVIRONMENT,
    FINGERPRINT,
    GPU_ENVIRONMENT,
    WITHOUT_GPU,
    Write,
    write,
)

__all__ = ["ENVIRONMENT", "FINGERPRINT", "GPU_ENVIRONMENT", "WITHOUT_GPU", "Write", "write"]
