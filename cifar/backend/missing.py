"""A GPU is missing for a reason: from what was observed to the first step of the way that is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cifar.node import driver
from cifar.record.unmeasurable import Unmeasurable


@dataclass(frozen=True)
class GpuFacts(driver.DriverFacts):
    """What was observed about the way from TensorFlow to a GPU, each step of which may be the missing one.

    `log` is what TensorFlow wrote to stderr when it tried; empty where it was not tried.
    """

    tensorflow: bool = True  # it is installed
    cuda_build: bool | None = None  # it was built with CUDA; None: not known
    cuda_version: str | None = None  # the CUDA that it was built with
    cuda_targets: tuple[str, ...] = ()  # what it holds code for: sm_80, compute_90, ...
    gpus: tuple[str, ...] = ()  # those that TensorFlow lists
    computes: bool = False  # a product was executed on the first of them
    log: str = field(default="", repr=False)


# Oldest branch of the driver that runs programs built with each major release of CUDA.
# Source: NVIDIA, CUDA Compatibility, table "minor version compatibility".
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}

# What the driver itself brings, under the program's feet or into a container; the other libraries are CUDA's.
DRIVER_LIBRARIES = ("libcuda.so", "libnvidia-")

DRIVER_ERRORS = {
    "CUDA driver version is insufficient": "have a newer driver installed on the host",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": "have a newer driver installed on the host",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "take the folder of CUDA's compat libraries out of LD_LIBRARY_PATH",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "its kernel module and its libcuda differ in version: reboot the node, "
    "or remove the image's own libcuda",
    "CUDA_ERROR_SYSTEM_NOT_READY": "start nvidia-fabricmanager on the host, which GPUs with NVSwitch need",
}


def explain(facts: GpuFacts) -> Unmeasurable:
    """Return why these facts leave no GPU, and the remedy: the first step of the way that is missing."""
    return (
        _no_tensorflow(facts)
        or driver.no_driver(facts)
        or _no_build(facts)
        or driver.not_exposed(facts)
        or _hidden(facts)
        or _no_driver_library(facts)
        or _no_library(facts)
        or _bad_driver(facts)
        or _last_words(facts)
    )


def driver_problem(facts: GpuFacts) -> Unmeasurable | None:
    """Return what is wrong with the way to the driver, or with its version, whatever TensorFlow was built with."""
    return driver.no_driver(facts) or driver.not_exposed(facts) or _bad_driver(facts)


_INSTALL = 'install "cifar-bench[cuda]" in a fresh environment, or use the CUDA image'


def _no_tensorflow(facts: GpuFacts) -> Unmeasurable | None:
    """There is no TensorFlow."""
    return None if facts.tensorflow else Unmeasurable("TensorFlow is not installed", _INSTALL)


def _no_build(facts: GpuFacts) -> Unmeasurable | None:
    """TensorFlow was built for CPUs."""
    if facts.cuda_build is False:
        return Unmeasurable("this TensorFlow was built without CUDA and can use the CPU only", _INSTALL)
    return None


def _hidden(facts: GpuFacts) -> Unmeasurable | None:
    """A variable, or the batch system, hides the GPUs from programs on a node whose driver runs."""
    if why := driver.hidden(facts):
        return why
    if "CUDA_ERROR_NO_DEVICE" not in facts.log:
        return None
    if facts.visible is not None:
        return Unmeasurable(
            f"CUDA_VISIBLE_DEVICES={facts.visible!r} names no GPU of this node",
            "unset it, or give a number or a UUID that `nvidia-smi -L` lists",
        )
    remedy = driver.ask_for_gpu(facts) or "see whether `nvidia-smi -L` lists one"
    return Unmeasurable("the driver gives this process no GPU (CUDA_ERROR_NO_DEVICE)", remedy)


def _no_driver_library(facts: GpuFacts) -> Unmeasurable | None:
    """TensorFlow could not load a library that the driver brings."""
    missing = [name for name in _unloaded(facts) if name.startswith(DRIVER_LIBRARIES)]
    if not missing:
        return None
    remedy = "have it installed whole, or name its folder in LD_LIBRARY_PATH"
    if facts.container in driver.EXPOSE:
        remedy = driver.EXPOSE[facts.container]
    return Unmeasurable(f"TensorFlow could not load {', '.join(missing)}, which come with the NVIDIA driver", remedy)


def _no_library(facts: GpuFacts) -> Unmeasurable | None:
    """TensorFlow could not load one of CUDA's own libraries."""
    if facts.gpus:
        return None
    missing = _unloaded(facts)
    if not missing and "Could not find cuda drivers" in facts.log:
        missing = ["libcudart"]  # all that this message means once libcuda was opened
    if not missing and "Cannot dlopen some GPU libraries" in facts.log:
        missing = ["one of its CUDA libraries (it does not say which)"]
    if not missing or "failed call to cuInit" in facts.log:
        return None
    return Unmeasurable(
        f"TensorFlow could not load {', '.join(missing)}",
        'reinstall the locked CUDA libraries ("cifar-bench[cuda]"), and unset LD_LIBRARY_PATH if it names others',
    )


def _unloaded(facts: GpuFacts) -> list[str]:
    """The libraries that TensorFlow could not load, without TensorRT's, which it does not need."""
    names = re.findall(r"Could not load dynamic library '([^']+)'", facts.log)
    return [name for name in dict.fromkeys(names) if not name.startswith("libnvinfer")]


def oldest_driver(facts: GpuFacts) -> int | None:
    """Return the oldest branch of the driver that runs the CUDA that TensorFlow was built with; None: not known."""
    release = re.match(r"[0-9]{1,4}", str(facts.cuda_version or ""))
    return OLDEST_DRIVER.get(int(release[0])) if release else None


def _bad_driver(facts: GpuFacts) -> Unmeasurable | None:
    """The driver is too old for TensorFlow's CUDA, or refuses it."""
    oldest = oldest_driver(facts)
    version = facts.driver or "of unknown version"
    if facts.driver and oldest and int(facts.driver.split(".")[0]) < oldest:
        return Unmeasurable(
            f"NVIDIA driver {version} is too old for CUDA {facts.cuda_version}, which TensorFlow was built with",
            f"have version {oldest} or newer installed on the host, or use an older TensorFlow",
        )
    for sign, remedy in DRIVER_ERRORS.items():
        if sign in facts.log:
            return Unmeasurable(f"NVIDIA driver {version} refuses CUDA {facts.cuda_version or ''} ({sign})", remedy)
    return None


_NOISE = re.compile(r"cpu_feature_guard|absl::InitializeLog|^To enable the following|oneDNN custom|^[\s^~]*$|^  ")
"""Lines of TensorFlow's log that tell nothing: greetings, the marks under a line of code, and lines of a traceback."""


def _last_words(facts: GpuFacts) -> Unmeasurable:
    """What TensorFlow said last, where none of the known reasons is to be seen."""
    lines = [line.strip() for line in facts.log.splitlines() if not _NOISE.search(line)]
    remedy = "see what `nvidia-smi` says on this node"
    if not lines:
        return Unmeasurable("TensorFlow lists no GPU and gives no reason", remedy)
    subject = "the first GPU cannot compute" if facts.gpus else "TensorFlow lists no GPU"
    return Unmeasurable(f"{subject}; its last words: {' | '.join(lines[-3:])}", remedy)
