"""CUDA's libraries, staged: one loads, one is broken, the others are not there."""

from __future__ import annotations

import os
import shutil

from cifar.measure.doctor.libraries import load_problems


def test_libraries(staged_gpu, findings):
    """Each of CUDA's libraries has its line: it loads, it is broken, or it is not there."""
    found = findings(staged_gpu)
    assert found["libcudart.so.12"].status == "pass"
    assert (found["libcudnn.so.9"].status, "does not load" in found["libcudnn.so.9"].said) == ("fail", True)
    assert (found["libcublas.so.12"].status, found["libcublas.so.12"].said) == ("fail", "not found")


def test_library_of_the_host(staged_gpu, findings):
    """A library that goes before the locked one is a warning."""
    first = staged_gpu / "first"
    first.mkdir()
    shutil.copy(staged_gpu / "packages/nvidia/cuda_runtime/lib/libcudart.so.12", first)
    found = findings(staged_gpu, LD_LIBRARY_PATH=f"{staged_gpu / 'lib'}:{first}")["libcudart.so.12"]
    assert (found.status, "goes before" in found.said) == ("warn", True)


def test_library_that_hangs(tmp_path, node):
    """A library that never finishes to load has a reason, and so have those after it."""
    pipe = tmp_path / "libhangs.so"
    os.mkfifo(pipe)
    found = load_problems(node(tmp_path, deadline_seconds=1), ["libm.so.6", str(pipe)])
    assert found["libm.so.6"] is None
    assert "did not load within 1 s" in found[str(pipe)]
