"""A device has a name, such as gpu:1, by which it is claimed; what every claimed device can be asked for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cifar.node import allotment

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cifar.backend import tensorflow


class Device(Protocol):
    """A device that this process is bound to for its whole life, whichever backend computes there."""

    @property
    def name(self) -> str:
        """As it was asked for: cpu, gpu, gpu:1."""

    @property
    def kind(self) -> Literal["cpu", "gpu"]:
        """What it is."""

    @property
    def threads(self) -> int:
        """How many threads compute on the host."""

    @property
    def number(self) -> int | None:
        """The GPU's place among those that CUDA_VISIBLE_DEVICES leaves; None for the CPU."""

    @property
    def model(self) -> str | None:
        """The GPU's name as the backend gives it; None for the CPU."""

    @property
    def multiplies(self) -> str:
        """The type in which it multiplies float32 matrices: tf32, else float32."""

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the backend computes on this device."""

    def wait(self) -> None:
        """Return when everything that was dispatched has finished."""

    def reset_peak_memory(self) -> None:
        """Begin a new period for `peak_memory`."""

    def peak_memory(self) -> dict[str, int | str | None]:
        """Return the peaks since `reset_peak_memory` in bytes, and what the numbers mean.

        Keys: host_peak_bytes, device_peak_bytes (None for the CPU), meaning (a sentence).
        """


def claim(device: str, threads: int | None = None) -> tensorflow.Device:
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
    from cifar.backend import tensorflow

    return tensorflow.claim(device, number, threads)


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
