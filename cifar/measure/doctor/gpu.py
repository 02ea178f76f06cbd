"""The way to a GPU: its driver, CUDA's libraries, the state that each GPU is in, and a product on each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cifar.backend import missing, survey
from cifar.measure.doctor import trial
from cifar.measure.doctor.finding import GIB, Finding, unknown
from cifar.measure.doctor.libraries import libraries
from cifar.node import gpus
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cifar.backend.missing import GpuFacts
    from cifar.measure.doctor.finding import Node

    Facts = Mapping[str, Any]


def examine(node: Node, *, library_works: bool) -> Iterator[Finding]:
    """Yield the findings of driver, libraries, each GPU's state, and a product on each GPU.

    The state is NVIDIA's management library's to tell: it is asked where it can be imported (`library_works`).
    """
    facts = survey.observe(node.root, node.environ, node.deadline_seconds)
    # Asked before the first finding is told, so that it comes with the state of this moment.
    states = _states(node) if library_works else []
    if facts.driver or facts.driver_library:
        yield _driver(facts)
    if facts.cuda_build:
        yield from libraries(node)
    for number, state in enumerate(states):
        yield from _state(node, f"gpu:{number}", state, facts.cuda_targets)
    yield _gpu(node, facts)
    for number in range(1, len(facts.gpus)):
        yield trial.product(node, f"gpu:{number}")


def _states(node: Node) -> list[Facts | Unmeasurable]:
    """What NVIDIA's management library says of each GPU."""
    listed = gpus.nvidia(environ=node.environ, root=node.root)["gpus"]
    return listed if isinstance(listed, list) else []


def _driver(facts: GpuFacts) -> Finding:
    """Whether the driver is whole, can be reached, and is new enough for TensorFlow's CUDA."""
    if problem := missing.driver_problem(facts):
        return Finding("driver", "fail", problem.reason, problem.remedy)
    said = f"NVIDIA driver {facts.driver or 'of unknown version'}"
    if oldest := missing.oldest_driver(facts):
        said += f"; CUDA {facts.cuda_version} needs {oldest}"
    return Finding("driver", "pass", said)


def _gpu(node: Node, facts: GpuFacts) -> Finding:
    """Whether TensorFlow computes on the first GPU; where it does not, a campaign would measure the CPU alone."""
    if facts.computes:
        return Finding("gpu", "pass", f"TensorFlow computed a product on the first of {len(facts.gpus)}")
    why = missing.explain(facts)
    has_sign = facts.driver or facts.driver_library or facts.device_files or facts.cuda_build
    if node.device == "gpu" or has_sign or facts.visible is not None:
        return Finding("gpu", "fail", f"TensorFlow falls back to the CPU: {why.reason}", why.remedy)
    return Finding("gpu", "warn", f"only the CPU can be measured: {why.reason}", why.remedy)


# --- the state of one GPU


def _state(node: Node, name: str, gpu: Facts | Unmeasurable, targets: Sequence[str]) -> Iterator[Finding]:
    """What the driver says of one GPU."""
    if isinstance(gpu, Unmeasurable):
        yield Finding(name, "fail", gpu.reason, gpu.remedy)
        return
    yield _native(node, name, gpu, targets)
    yield _shared(name, gpu)
    yield _held_down(name, gpu)
    yield _memory_errors(name, gpu)
    if gpu["persistence"] == "off":
        said, remedy = "off: the driver starts anew for every process", "have it switched on: `nvidia-smi -pm 1`"
        yield Finding(f"{name} persistence", "warn", said, remedy)


def _native(node: Node, name: str, gpu: Facts, targets: Sequence[str]) -> Finding:
    """Whether TensorFlow holds code for the GPU's compute capability, or must compile it at first use.

    Code for 8.0 runs on 8.6 too, but not on 9.0; what is named compute_90 can be compiled for 9.0 and all later.
    """
    check, capability = f"{name} code", gpu["compute_capability"]
    if isinstance(capability, Unmeasurable) or not targets:
        said = "the GPU or this TensorFlow does not tell which code it runs or holds"
        return Finding(check, "unknown", said)
    said = f"{_text(gpu['name'])} has compute capability {capability}, TensorFlow code for {' '.join(targets)}"
    own = _capability(capability.replace(".", ""))
    runs = compiles = False
    for target in targets:
        code = _capability(target.rpartition("_")[2])
        if code > own:
            continue
        runs = runs or code[0] == own[0]
        compiles = compiles or target.startswith("compute_")
    if runs:
        return Finding(check, "pass", said)
    if not compiles:
        return Finding(check, "fail", said, "use a TensorFlow that was built for this GPU")
    said += ": it is compiled at first use, which takes minutes, and XLA may refuse"
    if node.environ.get("CUDA_CACHE_DISABLE") == "1":
        return Finding(check, "warn", f"{said}; CUDA_CACHE_DISABLE=1 repeats that in every run", "unset it")
    remedy = "use a TensorFlow that was built for it, or keep what was compiled: CUDA_CACHE_PATH=<a lasting folder>"
    return Finding(check, "warn", said, remedy)


def _capability(digits: str) -> tuple[int, int]:
    """(8, 9) of "89" or "89a", (12, 0) of "120"."""
    number = re.match(r"\d+", digits)
    return divmod(int(number[0]), 10) if number else (0, 0)


def _shared(name: str, gpu: Facts) -> Finding:
    """Whether this process has the GPU to itself, and the whole of it."""
    check, others, used = f"{name} sharing", gpu["other_processes"], gpu["memory_used_bytes"]
    if gpu["mig"] == "on":
        remedy = "compare it with slices of the same size only, or take a whole GPU"
        return Finding(check, "warn", "MIG is on: a slice of the GPU is measured", remedy)
    if isinstance(others, Unmeasurable):
        return unknown(check, others)
    if others:
        remedy = "end them, or ask for the GPU alone (Slurm: --exclusive); `nvidia-smi` lists them"
        return Finding(check, "warn", f"{others} other processes compute on it", remedy)
    held = "taken memory unknown" if isinstance(used, Unmeasurable) else f"{used / GIB:.1f} GiB are taken"
    return Finding(check, "pass", f"no other process computes on it; {held}")


def _held_down(name: str, gpu: Facts) -> Finding:
    """Whether something holds the clocks down."""
    check, reasons = f"{name} clocks", gpu["throttle_reasons"]
    if isinstance(reasons, Unmeasurable):
        return unknown(check, reasons)
    said = f"{_text(gpu['sm_clock_mhz'])} of {_text(gpu['sm_clock_max_mhz'])} MHz"
    if holding := [reason for reason in reasons if reason != "gpu idle"]:
        remedy = "see `nvidia-smi -q -d PERFORMANCE,CLOCK,POWER`: cooling, power limit, locked clocks"
        return Finding(check, "warn", f"{said}, held down by: {'; '.join(holding)}", remedy)
    return Finding(check, "pass", f"{said}, nothing holds them down")


def _memory_errors(name: str, gpu: Facts) -> Finding:
    """Whether the GPU's memory is protected and sound."""
    check, errors = f"{name} memory", gpu["ecc_errors"]
    if isinstance(errors, Unmeasurable):
        return Finding(check, "unknown", f"errors: {errors.reason}")
    said = f"ECC {_text(gpu['ecc'])}, {errors} errors since the driver started that could not be corrected"
    if errors:
        return Finding(check, "fail", said, "have the GPU reset or replaced")
    return Finding(check, "pass", said)


def _text(fact: object) -> str:
    """A fact as it is printed."""
    return "unknown" if isinstance(fact, Unmeasurable) else str(fact)
