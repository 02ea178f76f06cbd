"""Memory: what the node has, what this process may use of it, and what it has used at most; in bytes."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from cifar.node import kernel


def memory(name: str, root: Path = kernel.ROOT) -> int | None:
    """Return bytes of the node's memory, such as MemTotal or MemAvailable; None where the kernel does not tell."""
    text = kernel.read_text(root / "proc/meminfo") or ""
    match = re.search(rf"^{name}:\s+([0-9]{{1,15}}) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def cgroup_limit(root: Path = kernel.ROOT) -> int | None:
    """Return the bytes of memory that the process's cgroup and those above it allow; None for no limit."""
    texts = [
        *kernel.cgroup_texts("", "memory.max", root),
        *kernel.cgroup_texts("memory", "memory.limit_in_bytes", root),
    ]
    limits = []
    for text in texts:
        limit = kernel.whole_number(text)
        # cgroup v1 writes "no limit" as the largest multiple of the page size below 2**63.
        if limit is not None and limit < 2**60:
            limits.append(limit)
    return min(limits, default=None)


def reset_peak() -> bool:
    """Make the kernel forget this process's peak of resident memory; return whether it did.

    Source: man 5 proc_pid_clear_refs (5: reset the peak resident set size to the current one).
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak(*, was_reset: bool) -> tuple[int, str]:
    """Return the peak of this process's resident memory in bytes, and what the number means.

    It counts from the last `reset_peak` on where that could reset it (`was_reset`), else from the process's begin.
    """
    text = kernel.read_text(Path("/proc/self/status")) or ""
    match = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    if was_reset and match:
        meaning = "host: peak of this process's resident memory since the reset (VmHWM)"
        return int(match[1]) * 1024, meaning
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * 1024, (
        "host: peak of this process's resident memory since it began, because this system does not let it "
        "be reset (ru_maxrss)"
    )
