"""A trial is a Python program in a fresh process, which may fail, hang or die without harm to this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.measure.doctor.finding import Finding
from cifar.node import process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.measure.doctor.finding import Node


def run(program: str, *arguments: str, environ: Mapping[str, str], seconds: float, given: str = "") -> process.Finished:
    """Return how a Python program ended, which reads `given`; where none can be started, that is what it said."""
    command = process.python("-c", program, *arguments)
    try:
        return process.run(command, seconds=seconds, environ=environ, given=given)
    except OSError as error:
        return process.Finished(1, "", f"no process can be started: {error}")


def last_words(done: process.Finished, seconds: float) -> str:
    """Return what a process said last before it failed, or did not answer within `seconds`."""
    if done.code is None:
        return f"no answer within {seconds:g} s"
    lines = [line.strip() for line in done.err.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.code}"


_PRODUCT = "import keras, sys; from cifar.backend import device; print(device.claim(sys.argv[1]).tensorflow_name)"


def product(node: Node, device: str) -> Finding:
    """Return whether a fresh process computes a product by TensorFlow on the device, and nowhere else."""
    seconds = node.deadline_seconds
    environ = process.environment(node.environ) | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = run(_PRODUCT, device, environ=environ, seconds=seconds)
    if done.code is None:
        said = f"TensorFlow computed nothing within {seconds:.0f} s"
        remedy = "see whether the disk with the packages is slow, or the device hangs"
        return Finding(device, "fail", said, remedy)
    if done.code:
        remedy = "install the lock anew, or use the image"
        return Finding(device, "fail", last_words(done, seconds), remedy)
    words = done.out.split() or ["a device that it did not name"]
    return Finding(device, "pass", f"TensorFlow computed a product on {words[-1]}")
