"""TensorFlow: bound to one device, asked what it executed where, and which versions and settings compute.

Importing this module imports TensorFlow, which takes seconds; whoever needs it does so when it is needed.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf

from cifar.backend import survey
from cifar.node import memory, packages
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Callable
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
        context: AbstractContextManager[Any] = tf.device(self.tensorflow_name)
        return context

    @property
    def multiplies(self) -> str:
        """The type in which this device multiplies float32 matrices: tf32 on a GPU that has it and may, else float32.

        Tensor cores take TF32 from compute capability 8.0 on, unless TensorFlow is told not to use it.
        """
        if self.kind == "cpu" or not tf.config.experimental.tensor_float_32_execution_enabled():
            return "float32"
        gpu = tf.config.get_visible_devices("GPU")[0]  # the claimed one
        details = tf.config.experimental.get_device_details(gpu)
        return "tf32" if details.get("compute_capability", (0, 0)) >= (8, 0) else "float32"

    def wait(self) -> None:
        """Return when every operation that was dispatched has finished, on every device.

        `tf.test.experimental.sync_devices` runs a SyncDevice operation on each logical device, which on a
        GPU waits for all of its streams, and then drains the queues of asynchronous eager execution. On the
        CPU, where eager calls return when they are done, it costs some 20 microseconds and waits for nothing.
        It must be called eagerly: inside a tf.function it raises RuntimeError.
        """
        tf.test.experimental.sync_devices()

    def reset_peak_memory(self) -> None:
        """Begin a new period for `peak_memory`."""
        if self.resets_host_peak:
            memory.reset_peak()
        if self.kind == "gpu":
            tf.config.experimental.reset_memory_stats(self._allocator)

    def peak_memory(self) -> dict[str, int | str | None]:
        """Return the peaks since `reset_peak_memory` in bytes, and what the numbers mean.

        Keys: host_peak_bytes, device_peak_bytes (None for the CPU), meaning (a sentence).
        """
        host, host_meaning = memory.peak(was_reset=self.resets_host_peak)
        if self.kind == "cpu":
            on_device, meaning = None, "the CPU computes in the host's memory"
        else:
            on_device = int(tf.config.experimental.get_memory_info(self._allocator)["peak"])
            meaning = (
                "most bytes that TensorFlow's allocator had handed out to "
                "tensors and workspaces, which is less than it reserves from the driver (what nvidia-smi shows)"
            )
        return {
            "host_peak_bytes": host,
            "device_peak_bytes": on_device,
            "meaning": f"{host_meaning}; device: {meaning}",
        }

    @property
    def _allocator(self) -> str:
        """The device's name as TensorFlow's statistics of memory have it."""
        return self.tensorflow_name.removeprefix("/device:")


# --- binding


def claim(name: str, number: int | None, threads: int) -> Device:
    """Bind this process to GPU `number`, or to the CPU where that is None; see `cifar.backend.device.claim`."""
    gpu = _bind(name, number, threads)
    claimed = Device(
        name=name,
        tensorflow_name="/device:CPU:0" if gpu is None else "/device:GPU:0",
        kind="cpu" if gpu is None else "gpu",
        threads=threads,
        number=number,
        model=_model(gpu),
        resets_host_peak=memory.reset_peak(),
    )
    check_placement(claimed)
    return claimed


def _bind(name: str, number: int | None, threads: int) -> object:
    """Make TensorFlow see one device only; return the physical GPU, or None for the CPU."""
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
        remedy = "set CUDA_VISIBLE_DEVICES=-1" if number is None else survey.missing_gpu_reason()
        message = f"{name} cannot be claimed, since CUDA fails ({error}): {remedy}"
        raise RuntimeError(message) from error
    except RuntimeError as error:
        message = f"{name} cannot be claimed in a process that has used TensorFlow already: start a fresh one"
        raise RuntimeError(message) from error
    if gpus:
        message = f"{name} was asked for, but there are only gpu:0 to gpu:{len(gpus) - 1}: name one of these"
    else:
        message = f"{name} was asked for, but there is none: {survey.missing_gpu_reason()}"
    raise RuntimeError(message)


def _model(gpu: object) -> str | None:
    """The GPU's name; None for the CPU, and where TensorFlow does not know it."""
    if gpu is None:
        return None
    name = tf.config.experimental.get_device_details(gpu).get("device_name")
    return None if name is None else str(name)


def check_placement(device: Device) -> None:
    """Execute one small product on the device.

    Raises:
        RuntimeError: it failed, was computed elsewhere, or its value is wrong.

    """
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


def make_deterministic() -> None:
    """Make every operation give the same bits each time, or fail where it has no such kernel."""
    tf.config.experimental.enable_op_determinism()


# --- what was executed

# What hands over, waits or is known beforehand; it may stand on either side of a transfer.
_NO_WORK = {"_Arg", "_Retval", "_Send", "_Recv", "_HostSend", "_HostRecv", "Const", "NoOp"}


def executed(call: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    """Return what `call` returns, and device and name of each operation in the compiled functions that it executed."""
    from tensorflow.python.eager import context  # there is no public name for it

    here = context.context()
    here.enable_run_metadata()
    try:
        here.export_run_metadata()  # what earlier calls have left there is dropped
        result = call()
        graphs = here.export_run_metadata().function_graphs
    finally:
        here.disable_run_metadata()
    operations = []
    for graph in graphs:
        for part in graph.partition_graphs:
            for node in part.node:
                if node.op in _NO_WORK:
                    continue
                place = node.device.rpartition("/")[2]
                operations.append((f"/{place}", node.op))
    return result, operations


# --- versions and settings


def physical_gpus() -> list[str]:
    """Return TensorFlow's names of the GPUs that it finds; empty where it finds none."""
    return [gpu.name for gpu in tf.config.list_physical_devices("GPU")]


def is_built_with_cuda() -> bool:
    """Return whether this TensorFlow was built with CUDA."""
    return bool(tf.test.is_built_with_cuda())


def software() -> dict[str, Any]:
    """Return the versions and settings of everything that computes."""
    import h5py
    import keras
    import numpy as np

    build = tf.sysconfig.get_build_info()
    no_cuda = Unmeasurable("this TensorFlow was built without CUDA")
    installed = packages.installed()
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
        "cuda_loaded": packages.loaded_libraries(),
        "nvidia_packages": {name: version for name, version in installed if name.startswith("nvidia-")},
        "onednn": _onednn(),
        "tf32": bool(tf.config.experimental.tensor_float_32_execution_enabled()),
        "precision": str(keras.config.dtype_policy().name),
        "float": str(keras.config.floatx()),
        "epsilon": float(keras.config.epsilon()),
        "image_data_format": str(keras.config.image_data_format()),
        "xla": str(tf.config.optimizer.get_jit()) or "off",
    }


def _onednn() -> bool | Unmeasurable:
    """Whether TensorFlow's operations run on oneDNN, which it decides by the processor's features."""
    try:
        from tensorflow.python.util import _pywrap_util_port as port
    except ImportError as error:
        return Unmeasurable(f"this TensorFlow does not say: {error}")
    return bool(port.IsMklEnabled())
