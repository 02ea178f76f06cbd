"""From a device's name to a device that TensorFlow is bound to, or to the reason why it cannot be had."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import os
import re
import resource
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cifar.measure import process
from cifar.record.text import plain
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

ROOT = Path("/")

_MOST_READ = 16 << 20
"""Bytes of a file of the kernel that are read."""
_LONGEST_PATH = 4096
"""Characters of the longest path that Linux takes."""


# --- processors ---------------------------------------------------------------------------------------------


def allotted_cpus() -> int:
    """Return how many processors this process may use: the least of what `allotment` lists, at least 1."""
    return least(allotment())


def least(allotment: Mapping[str, int | None]) -> int:
    """Return the smallest limit in an allotment; a source that sets none (None) does not count."""
    return max(1, min(limit for limit in allotment.values() if limit is not None))


def allotment(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> dict[str, int | None]:
    """Return the number of processors that each source grants this process; None where it sets no limit.

    Sources: the scheduler's affinity mask (cpusets included), the CFS quota of the process's cgroup and
    of every cgroup above it (rounded up), and the allotment of Slurm, PBS and OpenMP in the environment.
    `root` is the folder that /proc and /sys are read from.
    """
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return {
        "affinity": len(os.sched_getaffinity(0)),
        "cgroup": max(1, math.ceil(min(quotas))) if quotas else None,
        "SLURM_CPUS_PER_TASK": _positive(environ.get("SLURM_CPUS_PER_TASK")),
        # NCPUS is a common name: it is PBS's only inside a job of PBS.
        "NCPUS": _positive(environ.get("NCPUS")) if "PBS_JOBID" in environ else None,
        "OMP_NUM_THREADS": _positive(environ.get("OMP_NUM_THREADS")),
    }


def cgroup_memory_limit(root: Path = ROOT) -> int | None:
    """Return the bytes of memory that the process's cgroup and those above it allow; None for no limit."""
    texts = [*cgroup_texts("", "memory.max", root), *cgroup_texts("memory", "memory.limit_in_bytes", root)]
    limits = [limit for text in texts if (limit := _number(text)) is not None]
    # cgroup v1 writes "no limit" as the largest multiple of the page size below 2**63.
    return min((limit for limit in limits if limit < 2**60), default=None)


def processors() -> int:
    """Return the number of this node's logical processors, whoever may use them."""
    return os.sysconf("SC_NPROCESSORS_ONLN")


def memory(name: str, root: Path = ROOT) -> int | None:
    """Return bytes of the node's memory, such as MemTotal or MemAvailable; None where the kernel does not tell."""
    found = re.search(rf"^{name}:\s+([0-9]{{1,15}}) kB$", read_text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def cgroup_texts(controller: str, name: str, root: Path = ROOT) -> list[str]:
    """Return the texts of file `name` in the process's cgroup and every one above it, innermost first.

    `controller` is one of cgroup v1 ("cpu", "memory"); the empty string stands for cgroup v2.
    """
    texts = (read_text(folder / name) for folder in _cgroup_folders(controller, root))
    return [text for text in texts if text is not None]


def read_text(path: Path, errors: str = "replace") -> str | None:
    """Return the text of a file of the kernel without outer white space, or None if it cannot be read.

    `errors` says what becomes of bytes that are no UTF-8.  A pipe that nobody writes to is not waited for.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 a descriptor
            return (file.read(_MOST_READ) or b"").decode("utf-8", errors).strip()
    except (OSError, ValueError):  # ValueError: a path that can be none, with a NUL
        return None


def _cgroup_folders(controller: str, root: Path) -> Iterator[Path]:
    mounts = root / "sys/fs/cgroup"
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) < 3 or controller not in fields[1].split(",") or len(line) > _LONGEST_PATH:  # noqa: PLR2004
            continue
        _, controllers, path = fields
        # A hybrid system mounts version 2 in "unified"; version 1 joins controllers ("cpu,cpuacct") or not.
        for mount in {mounts / "unified", mounts} if not controller else {mounts / controllers, mounts / controller}:
            parts = [part for part in path.split("/") if part]
            # Outside this process's cgroup namespace ("/../x") only the mount itself can be seen.
            depth = 0 if ".." in parts else len(parts)
            yield from (mount.joinpath(*parts[:count]) for count in range(depth, -1, -1))


def _quotas_v2(root: Path) -> list[float]:
    words = [text.split() for text in cgroup_texts("", "cpu.max", root)]
    return _quotas(pair for pair in words if len(pair) == 2)  # noqa: PLR2004 quota and period


def _quotas_v1(root: Path) -> list[float]:
    quotas = cgroup_texts("cpu", "cpu.cfs_quota_us", root)
    periods = cgroup_texts("cpu", "cpu.cfs_period_us", root)
    return _quotas(zip(quotas, periods, strict=False))


def _quotas(pairs: Iterable[Sequence[str]]) -> list[float]:
    """Processors of each pair of quota and period; what is no number above 0, such as "max" and -1, sets no limit."""
    numbers = [(_number(quota), _number(period)) for quota, period in pairs]
    return [quota / period for quota, period in numbers if quota and period]


def _number(text: str) -> int | None:
    """The whole number from 0 on that a file of the kernel holds; None for anything else, such as "max" or nothing."""
    return int(text) if re.fullmatch(r"[0-9]{1,20}", text.strip()) else None


def _positive(text: str | None) -> int | None:
    """Return the first number of `4` or of OpenMP's nested `4,2`; None for no number above 0."""
    match = re.match(r"\s*([1-9][0-9]{0,8})\s*(,|$)", text or "")
    return int(match[1]) if match else None


# --- the device ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """A device that this process is bound to for its whole life.

    `name` is as it was asked for (cpu, gpu, gpu:1), `tensorflow_name` TensorFlow's name once all others are
    hidden, `threads` the size of both of TensorFlow's thread pools, `number` the GPU's place among those
    that CUDA_VISIBLE_DEVICES leaves (None for the CPU), `model` the GPU's name as TensorFlow gives it.
    """

    name: str
    tensorflow_name: str
    kind: Literal["cpu", "gpu"]
    threads: int
    number: int | None = None
    model: str | None = None
    resets_host_peak: bool = False

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which TensorFlow and Keras compute on this device.

        On a GPU an operation without a kernel for it raises here. Most of tf.data is such (TensorSliceDataset,
        MapDataset): call `fit` and `predict`, which build datasets, under `tf.device(None)`; TensorFlow then
        puts what has a GPU kernel on the only GPU that it sees.
        """
        import tensorflow as tf  # noqa: PLC0415 - heavy

        context: AbstractContextManager[Any] = tf.device(self.tensorflow_name)
        return context

    @property
    def multiplies(self) -> str:
        """The type in which this device multiplies float32 matrices: tf32 on a GPU that has it and may, else float32.

        Tensor cores take TF32 from compute capability 8.0 on, unless TensorFlow is told not to use it.
        """
        import tensorflow as tf  # noqa: PLC0415 - heavy

        if self.kind == "cpu" or not tf.config.experimental.tensor_float_32_execution_enabled():
            return "float32"
        gpu = tf.config.get_visible_devices("GPU")[0]  # the claimed one
        capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        return "tf32" if capability >= (8, 0) else "float32"

    def wait(self) -> None:
        """Return when every operation that was dispatched has finished, on every device.

        `tf.test.experimental.sync_devices` runs a SyncDevice operation on each logical device, which on a
        GPU waits for all of its streams, and then drains the queues of asynchronous eager execution. On the
        CPU, where eager calls return when they are done, it costs some 20 microseconds and waits for nothing.
        It must be called eagerly: inside a tf.function it raises RuntimeError.
        """
        import tensorflow as tf  # noqa: PLC0415 - heavy

        tf.test.experimental.sync_devices()

    def reset_peak_memory(self) -> None:
        """Begin a new period for `peak_memory`."""
        if self.resets_host_peak:
            _reset_host_peak()
        if self.kind == "gpu":
            import tensorflow as tf  # noqa: PLC0415 - heavy

            tf.config.experimental.reset_memory_stats(self._allocator)

    def peak_memory(self) -> dict[str, int | str | None]:
        """Return the peaks since `reset_peak_memory` in bytes, and what the numbers mean.

        Keys: host_peak_bytes, device_peak_bytes (None for the CPU), meaning (a sentence).
        """
        host, host_meaning = _host_peak(reset=self.resets_host_peak)
        peaks: dict[str, int | str | None] = {"host_peak_bytes": host, "device_peak_bytes": None}
        if self.kind == "cpu":
            return peaks | {"meaning": f"{host_meaning}; device: the CPU computes in the host's memory"}
        import tensorflow as tf  # noqa: PLC0415 - heavy

        peaks["device_peak_bytes"] = int(tf.config.experimental.get_memory_info(self._allocator)["peak"])
        return peaks | {
            "meaning": f"{host_meaning}; device: most bytes that TensorFlow's allocator had handed out to "
            "tensors and workspaces, which is less than it reserves from the driver (what nvidia-smi shows)"
        }

    @property
    def _allocator(self) -> str:
        return self.tensorflow_name.removeprefix("/device:")


def claim(device: str, threads: int | None = None) -> Device:
    """Bind this process to one device, before it uses TensorFlow for anything else, and return the device.

    `device` is cpu, gpu (the first), or gpu:N, the N-th of those that CUDA_VISIBLE_DEVICES leaves, in the
    order of the PCI bus unless CUDA_DEVICE_ORDER says otherwise. `threads` (default: `allotted_cpus`) is
    the size of TensorFlow's intra- and inter-operation thread pools. One product is executed on the device.
    On a GPU soft placement is off: what it cannot do raises there instead of moving to the CPU.

    Raises:
        ValueError: no device has such a name, or `threads` is below 1.
        RuntimeError: the device is missing (the reason is given; there is no fall-back), or this process
            has used TensorFlow before, or the product was not computed on the device.

    """
    number = number_of(device)
    threads = allotted_cpus() if threads is None else threads
    if threads < 1:
        message = f"{threads} threads were asked for; give 1 or more"
        raise ValueError(message)
    # CUDA's own order is "fastest first"; that of the bus is NVML's and nvidia-smi's too.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    gpu = _bind(device, number, threads)
    claimed = Device(
        name=device,
        tensorflow_name="/device:CPU:0" if gpu is None else "/device:GPU:0",
        kind="cpu" if gpu is None else "gpu",
        threads=threads,
        number=number,
        model=_model(gpu),
        resets_host_peak=_reset_host_peak(),
    )
    check_placement(claimed)
    return claimed


def check_placement(device: Device) -> None:
    """Execute one small product on the device.

    Raises:
        RuntimeError: it failed, was computed elsewhere, or its value is wrong.

    """
    import tensorflow as tf  # noqa: PLC0415 - heavy

    side = 8
    try:
        with device.scope():
            ones = tf.ones((side, side))
            product = tf.linalg.matmul(ones, ones)
        device.wait()
        smallest, greatest = float(tf.reduce_min(product)), float(tf.reduce_max(product))
    except tf.errors.OpError as error:
        message = f"{device.name} cannot compute: {error}"
        raise RuntimeError(message) from error
    if not product.device.endswith(device.tensorflow_name):
        message = f"{device.name} was asked for, but TensorFlow computed on {product.device}"
        raise RuntimeError(message)
    if (smallest, greatest) != (side, side):
        message = f"{device.name} computes wrongly: a product of ones of side {side} is not {side} everywhere"
        raise RuntimeError(message)


def number_of(device: str) -> int | None:
    """Return the N of gpu:N, 0 for gpu, None for cpu; ValueError for what is no device's name."""
    if device == "cpu":
        return None
    match = re.fullmatch(r"gpu(?::(0|[1-9][0-9]{0,3}))?", device)
    if not match:
        meant = _meant(device)
        hint = f"; {meant} may be what is meant" if meant else ""
        message = f"{device[:100]!r} is no device: give cpu, gpu, or gpu:N with N from 0{hint}"
        raise ValueError(message)
    return int(match[1] or 0)


def _meant(device: str) -> str | None:
    """Our name of what TensorFlow calls /GPU:0, PyTorch cuda:0, and CUDA 0; None for what nobody calls a device."""
    match = re.fullmatch(r"/?(?:device:)?(cpu|gpu|cuda)?:?([0-9]{1,4})?", device.strip().lower())
    if not match or match[0] == "":
        return None
    if match[1] == "cpu":
        return "cpu"
    return f"gpu:{int(match[2])}" if match[2] else "gpu"


def _bind(device: str, number: int | None, threads: int) -> object:
    """Make TensorFlow see one device only; return the physical GPU, or None for the CPU."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        if number is None:
            tf.config.set_visible_devices([], "GPU")
            return None
        gpus = tf.config.list_physical_devices("GPU")
        if number < len(gpus):
            tf.config.set_visible_devices(gpus[number], "GPU")
            tf.config.experimental.set_memory_growth(gpus[number], enable=True)
            tf.config.set_soft_device_placement(enabled=False)
            physical: object = gpus[number]
            return physical
    except tf.errors.OpError as error:  # from listing the GPUs, which set_visible_devices does too
        remedy = "set CUDA_VISIBLE_DEVICES=-1" if number is None else missing_gpu_reason()
        message = f"{device} cannot be claimed, since CUDA fails ({error}): {remedy}"
        raise RuntimeError(message) from error
    except RuntimeError as error:
        message = f"{device} cannot be claimed in a process that has used TensorFlow already: start a fresh one"
        raise RuntimeError(message) from error
    if gpus:
        message = f"{device} was asked for, but there are only gpu:0 to gpu:{len(gpus) - 1}: name one of these"
    else:
        message = f"{device} was asked for, but there is none: {missing_gpu_reason()}"
    raise RuntimeError(message)


def _model(gpu: object) -> str | None:
    if gpu is None:
        return None
    import tensorflow as tf  # noqa: PLC0415 - heavy

    name = tf.config.experimental.get_device_details(gpu).get("device_name")
    return None if name is None else str(name)


def _reset_host_peak() -> bool:
    """Make the kernel forget this process's peak of resident memory; return whether it did.

    Source: man 5 proc_pid_clear_refs (5: reset the peak resident set size to the current one).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _host_peak(*, reset: bool) -> tuple[int, str]:
    match = re.search(r"^VmHWM:\s+(\d+) kB", read_text(Path("/proc/self/status")) or "", re.MULTILINE)
    if reset and match:
        return int(match[1]) * 1024, "host: peak of this process's resident memory since the reset (VmHWM)"
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * 1024, (
        "host: peak of this process's resident memory since it began, because this system does not let it "
        "be reset (ru_maxrss)"
    )


# --- what this node has -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Survey:
    """The devices that a campaign measures on this node, and why there is no GPU (None where there is).

    `further` are the node's other GPUs, which are measured where they are named.
    """

    devices: tuple[str, ...]
    missing_gpu: Unmeasurable | None
    further: tuple[str, ...] = ()


def survey() -> Survey:
    """Return cpu, and gpu where the first GPU computes; this process itself never loads TensorFlow."""
    facts = observe()
    if not facts.computes:
        return Survey(("cpu",), explain(facts))
    return Survey(("cpu", "gpu"), None, tuple(f"gpu:{number}" for number in range(1, len(facts.gpus))))


def missing_gpu_reason() -> Unmeasurable:
    """Return why this node offers no GPU, and the remedy."""
    return explain(observe())


@dataclass(frozen=True)
class GpuFacts:
    """What was observed about the way from TensorFlow to a GPU, each step of which may be the missing one.

    `log` is what TensorFlow wrote to stderr when it tried; empty where it was not tried.
    """

    tensorflow: bool = True  # it is installed
    cuda_build: bool | None = None  # it was built with CUDA; None: not known
    cuda_version: str | None = None  # the CUDA that it was built with
    cuda_targets: tuple[str, ...] = ()  # what it holds code for: sm_80, compute_90, ...
    driver: str | None = None  # version of NVIDIA's kernel module
    driver_library: bool = False  # libcuda, the part of the driver that programs load, is there
    device_files: tuple[str, ...] = ()  # nvidia0, nvidia1, ...
    container: str | None = None  # apptainer, docker or podman
    visible: str | None = None  # CUDA_VISIBLE_DEVICES
    job: str | None = None  # slurm, pbs or lsf
    gpus: tuple[str, ...] = ()  # those that TensorFlow lists
    computes: bool = False  # a product was executed on the first of them
    log: str = field(default="", repr=False)


def observe(root: Path = ROOT, environ: Mapping[str, str] = os.environ, deadline_seconds: float = 300.0) -> GpuFacts:
    """Return the facts about this node's GPU; where there may be one, a fresh process tries it."""
    facts = replace(seen(root, environ), **_facts_of_build())
    hopeless = not facts.tensorflow or facts.cuda_build is False or not (facts.driver or facts.driver_library)
    return facts if hopeless else _try_gpu(facts, environ, deadline_seconds)


def seen(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> GpuFacts:
    """Return those facts about this node's GPU that can be seen without TensorFlow."""
    return GpuFacts(
        driver=driver_version(root),
        driver_library=_has_driver_library(root, environ),
        device_files=tuple(sorted(path.name for path in (root / "dev").glob("nvidia[0-9]*"))),
        container=container_kind(root, environ),
        visible=environ.get("CUDA_VISIBLE_DEVICES"),
        job=batch_system(environ),
    )


def driver_version(root: Path = ROOT) -> str | None:
    """Return the version of NVIDIA's kernel module that runs on this node, or None."""
    text = read_text(root / "proc/driver/nvidia/version") or ""
    match = re.search(r"^NVRM version:.*?\s([0-9]{3,5}\.[0-9]+(?:\.[0-9]+)?)\s", text, re.MULTILINE)
    return match[1] if match else None


def container_kind(root: Path = ROOT, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return apptainer, podman or docker by the marks they leave, or None outside a container."""
    if _exists(root / ".singularity.d") or environ.keys() & {
        "APPTAINER_CONTAINER",
        "SINGULARITY_CONTAINER",
    }:
        return "apptainer"
    if _exists(root / "run/.containerenv") or environ.get("container") == "podman":  # read-only, it leaves no file
        return "podman"
    return "docker" if _exists(root / ".dockerenv") else None


def _exists(path: Path) -> bool:
    """Whether a file can be seen; unlike `Path.exists` it raises for no folder that is closed to this user."""
    return os.path.exists(path)  # noqa: PTH110


def batch_system(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return slurm, pbs or lsf, whose job this process belongs to, or None."""
    marks = {"slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID"}
    return next((system for system, variable in marks.items() if environ.get(variable)), None)


def _has_driver_library(root: Path, environ: Mapping[str, str]) -> bool:
    folders = [Path(folder) for folder in environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    patterns = ("usr/lib*", "usr/lib/*", "usr/lib/wsl/lib", "usr/local/nvidia/lib64", ".singularity.d/libs")
    named = any(_exists(folder / "libcuda.so.1") for folder in folders)
    return named or any(any(root.glob(f"{pattern}/libcuda.so.1")) for pattern in patterns)


def _facts_of_build() -> dict[str, Any]:
    """Return what TensorFlow's own build record says, without the seconds that importing it takes."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        return {"tensorflow": False}
    record = Path(spec.submodule_search_locations[0]) / "python/platform/build_info.py"
    build = _build_info(read_text(record) or "")  # another release may keep it elsewhere: the trial will tell
    return {
        "cuda_build": build.get("is_cuda_build"),
        "cuda_version": build.get("cuda_version"),
        "cuda_targets": tuple(build.get("cuda_compute_capabilities", ())),
    }


def _build_info(source: str) -> dict[str, Any]:
    """The dictionary that the source of TensorFlow's build record assigns; read and not run, for it may be broken."""
    try:
        values = [node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)]
        # TensorFlow gives an ordered dictionary the pairs in a list.
        literals = [value.args[0] if isinstance(value, ast.Call) and value.args else value for value in values]
        return dict(ast.literal_eval(literals[0])) if literals else {}
    except (SyntaxError, ValueError, TypeError):
        return {}


def _try_gpu(facts: GpuFacts, environ: Mapping[str, str], deadline_seconds: float) -> GpuFacts:
    """Let a fresh process compute on the first GPU, and keep what TensorFlow says about it."""
    loud = {
        "TF_CPP_MIN_LOG_LEVEL": "0",
        # The name of a library that could not be loaded is a debug message of this one source file.
        "TF_CPP_VMODULE": ",".join(filter(None, (environ.get("TF_CPP_VMODULE"), "dso_loader=1"))),
    }
    command = process.python("-c", "from cifar.measure import devices; devices.report_trial()")
    try:
        done = process.run(command, seconds=deadline_seconds, environ=process.environment({**environ, **loud}))
    except OSError as error:
        return replace(facts, log=f"no process can be started: {error}")
    if done.code is None:
        return replace(facts, log=f"TensorFlow did not answer within {deadline_seconds:.0f} s")
    steps: dict[str, Any] = {}
    for line in done.out.splitlines():
        if line.startswith(_STEP):
            steps |= json.loads(line.removeprefix(_STEP))
    return replace(facts, **{**steps, "gpus": tuple(steps.get("gpus", ()))}, log=plain(done.err))


_STEP = "cifar: "
"""What a line begins with that tells a step; other lines are TensorFlow's."""


def report_trial() -> None:
    """Print one line with a JSON object of `GpuFacts` for each step that went well; run in a process of its own."""
    import tensorflow as tf  # noqa: PLC0415 - heavy

    gpus = [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    build = {"cuda_build": tf.test.is_built_with_cuda(), "gpus": gpus}
    sys.stdout.write(f"{_STEP}{json.dumps(build)}\n")
    sys.stdout.flush()
    if gpus:
        claim("gpu")
        computes = {"computes": True}
        sys.stdout.write(f"{_STEP}{json.dumps(computes)}\n")


# --- why there is no GPU ------------------------------------------------------------------------------------

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

# How a batch system is asked for a GPU.
REQUEST = {"slurm": "--gpus=1", "pbs": "-l select=1:ngpus=1", "lsf": "-gpu num=1"}

# How a container is given the GPUs of its host.
EXPOSE = {
    "apptainer": "start the container with `apptainer exec --nv`",
    "docker": "start the container with `docker run --gpus all` (needs NVIDIA's Container Toolkit)",
    "podman": "start the container with `podman run --device nvidia.com/gpu=all` (needs NVIDIA's Container Toolkit)",
}


def explain(facts: GpuFacts) -> Unmeasurable:
    """Return why these facts leave no GPU, and the remedy: the first step of the way that is missing."""
    steps = (_no_tensorflow, _no_driver, _no_build, _not_exposed, hidden, _no_driver_library, _no_library, _bad_driver)
    return _first(facts, *steps) or _last_words(facts)


def not_shown(facts: GpuFacts) -> Unmeasurable | None:
    """Return why the driver shows no GPU to any program; None where these facts do not tell."""
    return _first(facts, _no_driver, _not_exposed, hidden)


def driver_problem(facts: GpuFacts) -> Unmeasurable | None:
    """Return what is wrong with the way to the driver, or with its version, whatever TensorFlow was built with."""
    return _first(facts, _no_driver, _not_exposed, _bad_driver)


def _first(facts: GpuFacts, *steps: Callable[[GpuFacts], Unmeasurable | None]) -> Unmeasurable | None:
    """What the first of `steps` says that says something."""
    return next((missing for step in steps if (missing := step(facts))), None)


_INSTALL = 'install "cifar-bench[cuda]" in a fresh environment, or use the CUDA image'


def _no_tensorflow(facts: GpuFacts) -> Unmeasurable | None:
    return None if facts.tensorflow else Unmeasurable("TensorFlow is not installed", _INSTALL)


def _no_build(facts: GpuFacts) -> Unmeasurable | None:
    if facts.cuda_build is False:
        return Unmeasurable("this TensorFlow was built without CUDA and can use the CPU only", _INSTALL)
    return None


def _no_driver(facts: GpuFacts) -> Unmeasurable | None:
    if facts.driver or facts.driver_library:
        return None
    return Unmeasurable(
        "this node runs no NVIDIA driver",
        "use a node with an NVIDIA GPU, or have the driver installed on the host, for /proc/driver/nvidia/version and "
        "libcuda.so.1 are missing",
    )


def _not_exposed(facts: GpuFacts) -> Unmeasurable | None:
    if not facts.driver or (facts.device_files and facts.driver_library):
        return None
    missing = "libcuda.so.1" if facts.device_files else "/dev/nvidia0"
    where = f"this {facts.container} container" if facts.container else "this system"
    remedy = EXPOSE.get(facts.container or "") or (
        "install the driver's libraries of that version, or name their folder in LD_LIBRARY_PATH"
        if facts.device_files
        else "run nvidia-smi once as root, which makes the device files; in a batch job, ask for a GPU"
    )
    return Unmeasurable(f"the host runs NVIDIA driver {facts.driver}, but {where} has no {missing}", remedy)


def hidden(facts: GpuFacts) -> Unmeasurable | None:
    """Return what hides the GPUs from programs on a node whose driver runs; None where nothing is known to."""
    ask = f"ask {facts.job} for a GPU ({REQUEST[facts.job]})" if facts.job else ""
    if facts.visible is not None and re.fullmatch(r"|-.*|NoDevFiles", facts.visible.strip()):
        return Unmeasurable(f"CUDA_VISIBLE_DEVICES={facts.visible!r} hides every GPU", ask or "unset it")
    if "CUDA_ERROR_NO_DEVICE" not in facts.log:
        return None
    if facts.visible is not None:
        return Unmeasurable(
            f"CUDA_VISIBLE_DEVICES={facts.visible!r} names no GPU of this node",
            "unset it, or give a number or a UUID that `nvidia-smi -L` lists",
        )
    remedy = ask or "see whether `nvidia-smi -L` lists one"
    return Unmeasurable("the driver gives this process no GPU (CUDA_ERROR_NO_DEVICE)", remedy)


def _no_driver_library(facts: GpuFacts) -> Unmeasurable | None:
    missing = [name for name in _unloaded(facts) if name.startswith(DRIVER_LIBRARIES)]
    if not missing:
        return None
    remedy = EXPOSE.get(facts.container or "") or "have it installed whole, or name its folder in LD_LIBRARY_PATH"
    return Unmeasurable(f"TensorFlow could not load {', '.join(missing)}, which come with the NVIDIA driver", remedy)


def _no_library(facts: GpuFacts) -> Unmeasurable | None:
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
    """Return the libraries that TensorFlow could not load, without TensorRT's, which it does not need."""
    names = re.findall(r"Could not load dynamic library '([^']+)'", facts.log)
    return [name for name in dict.fromkeys(names) if not name.startswith("libnvinfer")]


def oldest_driver(facts: GpuFacts) -> int | None:
    """Return the oldest branch of the driver that runs the CUDA that TensorFlow was built with; None: not known."""
    release = re.match(r"[0-9]{1,4}", str(facts.cuda_version or ""))
    return OLDEST_DRIVER.get(int(release[0])) if release else None


def _bad_driver(facts: GpuFacts) -> Unmeasurable | None:
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


def _last_words(facts: GpuFacts) -> Unmeasurable:
    noise = re.compile(r"cpu_feature_guard|absl::InitializeLog|^To enable the following|oneDNN custom|^[\s^~]*$|^  ")
    lines = [line.strip() for line in facts.log.splitlines() if not noise.search(line)]
    remedy = "see what `nvidia-smi` says on this node"
    if not lines:
        return Unmeasurable("TensorFlow lists no GPU and gives no reason", remedy)
    subject = "the first GPU cannot compute" if facts.gpus else "TensorFlow lists no GPU"
    return Unmeasurable(f"{subject}; its last words: {' | '.join(lines[-3:])}", remedy)
