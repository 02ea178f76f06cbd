"""PyTorch: whether it has the GPU that is asked for. What it computes stands in `cifar.workload.agreement`."""

from __future__ import annotations

import torch


def missing_gpu(number: int) -> str | None:
    """Return why PyTorch has no GPU of that number; None where it has."""
    count = torch.cuda.device_count()
    if number < count:
        return None
    return f"PyTorch {torch.__version__} finds {count or 'no'} GPU"
