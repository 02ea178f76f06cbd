"""The processors that a process may use, on staged nodes."""

from __future__ import annotations

import os

import pytest

from cifar.node import allotment, memory
from cifar.record.unmeasurable import Unmeasurable


class TestAllotment:
    """The processors that a process may use."""

    def test_affinity_only(self, tmp_path):
        """Where neither cgroup nor batch system says anything, the affinity mask counts and the rest is None."""
        found = allotment.limits(tmp_path, {})
        assert found == {
            "affinity": len(os.sched_getaffinity(0)),
            "cgroup": None,
            "SLURM_CPUS_PER_TASK": None,
            "NCPUS": None,
            "OMP_NUM_THREADS": None,
        }
        assert allotment.least(found) == len(os.sched_getaffinity(0))

    @pytest.mark.parametrize(
        ("quota", "cpus"),
        [("150000 100000", 2), ("100000 100000", 1), ("10000 100000", 1), ("max 100000", None), ("6400000 100000", 64)],
    )
    def test_cgroup_v2(self, tmp_path, quota, cpus, write):
        """A quota of version 2 is rounded up to whole processors; "max" is none."""
        write(tmp_path, "proc/self/cgroup", "0::/job/task\n")
        write(tmp_path, "sys/fs/cgroup/job/task/cpu.max", f"{quota}\n")
        assert allotment.limits(tmp_path, {})["cgroup"] == cpus

    def test_a_cgroup_above_is_tighter(self, tmp_path, write):
        """The least quota on the way up to the root holds, and folders that cannot be seen are passed over."""
        write(tmp_path, "proc/self/cgroup", "0::/slurm/job_7/step/task\n")
        write(tmp_path, "sys/fs/cgroup/slurm/job_7/cpu.max", "300000 100000")
        write(tmp_path, "sys/fs/cgroup/slurm/job_7/step/cpu.max", "max 100000")
        write(tmp_path, "sys/fs/cgroup/cpu.max", "800000 100000")
        assert allotment.limits(tmp_path, {})["cgroup"] == 3

    @pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
    def test_cgroup_v1(self, tmp_path, mount, write):
        """Version 1 is read whether its controllers are mounted together or apart; -1 is no quota."""
        write(tmp_path, "proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/\n")
        folder = f"sys/fs/cgroup/{mount}"
        write(tmp_path, f"{folder}/cpu.cfs_quota_us", "-1\n")
        write(tmp_path, f"{folder}/cpu.cfs_period_us", "100000\n")
        assert allotment.limits(tmp_path, {})["cgroup"] is None
        write(tmp_path, f"{folder}/docker/abc/cpu.cfs_quota_us", "250000\n")
        write(tmp_path, f"{folder}/docker/abc/cpu.cfs_period_us", "100000\n")
        assert allotment.limits(tmp_path, {})["cgroup"] == 3

    @pytest.mark.parametrize(
        "text", ["", "max", "0 0", "0 100000", "-1 100000", "100000 0", "x y", "1 2 3", "9" * 5_000]
    )
    def test_odd_quota(self, tmp_path, text, write):
        """What is no quota sets none; the one of the cgroup above it counts all the same."""
        write(tmp_path, "proc/self/cgroup", "garbage\n\n4:cpu:/job\n0::/job\n")
        write(tmp_path, "sys/fs/cgroup/job/cpu.max", text)
        write(tmp_path, "sys/fs/cgroup/job/memory.max", text)
        write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", text)
        write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
        assert allotment.limits(tmp_path, {})["cgroup"] is None
        assert memory.cgroup_limit(tmp_path) in {None, 0}
        write(tmp_path, "sys/fs/cgroup/cpu.max", "300000 100000")
        assert allotment.limits(tmp_path, {})["cgroup"] == 3

    def test_hybrid_mount(self, tmp_path, write):
        """Version 2 in a hybrid system is found under "unified"."""
        write(tmp_path, "proc/self/cgroup", "0::/job\n")
        write(tmp_path, "sys/fs/cgroup/unified/job/cpu.max", "200000 100000")
        assert allotment.limits(tmp_path, {})["cgroup"] == 2

    def test_outside_the_namespace(self, tmp_path, write):
        """A path above the cgroup namespace stands for the mount itself."""
        write(tmp_path, "proc/self/cgroup", "0::/../other\n")
        write(tmp_path, "sys/fs/cgroup/cpu.max", "400000 100000")
        assert allotment.limits(tmp_path, {})["cgroup"] == 4

    @pytest.mark.parametrize(
        ("environ", "source", "cpus"),
        [
            ({"SLURM_CPUS_PER_TASK": "8"}, "SLURM_CPUS_PER_TASK", 8),
            ({"SLURM_CPUS_PER_TASK": "none"}, "SLURM_CPUS_PER_TASK", None),
            ({"SLURM_CPUS_ON_NODE": "4"}, "SLURM_CPUS_PER_TASK", None),
            ({"NCPUS": "4", "PBS_JOBID": "1.server"}, "NCPUS", 4),
            ({"NCPUS": "4"}, "NCPUS", None),
            ({"OMP_NUM_THREADS": "3"}, "OMP_NUM_THREADS", 3),
            ({"OMP_NUM_THREADS": "4,2"}, "OMP_NUM_THREADS", 4),
            ({"OMP_NUM_THREADS": "0"}, "OMP_NUM_THREADS", None),
        ],
    )
    def test_batch_systems(self, tmp_path, environ, source, cpus):
        """Each batch system's own variable counts, and no other; what is no number above 0 is no limit."""
        assert allotment.limits(tmp_path, environ)[source] == cpus

    def test_least(self):
        """The tightest source wins."""
        assert allotment.least({"affinity": 64, "cgroup": 16, "SLURM_CPUS_PER_TASK": 8, "NCPUS": None}) == 8

    def test_here(self):
        """On this machine there is at least one processor and no more than the affinity mask has."""
        assert 1 <= allotment.allotted_cpus() <= len(os.sched_getaffinity(0))


class TestBatch:
    """The batch system's job."""

    def test_none(self):
        """Outside of a job the system is none and the rest unmeasurable."""
        facts = allotment.batch({})
        assert facts["system"] == "none"
        assert facts["job"] == facts["nodes"] == facts["cpus_per_task"] == Unmeasurable(facts["job"].reason)

    def test_slurm(self):
        """A job of Slurm is known by its number; what it does not set is unmeasurable."""
        facts = allotment.batch({"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]"})
        assert (facts["system"], facts["job"], facts["nodes"]) == ("slurm", "7", "n[1-2]")
        assert facts["cpus_per_task"] == Unmeasurable("SLURM_CPUS_PER_TASK is not set")

    def test_pbs(self, tmp_path, write):
        """PBS lists its nodes in a file, one line a processor."""
        nodes = write(tmp_path, "nodes", "n1\nn1\nn2\n")
        facts = allotment.batch({"PBS_JOBID": "9.s", "PBS_NODEFILE": str(nodes), "NCPUS": "2"})
        assert facts == {"system": "pbs", "job": "9.s", "nodes": "n1,n2", "cpus_per_task": "2"}
