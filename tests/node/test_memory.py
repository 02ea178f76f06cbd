"""The memory that a process may use, and its peak, on staged nodes and here."""

from __future__ import annotations

import pytest

from cifar.node import memory


@pytest.mark.parametrize(
    ("path", "text", "limit"),
    [
        ("memory.max", "1073741824", 1 << 30),
        ("memory.max", "max", None),
        ("memory/memory.limit_in_bytes", "2147483648", 1 << 31),
        ("memory/memory.limit_in_bytes", "9223372036854771712", None),
    ],
)
def test_memory_limit(tmp_path, path, text, limit, write):
    """Both versions' limits are read in bytes, and both ways of writing "none" are understood."""
    write(tmp_path, "proc/self/cgroup", "3:memory:/\n0::/\n")
    write(tmp_path, f"sys/fs/cgroup/{path}", text)
    assert memory.cgroup_limit(tmp_path) == limit


@pytest.mark.parametrize(("text", "size"), [("MemTotal:  24683656 kB\n", 24683656 << 10), ("MemTotal: x kB\n", None)])
def test_memory_of_the_node(tmp_path, text, size, write):
    """The node's memory is read in bytes, and what is no number is not known."""
    write(tmp_path, "proc/meminfo", text)
    assert memory.memory("MemTotal", tmp_path) == size


def test_peak():
    """The peak is a number of bytes with its meaning, whether or not this system lets it be reset."""
    was_reset = memory.reset_peak()
    size, meaning = memory.peak(was_reset=was_reset)
    assert size > 1 << 20
    assert ("since the reset" in meaning) is was_reset
    assert "since it began" in memory.peak(was_reset=False)[1]
