"""JAX says why it has no GPU."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_missing_gpu():
    """A JAX for CPUs gives its own reason; the process of the tests does not import it."""
    program = "from cifar.backend import jax; print(jax.missing_gpu(0))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("JAX 0.", "None"))
