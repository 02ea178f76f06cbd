"""JAX: whether it has the GPU that is asked for. What it computes stands in `cifar.workload.agreement`."""

from __future__ import annotations

import jax


def missing_gpu(_number: int) -> str | None:
    """Return why JAX has no GPU; None where it has.

    Which one it takes is said by JAX_CUDA_VISIBLE_DEVICES before this module is imported.
    """
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        return f"JAX {jax.__version__} says: {error}"
    return None
