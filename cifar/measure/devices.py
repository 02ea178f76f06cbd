"""From a device's name to a device that TensorFlow is bound to, or to the reason why it cannot be had."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cifar.node import allotment, driver, kernel, memory, process
from cifar.record.text import plain
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager


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
            memory.reset_peak()
        if self.kind == "gpu":
            import tensorflow as tf  # noqa: PLC0415 - heavy

            tf.config.experimental.reset_memory_stats(self._allocator)

    def peak_memory(self) -> dict[str, int | str | None]:
        """Return the peaks since `reset_peak_memory` in bytes, and what the numbers mean.

        Keys: host_peak_bytes, device_peak_bytes (None for the CPU), meaning (a sentence).
        """
        host, host_meaning = memory.peak(was_reset=self.resets_host_peak)
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
    threads = allotment.allotted_cpus() if threads is None else threads
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
        resets_host_peak=memory.reset_peak(),
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


def observe(
    root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ, deadline_seconds: float = 300.0
) -> GpuFacts:
    """Return the facts about this node's GPU; where there may be one, a fresh process tries it."""
    facts = GpuFacts(**vars(driver.seen(root, environ)), **_facts_of_build())
    hopeless = not facts.tensorflow or facts.cuda_build is False or not (facts.driver or facts.driver_library)
    return facts if hopeless else _try_gpu(facts, environ, deadline_seconds)


def _facts_of_build() -> dict[str, Any]:
    """Return what TensorFlow's own build record says, without the seconds that importing it takes."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        return {"tensorflow": False}
    record = Path(spec.submodule_search_locations[0]) / "python/platform/build_info.py"
    build = _build_info(kernel.read_text(record) or "")  # another release may keep it elsewhere: the trial will tell
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


def explain(facts: GpuFacts) -> Unmeasurable:
    """Return why these facts leave no GPU, and the remedy: the first step of the way that is missing."""
    steps = (
        _no_tensorflow,
        driver.no_driver,
        _no_build,
        driver.not_exposed,
        _hidden,
        _no_driver_library,
        _no_library,
        _bad_driver,
    )
    return _first(facts, *steps) or _last_words(facts)


def driver_problem(facts: GpuFacts) -> Unmeasurable | None:
    """Return what is wrong with the way to the driver, or with its version, whatever TensorFlow was built with."""
    return _first(facts, driver.no_driver, driver.not_exposed, _bad_driver)


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


def _hidden(facts: GpuFacts) -> Unmeasurable | None:
    """Return what hides the GPUs from programs on a node whose driver runs; None where nothing is known to."""
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
    missing = [name for name in _unloaded(facts) if name.startswith(DRIVER_LIBRARIES)]
    if not missing:
        return None
    remedy = (
        driver.EXPOSE.get(facts.container or "") or "have it installed whole, or name its folder in LD_LIBRARY_PATH"
    )
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
