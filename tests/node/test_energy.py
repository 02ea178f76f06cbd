"""Energy: counters that wrap around, whose energy they count, and the reason where there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from cifar.node import energy

CPU, GPU = None, 1
RANGE = 262_143_328_850


class Powercap:
    """The kernel's folder with the zones of a node with two packages, as microjoules to set."""

    def __init__(self, root):
        """Make the folder below `root`."""
        self.folder = root / "sys/class/powercap"
        names = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1"}
        others = {
            "intel-rapl:0:0": "core",
            "intel-rapl:0:1": "dram",
            "intel-rapl:2": "psys",
            "intel-rapl-mmio:0": "package-0",
        }
        for zone, name in {**names, **others}.items():
            (self.folder / zone).mkdir(parents=True)
            (self.folder / zone / "name").write_text(f"{name}\n")
            (self.folder / zone / "max_energy_range_uj").write_text(f"{RANGE}\n")
            self.set(zone, 5)

    def set(self, zone, microjoules):
        """Let the zone's counter stand at `microjoules`."""
        (self.folder / zone / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def powercap(tmp_path):
    """A node with two packages."""
    return Powercap(tmp_path)


def nvml(*millijoules, **changes):
    """A stand-in for pynvml of a node with two GPUs, the second of which counts `millijoules`, one after the other."""
    counted = iter(millijoules)
    functions = {
        "NVMLError": pynvml.NVMLError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetMigMode": lambda _: [0, 0],
        "nvmlDeviceGetTotalEnergyConsumption": lambda gpu: {1: counted}[gpu].__next__(),
    }
    return SimpleNamespace(**{**functions, **changes})


def test_packages_are_summed(powercap, tmp_path):
    """The joules since the start of all packages, and of nothing that is a part of them or more than them."""
    counter = energy.counter(CPU, tmp_path)
    assert counter.whose.startswith("all of the node's 2 CPU packages")
    assert counter.joules() == 0
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:2", "intel-rapl-mmio:0"):
        powercap.set(zone, 3_000_005)
    powercap.set("intel-rapl:1", 1_500_005)
    assert counter.joules() == pytest.approx(4.5)


def test_counter_wraps_around(powercap, tmp_path):
    """A counter that begins anew at 0 goes on counting, each time."""
    powercap.set("intel-rapl:0", RANGE - 1_999_999)
    counter = energy.counter(CPU, tmp_path)
    powercap.set("intel-rapl:0", 1_000_000)
    assert counter.joules() == pytest.approx(3.0)
    powercap.set("intel-rapl:0", RANGE)
    powercap.set("intel-rapl:0", 0)
    assert counter.joules() == pytest.approx(3.0 + (RANGE - 999_999) * 1e-6)


def test_counter_that_is_lost(powercap, tmp_path):
    """A counter that cannot be read any more has no sum, and none later either."""
    counter = energy.counter(CPU, tmp_path)
    (powercap.folder / "intel-rapl:1" / "energy_uj").unlink()
    assert counter.joules() is None
    powercap.set("intel-rapl:1", 9)
    assert counter.joules() is None


def test_no_counter_of_a_cpu(tmp_path):
    """Without RAPL the reason is given."""
    assert "no energy counters of the processor (RAPL)" in energy.counter(CPU, tmp_path).reason


def test_counter_that_may_not_be_read(powercap, tmp_path):
    """A counter that is there and unreadable is named, with the remedy."""
    (powercap.folder / "intel-rapl:1" / "energy_uj").unlink()
    (powercap.folder / "intel-rapl:1" / "energy_uj").mkdir()
    missing = energy.counter(CPU, tmp_path)
    assert "intel-rapl:1/energy_uj" in missing.reason
    assert missing.remedy == "root can let all read energy_uj"


@pytest.mark.parametrize("text", ["", "max", "-5", "1e5", "9" * 5_000, "\u0663"])
def test_counter_that_is_no_number(powercap, tmp_path, text):
    """A counter that holds no number of microjoules is named, with what it holds."""
    (powercap.folder / "intel-rapl:1" / "energy_uj").write_text(text, encoding="utf-8")
    missing = energy.counter(CPU, tmp_path)
    assert "cannot be read" in missing.reason
    assert missing.remedy == ""


def test_gpu():
    """A GPU's own counter, of the one that the device names, in joules since the start."""
    counter = energy.counter(GPU, library=nvml(500, 2_500, 2_750), environ={})
    assert counter.whose.startswith("the whole GPU board")
    assert (counter.joules(), counter.joules()) == (2.0, 2.25)


def refuse(*_arguments):
    """Answer as NVIDIA's library does where something is not supported."""
    raise pynvml.NVMLError_NotSupported


@pytest.mark.parametrize(
    ("changes", "visible"),
    [
        ({"nvmlInit": refuse}, {}),
        ({"nvmlDeviceGetHandleByIndex": refuse}, {}),
        ({"nvmlDeviceGetTotalEnergyConsumption": refuse}, {}),
        ({}, {"CUDA_VISIBLE_DEVICES": "0"}),
    ],
    ids=["no library", "no handle", "not supported", "not visible"],
)
def test_no_counter_of_a_gpu(changes, visible):
    """Where NVIDIA's library does not tell, the reason says so."""
    missing = energy.counter(GPU, library=nvml(**changes), environ=visible)
    assert missing.reason.startswith("NVIDIA's management library does not tell the GPU's energy (")


def test_gpu_that_is_lost():
    """A GPU whose counter fails later has no sum."""
    answers = iter([lambda: 500, refuse])
    counter = energy.counter(
        GPU, library=nvml(nvmlDeviceGetTotalEnergyConsumption=lambda _: next(answers)()), environ={}
    )
    assert counter.joules() is None
