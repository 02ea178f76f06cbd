"""Why a GPU is missing, from what was observed."""

from __future__ import annotations

import pytest

from cifar.backend import missing
from cifar.backend.missing import GpuFacts
from cifar.node import driver

# Lines of TensorFlow 2.21.0, built with CUDA 12.5.1. All but PTX_LOG were written by it, on a node without a GPU
# whose libcuda and CUDA libraries were stand-ins of a few functions.
START = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795508038.939327    8594 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use \
available CPU instructions in performance-critical operations.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate \
compiler flags.
"""
NO_CUDART = """\
I0000 00:00:1795508039.019327    8594 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will \
not be used.
"""
OPENED = "I0000 00:00:1795508080.814990    8719 dso_loader.cc:133] Successfully opened dynamic library {}\n"
NOT_OPENED = (
    "I0000 00:00:1795508244.218359    9120 dso_loader.cc:144] Could not load dynamic library '{0}'; dlerror: {0}: "
    "cannot open shared object file: No such file or directory\n"
)
CUINIT = (
    "E0000 00:00:1795508056.082646    8679 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: "
    "Failed call to cuInit: {}\n"
)
NO_LIBCUDA_LOG = START + NO_CUDART + NOT_OPENED.format("libcuda.so.1") + CUINIT.format("UNKNOWN ERROR (303)")
NO_DEVICE_LOG = (
    START
    + NO_CUDART
    + OPENED.format("libcuda.so.1")
    + CUINIT.format("CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected")
)
MISMATCH_LOG = (
    START
    + NO_CUDART
    + OPENED.format("libcuda.so.1")
    + CUINIT.format(
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination"
    )
)
DLOPEN = """\
W0000 00:00:1795508244.218404    9120 gpu_device.cc:2365] Cannot dlopen some GPU libraries. Please make sure the \
missing libraries mentioned above are installed properly if you would like to use GPU. Follow the guide at \
https://www.tensorflow.org/install/gpu for how to download and setup the required libraries for your platform.
Skipping registering GPU devices...
"""
NO_CUDNN_LOG = START + OPENED.format("libcudart.so.12") + NOT_OPENED.format("libcudnn.so.9") + DLOPEN
BROKEN_LOG = (
    START
    + """\
Traceback (most recent call last):
  File "devices.py", line 225, in check_placement
    context_handle = pywrap_tfe.TFE_NewContext(opts)
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
tensorflow.python.framework.errors_impl.InternalError: cudaGetDevice() failed. Status: Error loading CUDA \
libraries. GPU will not be used.
"""
)
PTX_LOG = "InternalError: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported chain"

CUDA = {"cuda_build": True, "cuda_version": "12.5.1"}
NODE = {"driver": "550.54.15", "driver_library": True, "device_files": ("nvidia0",)}
CASES = {
    "no TensorFlow": (
        {"tensorflow": False},
        ["TensorFlow is not installed", '"cifar-bench[cuda]"'],
    ),
    "a build for the CPU": (
        {"cuda_build": False, **NODE},
        ["built without CUDA", '"cifar-bench[cuda]"', "CUDA image"],
    ),
    "no driver": (
        CUDA,
        ["runs no NVIDIA driver", "/proc/driver/nvidia/version", "use a node with an NVIDIA GPU"],
    ),
    "Apptainer without --nv": (
        {**CUDA, **NODE, "driver_library": False, "container": "apptainer"},
        ["550.54.15", "apptainer container has no libcuda.so.1", "--nv"],
    ),
    "Docker without --gpus": (
        {**CUDA, "driver": "550.54.15", "container": "docker"},
        ["docker container has no /dev/nvidia0", "--gpus all"],
    ),
    "Podman without --device": (
        {**CUDA, "driver": "550.54.15", "driver_library": True, "container": "podman"},
        ["podman container has no /dev/nvidia0", "--device nvidia.com/gpu=all"],
    ),
    "no device files on the host": (
        {**CUDA, "driver": "550.54.15", "driver_library": True},
        ["this system has no /dev/nvidia0", "nvidia-smi once as root"],
    ),
    "no library of the driver on the host": (
        {**CUDA, **NODE, "driver_library": False},
        ["this system has no libcuda.so.1", "LD_LIBRARY_PATH"],
    ),
    "hidden by an empty list": (
        {**CUDA, **NODE, "visible": "", "log": NO_DEVICE_LOG},
        ["CUDA_VISIBLE_DEVICES='' hides every GPU", "unset it"],
    ),
    "hidden by -1": (
        {**CUDA, **NODE, "visible": "-1"},
        ["CUDA_VISIBLE_DEVICES='-1'", "unset it"],
    ),
    "hidden by Slurm": (
        {**CUDA, **NODE, "visible": "NoDevFiles", "job": "slurm"},
        ["'NoDevFiles' hides", "ask slurm for a GPU (--gpus=1)"],
    ),
    "a number that does not exist": (
        {**CUDA, **NODE, "visible": "7", "log": NO_DEVICE_LOG},
        ["CUDA_VISIBLE_DEVICES='7' names no GPU of this node", "nvidia-smi -L"],
    ),
    "a job without a GPU": (
        {**CUDA, **NODE, "job": "pbs", "log": NO_DEVICE_LOG},
        ["gives this process no GPU", "ask pbs for a GPU (-l select=1:ngpus=1)"],
    ),
    "a process without a GPU": (
        {**CUDA, **NODE, "log": NO_DEVICE_LOG},
        ["CUDA_ERROR_NO_DEVICE", "nvidia-smi -L"],
    ),
    "libcuda where the loader does not look": (
        {**CUDA, **NODE, "log": NO_LIBCUDA_LOG},
        ["could not load libcuda.so.1, which come with the NVIDIA driver", "LD_LIBRARY_PATH"],
    ),
    "libcuda not in the container's path": (
        {**CUDA, **NODE, "container": "apptainer", "log": NO_LIBCUDA_LOG},
        ["could not load libcuda.so.1", "--nv"],
    ),
    "no management library": (
        {**CUDA, **NODE, "log": START + NOT_OPENED.format("libnvidia-ml.so.1")},
        ["libnvidia-ml.so.1, which come with the NVIDIA driver"],
    ),
    "no cuDNN": (
        {**CUDA, **NODE, "log": NO_CUDNN_LOG},
        ["could not load libcudnn.so.9:", '"cifar-bench[cuda]"', "LD_LIBRARY_PATH"],
    ),
    "no CUDA runtime": (
        {**CUDA, **NODE, "log": START + NO_CUDART + OPENED.format("libcuda.so.1")},
        ["could not load libcudart:"],
    ),
    "a library that is not named": (
        {**CUDA, **NODE, "log": START + DLOPEN},
        ["does not say which", '"cifar-bench[cuda]"'],
    ),
    "an old driver": (
        {**CUDA, **NODE, "driver": "470.223.02", "log": START},
        ["470.223.02 is too old for CUDA 12.5.1", "525 or newer"],
    ),
    "a driver too old for the build's code": (
        {**CUDA, **NODE, "log": PTX_LOG, "gpus": ("GPU:0",)},
        ["550.54.15 refuses CUDA 12.5.1", "newer driver"],
    ),
    "two versions of the driver": (
        {**CUDA, **NODE, "log": MISMATCH_LOG},
        ["CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "reboot"],
    ),
    "a GPU that cannot compute": (
        {**CUDA, **NODE, "gpus": ("GPU:0",), "log": BROKEN_LOG},
        ["the first GPU cannot compute", "cudaGetDevice() failed"],
    ),
    "something else": (
        {**CUDA, **NODE, "log": START + "E0000 00:00:1.0 1 gpu.cc:1] the moon is full\n"},
        ["TensorFlow lists no GPU", "the moon is full"],
    ),
    "nothing at all": (
        {**CUDA, **NODE, "log": START},
        ["gives no reason", "nvidia-smi"],
    ),
}


@pytest.mark.parametrize(("facts", "words"), CASES.values(), ids=CASES.keys())
def test_explain(facts, words):
    """Each way to have no GPU is told in one line, with its remedy and without the log's noise."""
    why = missing.explain(GpuFacts(**facts))
    reason = str(why)
    assert why.reason
    assert why.remedy
    assert [word for word in words if word not in reason] == []
    assert "\n" not in reason
    assert "cpu_feature_guard" not in reason
    assert "^^^" not in reason


def test_without_tensorflow():
    """What can be seen without TensorFlow is told in the same words with it."""
    for facts in (driver.DriverFacts(), driver.DriverFacts("550.54.15", container="docker")):
        assert missing.explain(GpuFacts(**vars(facts))) == driver.not_shown(facts)


@pytest.mark.parametrize(("cuda", "oldest"), [("12.5.1", 525), ("11.8", 450), ("9.0", None), (None, None), ("x", None)])
def test_oldest_driver(cuda, oldest):
    """The oldest driver is known for the releases of CUDA that the table names."""
    assert missing.oldest_driver(GpuFacts(cuda_version=cuda)) == oldest
