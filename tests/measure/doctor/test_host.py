"""What a node allots: each thing that can be wrong with it is staged, and gets its line."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from cifar.measure import doctor


def test_no_locks(tmp_path, monkeypatch, finding):
    """Where the results' file system keeps no locks, it is said what stands in; data needs none."""
    staged = doctor.Node({"data": tmp_path, "results": tmp_path}, root=tmp_path, environ={})
    assert finding(staged, "results").status == "pass"

    def no_locks(_file, _how):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    found = finding(staged, "results")
    assert (found.status, "keeps no locks" in found.said, "one node at a time" in found.remedy) == (
        "warn",
        True,
        True,
    )
    assert finding(staged, "data").status == "pass"


def test_no_home(tmp_path, monkeypatch, finding):
    """A user without a home is told how to name the folder for data."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    found = finding(doctor.Node({"data": None}, root=tmp_path, environ={}), "data")
    assert (found.status, "no home folder" in found.said, "XDG_CACHE_HOME" in found.remedy) == ("fail", True, True)


def test_name_in_latin_1(tmp_path, finding):
    """A folder's name that is no UTF-8 is written out, and its mount is found."""
    folder = tmp_path / os.fsdecode(b"h\xe9 x")
    folder.mkdir()
    mounts = b"short\n2 1 8:2 / %s rw - lustre x rw\n" % os.fsencode(folder).replace(b" ", b"\\040")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_bytes(mounts)
    found = finding(doctor.Node({"data": folder}, root=tmp_path, environ={}), "data")
    assert (found.status, "on lustre" in found.said, r"h\udce9 x" in found.said) == ("warn", True, True)
    assert found.line.isascii()


def test_one_core(tmp_path, write, node, finding):
    """A cgroup of one core is a warning that says who will share it."""
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
    found = finding(node(tmp_path), "processors")
    assert (found.status, "cgroup 1" in found.said, "--cpus-per-task" in found.remedy) == ("warn", True, True)


def test_promised_and_not_given(tmp_path, node, finding):
    """More processors in Slurm's allotment than the process may use: the program was not started by srun."""
    found = finding(node(tmp_path, environ={"SLURM_CPUS_PER_TASK": "4096"}), "processors")
    assert (found.status, "4096 are allotted" in found.said, "srun" in found.remedy) == ("warn", True, True)


@pytest.mark.parametrize(("gibibytes", "status"), [(1, "fail"), (3, "warn")])
def test_memory(tmp_path, gibibytes, status, write, node, finding):
    """A cgroup's limit counts, whatever the node has."""
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/memory.max", str(gibibytes << 30))
    found = finding(node(tmp_path), "memory")
    assert found.status == status
    assert f"limit {gibibytes}.0 GiB" in found.said


def test_shared_memory(tmp_path, node, finding):
    """A node without /dev/shm is told how to get one."""
    assert "--shm-size" in finding(node(tmp_path), "shared memory").remedy
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert finding(node(tmp_path), "shared memory").status == "pass"


@pytest.mark.parametrize(("kind", "status"), [("ext4", "pass"), ("lustre", "warn"), ("nfs4", "warn")])
def test_file_system(tmp_path, kind, status, write, finding):
    """Data on a network's file system is a warning; the mount closest to the folder decides."""
    mounts = f"1 0 8:1 / / rw - xfs /dev/a rw\n2 1 8:2 / {tmp_path} rw - {kind} x rw\n"
    write(tmp_path, "proc/self/mountinfo", mounts)
    staged = doctor.Node({"data": tmp_path / "not/yet/there"}, root=tmp_path, environ={})
    found = finding(staged, "data")
    assert (found.status, f"on {kind}" in found.said) == (status, True)


def test_unwritable(tmp_path, finding):
    """A folder that takes no file is a failure, found by writing one."""
    found = finding(doctor.Node({"results": Path("/proc/results")}, root=tmp_path, environ={}), "results")
    assert (found.status, found.remedy) == ("fail", "name another with --out")


@pytest.mark.parametrize(("governor", "status"), [("powersave", "warn"), ("performance", "pass"), (None, "unknown")])
def test_clock(tmp_path, governor, status, write, node, finding):
    """A governor that saves power is a warning; a kernel that shows none is no pass."""
    if governor:
        write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor)
    assert finding(node(tmp_path), "clock").status == status


@pytest.mark.parametrize(("driver", "status"), [("intel_pstate", "pass"), ("acpi-cpufreq", "warn")])
def test_clock_that_the_processor_chooses(tmp_path, driver, status, write, node, finding):
    """Where the processor chooses its clock itself, that governor holds nothing down."""
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", driver)
    assert finding(node(tmp_path), "clock").status == status


@pytest.mark.parametrize(("minute", "status"), [("0.1", "pass"), ("4096.0", "warn")])
def test_load(tmp_path, minute, status, write, node, finding):
    """A busy node is a warning."""
    write(tmp_path, "proc/loadavg", f"{minute} 0.0 0.0 1/100 1\n")
    assert finding(node(tmp_path), "load").status == status


def no_home():
    """Answer as for a user whom the system does not know."""
    message = "Could not determine home directory."
    raise RuntimeError(message)
