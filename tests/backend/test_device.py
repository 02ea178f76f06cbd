"""Names of devices, and devices that cannot be claimed."""

from __future__ import annotations

import pytest

from cifar.backend import device

from .conftest import fresh


class TestClaim:
    """A device that a process is bound to."""

    @pytest.mark.slow
    def test_a_missing_gpu_is_an_error(self):
        """A GPU that is hidden or absent ends the process with the reason: no fall-back, no skip."""
        done = fresh("from cifar.backend import device; device.claim('gpu')", CUDA_VISIBLE_DEVICES="-1")
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("RuntimeError: gpu was asked for, but there is none: ")
        assert "built without CUDA" in last or "CUDA_VISIBLE_DEVICES" in last or "driver" in last

    @pytest.mark.parametrize("name", ["", "CPU", "cpu:0", "gpu:", "gpu:-1", "gpu:01", "gpu:1 ", "cuda:0"])
    def test_names(self, name):
        """A name that is none is refused before TensorFlow is loaded, with the names that there are."""
        with pytest.raises(ValueError, match="give cpu, gpu, or gpu:N"):
            device.claim(name)

    def test_threads(self):
        """No thread at all is refused."""
        with pytest.raises(ValueError, match="give 1 or more"):
            device.claim("cpu", threads=0)
