"""What `cifar.measure.environment` records, on staged nodes, with stand-ins for NVML, and of this very process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from cifar.measure import devices, environment
from cifar.measure.devices import Device
from cifar.record.unmeasurable import Unmeasurable, as_json

CPU = Device("cpu", "/device:CPU:0", "cpu", 2)
GPU = Device("gpu", "/device:GPU:0", "gpu", 2, number=0, model="NVIDIA H100 80GB HBM3")

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
 "lock": {
  "unmeasurable": "there is no requirements-cuda.txt beside the package; `installed` tells what was used",
  "remedy": "run from a checkout, or from an image"
 },
 "variables": {
  "CUDA_VISIBLE_DEVICES": "\\x1b[31m"
 }
}"""  # noqa: E501 remedies are long
"""The JSON of some facts of a staged node."""

PROCESS = """
import json, sys
from types import SimpleNamespace
from cifar.measure import devices, environment
data = SimpleNamespace(digest="ab" * 32, source="made up", synthetic=True)
facts = environment.collect(devices.claim("cpu", threads=1), data)
print(json.dumps([facts, environment.fingerprint(facts)], allow_nan=False))
"""


def write(root, path, text=""):
    """Write one file and the folders above it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def git(folder, *arguments):
    """Run git in a folder, as nobody in particular."""
    names = {
        f"GIT_{role}_{what}": "nobody@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", "-C", folder, *arguments], env={**os.environ, **names}, check=True, capture_output=True)  # noqa: S607


def holes(facts, place=""):
    """Return the places of all facts that are null, empty text or a zero."""
    if isinstance(facts, dict):
        return [hole for name, fact in facts.items() for hole in holes(fact, f"{place}.{name}")]
    if isinstance(facts, list):
        return [hole for number, fact in enumerate(facts) for hole in holes(fact, f"{place}.{number}")]
    return [place] if facts is None or facts == "" or (facts == 0 and facts is not False) else []


@pytest.fixture(scope="module")
def processes():
    """Facts and fingerprint, collected by two processes that run side by side."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    return [json.loads(out.splitlines()[-1]) for out, _ in answers]


@pytest.mark.slow
class TestCollect:
    """The facts of a measuring process, really collected."""

    def test_subjects(self, processes):
        """Every subject that a reader may ask about is there."""
        facts, _ = processes[0]
        assert facts.keys() == {
            *("schema", "device", "node", "load", "driver", "gpus", "software", "variables"),
            *("container", "source", "batch", "dataset"),
        }
        assert facts["device"]["threads"] == 1
        assert facts["dataset"] == {"digest": "ab" * 32, "source": "made up", "synthetic": True}
        assert facts["software"]["tensorflow"].startswith("2.")
        assert facts["software"]["tf32"] in (True, False)
        assert facts["node"]["memory_bytes"] > 2**28

    def test_nothing_is_zero_by_failure(self, processes):
        """What could not be had is called unmeasurable with its reason: no null, no empty text, no zero."""
        facts, _ = processes[0]
        assert [place for place in holes(facts) if not place.startswith((".load.", ".variables."))] == []
        assert all(set(load) == {"minutes_1", "minutes_5", "minutes_15", "runnable"} for load in [facts["load"]])

    def test_no_user(self, processes):
        """No home folder stands in the record."""
        facts, _ = processes[0]
        home = os.path.expanduser("~")  # noqa: PTH111 - the text is what is looked for
        assert home not in json.dumps(facts)

    def test_fingerprint(self, processes):
        """The fingerprint is flat, has all its fields, and two processes on one node agree about it."""
        (_, one), (_, other) = processes
        assert one == other
        assert one.keys() == {
            *("schema", "workload", "dataset", "tensorflow", "keras", "backend", "numpy", "h5py", "hdf5"),
            *("cuda_build", "cudnn_build", "onednn", "tf32", "precision", "python", "cpu_model", "cpus", "threads"),
            *("gpu", "gpu_driver", "image"),
        }
        assert all(value is None or isinstance(value, str | int | float | bool) for value in one.values())
        assert (one["schema"], one["backend"], one["precision"]) == (1, "tensorflow", "float32")
        assert one["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
        assert len(one["workload"]) == 64

    def test_the_gpu_is_the_nodes(self, processes):
        """CPU and GPU of one node have one fingerprint, with the models' names; unmeasurable GPUs give None."""
        facts, _ = processes[0]
        h100, unknown = {"name": "NVIDIA H100"}, {"unmeasurable": "fell off the bus"}
        node = {**facts, "driver": {"version": "550.54"}, "gpus": [h100, h100, unknown]}
        on_gpu = {**node, "device": {**facts["device"], "kind": "gpu", "name": "gpu", "gpu": "NVIDIA H100"}}
        assert environment.fingerprint(node) == environment.fingerprint(on_gpu)
        assert environment.fingerprint(node)["gpu"] == "NVIDIA H100"
        assert environment.fingerprint(node)["gpu_driver"] == "550.54"
        image = {"kind": "docker", "image": "cifar-bench", "digest": unknown}
        assert environment.fingerprint({**node, "container": image})["image"] == "unknown"
        assert environment.fingerprint({**node, "container": {**image, "digest": "sha256:1"}})["image"] == "sha256:1"
        assert environment.fingerprint({**node, "container": {**image, "kind": "none"}})["image"] is None
        nothing = {**node, "gpus": unknown, "driver": {"version": unknown}}
        assert environment.fingerprint(nothing)["gpu"] is None
        assert environment.fingerprint(nothing)["gpu_driver"] is None


def lost(number):
    """Answer as where the first GPU has fallen off the bus."""
    if number == 0:
        raise pynvml.NVMLError_GpuIsLost
    return f"index {number}"


def test_json_of_unmeasurable_facts(tmp_path):
    """What cannot be had stands in a record with its reason, and with a remedy only where there is one."""
    named = ("physical_cores", "memory_bytes", "memory_limit_bytes", "governor", "boost", "hyperthreading", "os")
    node = environment.node(tmp_path)
    library = nvml(nvmlDeviceGetHandleByIndex=lost, nvmlDeviceGetMigMode=refuse, nvmlDeviceGetEccMode=refuse)
    gpus = environment.nvidia(CPU, library, {})["gpus"]
    facts = {
        "node": {name: node[name] for name in named},
        "load": environment.load_now(tmp_path),
        "gpus": [gpus[0], {name: gpus[1][name] for name in ("name", "ecc", "ecc_errors", "mig")}],
        **environment.nvidia(CPU, None, {"CUDA_VISIBLE_DEVICES": ""}, tmp_path)["driver"],
        "container": environment.container(tmp_path, {"APPTAINER_CONTAINER": "/elsewhere/h\udce9.sif"}),
        "batch": environment.batch({"SLURM_JOB_ID": "7"}),
        "lock": environment.lock(tmp_path, {}),
        "variables": environment.variables({"CUDA_VISIBLE_DEVICES": "\x1b[31m"}),
    }
    assert json.dumps(as_json(facts), indent=1) == FACTS


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
    def test_cpu_model(self, tmp_path, text, model):
        """The model is named as the kernel of each architecture names it, without clock rates."""
        write(tmp_path, "proc/cpuinfo", text)
        assert environment.cpu_model(tmp_path) == model

    def test_governor(self, tmp_path):
        """One governor is named once, several all; none is unmeasurable."""
        assert environment.governor(tmp_path).reason
        for number, name in enumerate(("performance", "performance", "powersave")):
            write(tmp_path, f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor", f"{name}\n")
        assert environment.governor(tmp_path) == "performance,powersave"

    @pytest.mark.parametrize(
        ("path", "text", "on"),
        [
            ("intel_pstate/no_turbo", "0\n", True),
            ("intel_pstate/no_turbo", "1\n", False),
            ("cpufreq/boost", "1\n", True),
            ("cpufreq/boost", "0\n", False),
        ],
    )
    def test_boost(self, tmp_path, path, text, on):
        """Intel's inverted switch and everybody else's are told apart."""
        write(tmp_path, f"sys/devices/system/cpu/{path}", text)
        assert environment.boost(tmp_path) is on

    def test_bare_node(self, tmp_path):
        """Where the kernel tells nothing, every fact is still there, with the reason why it has no value."""
        facts = environment.node(tmp_path)
        for name in ("governor", "boost", "hyperthreading", "huge_pages", "os"):
            assert facts[name].reason
        assert facts["memory_limit_bytes"] == "no limit"
        assert holes(facts) == []

    def test_staged_node(self, tmp_path):
        """Limits of the cgroup, the system's name and the kernel's settings are read."""
        write(tmp_path, "proc/self/cgroup", "0::/\n")
        write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
        write(tmp_path, "sys/fs/cgroup/memory.max", "1073741824\n")
        write(tmp_path, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
        write(tmp_path, "etc/os-release", 'ID=x\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n')
        facts = environment.node(tmp_path)
        assert (facts["cpus"], facts["allotment"]["cgroup"]) == (1, 1)
        assert facts["memory_limit_bytes"] == 2**30
        assert (facts["huge_pages"], facts["os"]) == ("madvise", "Rocky Linux 9.4 (Blue Onyx)")

    def test_load(self, tmp_path):
        """The load is read as numbers, and an unreadable one is no zero."""
        assert environment.load_now(tmp_path).reason
        write(tmp_path, "proc/loadavg", "0.52 1.58 0.59 3/467 12345\n")
        assert environment.load_now(tmp_path) == {
            "minutes_1": 0.52,
            "minutes_5": 1.58,
            "minutes_15": 0.59,
            "runnable": 3,
        }


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


class TestNvidia:
    """Facts from NVIDIA's management library, with stand-ins for it."""

    def test_all_supported(self):
        """Every fact is told in its unit and in words."""
        found = environment.nvidia(GPU, nvml(), {})
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
        found = environment.nvidia(GPU, nvml(**{**calls, **kept}), {})
        assert found["gpus"][0].keys() == environment.nvidia(GPU, nvml(), {})["gpus"][0].keys()
        facts = [*found["gpus"][0].values(), found["driver"]["version"], found["driver"]["cuda"]]
        assert facts == [Unmeasurable("Not Supported")] * len(facts)

    def test_no_library(self, tmp_path):
        """Where the library does not work beside a driver that does, its own words are the reason."""
        write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        for path in ("dev/nvidia0", "usr/lib/x/libcuda.so.1"):
            write(tmp_path, path)

        found = environment.nvidia(CPU, nvml(nvmlInit=no_library), {}, tmp_path)
        assert "Not Found" in found["gpus"].reason
        assert "nvidia-smi" in found["gpus"].remedy
        assert found["driver"]["version"] == found["gpus"]

    @pytest.mark.parametrize("exposed", [True, False])
    def test_no_driver(self, tmp_path, exposed):
        """A node without a driver, and a container without the node's GPU, have the reason that `explain` gives."""
        if not exposed:
            write(tmp_path, ".dockerenv")
            write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        found = environment.nvidia(CPU, nvml(nvmlInit=no_library), {}, tmp_path)
        why = devices.explain(devices.seen(tmp_path, {}))
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
        found = environment.nvidia(GPU, nvml(), {"CUDA_VISIBLE_DEVICES": visible})
        assert [gpu["name"] for gpu in found["gpus"]] == [f"NVIDIA H100 at {handle}" for handle in handles]

    def test_hidden(self):
        """Where every GPU is hidden, the reason names the variable."""
        found = environment.nvidia(CPU, nvml(), {"CUDA_VISIBLE_DEVICES": ""})
        assert "CUDA_VISIBLE_DEVICES=''" in found["gpus"].reason

    def test_a_gpu_that_is_lost(self):
        """One GPU that cannot be reached keeps its place in the list, with the reason."""

        def handle(number):
            if number == 0:
                raise pynvml.NVMLError_GpuIsLost
            return f"index {number}"

        found = environment.nvidia(GPU, nvml(nvmlDeviceGetHandleByIndex=handle), {})
        assert found["gpus"][0] == Unmeasurable("GPU is lost", "reset the GPU or reboot the node")
        assert found["gpus"][1]["name"] == "NVIDIA H100 at index 1"

    def test_a_name_that_no_gpu_has(self):
        """A wrong CUDA_VISIBLE_DEVICES is no broken GPU: the remedy is the variable."""

        def handle(_):
            raise pynvml.NVMLError_NotFound

        found = environment.nvidia(GPU, nvml(nvmlDeviceGetHandleByUUID=handle), {"CUDA_VISIBLE_DEVICES": "GPU-9"})
        assert "set CUDA_VISIBLE_DEVICES" in found["gpus"][0].remedy

    def test_a_name_cut_short(self):
        """The beginning of one GPU's UUID names it, as CUDA takes it; that of two GPUs does not."""
        uuids = {"index 0": "GPU-5c2ff123", "index 1": "GPU-5d"}
        staged = nvml(nvmlDeviceGetUUID=lambda gpu: uuids.get(gpu, gpu))
        found = environment.nvidia(GPU, staged, {"CUDA_VISIBLE_DEVICES": "GPU-5c,GPU-5"})
        assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA H100 at index 0", "NVIDIA H100 at uuid GPU-5"]

    def test_a_slice(self):
        """Of a GPU in slices the first one counts, so that its name and not the whole GPU's is compared."""

        def a_slice(gpu, place):
            return f"slice {place} of {gpu}" if place == 2 else refuse()

        staged = nvml(nvmlDeviceGetMigMode=lambda _: [1, 1], nvmlDeviceGetMigDeviceHandleByIndex=a_slice)
        found = environment.nvidia(GPU, staged, {})["gpus"][0]
        assert (found["name"], found["mig"]) == ("NVIDIA H100 at slice 2 of index 0", "on")

    def test_a_slice_that_is_named(self):
        """A slice in CUDA_VISIBLE_DEVICES is one, although its own mode cannot be asked for."""
        staged = nvml(nvmlDeviceGetMigMode=refuse, nvmlDeviceGetHandleByUUID=lambda uuid: f"slice {uuid}")
        found = environment.nvidia(GPU, staged, {"CUDA_VISIBLE_DEVICES": "MIG-2b3"})
        assert found["gpus"][0]["mig"] == "on"

    @pytest.mark.parametrize(
        ("device", "pids", "others"),
        [(CPU, [1, 2], 2), (GPU, [], 0), (CPU, [], 0), (GPU, [1, os.getpid()], 1)],
    )
    def test_other_processes(self, device, pids, others):
        """This process is no other one, and a measured zero is a zero."""
        library = nvml(nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=pid) for pid in pids])
        assert environment.nvidia(device, library, {})["gpus"][0]["other_processes"] == others

    def test_processes_as_the_host_numbers_them(self):
        """In a container this process cannot tell which one it is, and does not guess."""
        library = nvml(nvmlDeviceGetComputeRunningProcesses=lambda _: [SimpleNamespace(pid=1)])
        assert environment.nvidia(GPU, library, {})["gpus"][0]["other_processes"].reason

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
        assert environment.nvidia(GPU, library, {})["gpus"][0]["throttle_reasons"] == words


def test_loaded_libraries(tmp_path):
    """The CUDA libraries in a process's memory map are named once each, without their folders."""
    line = "7f00-7f01 r-xp 00000000 08:01 1 "
    names = ["/home/ada/nvidia/cudnn/lib/libcudnn.so.9", "/usr/lib/libcuda.so.550.54.15", "/usr/lib/libc.so.6"]
    write(tmp_path, "proc/self/maps", "".join(f"{line}{name}\n" for name in [*names, names[0]]))
    assert environment.loaded_libraries(tmp_path) == ["libcuda.so.550.54.15", "libcudnn.so.9"]
    assert environment.loaded_libraries(tmp_path / "nowhere") == Unmeasurable("/proc/self/maps cannot be read")


def test_variables():
    """What can change a result is kept; secrets, users' names and everything else are not."""
    environ = {
        "HOME": "/data/home/ada",
        "USER": "ada",
        "CUDA_VISIBLE_DEVICES": "0",
        "OMP_NUM_THREADS": "4",
        "TF_VAR_password": "hunter2",
        "TF_CONFIG": "{}",
        "NVIDIA_API_KEY": "nvapi",
        "MKL_TOKEN": "x",
        "LD_LIBRARY_PATH": "/data/home/ada/lib:/home/eve/lib:/scratch/ada/cuda:/opt/adamant",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_USER": "ada",
        "PATH": "/bin",
    }
    assert environment.variables(environ) == {
        "CUDA_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "~/lib:~/lib:/scratch/USER/cuda:/opt/adamant",
        "OMP_NUM_THREADS": "4",
        "SLURM_JOB_ID": "7",
    }


class TestContainer:
    """The container that the process runs in."""

    def test_none(self, tmp_path):
        """Outside of a container nothing is missing and everything says so."""
        facts = environment.container(tmp_path, {})
        assert facts == {"kind": "none", "image": facts["digest"], "digest": Unmeasurable("not in a container")}

    def test_apptainer(self, tmp_path):
        """Apptainer names its image, of which the file's name is kept; the digest comes from who started it."""
        environ = {"APPTAINER_CONTAINER": "/home/ada/images/cifar.sif", "CIFAR_IMAGE_DIGEST": "sha256:12"}
        facts = environment.container(tmp_path, environ)
        assert facts == {"kind": "apptainer", "image": "cifar.sif", "digest": "sha256:12"}

    def test_apptainer_without_a_digest(self, tmp_path):
        """Where the image's file cannot be seen from inside, or is none, the record says that and what to do."""
        unseen = environment.container(tmp_path, {"APPTAINER_CONTAINER": "/elsewhere/cifar.sif"})
        assert "mount the folder" in unseen["digest"].remedy
        other = write(tmp_path, "cifar.sif", "text")
        assert "no image" in environment.container(tmp_path, {"APPTAINER_CONTAINER": str(other)})["digest"].reason

    def test_docker(self, tmp_path):
        """Docker tells a container neither its image nor the digest: both say how to pass them on."""
        write(tmp_path, ".dockerenv")
        facts = environment.container(tmp_path, {})
        assert "CIFAR_IMAGE" in facts["image"].remedy
        assert "CIFAR_IMAGE_DIGEST" in facts["digest"].remedy


class TestGit:
    """What git says of the checkout, whatever git is."""

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("/bin/sleep 600", "did not answer within 1 s"),
            (r"printf '\377\000x'", "null byte"),
            ("echo no repository >&2; exit 128", "no repository"),
            (None, "denied"),
        ],
    )
    def test_odd_git(self, tmp_path, monkeypatch, program, reason):
        """One that hangs, prints no text, fails, or is a folder: the reason stands where the commit would."""
        git = tmp_path / "git"
        if program is None:
            git.mkdir()
        else:
            git.write_text(f"#!/bin/sh\n{program}\n")
            git.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(environment, "GIT_SECONDS", 1.0)
        facts = environment.source()
        assert reason in facts["commit"].reason
        assert facts["dirty"] == facts["commit"]

    def test_checkout_in_latin_1(self, tmp_path):
        """A checkout whose folder's name is no UTF-8 has its commit."""
        folder = tmp_path / os.fsdecode(b"h\xe9")
        folder.mkdir()
        git = ("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x")
        for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
            subprocess.run([*git, *words], check=True)
        facts = environment.source(folder / "cifar")
        assert environment.COMMIT.fullmatch(facts["commit"])
        assert facts["dirty"] is False


class TestRevision:
    """The commit that an image was built from, where there is no checkout."""

    @pytest.mark.parametrize(("revision", "commit", "dirty"), [("ab12", "ab12", False), ("ab12-dirty", "ab12", True)])
    def test_told(self, monkeypatch, revision, commit, dirty):
        """The recipe tells it."""
        monkeypatch.setenv("CIFAR_REVISION", revision)
        facts = environment.source()
        assert (facts["commit"], facts["dirty"]) == (commit, dirty)

    def test_not_told(self, monkeypatch):
        """An image that was built without being told says how to tell it."""
        monkeypatch.setenv("CIFAR_REVISION", "unknown")
        assert "REVISION=$(git rev-parse HEAD)" in environment.source()["commit"].remedy


class TestBatch:
    """The batch system's job."""

    def test_none(self):
        """Outside of a job the system is none and the rest unmeasurable."""
        facts = environment.batch({})
        assert facts["system"] == "none"
        assert facts["job"] == facts["nodes"] == facts["cpus_per_task"] == Unmeasurable(facts["job"].reason)

    def test_slurm(self):
        """A job of Slurm is known by its number; what it does not set is unmeasurable."""
        facts = environment.batch({"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]"})
        assert (facts["system"], facts["job"], facts["nodes"]) == ("slurm", "7", "n[1-2]")
        assert facts["cpus_per_task"] == Unmeasurable("SLURM_CPUS_PER_TASK is not set")

    def test_pbs(self, tmp_path):
        """PBS lists its nodes in a file, one line a processor."""
        nodes = write(tmp_path, "nodes", "n1\nn1\nn2\n")
        facts = environment.batch({"PBS_JOBID": "9.s", "PBS_NODEFILE": str(nodes), "NCPUS": "2"})
        assert facts == {"system": "pbs", "job": "9.s", "nodes": "n1,n2", "cpus_per_task": "2"}


class TestSource:
    """What was run."""

    @pytest.fixture
    def package(self, tmp_path):
        """Make a checkout of a small package with a workload and benchmarks."""
        write(tmp_path, "cifar/workload/model.py", "LAYERS = 4\n")
        write(tmp_path, "cifar/report/page.py", "TITLE = 'x'\n")
        write(tmp_path, "benchmarks/test_forward.py", "pass\n")
        return tmp_path / "cifar"

    @pytest.mark.parametrize(
        ("path", "text", "same"),
        [
            ("cifar/report/page.py", "TITLE = 'y'\n", True),
            ("cifar/workload/notes.txt", "x\n", True),
            ("benchmarks/evidence/memory/larger.py", "pass\n", True),
            ("cifar/workload/model.py", "LAYERS = 5\n", False),
            ("benchmarks/test_forward.py", "pass \n", False),
            ("benchmarks/test_more.py", "", False),
            ("benchmarks/peers/test_more.py", "", False),
        ],
    )
    def test_workload_digest(self, package, path, text, same):
        """It changes with each Python file of workload and benchmarks, and with nothing else."""
        before = environment.workload_digest(package)
        write(package.parent, path, text)
        assert (environment.workload_digest(package) == before) is same

    def test_renamed(self, package):
        """A file's name counts."""
        before = environment.workload_digest(package)
        (package / "workload/model.py").rename(package / "workload/models.py")
        assert environment.workload_digest(package) != before

    def test_installed_wheel(self, package):
        """A wheel, which has the benchmarks inside the package, has the digest of its checkout."""
        before = environment.workload_digest(package)
        (package.parent / "benchmarks").rename(package / "benchmarks")
        assert environment.workload_digest(package) == before

    def test_no_workload(self, tmp_path):
        """Without any file there is no digest of nothing."""
        assert environment.workload_digest(tmp_path / "cifar").reason

    def test_lock(self, tmp_path):
        """The lock of the installed TensorFlow is named with its digest and the packages that depart from it."""
        text = (
            "numpy==2.0.2 ; python_full_version < '3.12' \\\n    --hash=sha256:12\n"
            "numpy==2.4.6 ; python_full_version >= '3.12' \\\n    --hash=sha256:34\n"
            "keras==3.15.0\nNVIDIA_ML.py==13.0\ntensorflow-cpu==2.21.0\n"
        )
        write(tmp_path, "requirements-cpu.txt", text)
        packages = {
            "tensorflow-cpu": "2.21.0",
            "numpy": "2.4.6",
            "keras": "3.14.0",
            "nvidia-ml-py": "13.0",
            "rich": "1",
        }
        found = environment.lock(tmp_path, packages)
        assert (found["file"], found["differs"], len(found["sha256"])) == ("requirements-cpu.txt", ["keras"], 64)
        write(tmp_path, "requirements-cpu-2.19.txt", "keras==3.15.0\ntensorflow-cpu==2.19.1\n")
        assert environment.lock(tmp_path, packages) == found
        older = environment.lock(tmp_path, packages | {"tensorflow-cpu": "2.19.1"})
        assert (older["file"], older["differs"]) == ("requirements-cpu-2.19.txt", ["keras"])
        assert "requirements-cuda.txt" in environment.lock(tmp_path, {"tensorflow": "2.21.0"}).reason
        both = environment.lock(tmp_path, packages | {"tensorflow": "2.21.0"})
        assert both["differs"] == ["keras", "tensorflow", "tensorflow-cpu"]

    def test_commit(self, package):
        """Commit and dirty are the checkout's; a checkout without a commit, and none at all, say so."""
        root = package.parent
        assert environment.source(package)["commit"].reason
        git(root, "init", "-q")
        young = environment.source(package)
        assert young["commit"] == Unmeasurable("the checkout has no commit yet")
        assert young["dirty"] is True
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", "all")
        clean = environment.source(package)
        assert (len(clean["commit"]), clean["dirty"]) == (40, False)
        write(root, "cifar/workload/model.py", "LAYERS = 6\n")
        assert environment.source(package)["dirty"] is True

    def test_installed_inside_another_checkout(self, package):
        """An environment that lies in somebody else's checkout does not borrow its commit."""
        git(package.parent, "init", "-q")
        write(package, "site/cifar/workload/model.py")
        assert "it does not run from a checkout" in environment.source(package / "site/cifar")["commit"].reason

    def test_installed_packages(self):
        """Two digests of the same packages are equal, and names are in their normal form."""
        names = [name for name, _ in environment.installed()]
        assert "pytest-benchmark" in names
        assert names == sorted(names)
        assert environment.source()["installed"] == environment.source()["installed"]
