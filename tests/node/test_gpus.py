"""What NVIDIA's management library tells, with stand-ins for it."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pynvml
import pytest

from cifar.node import allotment, computer, container, driver, gpus, packages
from cifar.record.unmeasurable import Unmeasurable, as_json

CONSTANTS = {name: value for name, value in vars(pynvml).items() if "Clocks" in name and isinstance(value, int)}
FIXED = {"NVMLError": pynvml.NVMLError, "NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2, "NVML_TEMPERATURE_GPU": 0}
FIXED |= {"NVML_ERROR_NOT_FOUND": 6, "NVML_ERROR_INVALID_ARGUMENT": 2}
FIXED |= {"NVML_MEMORY_ERROR_TYPE_UNCORRECTED": 1, "NVML_VOLATILE_ECC": 0}


def nvml(**changes):
    """Return a stand-in for pynvml of a node with two GPUs, with other answers where given."""
    calls = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "550.54.15",
        "nvmlSystemGetCudaDriverVersion_v2": lambda: 12040,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: f"index {number}",
        "nvmlDeviceGetHandleByUUID": lambda uuid: f"uuid {uuid}",
        "nvmlDeviceGetName": lambda gpu: f"NVIDIA H100 at {gpu}".encode(),
        "nvmlDeviceGetUUID": lambda _: "GPU-5c2ff123-aaaa",
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=80 << 30, used=1 << 20),
        "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
        "nvmlDeviceGetClockInfo": lambda _, kind: {1: 345, 2: 2619}[kind],
        "nvmlDeviceGetMaxClockInfo": lambda _, kind: {1: 1980, 2: 2619}[kind],
        "nvmlDeviceGetEnforcedPowerLimit": lambda _: 650_000,
        "nvmlDeviceGetPowerManagementDefaultLimit": lambda _: 700_000,
        "nvmlDeviceGetTemperature": lambda _, kind: 31 + kind,
        "nvmlDeviceGetEccMode": lambda _: [1, 1],
        "nvmlDeviceGetTotalEccErrors": lambda _, kind, since: 3 if (kind, since) == (1, 0) else 99,
        "nvmlDeviceGetMigMode": lambda _: [0, 1],
        "nvmlDeviceGetMaxMigDeviceCount": lambda _: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": refuse,
        "nvmlDeviceIsMigDeviceHandle": lambda gpu: str(gpu).startswith("slice"),
        "nvmlDeviceGetPersistenceMode": lambda _: 1,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda _: 0x4 | 0x40,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=1)],
    }
    return SimpleNamespace(**CONSTANTS, **FIXED, **{**calls, **changes})


def refuse(*_):
    """Answer like a GPU that does not have the thing asked for."""
    raise pynvml.NVMLError_NotSupported


def no_library():
    """Answer as where NVIDIA's library is not there."""
    raise pynvml.NVMLError_LibraryNotFound


def lost(number):
    """Answer as where the first GPU has fallen off the bus."""
    if number == 0:
        raise pynvml.NVMLError_GpuIsLost
    return f"index {number}"


class TestNvidia:
    """Facts from NVIDIA's management library, with stand-ins for it."""

    def test_all_supported(self):
        """Every fact is told in its unit and in words."""
        found = gpus.nvidia("gpu", nvml(), {})
        assert found["driver"] == {"version": "550.54.15", "cuda": "12.4", "gpus_of_node": 2}
        assert len(found["gpus"]) == 2
        assert found["gpus"][0] == {
            "name": "NVIDIA H100 at index 0",
            "uuid_class": "GPU",
            "memory_bytes": 80 << 30,
            "memory_used_bytes": 1 << 20,
            "compute_capability": "9.0",
            "sm_clock_mhz": 345,
            "sm_clock_max_mhz": 1980,
            "memory_clock_mhz": 2619,
            "memory_clock_max_mhz": 2619,
            "power_limit_watts": 650.0,
            "power_limit_default_watts": 700.0,
            "temperature_celsius": 31,
            "ecc": "on",
            "ecc_errors": 3,
            "mig": "off",
            "persistence": "on",
            "throttle_reasons": ["power limit", "heat, held down by the hardware"],
            "other_processes": 1,
        }

    def test_nothing_supported(self):
        """A GPU that answers nothing has the same facts, each unmeasurable with the library's reason."""
        calls = {name: refuse for name in vars(nvml()) if name.startswith(("nvmlDeviceGet", "nvmlSystemGet"))}
        kept = {"nvmlDeviceGetCount": lambda: 1, "nvmlDeviceGetHandleByIndex": lambda number: number}
        found = gpus.nvidia("gpu", nvml(**{**calls, **kept}), {})
        assert found["gpus"][0].keys() == gpus.nvidia("gpu", nvml(), {})["gpus"][0].keys()
        facts = [*found["gpus"][0].values(), found["driver"]["version"], found["driver"]["cuda"]]
        assert facts == [Unmeasurable("Not Supported")] * len(facts)

    def test_no_library(self, tmp_path, write):
        """Where the library does not work beside a driver that does, its own words are the reason."""
        write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        for path in ("dev/nvidia0", "usr/lib/x/libcuda.so.1"):
            write(tmp_path, path)

        found = gpus.nvidia("cpu", nvml(nvmlInit=no_library), {}, tmp_path)
        assert "Not Found" in found["gpus"].reason
        assert "nvidia-smi" in found["gpus"].remedy
        assert found["driver"]["version"] == found["gpus"]

    @pytest.mark.parametrize("exposed", [True, False])
    def test_no_driver(self, tmp_path, exposed, write):
        """A node without a driver, and a container without the GPU of its node, have the reason of the facts seen."""
        if not exposed:
            write(tmp_path, ".dockerenv")
            write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        found = gpus.nvidia("cpu", nvml(nvmlInit=no_library), {}, tmp_path)
        why = driver.not_shown(driver.seen(tmp_path, {}))
        assert found["gpus"] == why
        assert ("--gpus all" in why.remedy) is not exposed

    @pytest.mark.parametrize(
        ("visible", "handles"),
        [
            ("1", ["index 1"]),
            ("1, 0", ["index 1", "index 0"]),
            ("GPU-8f1,MIG-2b3", ["uuid GPU-8f1", "uuid MIG-2b3"]),
            ("1,-1,0", ["index 1"]),
        ],
    )
    def test_visible_devices(self, visible, handles):
        """The list holds what CUDA_VISIBLE_DEVICES leaves, in its order, so that gpu:N is its N-th entry."""
        found = gpus.nvidia("gpu", nvml(), {"CUDA_VISIBLE_DEVICES": visible})
        assert [gpu["name"] for gpu in found["gpus"]] == [f"NVIDIA H100 at {handle}" for handle in handles]

    def test_hidden(self):
        """Where every GPU is hidden, the reason names the variable."""
        found = gpus.nvidia("cpu", nvml(), {"CUDA_VISIBLE_DEVICES": ""})
        assert "CUDA_VISIBLE_DEVICES=''" in found["gpus"].reason

    def test_a_gpu_that_is_lost(self):
        """One GPU that cannot be reached keeps its place in the list, with the reason."""

        def handle(number):
            if number == 0:
                raise pynvml.NVMLError_GpuIsLost
            return f"index {number}"

        found = gpus.nvidia("gpu", nvml(nvmlDeviceGetHandleByIndex=handle), {})
        assert found["gpus"][0] == Unmeasurable("GPU is lost", "reset the GPU or reboot the node")
        assert found["gpus"][1]["name"] == "NVIDIA H100 at index 1"

    @pytest.mark.parametrize("name", ["GPU-9", "\N{SUPERSCRIPT TWO}", "9" * 5000, "1_0"])
    def test_a_name_that_no_gpu_has(self, name):
        """A wrong CUDA_VISIBLE_DEVICES is no broken GPU: the remedy is the variable."""

        def handle(_):
            raise pynvml.NVMLError_NotFound

        found = gpus.nvidia("gpu", nvml(nvmlDeviceGetHandleByUUID=handle), {"CUDA_VISIBLE_DEVICES": name})
        assert "set CUDA_VISIBLE_DEVICES" in found["gpus"][0].remedy

    def test_a_name_cut_short(self):
        """The beginning of one GPU's UUID names it, as CUDA takes it; that of two GPUs does not."""
        uuids = {"index 0": "GPU-5c2ff123", "index 1": "GPU-5d"}
        staged = nvml(nvmlDeviceGetUUID=lambda gpu: uuids.get(gpu, gpu))
        found = gpus.nvidia("gpu", staged, {"CUDA_VISIBLE_DEVICES": "GPU-5c,GPU-5"})
        assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA H100 at index 0", "NVIDIA H100 at uuid GPU-5"]

    def test_a_slice(self):
        """Of a GPU in slices the first one counts, so that its name and not the whole GPU's is compared."""

        def a_slice(gpu, place):
            return f"slice {place} of {gpu}" if place == 2 else refuse()

        staged = nvml(nvmlDeviceGetMigMode=lambda _: [1, 1], nvmlDeviceGetMigDeviceHandleByIndex=a_slice)
        found = gpus.nvidia("gpu", staged, {})["gpus"][0]
        assert (found["name"], found["mig"]) == ("NVIDIA H100 at slice 2 of index 0", "on")

    def test_a_slice_that_is_named(self):
        """A slice in CUDA_VISIBLE_DEVICES is one, although its own mode cannot be asked for."""
        staged = nvml(nvmlDeviceGetMigMode=refuse, nvmlDeviceGetHandleByUUID=lambda uuid: f"slice {uuid}")
        found = gpus.nvidia("gpu", staged, {"CUDA_VISIBLE_DEVICES": "MIG-2b3"})
        assert found["gpus"][0]["mig"] == "on"

    @pytest.mark.parametrize(
        ("kind", "pids", "others"),
        [("cpu", [1, 2], 2), ("gpu", [], 0), ("cpu", [], 0), ("gpu", [1, os.getpid()], 1)],
    )
    def test_other_processes(self, kind, pids, others):
        """This process is no other one, and a measured zero is a zero."""
        library = nvml(nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=pid) for pid in pids])
        assert gpus.nvidia(kind, library, {})["gpus"][0]["other_processes"] == others

    def test_processes_as_the_host_numbers_them(self):
        """In a container this process cannot tell which one it is, and does not guess."""
        library = nvml(nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=1)])
        assert gpus.nvidia("gpu", library, {})["gpus"][0]["other_processes"].reason

    @pytest.mark.parametrize(
        ("bits", "words"),
        [
            (0, []),
            (0x1, ["gpu idle"]),
            (0x4000 | 0x20, ["heat, held down by the driver", "bits 0x4000, which have no name here"]),
        ],
    )
    def test_throttle_reasons(self, bits, words):
        """Reasons are words, none is an empty list, and bits of a newer driver are not lost."""
        library = nvml(nvmlDeviceGetCurrentClocksThrottleReasons=lambda _: bits)
        assert gpus.nvidia("gpu", library, {})["gpus"][0]["throttle_reasons"] == words


FACTS = r"""{
 "node": {
  "physical_cores": {
   "unmeasurable": "the kernel names no cores"
  },
  "memory_bytes": {
   "unmeasurable": "/proc/meminfo cannot be read"
  },
  "memory_limit_bytes": "no limit",
  "governor": {
   "unmeasurable": "the kernel offers no frequency governor here (as in most virtual machines)"
  },
  "boost": {
   "unmeasurable": "/sys/devices/system/cpu/cpufreq/boost cannot be read"
  },
  "hyperthreading": {
   "unmeasurable": "/sys/devices/system/cpu/smt/active cannot be read"
  },
  "os": {
   "unmeasurable": "/etc/os-release names no system"
  }
 },
 "load": {
  "unmeasurable": "/proc/loadavg cannot be read"
 },
 "gpus": [
  {
   "unmeasurable": "GPU is lost",
   "remedy": "reset the GPU or reboot the node"
  },
  {
   "name": "NVIDIA H100 at index 1",
   "ecc": {
    "unmeasurable": "Not Supported"
   },
   "ecc_errors": 3,
   "mig": {
    "unmeasurable": "Not Supported"
   }
  }
 ],
 "version": {
  "unmeasurable": "this node runs no NVIDIA driver",
  "remedy": "use a node with an NVIDIA GPU, or have the driver installed on the host, for /proc/driver/nvidia/version and libcuda.so.1 are missing"
 },
 "cuda": {
  "unmeasurable": "this node runs no NVIDIA driver",
  "remedy": "use a node with an NVIDIA GPU, or have the driver installed on the host, for /proc/driver/nvidia/version and libcuda.so.1 are missing"
 },
 "gpus_of_node": {
  "unmeasurable": "this node runs no NVIDIA driver",
  "remedy": "use a node with an NVIDIA GPU, or have the driver installed on the host, for /proc/driver/nvidia/version and libcuda.so.1 are missing"
 },
 "container": {
  "kind": "apptainer",
  "image": "h\\udce9.sif",
  "digest": {
   "unmeasurable": "an image does not know its own digest",
   "remedy": "set CIFAR_IMAGE_DIGEST or mount the folder of the image's file"
  }
 },
 "batch": {
  "system": "slurm",
  "job": "7",
  "nodes": {
   "unmeasurable": "SLURM_JOB_NODELIST is not set"
  },
  "cpus_per_task": {
   "unmeasurable": "SLURM_CPUS_PER_TASK is not set"
  }
 },
 "variables": {
  "CUDA_VISIBLE_DEVICES": "\\x1b[31m"
 }
}"""  # noqa: E501 remedies are long
"""The JSON of some facts of a staged node."""


def test_json_of_unmeasurable_facts(tmp_path):
    """What cannot be had stands in a record with its reason, and with a remedy only where there is one."""
    named = ("physical_cores", "memory_bytes", "memory_limit_bytes", "governor", "boost", "hyperthreading", "os")
    node = computer.describe(tmp_path)
    library = nvml(nvmlDeviceGetHandleByIndex=lost, nvmlDeviceGetMigMode=refuse, nvmlDeviceGetEccMode=refuse)
    listed = gpus.nvidia("cpu", library, {})["gpus"]
    facts = {
        "node": {name: node[name] for name in named},
        "load": computer.load_now(tmp_path),
        "gpus": [listed[0], {name: listed[1][name] for name in ("name", "ecc", "ecc_errors", "mig")}],
        **gpus.nvidia("cpu", None, {"CUDA_VISIBLE_DEVICES": ""}, tmp_path)["driver"],
        "container": container.container(tmp_path, {"APPTAINER_CONTAINER": "/elsewhere/h\udce9.sif"}),
        "batch": allotment.batch({"SLURM_JOB_ID": "7"}),
        "variables": packages.variables({"CUDA_VISIBLE_DEVICES": "\x1b[31m"}),
    }
    assert json.dumps(as_json(facts), indent=1) == FACTS
