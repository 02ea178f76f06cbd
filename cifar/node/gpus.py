"""NVIDIA's management library (NVML) tells of the driver and of each GPU that this process may use."""

from __future__ import annotations

import importlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cifar.node import driver, kernel
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import ModuleType

Answer = TypeVar("Answer")
Facts = dict[str, Any]

_RESET = "reset the GPU or reboot the node"


def nvidia(
    kind: str = "cpu",
    library: ModuleType | None = None,
    environ: Mapping[str, str] = os.environ,
    root: Path = kernel.ROOT,
) -> Facts:
    """Return the facts `driver`, and `gpus`: a list of those that this process may use, in its order.

    `kind` says what this process computes on, cpu or gpu. NVML is asked through `library`, by default the module
    pynvml. The N of gpu:N is the place in the list. Bytes, MHz, watts and degrees Celsius as the names say.
    """
    facts = driver.seen(root, environ)
    not_shown = driver.not_shown(facts)
    try:
        nvml = library or importlib.import_module("pynvml")
    except ImportError as error:
        reason = f"the package nvidia-ml-py cannot be used ({error})"
        return _nothing(not_shown or Unmeasurable(reason, "install the lock anew"))
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        reason = f"NVIDIA's management library cannot be used ({error})"
        return _nothing(not_shown or Unmeasurable(reason, "see what `nvidia-smi` says on this node"))
    try:
        driver_facts = _driver(nvml)
        finds = finders(nvml, environ.get("CUDA_VISIBLE_DEVICES"))
        gpus = [_gpu(nvml, find, kind) for find in finds]
    finally:
        nvml.nvmlShutdown()
    if gpus:
        return {"driver": driver_facts, "gpus": gpus}
    no_gpu = Unmeasurable("the driver runs but shows no GPU", "see whether `nvidia-smi -L` lists one")
    return {"driver": driver_facts, "gpus": driver.hidden(facts) or no_gpu}


def _nothing(why: Unmeasurable) -> Facts:
    """What stands for driver and GPUs where neither can be asked."""
    return {"driver": {"version": why, "cuda": why, "gpus_of_node": why}, "gpus": why}


def _driver(nvml: ModuleType) -> Facts:
    """The driver's version, the newest CUDA that it runs, and how many GPUs it has."""
    return {
        "version": _ask(nvml, lambda: _text(nvml.nvmlSystemGetDriverVersion())),
        "cuda": _ask(nvml, lambda: _cuda(nvml.nvmlSystemGetCudaDriverVersion_v2())),
        "gpus_of_node": _ask(nvml, nvml.nvmlDeviceGetCount),
    }


def _ask(nvml: ModuleType, question: Callable[[], Answer]) -> Answer | Unmeasurable:
    """What the library answers, or its own words for why it does not."""
    try:
        return question()
    except nvml.NVMLError as error:
        return Unmeasurable(str(error))


# --- which GPUs are meant


def finders(nvml: ModuleType, visible: str | None) -> list[Callable[[], object]]:
    """Return for each GPU that CUDA shows this process, in its order, a function that returns NVML's handle of it.

    `visible` is CUDA_VISIBLE_DEVICES; None where it is not set, which shows all of the node's GPUs.
    """
    if visible is None:
        return [partial(_numbered, nvml, number) for number in range(_count(nvml))]
    finds: list[Callable[[], object]] = []
    for name in (part.strip() for part in visible.split(",")):
        if not name or name.startswith("-"):
            break  # CUDA reads up to the first name that is none
        finds.append(partial(_visible, nvml, name))
    return finds


def _visible(nvml: ModuleType, name: str) -> object:
    """The GPU that is called `name` in CUDA_VISIBLE_DEVICES, by its number or its UUID."""
    is_number = name.isascii() and name.isdecimal() and len(name) < 10  # noqa: PLR2004 - more than a node has GPUs
    return _numbered(nvml, int(name)) if is_number else _named(nvml, name)


def _count(nvml: ModuleType) -> int:
    """How many GPUs the driver shows."""
    count = _ask(nvml, nvml.nvmlDeviceGetCount)
    return count if isinstance(count, int) else 0


def _numbered(nvml: ModuleType, number: int) -> object:
    """GPU `number`; where it is cut into slices (MIG), the first of them, which is the one that CUDA shows."""
    gpu = nvml.nvmlDeviceGetHandleByIndex(number)
    try:
        is_cut = nvml.nvmlDeviceGetMigMode(gpu)[0]
        slices = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if is_cut else 0
    except nvml.NVMLError:  # it knows no slices
        return gpu
    for place in range(slices):
        try:
            return nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place)
        except nvml.NVMLError:  # this place is not taken
            continue
    return gpu


def _named(nvml: ModuleType, name: str) -> object:
    """The GPU with the UUID `name`, or the only one whose UUID begins so, as CUDA takes it."""
    gpus = []
    for number in range(_count(nvml)):
        try:
            gpu = nvml.nvmlDeviceGetHandleByIndex(number)
            uuid = _text(nvml.nvmlDeviceGetUUID(gpu))
        except nvml.NVMLError:  # this one has no name to be called by
            continue
        if uuid.startswith(name):
            gpus.append(gpu)
    return gpus[0] if len(gpus) == 1 else nvml.nvmlDeviceGetHandleByUUID(name)


# --- what is asked of each


def _gpu(nvml: ModuleType, find: Callable[[], object], kind: str) -> Facts | Unmeasurable:
    """The facts of one GPU, or why it cannot be reached."""
    try:
        gpu = find()
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_ERROR_INVALID_ARGUMENT):
            return Unmeasurable(str(error), "set CUDA_VISIBLE_DEVICES to what `nvidia-smi -L` lists")
        return Unmeasurable(str(error), _RESET)
    questions: dict[str, Callable[[], Any]] = {
        "name": lambda: _text(nvml.nvmlDeviceGetName(gpu)),
        "uuid_class": lambda: _text(nvml.nvmlDeviceGetUUID(gpu)).split("-")[0],
        "memory_bytes": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).total),
        "memory_used_bytes": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
        "compute_capability": lambda: _capability(nvml, gpu),
        "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "sm_clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
        "memory_clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_MEM),
        "power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
        "power_limit_default_watts": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1000,
        "temperature_celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        "ecc": lambda: _on_or_off(nvml.nvmlDeviceGetEccMode(gpu)[0]),
        "ecc_errors": lambda: _memory_errors(nvml, gpu),
        "mig": lambda: _on_or_off(_is_slice(nvml, gpu) or nvml.nvmlDeviceGetMigMode(gpu)[0]),
        "persistence": lambda: _on_or_off(nvml.nvmlDeviceGetPersistenceMode(gpu)),
        "throttle_reasons": lambda: _throttle_reasons(nvml, gpu),
        "other_processes": lambda: _other_processes(nvml, gpu, kind),
    }
    return {name: _ask(nvml, question) for name, question in questions.items()}


def _capability(nvml: ModuleType, gpu: object) -> str:
    """The compute capability, such as 9.0."""
    return ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(gpu)))


def _memory_errors(nvml: ModuleType, gpu: object) -> Any:
    """How many errors of memory could not be corrected since the driver started."""
    return nvml.nvmlDeviceGetTotalEccErrors(gpu, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)


def _is_slice(nvml: ModuleType, gpu: object) -> bool:
    """Whether the handle is a slice's (MIG); a library from before MIG has none."""
    return _ask(nvml, lambda: bool(nvml.nvmlDeviceIsMigDeviceHandle(gpu))) is True


def _throttle_reasons(nvml: ModuleType, gpu: object) -> list[str]:
    """What holds the clocks down at this moment, in words; an idle GPU says "gpu idle"."""
    # Newer drivers call them event reasons, but know the older name too; older ones know only that.
    bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
    words = {
        nvml.nvmlClocksThrottleReasonGpuIdle: "gpu idle",
        nvml.nvmlClocksThrottleReasonApplicationsClocksSetting: "clocks set by a user or administrator",
        nvml.nvmlClocksThrottleReasonSwPowerCap: "power limit",
        nvml.nvmlClocksThrottleReasonHwSlowdown: "hardware slowdown (heat, power brake or power supply)",
        nvml.nvmlClocksThrottleReasonSyncBoost: "slowest of a group of GPUs with synchronized clocks",
        nvml.nvmlClocksThrottleReasonSwThermalSlowdown: "heat, held down by the driver",
        nvml.nvmlClocksThrottleReasonHwThermalSlowdown: "heat, held down by the hardware",
        nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown: "power brake, asserted from outside the GPU",
        nvml.nvmlClocksThrottleReasonDisplayClockSetting: "clocks set for the display",
    }
    reasons = [word for bit, word in words.items() if bits & bit]
    if unnamed := bits & ~sum(words):
        reasons.append(f"bits {unnamed:#x}, which have no name here")
    return reasons


def _other_processes(nvml: ModuleType, gpu: object, kind: str) -> int | Unmeasurable:
    """How many processes compute on a GPU beside this one, which computes on a `kind` of device."""
    processes = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)}
    if kind == "cpu" or not processes or os.getpid() in processes:
        return len(processes - {os.getpid()})
    # The driver counts processes as the host does; in a container this one cannot tell which is itself.
    return Unmeasurable(f"{len(processes)} processes compute, of which one may be this one under the host's number")


def _on_or_off(value: int) -> str:
    return "on" if value else "off"


def _text(value: str | bytes) -> str:
    """A text of the library, which older versions give as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _cuda(version: int) -> str:
    """12.4 of 12040."""
    return f"{version // 1000}.{version % 1000 // 10}"
