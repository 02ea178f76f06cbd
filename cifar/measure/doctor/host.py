"""What the node allots to whatever is measured: processors, memory, folders, its clock, and its rest from others."""

from __future__ import annotations

import re
import shutil
import tempfile
from typing import TYPE_CHECKING

from cifar.measure.doctor.finding import GIB, Finding, unknown
from cifar.node import allotment, computer, kernel
from cifar.node import memory as node_memory
from cifar.record import files
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from pathlib import Path

    from cifar.measure.doctor.finding import Node


def processors(node: Node) -> Finding:
    """Return whether there is more than one processor, and what was promised is there."""
    check = "processors"
    granted = allotment.limits(node.root, node.environ)
    least = allotment.least(granted)
    limits = ", ".join(f"{name} {limit}" for name, limit in granted.items() if limit is not None)
    said = f"{least} to compute with ({limits})"
    usable = allotment.least({name: granted[name] for name in ("affinity", "cgroup")})
    promised = max(granted[name] or 0 for name in ("SLURM_CPUS_PER_TASK", "NCPUS"))
    if promised > usable:
        said = f"{promised} are allotted, but only {usable} can be used: {said}"
        remedy = "start the program as the job's task (with Slurm: `srun --cpus-per-task=$SLURM_CPUS_PER_TASK`)"
        return Finding(check, "warn", said, remedy)
    if least == 1:
        said = f"{said}: the data generator and the training share it"
        remedy = "ask for more (Slurm: --cpus-per-task=8, Docker: --cpus, OMP_NUM_THREADS unset)"
        return Finding(check, "warn", said, remedy)
    return Finding(check, "pass", said)


def memory(node: Node) -> Finding:
    """Return whether a run fits into memory: it takes up to 2 GiB."""
    check = "memory"
    limit = node_memory.cgroup_limit(node.root)
    available = node_memory.memory("MemAvailable", node.root)
    known = [size for size in (limit, available) if size is not None]
    if not known:
        return Finding(check, "unknown", "/proc/meminfo does not tell how much is available")
    usable = min(known)
    said = f"{usable / GIB:.1f} GiB to use"
    if limit is not None:
        said += f" (limit {limit / GIB:.1f} GiB)"
    if usable < 2 * GIB:
        remedy = "2 GiB are needed: ask for more (Slurm: --mem=16G, Docker: --memory)"
        return Finding(check, "fail", said, remedy)
    if usable < 4 * GIB:
        remedy = "a run fits, the page cache for the data may not: ask for 4 GiB or more"
        return Finding(check, "warn", said, remedy)
    return Finding(check, "pass", said)


def shared_memory(node: Node) -> Finding:
    """Return whether /dev/shm is more than a token: CUDA's libraries and worker processes exchange data there."""
    check = "shared memory"
    folder = node.root / "dev/shm"
    if not folder.is_dir():
        return Finding(check, "warn", "there is no /dev/shm", "have it mounted (Docker: --shm-size=1g)")
    size = shutil.disk_usage(folder).total
    said = f"{size / GIB:.2f} GiB"
    if size < GIB // 8:
        return Finding(check, "warn", said, "give it 1 GiB (Docker: --shm-size=1g)")
    return Finding(check, "pass", said)


# --- where results and data go

_NETWORK = r"nfs\d?|lustre|gpfs|beegfs|cifs|smb\d?|smbfs|ceph|panfs|pvfs2|wekafs|afs|9p|fuse\..*"
"""File systems that lie on other computers."""


def folder(node: Node, name: str, path: Path | None) -> Finding:
    """Return whether a folder can be written, has room, keeps locks, and lies on a disk of this node.

    `name` is results or data; where data's folder is not given (None), it is where it is kept.
    """
    elsewhere = "name another with --out" if name == "results" else "name another with XDG_CACHE_HOME"
    try:
        path = path or files.cache_folder()
    except FileNotFoundError as error:
        return Finding(name, "fail", str(error), elsewhere)
    try:
        there = _nearest(path)
        free = shutil.disk_usage(there).free
        locks = files.keeps_locks(there)  # a file is made for that
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror or error}"
        return Finding(name, "fail", said, elsewhere)
    kind = _file_system(node.root, there)
    said = f"{path} on {kind}, {free / GIB:.1f} GiB free"
    if free < GIB // 2:
        return Finding(name, "fail", said, f"1 GiB is needed: make room, or {elsewhere}")
    if name != "results" and re.fullmatch(_NETWORK, kind):
        said += ": reading it measures the network too"
        return Finding(name, "warn", said, f"{elsewhere}, on a local disk")
    if name == "results" and not locks:
        said += f", and it keeps no locks: one in {tempfile.gettempdir()} stands in, which other nodes do not see"
        return Finding(name, "warn", said, f"measure into it from one node at a time, or {elsewhere}")
    return Finding(name, "pass", said)


def _nearest(path: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    path = path.absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _file_system(root: Path, path: Path) -> str:
    """The kind of file system that a folder lies on."""
    kinds = {}
    text = kernel.read_text(root / "proc/self/mountinfo", "surrogateescape") or ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if len(fields) > _MOUNT_POINT and kind:
            kinds[_unescaped(fields[_MOUNT_POINT])] = kind[0]
    path = path.resolve()
    for parent in (path, *path.parents):
        if str(parent) in kinds:
            return kinds[str(parent)]
    return "an unknown file system"


_MOUNT_POINT = 4
"""The place of the mount point among the fields of a line of mountinfo.  Source: man 5 proc_pid_mountinfo."""


def _unescaped(path: str) -> str:
    """A path as mountinfo writes it: a space is written as a backslash and its number in base 8."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda match: chr(int(match[1], 8)), path)


# --- how fast it may be


def clock(node: Node) -> Finding:
    """Return whether the processor's clock is free to rise and not held back to save power."""
    check = "clock"
    governor, boost = computer.governor(node.root), computer.boost(node.root)
    if isinstance(governor, Unmeasurable):
        return unknown(check, governor)
    turbo = "on" if boost else "off"
    if isinstance(boost, Unmeasurable):
        turbo = "unknown"
    said = f"governor {governor}, turbo {turbo}"
    driver = kernel.read_text(node.root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    # These drivers let the processor choose its clock under either governor, up to the highest.
    chooses = driver in {"intel_pstate", "amd-pstate-epp"}
    if "powersave" in governor.split(",") and not chooses:
        return Finding(check, "warn", said, "have the governor set: `cpupower frequency-set -g performance`")
    return Finding(check, "pass", said)


def load(node: Node) -> Finding:
    """Return whether others compute on the node."""
    check = "load"
    now = computer.load_now(node.root)
    if isinstance(now, Unmeasurable):
        return unknown(check, now)
    tasks, cores = now["minutes_1"], allotment.processors()
    said = f"{tasks:.1f} runnable tasks in the last minute on {cores} processors"
    if tasks > max(0.5, cores / 4):
        return Finding(check, "warn", said, "wait, end what runs, or take the node alone (Slurm: --exclusive)")
    return Finding(check, "pass", said)
