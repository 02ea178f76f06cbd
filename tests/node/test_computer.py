"""Facts of the node, from staged files of the kernel."""

from __future__ import annotations

import pytest

from cifar.node import computer

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Gold 6430  CPU
cpu MHz\t\t: 2100.000
bogomips\t: 4200.00

processor\t: 1
model name\t: Intel(R) Xeon(R) Gold 6430  CPU
cpu MHz\t\t: 3400.000
"""
GRACE = "processor\t: 0\nBogoMIPS\t: 2000.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800.000000MHz\n"


def holes(facts, place=""):
    """Return the places of all facts that are null, empty text or a zero."""
    if isinstance(facts, dict):
        return [hole for name, fact in facts.items() for hole in holes(fact, f"{place}.{name}")]
    if isinstance(facts, list):
        return [hole for number, fact in enumerate(facts) for hole in holes(fact, f"{place}.{number}")]
    return [place] if facts is None or facts == "" or (facts == 0 and facts is not False) else []


class TestNode:
    """Facts of the node, from staged files of the kernel."""

    @pytest.mark.parametrize(
        ("text", "model"),
        [
            (X86, "Intel(R) Xeon(R) Gold 6430 CPU"),
            (GRACE, "ARM implementer 0x41 part 0xd4f"),
            (POWER, "POWER9, altivec supported"),
        ],
        ids=["x86", "arm", "power"],
    )
    def test_cpu_model(self, tmp_path, text, model, write):
        """The model is named as the kernel of each architecture names it, without clock rates."""
        write(tmp_path, "proc/cpuinfo", text)
        assert computer.cpu_model(tmp_path) == model

    def test_governor(self, tmp_path, write):
        """One governor is named once, several all; none is unmeasurable."""
        assert computer.governor(tmp_path).reason
        for number, name in enumerate(("performance", "performance", "powersave")):
            write(tmp_path, f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor", f"{name}\n")
        assert computer.governor(tmp_path) == "performance,powersave"

    @pytest.mark.parametrize(
        ("path", "text", "on"),
        [
            ("intel_pstate/no_turbo", "0\n", True),
            ("intel_pstate/no_turbo", "1\n", False),
            ("cpufreq/boost", "1\n", True),
            ("cpufreq/boost", "0\n", False),
        ],
    )
    def test_boost(self, tmp_path, path, text, on, write):
        """Intel's inverted switch and everybody else's are told apart."""
        write(tmp_path, f"sys/devices/system/cpu/{path}", text)
        assert computer.boost(tmp_path) is on

    def test_bare_node(self, tmp_path):
        """Where the kernel tells nothing, every fact is still there, with the reason why it has no value."""
        facts = computer.describe(tmp_path)
        for name in ("governor", "boost", "hyperthreading", "huge_pages", "os"):
            assert facts[name].reason
        assert facts["memory_limit_bytes"] == "no limit"
        assert holes(facts) == []

    def test_staged_node(self, tmp_path, write):
        """Limits of the cgroup, the system's name and the kernel's settings are read."""
        write(tmp_path, "proc/self/cgroup", "0::/\n")
        write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
        write(tmp_path, "sys/fs/cgroup/memory.max", "1073741824\n")
        write(tmp_path, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        write(tmp_path, "etc/os-release", 'ID=x\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n')
        facts = computer.describe(tmp_path)
        assert (facts["cpus"], facts["allotment"]["cgroup"]) == (1, 1)
        assert facts["memory_limit_bytes"] == 2**30
        assert (facts["huge_pages"], facts["os"]) == ("madvise", "Rocky Linux 9.4 (Blue Onyx)")

    def test_load(self, tmp_path, write):
        """The load is read as numbers, and an unreadable one is no zero."""
        assert computer.load_now(tmp_path).reason
        write(tmp_path, "proc/loadavg", "0.52 1.58 0.59 3/467 12345\n")
        assert computer.load_now(tmp_path) == {
            "minutes_1": 0.52,
            "minutes_5": 1.58,
            "minutes_15": 0.59,
            "runnable": 3,
        }
