"""The doctor: each thing that can be wrong with a node is staged, and gets its line."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

from cifar import cli
from cifar.backend import survey
from cifar.measure import doctor
from cifar.measure.doctor import Finding


def write(root, path, text=""):
    """Write one file and the folders above it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def node(root, device=None, environ=None, **changes):
    """A node whose /proc and /sys lie below `root`."""
    return doctor.Node({}, device, root=root, environ=environ or {}, **changes)


def finding(staged, check):
    """The first finding of a check; the checks after it are not made."""
    return next(found for found in doctor.examine(staged) if found.check == check)


class TestHost:
    """What is looked at whichever device is measured."""

    def test_no_container(self, tmp_path):
        """Outside of a container there is no line about an image."""
        assert next(doctor.examine(node(tmp_path))).check == "packages"

    def test_image(self, tmp_path):
        """An image whose digest records can name passes; one without is a warning with the way to name it."""
        write(tmp_path, ".dockerenv")
        named = {"CIFAR_IMAGE": "cifar-bench:1", "CIFAR_IMAGE_DIGEST": "sha256:12"}
        assert finding(node(tmp_path, environ=named), "image") == Finding(
            "image", "pass", "docker, cifar-bench:1, sha256:12"
        )
        unnamed = finding(node(tmp_path, environ={"CIFAR_IMAGE": "cifar-bench:1"}), "image")
        assert (unnamed.status, unnamed.remedy) == ("warn", "set CIFAR_IMAGE_DIGEST")

    @pytest.mark.parametrize(("mark", "status"), [(".singularity.d/labels.json", "fail"), ("etc/hosts", "warn")])
    def test_foreign_package(self, tmp_path, mark, status):
        """A package that Python finds outside of its environment is named: a failure in a container, else a warning."""
        write(tmp_path, mark)
        write(tmp_path, "host/leaky-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
        found = finding(node(tmp_path, path=(*sys.path, str(tmp_path / "host"))), "foreign packages")
        assert (found.status, "leaky" in found.said, "PYTHONPATH" in found.remedy) == (status, True, True)

    def test_foreign_module(self, tmp_path):
        """A module without an installed package is found too; an empty folder on the path harms nobody."""
        (tmp_path / "host").mkdir()
        staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
        assert finding(staged, "foreign packages").status == "pass"
        write(tmp_path, "host/numpy/__init__.py")
        assert finding(staged, "foreign packages").status == "warn"

    def test_module_with_a_name_of_pythons(self, tmp_path):
        """A file that stands before one of Python's own modules, or of one that is needed, is found."""
        staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
        write(tmp_path, "host/mine.py")
        assert finding(staged, "foreign packages").status == "pass"
        write(tmp_path, "host/random.py")
        assert finding(staged, "foreign packages").status == "warn"

    def test_package_without_a_name(self, tmp_path):
        """What an interrupted installation left behind is no package."""
        write(tmp_path, "host/x-1.0.dist-info/RECORD")
        write(tmp_path, "host/y-1.0.dist-info/METADATA").write_bytes(b"Name: \xff\xfe\0\n")
        staged = node(tmp_path, path=(*sys.path, str(tmp_path / "host")))
        assert finding(staged, "foreign packages").status == "pass"

    def test_settings_of_keras(self, tmp_path):
        """Settings that would make another network are named, and not used; the usual ones are no news."""
        staged = node(tmp_path, environ={"HOME": str(tmp_path)})
        write(tmp_path, ".keras/keras.json", '{"backend": "tensorflow", "floatx": "float32"}')
        assert "Keras's settings" not in [found.check for found in doctor.glance(staged)]
        write(tmp_path, ".keras/keras.json", '{"image_data_format": "channels_first"}')
        found = finding(staged, "Keras's settings")
        assert (found.status, "channels_first" in found.said, "not used here" in found.said) == ("pass", True, True)
        write(tmp_path, ".keras/keras.json", "{")
        assert "cannot be read" in finding(staged, "Keras's settings").said

    def test_no_locks(self, tmp_path, monkeypatch):
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

    def test_no_home(self, tmp_path, monkeypatch):
        """A user without a home is told how to name the folder for data."""
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(doctor.Path, "home", no_home)
        found = finding(doctor.Node({"data": None}, root=tmp_path, environ={}), "data")
        assert (found.status, "no home folder" in found.said, "XDG_CACHE_HOME" in found.remedy) == ("fail", True, True)

    def test_name_in_latin_1(self, tmp_path):
        """A folder's name that is no UTF-8 is written out, and its mount is found."""
        folder = tmp_path / os.fsdecode(b"h\xe9 x")
        folder.mkdir()
        mounts = b"short\n2 1 8:2 / %s rw - lustre x rw\n" % os.fsencode(folder).replace(b" ", b"\\040")
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/mountinfo").write_bytes(mounts)
        found = finding(doctor.Node({"data": folder}, root=tmp_path, environ={}), "data")
        assert (found.status, "on lustre" in found.said, r"h\udce9 x" in found.said) == ("warn", True, True)
        assert found.line.isascii()

    def test_one_core(self, tmp_path):
        """A cgroup of one core is a warning that says who will share it."""
        write(tmp_path, "proc/self/cgroup", "0::/\n")
        write(tmp_path, "sys/fs/cgroup/cpu.max", "100000 100000\n")
        found = finding(node(tmp_path), "processors")
        assert (found.status, "cgroup 1" in found.said, "--cpus-per-task" in found.remedy) == ("warn", True, True)

    def test_promised_and_not_given(self, tmp_path):
        """More processors in Slurm's allotment than the process may use: the program was not started by srun."""
        found = finding(node(tmp_path, environ={"SLURM_CPUS_PER_TASK": "4096"}), "processors")
        assert (found.status, "4096 are allotted" in found.said, "srun" in found.remedy) == ("warn", True, True)

    @pytest.mark.parametrize(("gibibytes", "status"), [(1, "fail"), (3, "warn")])
    def test_memory(self, tmp_path, gibibytes, status):
        """A cgroup's limit counts, whatever the node has."""
        write(tmp_path, "proc/self/cgroup", "0::/\n")
        write(tmp_path, "sys/fs/cgroup/memory.max", str(gibibytes << 30))
        found = finding(node(tmp_path), "memory")
        assert found.status == status
        assert f"limit {gibibytes}.0 GiB" in found.said

    def test_shared_memory(self, tmp_path):
        """A node without /dev/shm is told how to get one."""
        assert "--shm-size" in finding(node(tmp_path), "shared memory").remedy
        (tmp_path / "dev/shm").mkdir(parents=True)
        assert finding(node(tmp_path), "shared memory").status == "pass"

    @pytest.mark.parametrize(("kind", "status"), [("ext4", "pass"), ("lustre", "warn"), ("nfs4", "warn")])
    def test_file_system(self, tmp_path, kind, status):
        """Data on a network's file system is a warning; the mount closest to the folder decides."""
        mounts = f"1 0 8:1 / / rw - xfs /dev/a rw\n2 1 8:2 / {tmp_path} rw - {kind} x rw\n"
        write(tmp_path, "proc/self/mountinfo", mounts)
        staged = doctor.Node({"data": tmp_path / "not/yet/there"}, root=tmp_path, environ={})
        found = finding(staged, "data")
        assert (found.status, f"on {kind}" in found.said) == (status, True)

    def test_unwritable(self, tmp_path):
        """A folder that takes no file is a failure, found by writing one."""
        found = finding(doctor.Node({"results": doctor.Path("/proc/results")}, root=tmp_path, environ={}), "results")
        assert (found.status, found.remedy) == ("fail", "name another with --out")

    @pytest.mark.parametrize(
        ("governor", "status"), [("powersave", "warn"), ("performance", "pass"), (None, "unknown")]
    )
    def test_clock(self, tmp_path, governor, status):
        """A governor that saves power is a warning; a kernel that shows none is no pass."""
        if governor:
            write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor)
        assert finding(node(tmp_path), "clock").status == status

    @pytest.mark.parametrize(("driver", "status"), [("intel_pstate", "pass"), ("acpi-cpufreq", "warn")])
    def test_clock_that_the_processor_chooses(self, tmp_path, driver, status):
        """Where the processor chooses its clock itself, that governor holds nothing down."""
        write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
        write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", driver)
        assert finding(node(tmp_path), "clock").status == status

    def test_library_that_hangs(self, tmp_path):
        """A library that never finishes to load has a reason, and so have those after it."""
        pipe = tmp_path / "libhangs.so"
        os.mkfifo(pipe)
        found = doctor._problems(node(tmp_path, deadline_seconds=1), ["libm.so.6", str(pipe)])  # noqa: SLF001
        assert found["libm.so.6"] is None
        assert "did not load within 1 s" in found[str(pipe)]

    @pytest.mark.parametrize(("minute", "status"), [("0.1", "pass"), ("4096.0", "warn")])
    def test_load(self, tmp_path, minute, status):
        """A busy node is a warning."""
        write(tmp_path, "proc/loadavg", f"{minute} 0.0 0.0 1/100 1\n")
        assert finding(node(tmp_path), "load").status == status


def no_home():
    """Answer as for a user whom the system does not know."""
    message = "Could not determine home directory."
    raise RuntimeError(message)


class TestImports:
    """Packages that cannot be imported are findings."""

    BROKEN = (
        ("psutil", "raise RuntimeError('staged')", "RuntimeError: staged"),
        ("pynvml", "import os; os.abort()", "exit code -6"),
        ("numpy", "raise SystemExit(3)", "exit code 3"),
    )

    def test_sound(self):
        """What is installed can be imported."""
        assert [found.status for found in doctor.imported()] == ["pass"]

    def test_broken(self, tmp_path):
        """Each package that fails has its own finding, with the process's last words, and the rest are tried too."""
        for name, code, _ in self.BROKEN:
            write(tmp_path, f"{name}.py", code)
        found = list(doctor.imported({"PYTHONPATH": str(tmp_path)}))
        assert [finding.status for finding in found[:3]] == ["fail"] * 3
        for finding, (name, _, words) in zip(found, self.BROKEN, strict=False):
            assert finding.said == f"{name} cannot be imported: {words}"
            assert "PYTHONPATH" in finding.remedy

    def test_hangs(self, tmp_path):
        """A package that never finishes to load is given up, with all that it started."""
        write(tmp_path, "psutil.py", "import subprocess; subprocess.run(['sleep', '600'])")
        found = next(doctor.imported({"PYTHONPATH": str(tmp_path), "PATH": os.defpath}, 2))
        assert found.said == "psutil cannot be imported: no answer within 2 s"

    @pytest.mark.parametrize("command", ["doctor", "devices"])
    def test_begins_with_the_standard_library(self, tmp_path, command):
        """Whatever is broken, the commands that look at a node say so, without a traceback."""
        for name in (*doctor.NEEDED, "tensorflow", "keras", "pandas", "matplotlib"):
            write(tmp_path, f"{name}.py", f"raise RuntimeError('staged {name}')")
        options = ["--device", "gpu"] if command == "doctor" else []
        done = subprocess.run(
            [sys.executable, "-m", "cifar", command, *options],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == {"doctor": 1, "devices": 2}[command]
        assert all(f"{name} cannot be imported: RuntimeError: staged {name}" in printed for name in doctor.NEEDED)
        assert "Traceback" not in printed


class TestExecuted:
    """TensorFlow's placement is executed, not asked for."""

    def test_cpu(self, tmp_path):
        """A product is computed on the CPU, by the TensorFlow that is installed."""
        found = finding(node(tmp_path, environ=dict(os.environ)), "cpu")
        assert (found.status, found.said) == ("pass", "TensorFlow computed a product on /device:CPU:0")

    @pytest.mark.parametrize(
        ("code", "deadline", "said"),
        [
            ("import time; time.sleep(600)", 2, "computed nothing within 2 s"),
            ("raise ImportError('libm.so.6: GLIBC_2.99 not found')", 120, "GLIBC_2.99 not found"),
        ],
    )
    def test_broken(self, tmp_path, code, deadline, said):
        """A TensorFlow that hangs is given up at the deadline, one that cannot load is quoted."""
        write(tmp_path, "tensorflow/__init__.py", code)
        staged = node(tmp_path, environ={**os.environ, "PYTHONPATH": str(tmp_path)}, deadline_seconds=deadline)
        found = finding(staged, "cpu")
        assert (found.status, said in found.said) == ("fail", True)


VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Oct 19\n"


class TestNoGpu:
    """Nodes without a usable GPU, with the TensorFlow for CPUs that is installed."""

    def test_nothing(self, tmp_path):
        """A node that shows no sign of a GPU may measure its CPU: a warning; if a GPU was asked for, a failure."""
        assert finding(node(tmp_path, deadline_seconds=0.01), "gpu").status == "warn"
        asked = finding(node(tmp_path, "gpu"), "gpu")
        assert (asked.status, asked.said.startswith("TensorFlow falls back to the CPU")) == ("fail", True)

    @pytest.mark.parametrize(
        ("mark", "remedy"),
        [(".singularity.d/labels.json", "--nv"), (".dockerenv", "--gpus all"), ("run/.containerenv", "nvidia.com/gpu")],
    )
    def test_container_without_gpu(self, tmp_path, mark, remedy):
        """A driver on the host and no device in the container: the option that was forgotten is named."""
        write(tmp_path, mark)
        write(tmp_path, "proc/driver/nvidia/version", VERSION.format("550.54.15"))
        found = finding(node(tmp_path, "gpu"), "driver")
        assert (found.status, "/dev/nvidia0" in found.said, remedy in found.remedy) == ("fail", True, True)

    def test_build_for_cpus(self, tmp_path):
        """A node with a GPU and a TensorFlow for CPUs is a failure, whatever was asked for."""
        write(tmp_path, "proc/driver/nvidia/version", VERSION.format("550.54.15"))
        found = finding(node(tmp_path, deadline_seconds=0.01), "gpu")
        assert (found.status, "built without CUDA" in found.said, "CUDA image" in found.remedy) == ("fail", True, True)


NVML = r"""
#include <stdlib.h>
#include <string.h>
static unsigned asked(const char *name, unsigned otherwise) {
    const char *text = getenv(name);
    return text ? (unsigned)atoi(text) : otherwise;
}
#define SAYS(name, value) int name(void *gpu, unsigned *found) { *found = value; return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "staged"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "550.54.15", size); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned number, void **gpu) { *gpu = (void *)1; return asked("LOST", 0) ? 15 : 0; }
int nvmlDeviceGetName(void *gpu, char *text, unsigned size) { strncpy(text, "Staged GPU", size); return 0; }
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor) {
    *major = asked("CAPABILITY", 90) / 10; *minor = asked("CAPABILITY", 90) % 10; return 0;
}
int nvmlDeviceGetTotalEccErrors(void *gpu, int kind, int since, unsigned long long *count) {
    *count = asked("ERRORS", 0); return 0;
}
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *later) { *now = *later = asked("MIG", 0); return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits) {
    *bits = asked("THROTTLE", 1); return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, void *processes) {
    *count = 0; return asked("BUSY", 0) && !processes ? 7 : 0;
}
SAYS(nvmlDeviceGetPersistenceMode, asked("PERSISTENCE", 1))
"""

BUILD = {
    "is_cuda_build": True,
    "cuda_version": "12.5.1",
    "cuda_compute_capabilities": ["sm_60", "sm_70", "sm_80", "sm_89", "compute_90"],
}

PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from cifar import cli
from cifar.measure import doctor
staged = doctor.Node({}, "gpu", root=Path(sys.argv[1]), deadline_seconds=30)
print(json.dumps([dataclasses.asdict(found) for found in doctor.examine(staged)]))
"""


@pytest.fixture(scope="module")
def staged_gpu(tmp_path_factory):
    """A node with driver 550.54.15 and one GPU, as far as NVIDIA's management library tells; no libcuda."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("staging NVIDIA's management library takes a C compiler (cc)")
    root = tmp_path_factory.mktemp("gpu")
    write(root, "proc/driver/nvidia/version", VERSION.format("550.54.15"))
    write(root, "packages/tensorflow/__init__.py", "raise ImportError('staged')")
    write(root, "packages/tensorflow/python/platform/build_info.py", f"build_info = {BUILD}")
    (root / "lib").mkdir()
    for library in ("lib/libnvidia-ml.so.1", "packages/nvidia/cuda_runtime/lib/libcudart.so.12"):
        (root / library).parent.mkdir(parents=True, exist_ok=True)
        source = write(root, "nvml.c", NVML)
        subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", root / library, source], check=True)
    write(root, "packages/nvidia/cudnn/lib/libcudnn.so.9", "this is no library")
    return root


def findings(root, **environ):
    """The doctor's findings on the staged node, by check."""
    paths = {"PYTHONPATH": str(root / "packages"), "LD_LIBRARY_PATH": str(root / "lib")}
    command = [sys.executable, "-c", PROGRAM, root]
    done = subprocess.run(command, env={**os.environ, **paths, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {found["check"]: Finding(**found) for found in json.loads(done.stdout)}


class TestGpu:
    """A staged GPU: NVIDIA's management library by LD_LIBRARY_PATH, TensorFlow's CUDA build by its build record."""

    def test_sound(self, staged_gpu):
        """What is sound passes; what the library does not tell is unknown."""
        found = findings(staged_gpu)
        assert {check: found[f"gpu:0 {check}"].status for check in ("code", "sharing", "clocks", "memory")} == {
            "code": "pass",
            "sharing": "pass",
            "clocks": "pass",
            "memory": "pass",
        }
        assert "gpu:0 persistence" not in found

    @pytest.mark.parametrize(
        ("capability", "status"), [("86", "pass"), ("90", "pass"), ("120", "warn"), ("52", "fail")]
    )
    def test_native_code(self, staged_gpu, capability, status):
        """A GPU of a later generation than the build's code is a warning, an earlier one a failure."""
        assert findings(staged_gpu, CAPABILITY=capability)["gpu:0 code"].status == status

    def test_no_cache(self, staged_gpu):
        """Code that is compiled anew in every run is said to be."""
        found = findings(staged_gpu, CAPABILITY="120", CUDA_CACHE_DISABLE="1")["gpu:0 code"]
        assert "repeats that in every run" in found.said

    @pytest.mark.parametrize(
        ("stage", "check", "status", "said"),
        [
            ({"MIG": "1"}, "gpu:0 sharing", "warn", "MIG is on"),
            ({"THROTTLE": "64"}, "gpu:0 clocks", "warn", "held down by: heat"),
            ({"ERRORS": "2"}, "gpu:0 memory", "fail", "2 errors"),
            ({"PERSISTENCE": "0"}, "gpu:0 persistence", "warn", "off"),
            ({"LOST": "1"}, "gpu:0", "fail", "GPU is lost"),
        ],
    )
    def test_state(self, staged_gpu, stage, check, status, said):
        """What the management library says of a GPU is judged."""
        found = findings(staged_gpu, **stage)[check]
        assert (found.status, said in found.said) == (status, True)

    def test_libraries(self, staged_gpu):
        """Each of CUDA's libraries has its line: it loads, it is broken, or it is not there."""
        found = findings(staged_gpu)
        assert found["libcudart.so.12"].status == "pass"
        assert (found["libcudnn.so.9"].status, "does not load" in found["libcudnn.so.9"].said) == ("fail", True)
        assert (found["libcublas.so.12"].status, found["libcublas.so.12"].said) == ("fail", "not found")

    def test_library_of_the_host(self, staged_gpu):
        """A library that goes before the locked one is a warning."""
        first = staged_gpu / "first"
        first.mkdir()
        shutil.copy(staged_gpu / "packages/nvidia/cuda_runtime/lib/libcudart.so.12", first)
        found = findings(staged_gpu, LD_LIBRARY_PATH=f"{staged_gpu / 'lib'}:{first}")["libcudart.so.12"]
        assert (found.status, "goes before" in found.said) == ("warn", True)

    @pytest.mark.parametrize(
        ("driver", "said"), [("470.223.02", "too old for CUDA 12.5.1"), ("550.54.15", "/dev/nvidia0")]
    )
    def test_driver(self, staged_gpu, tmp_path, driver, said):
        """A driver that is too old, or that cannot be reached, is a failure with the version at fault."""
        shutil.copytree(staged_gpu, tmp_path / "node")
        write(tmp_path / "node", "proc/driver/nvidia/version", VERSION.format(driver))
        if "too old" in said:
            write(tmp_path / "node", "dev/nvidia0")
            write(tmp_path / "node", "usr/lib/x/libcuda.so.1")
        found = findings(tmp_path / "node")["driver"]
        assert (found.status, driver in found.said, said in found.said) == ("fail", True, True)

    def test_fall_back(self, staged_gpu):
        """A TensorFlow that cannot use the GPU is a failure that says what it falls back to."""
        found = findings(staged_gpu)["gpu"]
        assert (found.status, found.said.startswith("TensorFlow falls back to the CPU")) == ("fail", True)


def test_worst():
    """The worst of the findings counts: unknown is worse than pass, and better than a warning."""
    order = ("pass", "unknown", "warn", "fail")
    for place, status in enumerate(order):
        assert doctor.worst([Finding("x", known, "") for known in order[: place + 1]]) == status


class TestCommand:
    """`cifar doctor`."""

    @pytest.fixture(autouse=True)
    def _without_gpu(self, tmp_path, monkeypatch):
        """Examine a node without a GPU."""
        if survey.take().missing_gpu is None:
            pytest.skip("this node has a GPU")
        monkeypatch.chdir(tmp_path)

    def test_lines(self, capsys):
        """Where no terminal folds it, a finding is one line with its remedy; a failure is exit code 1."""
        assert cli.main(["doctor", "--device", "gpu"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert all(line.split()[0] in doctor.SEVERITY for line in lines)
        assert lines[-1].startswith("fail     gpu                 TensorFlow falls back to the CPU: ")
        assert " -> " in lines[-1]

    def test_json(self, capsys):
        """The same findings as JSON, with the worst of them."""
        assert cli.main(["doctor", "--device", "gpu", "--json"]) == 1
        printed = json.loads(capsys.readouterr().out)
        assert printed["worst"] == "fail"
        assert {"processors", "memory", "results", "data", "gpu"} <= {found["check"] for found in printed["findings"]}

    @pytest.mark.parametrize(
        ("statuses", "code", "strict"),
        [
            ((), 0, 0),
            (("pass", "unknown"), 0, 0),
            (("pass", "warn", "unknown"), 0, 5),
            (("fail", "warn"), 1, 1),
        ],
        ids=["nothing", "unknown", "warning", "failure"],
    )
    def test_exit_code_is_by_the_worst(self, monkeypatch, statuses, code, strict):
        """A failure is 1 wherever it stands; a warning is 5 with --strict, else 0; what is unknown is neither."""
        found = [Finding("staged", status, "as staged") for status in statuses]
        monkeypatch.setattr(doctor, "examine", lambda _node: iter(found))
        assert cli.main(["doctor"]) == code
        assert cli.main(["doctor", "--strict"]) == strict
        assert cli.main(["doctor", "--strict", "--json"]) == strict
