"""NVIDIA's driver shows a process its GPUs, or does not: what can be seen of that without a framework."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cifar.node import kernel
from cifar.node.allotment import batch_system
from cifar.node.container import container_kind
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class DriverFacts:
    """What can be seen of the way from a process to a GPU, each step of which may be the missing one."""

    driver: str | None = None  # version of NVIDIA's kernel module
    driver_library: bool = False  # libcuda, the part of the driver that programs load, is there
    device_files: tuple[str, ...] = ()  # nvidia0, nvidia1, ...
    container: str | None = None  # apptainer, docker or podman
    visible: str | None = None  # CUDA_VISIBLE_DEVICES
    job: str | None = None  # slurm, pbs or lsf


def seen(root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ) -> DriverFacts:
    """Return what can be seen on this node; nothing is loaded or started for that."""
    return DriverFacts(
        driver=driver_version(root),
        driver_library=_has_driver_library(root, environ),
        device_files=tuple(sorted(path.name for path in (root / "dev").glob("nvidia[0-9]*"))),
        container=container_kind(root, environ),
        visible=environ.get("CUDA_VISIBLE_DEVICES"),
        job=batch_system(environ),
    )


def driver_version(root: Path = kernel.ROOT) -> str | None:
    """Return the version of NVIDIA's kernel module that runs on this node, or None."""
    text = kernel.read_text(root / "proc/driver/nvidia/version") or ""
    version = r"[0-9]{3,5}\.[0-9]+(?:\.[0-9]+)?"
    match = re.search(rf"^NVRM version:.*?\s({version})\s", text, re.MULTILINE)
    return match[1] if match else None


_LIBRARY_FOLDERS = (
    "usr/lib*",
    "usr/lib/*",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    ".singularity.d/libs",
)
"""Where distributions and containers keep the driver's libraries."""


def _has_driver_library(root: Path, environ: Mapping[str, str]) -> bool:
    """Whether libcuda lies where LD_LIBRARY_PATH says, or where it usually lies."""
    for folder in environ.get("LD_LIBRARY_PATH", "").split(":"):
        if folder and kernel.exists(Path(folder) / "libcuda.so.1"):
            return True
    return any(any(root.glob(f"{folder}/libcuda.so.1")) for folder in _LIBRARY_FOLDERS)


# --- why the driver shows no GPU

# How a batch system is asked for a GPU.
REQUEST = {"slurm": "--gpus=1", "pbs": "-l select=1:ngpus=1", "lsf": "-gpu num=1"}

# How a container is given the GPUs of its host.
_TOOLKIT = "(needs NVIDIA's Container Toolkit)"
EXPOSE = {
    "apptainer": "start the container with `apptainer exec --nv`",
    "docker": f"start the container with `docker run --gpus all` {_TOOLKIT}",
    "podman": f"start the container with `podman run --device nvidia.com/gpu=all` {_TOOLKIT}",
}


def not_shown(facts: DriverFacts) -> Unmeasurable | None:
    """Return why the driver shows no GPU to any program; None where these facts do not tell."""
    return no_driver(facts) or not_exposed(facts) or hidden(facts)


def no_driver(facts: DriverFacts) -> Unmeasurable | None:
    """Return that the node runs no driver; None where it does."""
    if facts.driver or facts.driver_library:
        return None
    return Unmeasurable(
        "this node runs no NVIDIA driver",
        "use a node with an NVIDIA GPU, or have the driver installed on the host, "
        "for /proc/driver/nvidia/version and libcuda.so.1 are missing",
    )


def not_exposed(facts: DriverFacts) -> Unmeasurable | None:
    """Return which part of the host's driver this system or container has not; None where it has all."""
    if not facts.driver or (facts.device_files and facts.driver_library):
        return None
    missing = "libcuda.so.1" if facts.device_files else "/dev/nvidia0"
    where = f"this {facts.container} container" if facts.container else "this system"
    reason = f"the host runs NVIDIA driver {facts.driver}, but {where} has no {missing}"
    if facts.container in EXPOSE:
        return Unmeasurable(reason, EXPOSE[facts.container])
    if facts.device_files:
        remedy = "install the driver's libraries of that version, or name their folder in LD_LIBRARY_PATH"
    else:
        remedy = "run nvidia-smi once as root, which makes the device files; in a batch job, ask for a GPU"
    return Unmeasurable(reason, remedy)


def hidden(facts: DriverFacts) -> Unmeasurable | None:
    """Return that CUDA_VISIBLE_DEVICES hides every GPU; None where it does not."""
    if facts.visible is None or not re.fullmatch(r"|-.*|NoDevFiles", facts.visible.strip()):
        return None
    return Unmeasurable(f"CUDA_VISIBLE_DEVICES={facts.visible!r} hides every GPU", ask_for_gpu(facts) or "unset it")


def ask_for_gpu(facts: DriverFacts) -> str:
    """Return how the job's batch system is asked for a GPU; an empty text outside of a job."""
    return f"ask {facts.job} for a GPU ({REQUEST[facts.job]})" if facts.job else ""
