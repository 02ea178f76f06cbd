"""From this process, its node and its device to the facts that are needed to repeat and to compare a result."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import re
import socket
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cifar.measure import devices, image, process
from cifar.record.fingerprint import fingerprint as flat
from cifar.record.unmeasurable import Unmeasurable, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    from cifar.measure.devices import Device

Answer = TypeVar("Answer")
Facts = dict[str, Any]
"""Names to values: str, int, float, bool, lists, Facts, and `Unmeasurable` for what cannot be had."""

SCHEMA = 1
_RESET = "reset the GPU or reboot the node"
PACKAGE = Path(__file__).resolve().parent.parent


class Described(Protocol):
    """What `collect` wants to know about the data."""

    @property
    def digest(self) -> str:
        """SHA-256 that names the data."""

    @property
    def source(self) -> str:
        """Where the data comes from."""

    @property
    def synthetic(self) -> bool:
        """Whether it is made up."""


def collect(device: Device, dataset: Described | None = None) -> Facts:
    """Return everything that should be known about this process, nested by subject, ready for JSON.

    Call it in the measuring process once `device` is claimed: it imports TensorFlow and Keras. A fact that
    cannot be had is {"unmeasurable": reason}, with its "remedy" where there is one, never missing, 0 or null.  There
    are no names of users and no secrets.  What is no text, such as a folder's name in Latin-1, is written out.
    """
    facts = {
        "schema": SCHEMA,
        "device": {
            "name": device.name,
            "kind": device.kind,
            "threads": device.threads,
            "gpu": device.model or Unmeasurable(f"the device is {device.name}"),
        },
        "node": node(),
        "load": load_now(),
        **nvidia(device),
        "software": software(),
        "variables": variables(),
        "container": container(),
        "source": source(),
        "batch": batch(),
        "dataset": {
            "digest": dataset.digest,
            "source": _without_user(dataset.source),
            "synthetic": dataset.synthetic,
        }
        if dataset
        else Unmeasurable("no dataset was named"),
    }
    written: Facts = as_json(facts)
    return written


def fingerprint(environment: Facts) -> dict[str, str | int | float | bool | None]:
    """Return the flat part of `collect`'s facts that must be equal; see `cifar.record.fingerprint`."""
    return flat(environment)


# --- the node -----------------------------------------------------------------------------------------------


def node(root: Path = devices.ROOT) -> Facts:
    """Return what this computer is and how much of it this process may use; memory in bytes.

    `root` is the folder that /proc, /sys and /etc are read from.
    """
    granted = devices.allotment(root)
    return {
        "hostname": socket.gethostname(),
        "cpu_model": cpu_model(root),
        "physical_cores": _physical_cores(root) or Unmeasurable("the kernel names no cores"),
        "logical_cores": devices.processors(),
        "cpus": devices.least(granted),
        "allotment": {name: limit or "no limit" for name, limit in granted.items()},
        "memory_bytes": devices.memory("MemTotal", root) or Unmeasurable("/proc/meminfo cannot be read"),
        "memory_limit_bytes": devices.cgroup_memory_limit(root) or "no limit",
        "governor": governor(root),
        "boost": boost(root),
        "hyperthreading": _switch(root, "sys/devices/system/cpu/smt/active"),
        "huge_pages": _chosen(root, "sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": _os_name(root),
    }


def _physical_cores(root: Path) -> int:
    """The number of cores, whose hardware threads name each other; 0 where the kernel does not tell."""
    folders = list((root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology"))
    for name in ("core_cpus_list", "thread_siblings_list"):  # of newer kernels, and of older ones
        if cores := {devices.read_text(folder / name) for folder in folders} - {None, ""}:
            return len(cores)
    text = devices.read_text(root / "proc/cpuinfo") or ""
    places = (re.findall(rf"^{name}\s*: (\d+)$", text, re.MULTILINE) for name in ("physical id", "core id"))
    return len(set(zip(*places, strict=False)))


def load_now(root: Path = devices.ROOT) -> Facts | Unmeasurable:
    """Return how busy the node is: mean runnable tasks over 1, 5 and 15 minutes, and those runnable now."""
    text = devices.read_text(root / "proc/loadavg")
    number = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
    match = re.match(rf"{number} {number} {number} ([0-9]{{1,9}})/", text or "")
    if not match:
        return Unmeasurable("/proc/loadavg cannot be read")
    names = ("minutes_1", "minutes_5", "minutes_15")
    return {**dict(zip(names, map(float, match.groups()[:3]), strict=True)), "runnable": int(match[4])}


def cpu_model(root: Path = devices.ROOT) -> str | Unmeasurable:
    """Return the processor's name as the kernel gives it, or its maker's numbers where it has no name."""
    text = devices.read_text(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^(.+?)[ \t]*:[ \t]*(.*)$", text, re.MULTILINE))
    for key in ("model name", "cpu", "Model"):  # x86, POWER, some ARM boards
        if fields.get(key):
            return " ".join(fields[key].split())
    if "CPU implementer" in fields and "CPU part" in fields:
        return f"ARM implementer {fields['CPU implementer']} part {fields['CPU part']}"
    return platform.processor() or Unmeasurable("/proc/cpuinfo names no model")


def governor(root: Path = devices.ROOT) -> str | Unmeasurable:
    """Return the frequency governor of the processors, several joined by commas."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    names = {devices.read_text(file) for file in files} - {None, ""}
    if names:
        return ",".join(sorted(str(name) for name in names))
    return Unmeasurable("the kernel offers no frequency governor here (as in most virtual machines)")


def boost(root: Path = devices.ROOT) -> bool | Unmeasurable:
    """Return whether the processor may exceed its nominal frequency (turbo, boost)."""
    no_turbo = _switch(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    if isinstance(no_turbo, bool):
        return not no_turbo
    return _switch(root, "sys/devices/system/cpu/cpufreq/boost")


def _switch(root: Path, path: str) -> bool | Unmeasurable:
    text = devices.read_text(root / path)
    return text == "1" if text in {"0", "1"} else Unmeasurable(f"/{path} cannot be read")


def _chosen(root: Path, path: str) -> str | Unmeasurable:
    """Return the word in brackets of a kernel setting such as `always [madvise] never`."""
    match = re.search(r"\[(\w+)\]", devices.read_text(root / path) or "")
    return match[1] if match else Unmeasurable(f"/{path} cannot be read")


def _os_name(root: Path) -> str | Unmeasurable:
    text = devices.read_text(root / "etc/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, re.MULTILINE)
    return match[1] if match else Unmeasurable("/etc/os-release names no system")


# --- the GPUs -----------------------------------------------------------------------------------------------


def nvidia(
    device: Device,
    library: ModuleType | None = None,
    environ: Mapping[str, str] = os.environ,
    root: Path = devices.ROOT,
) -> Facts:
    """Return the facts `driver`, and `gpus`: a list of those that this process may use, in its order.

    Asked of NVIDIA's management library through `library`, by default the module pynvml. The N of gpu:N
    is the place in the list. Bytes, MHz, watts and degrees Celsius as the names say.
    """
    facts = devices.seen(root, environ)
    seen = devices.not_shown(facts)
    try:
        nvml = library or importlib.import_module("pynvml")
    except ImportError as error:
        return _nothing(
            seen or Unmeasurable(f"the package nvidia-ml-py cannot be used ({error})", "install the lock anew")
        )
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        reason = f"NVIDIA's management library cannot be used ({error})"
        return _nothing(seen or Unmeasurable(reason, "see what `nvidia-smi` says on this node"))
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    try:
        driver = {
            "version": _ask(nvml, lambda: _text(nvml.nvmlSystemGetDriverVersion())),
            "cuda": _ask(nvml, lambda: _cuda(nvml.nvmlSystemGetCudaDriverVersion_v2())),
            "gpus_of_node": _ask(nvml, nvml.nvmlDeviceGetCount),
        }
        gpus = [_gpu(nvml, find, device) for find in finders(nvml, visible)]
    finally:
        nvml.nvmlShutdown()
    no_gpu = Unmeasurable("the driver runs but shows no GPU", "see whether `nvidia-smi -L` lists one")
    return {"driver": driver, "gpus": gpus or devices.hidden(facts) or no_gpu}


def _nothing(why: Unmeasurable) -> Facts:
    """What stands for driver and GPUs where neither can be asked."""
    return {"driver": {"version": why, "cuda": why, "gpus_of_node": why}, "gpus": why}


def finders(nvml: ModuleType, visible: str | None) -> list[Callable[[], object]]:
    """Return for each GPU that CUDA shows this process, in its order, a function that returns NVML's handle of it."""
    if visible is None:
        return [lambda number=number: _numbered(nvml, number) for number in range(_count(nvml))]  # type: ignore[misc]
    names = [name.strip() for name in visible.split(",")]
    end = next((place for place, name in enumerate(names) if not name or name.startswith("-")), len(names))
    return [  # CUDA reads up to the first name that is none
        lambda name=name: _numbered(nvml, int(name)) if name.isdigit() else _named(nvml, name)  # type: ignore[misc]
        for name in names[:end]
    ]


def _count(nvml: ModuleType) -> int:
    """How many GPUs the driver shows."""
    count = _ask(nvml, nvml.nvmlDeviceGetCount)
    return count if isinstance(count, int) else 0


def _numbered(nvml: ModuleType, number: int) -> object:
    """GPU `number`; where it is cut into slices (MIG), the first of them, which is the one that CUDA shows."""
    gpu = nvml.nvmlDeviceGetHandleByIndex(number)
    try:
        slices = nvml.nvmlDeviceGetMaxMigDeviceCount(gpu) if nvml.nvmlDeviceGetMigMode(gpu)[0] else 0
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


def _gpu(nvml: ModuleType, find: Callable[[], object], device: Device) -> Facts | Unmeasurable:
    try:
        gpu = find()
    except nvml.NVMLError as error:
        unknown = (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_ERROR_INVALID_ARGUMENT)
        remedy = "set CUDA_VISIBLE_DEVICES to what `nvidia-smi -L` lists" if error.value in unknown else _RESET
        return Unmeasurable(str(error), remedy)
    questions: dict[str, Callable[[], Any]] = {
        "name": lambda: _text(nvml.nvmlDeviceGetName(gpu)),
        "uuid_class": lambda: _text(nvml.nvmlDeviceGetUUID(gpu)).split("-")[0],
        "memory_bytes": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).total),
        "memory_used_bytes": lambda: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
        "compute_capability": lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(gpu))),
        "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "sm_clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
        "memory_clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_MEM),
        "power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
        "power_limit_default_watts": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1000,
        "temperature_celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        "ecc": lambda: _state(nvml.nvmlDeviceGetEccMode(gpu)[0]),
        "ecc_errors": lambda: nvml.nvmlDeviceGetTotalEccErrors(
            gpu, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ),
        "mig": lambda: _state(_is_slice(nvml, gpu) or nvml.nvmlDeviceGetMigMode(gpu)[0]),
        "persistence": lambda: _state(nvml.nvmlDeviceGetPersistenceMode(gpu)),
        "throttle_reasons": lambda: _throttle_reasons(nvml, gpu),
        "other_processes": lambda: _other_processes(nvml, gpu, device),
    }
    return {name: _ask(nvml, question) for name, question in questions.items()}


def _is_slice(nvml: ModuleType, gpu: object) -> bool:
    """Whether the handle is a slice's (MIG); a library from before MIG has none."""
    return _ask(nvml, lambda: bool(nvml.nvmlDeviceIsMigDeviceHandle(gpu))) is True


def _ask(nvml: ModuleType, question: Callable[[], Answer]) -> Answer | Unmeasurable:
    try:
        return question()
    except nvml.NVMLError as error:
        return Unmeasurable(str(error))


def _throttle_reasons(nvml: ModuleType, gpu: object) -> list[str]:
    """Return what holds the clocks down at this moment, in words; an idle GPU says "gpu idle"."""
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
    named = [word for bit, word in words.items() if bits & bit]
    unnamed = bits & ~sum(words)
    return [*named, *([f"bits {unnamed:#x}, which have no name here"] if unnamed else [])]


def _other_processes(nvml: ModuleType, gpu: object, device: Device) -> int | Unmeasurable:
    """Return how many processes compute on a GPU beside this one."""
    others = {process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)}
    if device.kind == "cpu" or not others or os.getpid() in others:
        return len(others - {os.getpid()})
    # The driver counts processes as the host does; in a container this one cannot tell which is itself.
    return Unmeasurable(f"{len(others)} processes compute, of which one may be this one under the host's number")


def _state(value: int) -> str:
    return "on" if value else "off"


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _cuda(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


# --- software -----------------------------------------------------------------------------------------------


def software() -> Facts:
    """Return the versions and settings of everything that computes."""
    import h5py  # noqa: PLC0415 - as heavy as the rest
    import keras  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    import tensorflow as tf  # noqa: PLC0415

    build = tf.sysconfig.get_build_info()
    no_cuda = Unmeasurable("this TensorFlow was built without CUDA")
    return {
        "python": platform.python_version(),
        "python_release": ".".join(platform.python_version_tuple()[:2]),
        "tensorflow": str(tf.__version__),
        "keras": str(keras.__version__),
        "backend": str(keras.config.backend()),
        "numpy": np.__version__,
        "h5py": str(h5py.version.version),
        "hdf5": str(h5py.version.hdf5_version),
        "cuda_build": build.get("cuda_version", no_cuda),
        "cudnn_build": build.get("cudnn_version", no_cuda),
        "cuda_targets": list(build.get("cuda_compute_capabilities", [])) or no_cuda,
        "cuda_loaded": loaded_libraries(),
        "nvidia_packages": {name: version for name, version in installed() if name.startswith("nvidia-")},
        "onednn": _onednn(),
        "tf32": bool(tf.config.experimental.tensor_float_32_execution_enabled()),
        "precision": str(keras.config.dtype_policy().name),
        "float": str(keras.config.floatx()),
        "epsilon": float(keras.config.epsilon()),
        "image_data_format": str(keras.config.image_data_format()),
        "xla": str(tf.config.optimizer.get_jit()) or "off",
    }


def loaded_libraries(root: Path = devices.ROOT) -> list[str] | Unmeasurable:
    """Return the file names of the CUDA libraries that this process has loaded by now."""
    text = devices.read_text(root / "proc/self/maps")
    if text is None:
        return Unmeasurable("/proc/self/maps cannot be read")
    found = re.findall(r"/(lib(?:cuda|cudart|cudnn|cublas|cublasLt|cufft|cusolver|cusparse|nccl)\.so[.\d]*)", text)
    return sorted(set(found))


def installed() -> list[tuple[str, str]]:
    """Return name and version of every installed distribution, names in their normal form, sorted."""
    return sorted({(_normal(name), version) for name, version in distributions()})


def distributions(path: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return name and version of every distribution on `path` (default: Python's own) that has both.

    A folder that an interrupted installation left behind has none.
    """
    found = []
    for item in metadata.distributions() if path is None else metadata.distributions(path=list(path)):
        try:
            facts = item.metadata
            names, versions = facts.get_all("Name"), facts.get_all("Version")
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError):  # as Python's version has it
            continue
        if names and versions:
            found.append((names[0], versions[0]))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _onednn() -> bool | Unmeasurable:
    """Return whether TensorFlow's operations run on oneDNN, which it decides by the processor's features."""
    try:
        from tensorflow.python.util import _pywrap_util_port as port  # noqa: PLC0415
    except ImportError as error:
        return Unmeasurable(f"this TensorFlow does not say: {error}")
    return bool(port.IsMklEnabled())


# TF_ and NVIDIA_ as a whole are not taken: Terraform keeps secrets in TF_VAR_*, and there is NVIDIA_API_KEY.
PREFIXES = (
    *("BLIS_", "DNNL_", "GOMP_", "KMP_", "MALLOC_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_", "NVIDIA_DRIVER_", "NVIDIA_TF32_", "NVIDIA_VISIBLE_", "XLA_FLAGS"),
    *("TF_CPP_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_XLA_"),
    *("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHASHSEED", "PYTHONPATH"),
    *("NCPUS", "SLURM_CPU", "SLURM_GPUS", "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_MEM", "SLURM_NTASKS"),
)
SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CRED")


def variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return those environment variables that can change a result, without the names of users in paths."""
    chosen = (name for name in environ if name.startswith(PREFIXES) and not SECRET.search(name))
    return {name: _without_user(environ[name], environ) for name in sorted(chosen)}


def _without_user(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Replace home folders by ~ and the user's name elsewhere in a path by USER."""
    if home := environ.get("HOME", "").rstrip("/"):
        text = re.sub(rf"{re.escape(home)}(?=[/:\s]|$)", "~", text)
    text = re.sub(r"/(?:home|Users)/[^/:\s]+", "~", text)
    if user := environ.get("USER") or environ.get("LOGNAME"):
        text = re.sub(rf"(?<=/){re.escape(user)}(?=[/:\s]|$)", "USER", text)
    return text


# --- where it runs and what it is made of -------------------------------------------------------------------


def container(root: Path = devices.ROOT, environ: Mapping[str, str] = os.environ) -> Facts:
    """Return the kind of container, its image's name and digest; kind "none" outside of one."""
    kind = devices.container_kind(root, environ)
    if kind is None:
        outside = Unmeasurable("not in a container")
        return {"kind": "none", "image": outside, "digest": outside}
    file = image.file(environ)
    name = environ.get("CIFAR_IMAGE") or (file.name if file else None)
    return {
        "kind": kind,
        "image": name or Unmeasurable(f"{kind} does not tell", "set CIFAR_IMAGE"),
        "digest": _image_digest(environ),
    }


def _image_digest(environ: Mapping[str, str]) -> str | Unmeasurable:
    """Return the digest of the image, or why this process cannot know it."""
    try:
        digest = image.digest(environ)
    except (OSError, ValueError) as error:
        return Unmeasurable(_without_user(str(error), environ))
    remedy = "set CIFAR_IMAGE_DIGEST" + (" or mount the folder of the image's file" if image.file(environ) else "")
    return digest or Unmeasurable("an image does not know its own digest", remedy)


def batch(environ: Mapping[str, str] = os.environ) -> Facts:
    """Return the batch system whose job this is, with the job's number, nodes and processors per task."""
    system = devices.batch_system(environ)
    names = {
        "slurm": ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_CPUS_PER_TASK"),
        "pbs": ("PBS_JOBID", "PBS_NODEFILE", "NCPUS"),
        "lsf": ("LSB_JOBID", "LSB_HOSTS", "LSB_DJOB_NUMPROC"),
    }
    if system is None:
        none = Unmeasurable("not in a job of a batch system")
        return {"system": "none", "job": none, "nodes": none, "cpus_per_task": none}
    job, nodes, cpus = names[system]
    listed = environ.get(nodes)
    if system == "pbs" and listed:  # a file with one line a processor
        listed = ",".join(dict.fromkeys((devices.read_text(Path(listed)) or "").split()))
    return {
        "system": system,
        "job": environ[job],
        "nodes": listed or Unmeasurable(f"{nodes} is not set"),
        "cpus_per_task": environ.get(cpus) or Unmeasurable(f"{cpus} is not set"),
    }


def source(package: Path = PACKAGE) -> Facts:
    """Return commit, lock, installed packages and the workload's source, as digests where they are many.

    `package` is the folder of this package; in a checkout, `benchmarks` and `containers` stand beside it.
    """
    packages = installed()
    return {
        "version": _version(),
        **(_commit_of_image() or _commit(package.parent)),
        "workload": workload_digest(package),
        "lock": lock(package.parent / "containers", dict(packages)),
        "installed": _sha256(f"{name}=={version}\n".encode() for name, version in packages),
    }


def workload_digest(package: Path = PACKAGE) -> str | Unmeasurable:
    """Return the SHA-256 of the workload's and the benchmarks' Python files, their names included.

    It is the same for a checkout and for an installed wheel, which has the benchmarks inside the package.  The
    evidence beside the benchmarks is none of theirs, and neither a wheel nor an image has it.
    """
    inside, beside = package / "benchmarks", package.parent / "benchmarks"
    folders = {"workload": package / "workload", "benchmarks": inside if inside.is_dir() else beside}
    files = {
        f"{name}/{file.relative_to(folder).as_posix()}": file
        for name, folder in folders.items()
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] != "evidence"
    }
    if not files:
        return Unmeasurable("neither cifar/workload nor benchmarks has a Python file")
    # A length before each part keeps two different sets of files from reading alike.
    parts = ((name.encode(), file.read_bytes()) for name, file in sorted(files.items()))
    return _sha256(b"%d %s %d " % (len(name), name, len(text)) + text for name, text in parts)


_BUILDS = {"tensorflow", "tensorflow-cpu"}


def lock(folder: Path, packages: Mapping[str, str]) -> Facts | Unmeasurable:
    """Return the lock in `folder` that fits the installed TensorFlow, its digest, and how they differ.

    `differs` lists the installed packages whose version is not the lock's, and both builds of TensorFlow where both
    are installed: empty for a match.  Packages that the lock does not name may stand beside.
    """
    name = "tensorflow-cpu" if "tensorflow-cpu" in packages else "tensorflow"
    kind = "cpu" if name == "tensorflow-cpu" else "cuda"
    locks = {
        file: _pins(file) for file in sorted(folder.glob(f"requirements-{kind}*.txt"), key=lambda file: len(file.name))
    }
    if not locks:
        reason = f"there is no requirements-{kind}.txt beside the package; `installed` tells what was used"
        return Unmeasurable(reason, "run from a checkout, or from an image")
    file = next((file for file, pins in locks.items() if packages.get(name) in pins.get(name, ())), next(iter(locks)))
    pins = locks[file]
    differs = sorted(name for name, version in packages.items() if version not in pins.get(name, {version}))
    if packages.keys() >= _BUILDS:  # they share a folder, and whichever was installed last is the one that is used
        differs = sorted({*differs, *_BUILDS})
    return {"file": file.name, "sha256": _sha256([file.read_bytes()]), "differs": differs}


def _pins(file: Path) -> dict[str, set[str]]:
    """Return the versions that a lock names for each package, several where they depend on the platform."""
    pins: dict[str, set[str]] = {}
    text = file.read_text(encoding="utf-8")
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE):
        pins.setdefault(_normal(name), set()).add(version)
    return pins


def _version() -> str | Unmeasurable:
    try:
        return metadata.version("cifar-bench")
    except metadata.PackageNotFoundError:
        return Unmeasurable("cifar-bench is not installed, it runs from its checkout")


def _commit_of_image(environ: Mapping[str, str] = os.environ) -> Facts | None:
    """Return commit and dirty as the image's recipe was told them, or None outside of our images."""
    revision = environ.get("CIFAR_REVISION")
    if revision == "unknown":
        remedy = "build it with --build-arg REVISION=$(git rev-parse HEAD)"
        why = Unmeasurable("the image was built without its commit", remedy)
        return {"commit": why, "dirty": why}
    return {"commit": revision.removesuffix("-dirty"), "dirty": revision.endswith("-dirty")} if revision else None


def _commit(folder: Path) -> Facts:
    """Return commit and dirty of the checkout whose top is `folder`."""
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != folder.resolve():  # the environment may lie inside another project's checkout
            reason = "the package is installed, it does not run from a checkout"
            return {"commit": Unmeasurable(reason), "dirty": Unmeasurable(reason)}
        dirty: bool | Unmeasurable = bool(_git(folder, "status", "--porcelain"))
    except (OSError, ValueError) as error:
        reason = f"git does not tell: {_without_user(str(error))}"
        return {"commit": Unmeasurable(reason), "dirty": Unmeasurable(reason)}
    try:
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
    except (OSError, ValueError):
        return {"commit": Unmeasurable("the checkout has no commit yet"), "dirty": dirty}
    if not COMMIT.fullmatch(commit):
        return {"commit": Unmeasurable(f"git answers {commit[:100]!r}, which is no commit"), "dirty": dirty}
    return {"commit": commit, "dirty": dirty}


COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""The name of a commit, by SHA-1 or by SHA-256."""
GIT_SECONDS = 20.0
"""How long git may take to answer."""


def _git(folder: Path, *arguments: str) -> str:
    # A hook's GIT_DIR would name another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = process.run(["git", "-C", str(folder), *arguments], seconds=GIT_SECONDS, environ=environ)
    if done.code is None:
        message = f"it did not answer within {GIT_SECONDS:.0f} s"
        raise ValueError(message)
    if done.code:
        message = (done.err.strip() or f"exit code {done.code}").splitlines()[0]
        raise ValueError(message)
    return done.out.strip()


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
