"""What tests of the doctor share: staged nodes, and the findings on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from cifar.measure import doctor
from cifar.measure.doctor import Finding

NVML = r"""
#include <stdlib.h>
#include <string.h>
static unsigned asked(const char *name, unsigned otherwise) {
    const char *text = getenv(name);
    return text ? (unsigned)atoi(text) : otherwise;
}
#define SAYS(name, value) int name(void *gpu, unsigned *found) { *found = value; return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "staged"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "550.54.15", size); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **gpu) { *gpu = (void *)1; return asked("LOST", 0) ? 15 : 0; }
int nvmlDeviceGetName(void *gpu, char *text, unsigned size) { strncpy(text, "Staged GPU", size); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor) {
    *major = asked("CAPABILITY", 90) / 10; *minor = asked("CAPABILITY", 90) % 10; return 0;
}
int nvmlDeviceGetTotalEccErrors(void *gpu, int kind, int since, unsigned long long *count) {
    *count = asked("ERRORS", 0); return 0;
}
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *later) { *now = *later = asked("MIG", 0); return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits) {
    *bits = asked("THROTTLE", 1); return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, void *processes) {
    *count = 0; return asked("BUSY", 0) && !processes ? 7 : 0;
}
SAYS(nvmlDeviceGetPersistenceMode, asked("PERSISTENCE", 1))
"""

BUILD = {
    "is_cuda_build": True,
    "cuda_version": "12.5.1",
    "cuda_compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"],
}

PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from cifar import cli
from cifar.measure import doctor
staged = doctor.Node({}, "gpu", root=Path(sys.argv[1]), deadline_seconds=30)
print(json.dumps([dataclasses.asdict(found) for found in doctor.examine(staged)]))
"""


VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Thu Oct 19\n"


@pytest.fixture
def node():
    """The function `node(root, device, environ, ...)`: a node whose /proc and /sys lie below `root`."""

    def staged(root, device=None, environ=None, **changes):
        return doctor.Node({}, device, root=root, environ=environ or {}, **changes)

    return staged


@pytest.fixture
def finding():
    """The function `finding(staged, check)`: the first finding of a check; the checks after it are not made."""

    def first(staged, check):
        return next(found for found in doctor.examine(staged) if found.check == check)

    return first


@pytest.fixture(scope="session")
def staged_gpu(tmp_path_factory):
    """A node with driver 550.54.15 and one GPU, as far as NVIDIA's management library tells; no libcuda."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("staging NVIDIA's management library takes a C compiler (cc)")
    root = tmp_path_factory.mktemp("gpu")
    _write(root / "proc/driver/nvidia/version", VERSION)
    _write(root / "packages/tensorflow/__init__.py", "raise ImportError('staged')")
    _write(root / "packages/tensorflow/python/platform/build_info.py", f"build_info = {BUILD}")
    (root / "lib").mkdir()
    for library in ("lib/libnvidia-ml.so.1", "packages/nvidia/cuda_runtime/lib/libcudart.so.12"):
        (root / library).parent.mkdir(parents=True, exist_ok=True)
        source = _write(root / "nvml.c", NVML)
        subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", root / library, source], check=True)
    _write(root / "packages/nvidia/cudnn/lib/libcudnn.so.9", "this is no library")
    return root


def _write(file, text):
    """Write one file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def findings():
    """The function `findings(root, **environ)`: the findings on a node with a staged GPU, by check."""
    return _findings


def _findings(root, **environ):
    """The doctor's findings on the staged node, by check."""
    paths = {"PYTHONPATH": str(root / "packages"), "LD_LIBRARY_PATH": str(root / "lib")}
    command = [sys.executable, "-c", PROGRAM, root]
    done = subprocess.run(command, env={**os.environ, **paths, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {found["check"]: Finding(**found) for found in json.loads(done.stdout)}
