"""Everything that should be known about a measuring process, to repeat its results and to compare them."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Protocol

from cifar.measure import source
from cifar.node import allotment, computer, container, gpus, packages
from cifar.record.unmeasurable import Unmeasurable, as_json

if TYPE_CHECKING:
    from cifar.measure.devices import Device

Facts = dict[str, Any]
"""Names to values: str, int, float, bool, lists, Facts, and `Unmeasurable` for what cannot be had."""

SCHEMA = 1


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
        "node": computer.describe(),
        "load": computer.load_now(),
        **gpus.nvidia(device.kind),
        "software": software(),
        "variables": packages.variables(),
        "container": container.container(),
        "source": source.describe(),
        "batch": allotment.batch(),
        "dataset": {
            "digest": dataset.digest,
            "source": packages.without_user(dataset.source),
            "synthetic": dataset.synthetic,
        }
        if dataset
        else Unmeasurable("no dataset was named"),
    }
    written: Facts = as_json(facts)
    return written


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
        "cuda_loaded": packages.loaded_libraries(),
        "nvidia_packages": {name: version for name, version in packages.installed() if name.startswith("nvidia-")},
        "onednn": _onednn(),
        "tf32": bool(tf.config.experimental.tensor_float_32_execution_enabled()),
        "precision": str(keras.config.dtype_policy().name),
        "float": str(keras.config.floatx()),
        "epsilon": float(keras.config.epsilon()),
        "image_data_format": str(keras.config.image_data_format()),
        "xla": str(tf.config.optimizer.get_jit()) or "off",
    }


def _onednn() -> bool | Unmeasurable:
    """Return whether TensorFlow's operations run on oneDNN, which it decides by the processor's features."""
    try:
        from tensorflow.python.util import _pywrap_util_port as port  # noqa: PLC0415
    except ImportError as error:
        return Unmeasurable(f"this TensorFlow does not say: {error}")
    return bool(port.IsMklEnabled())
