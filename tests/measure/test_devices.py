"""What `cifar.measure.devices` claims, on staged nodes and with the TensorFlow that is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from cifar.measure import devices
from cifar.measure.devices import GpuFacts


def write(root, path, text=""):
    """Write one file and the folders above it."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def fresh(code, **environ):
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# Lines of TensorFlow 2.21.0, built with CUDA 12.5.1. All but PTX_LOG were written by it, on a node without a GPU
# whose libcuda and CUDA libraries were stand-ins of a few functions.
START = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795508038.939327    8594 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use \
available CPU instructions in performance-critical operations.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate \
compiler flags.
"""
NO_CUDART = """\
I0000 00:00:1795508039.019327    8594 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will \
not be used.
"""
OPENED = "I0000 00:00:1795508080.814990    8719 dso_loader.cc:133] Successfully opened dynamic library {}\n"
NOT_OPENED = (
    "I0000 00:00:1795508244.218359    9120 dso_loader.cc:144] Could not load dynamic library '{0}'; dlerror: {0}: "
    "cannot open shared object file: No such file or directory\n"
)
CUINIT = (
    "E0000 00:00:1795508056.082646    8679 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: "
    "Failed call to cuInit: {}\n"
)
NO_LIBCUDA_LOG = START + NO_CUDART + NOT_OPENED.format("libcuda.so.1") + CUINIT.format("UNKNOWN ERROR (303)")
NO_DEVICE_LOG = (
    START
    + NO_CUDART
    + OPENED.format("libcuda.so.1")
    + CUINIT.format("CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected")
)
MISMATCH_LOG = (
    START
    + NO_CUDART
    + OPENED.format("libcuda.so.1")
    + CUINIT.format(
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: system has unsupported display driver / cuda driver combination"
    )
)
DLOPEN = """\
W0000 00:00:1795508244.218404    9120 gpu_device.cc:2365] Cannot dlopen some GPU libraries. Please make sure the \
missing libraries mentioned above are installed properly if you would like to use GPU. Follow the guide at \
https://www.tensorflow.org/install/gpu for how to download and setup the required libraries for your platform.
Skipping registering GPU devices...
"""
NO_CUDNN_LOG = START + OPENED.format("libcudart.so.12") + NOT_OPENED.format("libcudnn.so.9") + DLOPEN
BROKEN_LOG = (
    START
    + """\
Traceback (most recent call last):
  File "devices.py", line 225, in check_placement
    context_handle = pywrap_tfe.TFE_NewContext(opts)
                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
tensorflow.python.framework.errors_impl.InternalError: cudaGetDevice() failed. Status: Error loading CUDA \
libraries. GPU will not be used.
"""
)
PTX_LOG = "InternalError: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported chain"

CUDA = {"cuda_build": True, "cuda_version": "12.5.1"}
NODE = {"driver": "550.54.15", "driver_library": True, "device_files": ("nvidia0",)}
CASES = {
    "no TensorFlow": (
        {"tensorflow": False},
        ["TensorFlow is not installed", '"cifar-bench[cuda]"'],
    ),
    "a build for the CPU": (
        {"cuda_build": False, **NODE},
        ["built without CUDA", '"cifar-bench[cuda]"', "CUDA image"],
    ),
    "no driver": (
        CUDA,
        ["runs no NVIDIA driver", "/proc/driver/nvidia/version", "use a node with an NVIDIA GPU"],
    ),
    "Apptainer without --nv": (
        {**CUDA, **NODE, "driver_library": False, "container": "apptainer"},
        ["550.54.15", "apptainer container has no libcuda.so.1", "--nv"],
    ),
    "Docker without --gpus": (
        {**CUDA, "driver": "550.54.15", "container": "docker"},
        ["docker container has no /dev/nvidia0", "--gpus all"],
    ),
    "Podman without --device": (
        {**CUDA, "driver": "550.54.15", "driver_library": True, "container": "podman"},
        ["podman container has no /dev/nvidia0", "--device nvidia.com/gpu=all"],
    ),
    "no device files on the host": (
        {**CUDA, "driver": "550.54.15", "driver_library": True},
        ["this system has no /dev/nvidia0", "nvidia-smi once as root"],
    ),
    "no library of the driver on the host": (
        {**CUDA, **NODE, "driver_library": False},
        ["this system has no libcuda.so.1", "LD_LIBRARY_PATH"],
    ),
    "hidden by an empty list": (
        {**CUDA, **NODE, "visible": "", "log": NO_DEVICE_LOG},
        ["CUDA_VISIBLE_DEVICES='' hides every GPU", "unset it"],
    ),
    "hidden by -1": (
        {**CUDA, **NODE, "visible": "-1"},
        ["CUDA_VISIBLE_DEVICES='-1'", "unset it"],
    ),
    "hidden by Slurm": (
        {**CUDA, **NODE, "visible": "NoDevFiles", "job": "slurm"},
        ["'NoDevFiles' hides", "ask slurm for a GPU (--gpus=1)"],
    ),
    "a number that does not exist": (
        {**CUDA, **NODE, "visible": "7", "log": NO_DEVICE_LOG},
        ["CUDA_VISIBLE_DEVICES='7' names no GPU of this node", "nvidia-smi -L"],
    ),
    "a job without a GPU": (
        {**CUDA, **NODE, "job": "pbs", "log": NO_DEVICE_LOG},
        ["gives this process no GPU", "ask pbs for a GPU (-l select=1:ngpus=1)"],
    ),
    "a process without a GPU": (
        {**CUDA, **NODE, "log": NO_DEVICE_LOG},
        ["CUDA_ERROR_NO_DEVICE", "nvidia-smi -L"],
    ),
    "libcuda where the loader does not look": (
        {**CUDA, **NODE, "log": NO_LIBCUDA_LOG},
        ["could not load libcuda.so.1, which come with the NVIDIA driver", "LD_LIBRARY_PATH"],
    ),
    "libcuda not in the container's path": (
        {**CUDA, **NODE, "container": "apptainer", "log": NO_LIBCUDA_LOG},
        ["could not load libcuda.so.1", "--nv"],
    ),
    "no management library": (
        {**CUDA, **NODE, "log": START + NOT_OPENED.format("libnvidia-ml.so.1")},
        ["libnvidia-ml.so.1, which come with the NVIDIA driver"],
    ),
    "no cuDNN": (
        {**CUDA, **NODE, "log": NO_CUDNN_LOG},
        ["could not load libcudnn.so.9:", '"cifar-bench[cuda]"', "LD_LIBRARY_PATH"],
    ),
    "no CUDA runtime": (
        {**CUDA, **NODE, "log": START + NO_CUDART + OPENED.format("libcuda.so.1")},
        ["could not load libcudart:"],
    ),
    "a library that is not named": (
        {**CUDA, **NODE, "log": START + DLOPEN},
        ["does not say which", '"cifar-bench[cuda]"'],
    ),
    "an old driver": (
        {**CUDA, **NODE, "driver": "470.223.02", "log": START},
        ["470.223.02 is too old for CUDA 12.5.1", "525 or newer"],
    ),
    "a driver too old for the build's code": (
        {**CUDA, **NODE, "log": PTX_LOG, "gpus": ("GPU:0",)},
        ["550.54.15 refuses CUDA 12.5.1", "newer driver"],
    ),
    "two versions of the driver": (
        {**CUDA, **NODE, "log": MISMATCH_LOG},
        ["CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "reboot"],
    ),
    "a GPU that cannot compute": (
        {**CUDA, **NODE, "gpus": ("GPU:0",), "log": BROKEN_LOG},
        ["the first GPU cannot compute", "cudaGetDevice() failed"],
    ),
    "something else": (
        {**CUDA, **NODE, "log": START + "E0000 00:00:1.0 1 gpu.cc:1] the moon is full\n"},
        ["TensorFlow lists no GPU", "the moon is full"],
    ),
    "nothing at all": (
        {**CUDA, **NODE, "log": START},
        ["gives no reason", "nvidia-smi"],
    ),
}


@pytest.mark.parametrize(("facts", "words"), CASES.values(), ids=CASES.keys())
def test_explain(facts, words):
    """Each way to have no GPU is told in one line, with its remedy and without the log's noise."""
    why = devices.explain(GpuFacts(**facts))
    reason = str(why)
    assert why.reason
    assert why.remedy
    assert [word for word in words if word not in reason] == []
    assert "\n" not in reason
    assert "cpu_feature_guard" not in reason
    assert "^^^" not in reason


class TestObserve:
    """The facts behind a missing GPU."""

    def test_a_node_with_a_gpu_in_apptainer(self, tmp_path):
        """Driver, device files, container, hidden GPUs and the job are all seen; libcuda below /.singularity.d too."""
        write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
            write(tmp_path, f"dev/{name}")
        write(tmp_path, ".singularity.d/libs/libcuda.so.1")
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_ID": "7"}
        facts = devices.observe(tmp_path, environ)
        assert (facts.driver, facts.driver_library, facts.container) == ("560.35.03", True, "apptainer")
        assert facts.device_files == ("nvidia0", "nvidia1")
        assert (facts.visible, facts.job, facts.computes) == ("", "slurm", False)

    def test_driver_library_by_path(self, tmp_path):
        """A folder in LD_LIBRARY_PATH counts as a place of libcuda."""
        write(tmp_path, "driver/libcuda.so.1")
        facts = devices.observe(tmp_path / "empty", {**os.environ, "LD_LIBRARY_PATH": f"{tmp_path / 'driver'}:"})
        assert facts.driver_library

    @pytest.mark.slow
    def test_trial(self):
        """TensorFlow is tried in a process of its own, which says what it found and loads nothing here."""
        facts = devices._try_gpu(GpuFacts(), {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, 120)  # noqa: SLF001
        assert facts.cuda_build is not None
        assert facts.gpus == ()
        assert not facts.computes
        assert "cpu_feature_guard" in facts.log or "cuInit" in facts.log
        assert "Traceback" not in facts.log

    def test_a_trial_that_hangs(self):
        """A TensorFlow that does not answer is given up after the deadline, and the reason says so."""
        facts = devices._try_gpu(GpuFacts(**CUDA, **NODE), os.environ, 0.05)  # noqa: SLF001
        assert "did not answer within" in devices.explain(facts).reason


class TestSurvey:
    """What a campaign would measure here."""

    def test_survey_of_several_gpus(self, monkeypatch):
        """The first GPU is measured, and the others are named, so that nobody takes them for measured."""
        monkeypatch.setattr(devices, "observe", lambda: GpuFacts(gpus=("0", "1", "2"), computes=True))
        assert devices.survey() == devices.Survey(("cpu", "gpu"), None, ("gpu:1", "gpu:2"))

    def test_survey(self):
        """There is always the CPU, and either a GPU or the reason why not; the campaign's process stays light."""
        code = (
            "import json, sys\nfrom cifar.measure import devices\nfound = devices.survey()\n"
            "reason = str(found.missing_gpu) if found.missing_gpu else None\n"
            "print(json.dumps([found.devices, reason, 'tensorflow' in sys.modules]))"
        )
        names, reason, loaded = json.loads(fresh(code).stdout)
        assert names in (["cpu"], ["cpu", "gpu"])
        assert (reason is None) is (names == ["cpu", "gpu"])
        assert not loaded

    def test_import_is_instant(self):
        """Importing the module loads neither TensorFlow nor anything else that is heavy."""
        start = time.perf_counter()
        done = fresh("import sys, cifar.measure.devices; print({'tensorflow', 'numpy', 'keras'} & set(sys.modules))")
        assert done.stdout.strip() == "set()"
        assert time.perf_counter() - start < 5


class TestClaim:
    """A device that a process is bound to."""

    @pytest.mark.slow
    def test_cpu(self):
        """The CPU is claimed with the threads asked for; it computes, waits, tells its peaks, and is no GPU."""
        code = """
import json
from cifar.measure import devices
device = devices.claim("cpu", threads=1)
import numpy as np, tensorflow as tf
device.reset_peak_memory()
before = device.peak_memory()
ballast = np.ones(8_000_000)
with device.scope():
    place = tf.ones(3).device
device.wait()
after = device.peak_memory()
del ballast
device.reset_peak_memory()
gpu = devices.Device("gpu", "/device:GPU:0", "gpu", 1)
errors = []
for soft in (True, False):
    tf.config.set_soft_device_placement(soft)
    try:
        devices.check_placement(gpu)
    except RuntimeError as error:
        errors.append(str(error))
try:
    devices.claim("cpu")
except RuntimeError as error:
    errors.append(str(error))
print(json.dumps({
    "device": [device.name, device.kind, device.tensorflow_name, device.threads, device.number, device.model],
    "threads": [tf.config.threading.get_intra_op_parallelism_threads(),
                tf.config.threading.get_inter_op_parallelism_threads()],
    "gpus": len(tf.config.get_visible_devices("GPU")), "place": place, "resets": device.resets_host_peak,
    "peaks": [before, after, device.peak_memory()], "errors": errors,
}))
"""
        done = fresh(code)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["device"] == ["cpu", "cpu", "/device:CPU:0", 1, None, None]
        assert (found["threads"], found["gpus"]) == ([1, 1], 0)
        assert found["place"].endswith("/device:CPU:0")
        before, after, later = found["peaks"]
        assert after["host_peak_bytes"] > before["host_peak_bytes"] + 60_000_000
        assert after["device_peak_bytes"] is None
        assert "host's memory" in after["meaning"]
        if found["resets"]:
            assert later["host_peak_bytes"] < after["host_peak_bytes"] - 60_000_000
            assert "since the reset" in after["meaning"]
        else:
            assert "since it began" in after["meaning"]
        fell_back, failed, again = found["errors"]
        assert "gpu was asked for, but TensorFlow computed on" in fell_back
        assert "gpu cannot compute" in failed
        assert "start a fresh one" in again

    @pytest.mark.slow
    def test_a_missing_gpu_is_an_error(self):
        """A GPU that is hidden or absent ends the process with the reason: no fall-back, no skip."""
        done = fresh("from cifar.measure import devices; devices.claim('gpu')", CUDA_VISIBLE_DEVICES="-1")
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("RuntimeError: gpu was asked for, but there is none: ")
        assert "built without CUDA" in last or "CUDA_VISIBLE_DEVICES" in last or "driver" in last

    @pytest.mark.parametrize("name", ["", "CPU", "cpu:0", "gpu:", "gpu:-1", "gpu:01", "gpu:1 ", "cuda:0"])
    def test_names(self, name):
        """A name that is none is refused before TensorFlow is loaded, with the names that there are."""
        with pytest.raises(ValueError, match="give cpu, gpu, or gpu:N"):
            devices.claim(name)

    def test_threads(self):
        """No thread at all is refused."""
        with pytest.raises(ValueError, match="give 1 or more"):
            devices.claim("cpu", threads=0)
