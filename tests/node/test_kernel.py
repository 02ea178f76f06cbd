"""Files of the kernel, and what stands in their place."""

from __future__ import annotations

import os

import pytest

from cifar.node import kernel


def test_read_text(tmp_path):
    """The text comes without outer white space; what is no file, and a pipe that nobody writes to, have none."""
    (tmp_path / "max").write_bytes(b"max \xff\n")
    assert kernel.read_text(tmp_path / "max") == "max \ufffd"
    os.mkfifo(tmp_path / "pipe")
    assert kernel.read_text(tmp_path / "pipe") == ""
    assert kernel.read_text(tmp_path) is None
    assert kernel.read_text(tmp_path / "none") is None
    assert kernel.read_text(tmp_path / "a\0b") is None


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("12\n", 12), ("max", None), ("-1", None), ("", None), ("9" * 5_000, None)]
)
def test_whole_number(text, number):
    """A number from 0 on is one, and nothing else is."""
    assert kernel.whole_number(text) == number


def test_cgroups_innermost_first(tmp_path, write):
    """The file of the process's own cgroup comes first, then those above it, as far as they can be seen."""
    write(tmp_path, "proc/self/cgroup", "0::/job/task\n")
    write(tmp_path, "sys/fs/cgroup/memory.max", "3")
    write(tmp_path, "sys/fs/cgroup/job/task/memory.max", "1")
    assert kernel.cgroup_texts("", "memory.max", tmp_path) == ["1", "3"]
    assert kernel.cgroup_texts("memory", "memory.max", tmp_path) == []
