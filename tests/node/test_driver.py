"""What can be seen of NVIDIA's driver, on staged nodes."""

from __future__ import annotations

import pytest

from cifar.node import driver


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19\nGCC version: 11.4.0\n",
            "535.129.03",
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (user@host)\n",
            "550.54.15",
        ),
        ("", None),
    ],
)
def test_driver_version(tmp_path, text, version, write):
    """The version is read from what either kind of kernel module writes."""
    write(tmp_path, "proc/driver/nvidia/version", text)
    assert driver.driver_version(tmp_path) == version


def test_a_gpu_in_apptainer(tmp_path, write):
    """Driver, device files, container, hidden GPUs and the job are all seen; libcuda below /.singularity.d too."""
    write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        write(tmp_path, f"dev/{name}")
    write(tmp_path, ".singularity.d/libs/libcuda.so.1")
    facts = driver.seen(tmp_path, {"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_ID": "7"})
    assert facts == driver.DriverFacts("560.35.03", True, ("nvidia0", "nvidia1"), "apptainer", "", "slurm")
    assert driver.not_shown(facts) == driver.hidden(facts)
    assert driver.hidden(facts).remedy == "ask slurm for a GPU (--gpus=1)"


def test_library_by_path(tmp_path, write):
    """A folder in LD_LIBRARY_PATH counts as a place of libcuda."""
    write(tmp_path, "driver/libcuda.so.1")
    environ = {"LD_LIBRARY_PATH": f"{tmp_path / 'driver'}:"}
    assert driver.seen(tmp_path / "empty", environ).driver_library


def test_nothing(tmp_path):
    """A node without any sign of a driver says so; where all is there, nothing is wrong."""
    assert driver.not_shown(driver.seen(tmp_path, {})).reason == "this node runs no NVIDIA driver"
    assert driver.not_shown(driver.DriverFacts("560.35.03", True, ("nvidia0",))) is None
