"""The node as its kernel describes it: processors, memory, settings that change its speed, and how busy it is."""

from __future__ import annotations

import platform
import re
import socket
from typing import TYPE_CHECKING, Any

from cifar.node import allotment, kernel, memory
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from pathlib import Path


def describe(root: Path = kernel.ROOT) -> dict[str, Any]:
    """Return what this computer is and how much of it this process may use; memory in bytes.

    `root` is the folder that /proc, /sys and /etc are read from.
    """
    granted = allotment.limits(root)
    return {
        "hostname": socket.gethostname(),
        "cpu_model": cpu_model(root),
        "physical_cores": _physical_cores(root) or Unmeasurable("the kernel names no cores"),
        "logical_cores": allotment.processors(),
        "cpus": allotment.least(granted),
        "allotment": {name: limit or "no limit" for name, limit in granted.items()},
        "memory_bytes": memory.memory("MemTotal", root) or Unmeasurable("/proc/meminfo cannot be read"),
        "memory_limit_bytes": memory.cgroup_limit(root) or "no limit",
        "governor": governor(root),
        "boost": boost(root),
        "hyperthreading": _switch(root, "sys/devices/system/cpu/smt/active"),
        "huge_pages": _chosen(root, "sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": _os_name(root),
    }


def load_now(root: Path = kernel.ROOT) -> dict[str, float | int] | Unmeasurable:
    """Return how busy the node is: mean runnable tasks over 1, 5 and 15 minutes, and those runnable now."""
    text = kernel.read_text(root / "proc/loadavg") or ""
    number = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
    match = re.match(rf"{number} {number} {number} ([0-9]{{1,9}})/", text)
    if not match:
        return Unmeasurable("/proc/loadavg cannot be read")
    return {
        "minutes_1": float(match[1]),
        "minutes_5": float(match[2]),
        "minutes_15": float(match[3]),
        "runnable": int(match[4]),
    }


def cpu_model(root: Path = kernel.ROOT) -> str | Unmeasurable:
    """Return the processor's name as the kernel gives it, or its maker's numbers where it has no name."""
    text = kernel.read_text(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^(.+?)[ \t]*:[ \t]*(.*)$", text, re.MULTILINE))
    for key in ("model name", "cpu", "Model"):  # x86, POWER, some ARM boards
        if fields.get(key):
            return " ".join(fields[key].split())
    if "CPU implementer" in fields and "CPU part" in fields:
        return f"ARM implementer {fields['CPU implementer']} part {fields['CPU part']}"
    return platform.processor() or Unmeasurable("/proc/cpuinfo names no model")


def _physical_cores(root: Path) -> int:
    """The number of cores, whose hardware threads name each other; 0 where the kernel does not tell."""
    folders = list((root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology"))
    for name in ("core_cpus_list", "thread_siblings_list"):  # of newer kernels, and of older ones
        cores = {kernel.read_text(folder / name) for folder in folders} - {None, ""}
        if cores:
            return len(cores)
    text = kernel.read_text(root / "proc/cpuinfo") or ""
    packages = re.findall(r"^physical id\s*: (\d+)$", text, re.MULTILINE)
    numbers = re.findall(r"^core id\s*: (\d+)$", text, re.MULTILINE)
    return len(set(zip(packages, numbers, strict=False)))


def governor(root: Path = kernel.ROOT) -> str | Unmeasurable:
    """Return the frequency governor of the processors, several joined by commas."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    names = {kernel.read_text(file) for file in files} - {None, ""}
    if names:
        return ",".join(sorted(str(name) for name in names))
    return Unmeasurable("the kernel offers no frequency governor here (as in most virtual machines)")


def boost(root: Path = kernel.ROOT) -> bool | Unmeasurable:
    """Return whether the processor may exceed its nominal frequency (turbo, boost)."""
    no_turbo = _switch(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    if isinstance(no_turbo, bool):
        return not no_turbo
    return _switch(root, "sys/devices/system/cpu/cpufreq/boost")


def _switch(root: Path, path: str) -> bool | Unmeasurable:
    """Whether a kernel setting of 0 or 1 is 1."""
    text = kernel.read_text(root / path)
    return text == "1" if text in {"0", "1"} else Unmeasurable(f"/{path} cannot be read")


def _chosen(root: Path, path: str) -> str | Unmeasurable:
    """The word in brackets of a kernel setting such as `always [madvise] never`."""
    match = re.search(r"\[(\w+)\]", kernel.read_text(root / path) or "")
    return match[1] if match else Unmeasurable(f"/{path} cannot be read")


def _os_name(root: Path) -> str | Unmeasurable:
    """The name of the distribution, with its release."""
    text = kernel.read_text(root / "etc/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, re.MULTILINE)
    return match[1] if match else Unmeasurable("/etc/os-release names no system")
