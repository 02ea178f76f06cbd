"""PyTorch says why it has no GPU."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_missing_gpu():
    """A GPU beyond those that there are is missing, with their number."""
    program = "from cifar.backend import torch; print(torch.missing_gpu(99))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("PyTorch ")
