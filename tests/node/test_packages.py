"""Packages, loaded libraries and variables, as Python and the kernel tell of them."""

from __future__ import annotations

from cifar.node import packages
from cifar.record.unmeasurable import Unmeasurable


def test_loaded_libraries(tmp_path, write):
    """The CUDA libraries in a process's memory map are named once each, without their folders."""
    line = "7f00-7f01 r-xp 00000000 08:01 1 "
    names = ["/home/ada/nvidia/cudnn/lib/libcudnn.so.9", "/usr/lib/libcuda.so.550.54.15", "/usr/lib/libc.so.6"]
    write(tmp_path, "proc/self/maps", "".join(f"{line}{name}\n" for name in [*names, names[0]]))
    assert packages.loaded_libraries(tmp_path) == ["libcuda.so.550.54.15", "libcudnn.so.9"]
    assert packages.loaded_libraries(tmp_path / "nowhere") == Unmeasurable("/proc/self/maps cannot be read")


def test_variables():
    """What can change a result is kept; secrets, users' names and everything else are not."""
    environ = {
        "HOME": "/data/home/ada",
        "USER": "ada",
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "4",
        "TF_VAR_password": "hunter2",
        "TF_CONFIG": "{}",
        "NVIDIA_API_KEY": "nvapi",
        "MKL_TOKEN": "x",
        "LD_LIBRARY_PATH": "/data/home/ada/lib:/home/eve/lib:/scratch/ada/cuda:/opt/adamant",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_USER": "ada",
        "PATH": "/bin",
    }
    assert packages.variables(environ) == {
        "CUDA_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "~/lib:~/lib:/scratch/USER/cuda:/opt/adamant",
        "OMP_NUM_THREADS": "4",
        "SLURM_JOB_ID": "7",
    }


def test_installed():
    """Names are in their normal form, and sorted."""
    names = [name for name, _ in packages.installed()]
    assert "pytest-benchmark" in names
    assert names == sorted(names)
