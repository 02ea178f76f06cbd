"""This process may use so many processors, by the scheduler, its cgroup and the batch system."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cifar.node import kernel
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def processors() -> int:
    """Return the number of this node's logical processors, whoever may use them."""
    return os.sysconf("SC_NPROCESSORS_ONLN")


def allotted_cpus() -> int:
    """Return how many processors this process may use: the least of what `limits` lists, at least 1."""
    return least(limits())


def least(granted: Mapping[str, int | None]) -> int:
    """Return the smallest of `limits`; a source that sets none (None) does not count."""
    return max(1, min(limit for limit in granted.values() if limit is not None))


def limits(root: Path = kernel.ROOT, environ: Mapping[str, str] = os.environ) -> dict[str, int | None]:
    """Return the number of processors that each source grants this process; None where it sets no limit.

    Sources: the scheduler's affinity mask (cpusets included), the CFS quota of the process's cgroup and
    of every cgroup above it (rounded up), and the allotment of Slurm, PBS and OpenMP in the environment.
    `root` is the folder that /proc and /sys are read from.
    """
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return {
        "affinity": len(os.sched_getaffinity(0)),
        "cgroup": max(1, math.ceil(min(quotas))) if quotas else None,
        "SLURM_CPUS_PER_TASK": _positive(environ.get("SLURM_CPUS_PER_TASK")),
        # NCPUS is a common name: it is PBS's only inside a job of PBS.
        "NCPUS": _positive(environ.get("NCPUS")) if "PBS_JOBID" in environ else None,
        "OMP_NUM_THREADS": _positive(environ.get("OMP_NUM_THREADS")),
    }


def _quotas_v2(root: Path) -> list[float]:
    """The processors that cgroups of version 2 grant; their files hold quota and period."""
    words = [text.split() for text in kernel.cgroup_texts("", "cpu.max", root)]
    return _quotas(pair for pair in words if len(pair) == 2)  # noqa: PLR2004 quota and period


def _quotas_v1(root: Path) -> list[float]:
    """The processors that cgroups of version 1 grant; quota and period have a file each."""
    quotas = kernel.cgroup_texts("cpu", "cpu.cfs_quota_us", root)
    periods = kernel.cgroup_texts("cpu", "cpu.cfs_period_us", root)
    return _quotas(zip(quotas, periods, strict=False))


def _quotas(pairs: Iterable[Sequence[str]]) -> list[float]:
    """The processors of each quota with its period; what is no number above 0 ("max", -1) sets no limit."""
    processors = []
    for quota_text, period_text in pairs:
        quota, period = kernel.whole_number(quota_text), kernel.whole_number(period_text)
        if quota and period:
            processors.append(quota / period)
    return processors


def _positive(text: str | None) -> int | None:
    """The first number of `4` or of OpenMP's nested `4,2`; None for no number above 0."""
    match = re.match(r"\s*([1-9][0-9]{0,8})\s*(,|$)", text or "")
    return int(match[1]) if match else None


# How each batch system marks its jobs: the variables of the job, its nodes, and its processors per task.
_VARIABLES = {
    "slurm": ("SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_CPUS_PER_TASK"),
    "pbs": ("PBS_JOBID", "PBS_NODEFILE", "NCPUS"),
    "lsf": ("LSB_JOBID", "LSB_HOSTS", "LSB_DJOB_NUMPROC"),
}


def batch_system(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return slurm, pbs or lsf, whose job this process belongs to, or None."""
    for system, (job, _, _) in _VARIABLES.items():
        if environ.get(job):
            return system
    return None


def batch(environ: Mapping[str, str] = os.environ) -> dict[str, str | Unmeasurable]:
    """Return the batch system whose job this is, with the job's number, nodes and processors per task."""
    system = batch_system(environ)
    if system is None:
        none = Unmeasurable("not in a job of a batch system")
        return {"system": "none", "job": none, "nodes": none, "cpus_per_task": none}
    job, nodes, cpus = _VARIABLES[system]
    listed = environ.get(nodes)
    if system == "pbs" and listed:  # a file with one line a processor
        lines = (kernel.read_text(Path(listed)) or "").split()
        listed = ",".join(dict.fromkeys(lines))
    return {
        "system": system,
        "job": environ[job],
        "nodes": listed or Unmeasurable(f"{nodes} is not set"),
        "cpus_per_task": environ.get(cpus) or Unmeasurable(f"{cpus} is not set"),
    }
