"""The devices of this node, and whether its GPU computes, which a process of its own tries."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.backend import missing
from cifar.backend.missing import GpuFacts
from cifar.node import driver, kernel, process
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cifar.record.unmeasurable import Unmeasurable


@dataclass(frozen=True)
class Survey:
    """The devices that a campaign measures on this node, and why there is no GPU (None where there is).

    `further` are the node's other GPUs, which are measured where they are named.
    """

    devices: tuple[str, ...]
    missing_gpu: Unmeasurable | None
    further: tuple[str, ...] = ()


def take() -> Survey:
    """Return cpu, and gpu where the first GPU computes; this process itself never loads TensorFlow."""
    facts = observe()
    if not facts.computes:
        return Survey(("cpu",), missing.explain(facts))
    further = tuple(f"gpu:{number}" for number in range(1, len(facts.gpus)))
    return Survey(("cpu", "gpu"), None, further)


def missing_gpu_reason() -> Unmeasurable:
    """Return why this node offers no GPU, and the remedy."""
    return missing.explain(observe())


def observe(
    root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ, deadline_seconds: float = 300.0
) -> GpuFacts:
    """Return the facts about this node's GPU; where there may be one, a fresh process tries it."""
    facts = GpuFacts(**vars(driver.seen(root, environ)), **_facts_of_build())
    can_compute = facts.tensorflow and facts.cuda_build is not False
    has_driver = facts.driver or facts.driver_library
    return _try_gpu(facts, environ, deadline_seconds) if can_compute and has_driver else facts


def _facts_of_build() -> dict[str, Any]:
    """What TensorFlow's own build record says, without the seconds that importing it takes."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        return {"tensorflow": False}
    record = Path(spec.submodule_search_locations[0]) / "python/platform/build_info.py"
    # Another release may keep it elsewhere: the trial will tell.
    build = _build_info(kernel.read_text(record) or "")
    return {
        "cuda_build": build.get("is_cuda_build"),
        "cuda_version": build.get("cuda_version"),
        "cuda_targets": tuple(build.get("cuda_compute_capabilities", ())),
    }


def _build_info(source: str) -> dict[str, Any]:
    """The dictionary that the source of TensorFlow's build record assigns; read and not run, for it may be broken."""
    try:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign):
                value = statement.value
                if isinstance(value, ast.Call) and value.args:
                    value = value.args[0]  # TensorFlow gives an ordered dictionary the pairs in a list
                return dict(ast.literal_eval(value))
    except (SyntaxError, ValueError, TypeError):
        pass
    return {}


def _try_gpu(facts: GpuFacts, environ: Mapping[str, str], deadline_seconds: float) -> GpuFacts:
    """Let a fresh process compute on the first GPU, and keep what TensorFlow says about it."""
    # The name of a library that could not be loaded is a debug message of this one source file.
    modules = ",".join(filter(None, (environ.get("TF_CPP_VMODULE"), "dso_loader=1")))
    loud = process.environment({**environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": modules})
    command = process.python("-c", "from cifar.backend import survey; survey.report_trial()")
    try:
        done = process.run(command, seconds=deadline_seconds, environ=loud)
    except OSError as error:
        return replace(facts, log=f"no process can be started: {error}")
    if done.code is None:
        return replace(facts, log=f"TensorFlow did not answer within {deadline_seconds:.0f} s")
    steps: dict[str, Any] = {}
    for line in done.out.splitlines():
        if line.startswith(_STEP):
            steps |= json.loads(line.removeprefix(_STEP))
    steps["gpus"] = tuple(steps.get("gpus", ()))
    return replace(facts, **steps, log=plain(done.err))


_STEP = "cifar: "
"""What a line begins with that tells a step; other lines are TensorFlow's."""


def report_trial() -> None:
    """Print one line with a JSON object of `GpuFacts` for each step that went well; run in a process of its own."""
    from cifar.backend import device, tensorflow

    gpus = tensorflow.physical_gpus()
    _report({"cuda_build": tensorflow.is_built_with_cuda(), "gpus": gpus})
    if gpus:
        device.claim("gpu")
        _report({"computes": True})


def _report(step: dict[str, Any]) -> None:
    """Print a step at once, for the next one may end the process."""
    sys.stdout.write(f"{_STEP}{json.dumps(step)}\n")
    sys.stdout.flush()
