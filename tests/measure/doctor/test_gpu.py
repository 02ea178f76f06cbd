"""The way to a GPU: nodes without a usable one, and a staged one by NVIDIA's management library."""

from __future__ import annotations

import shutil

import pytest

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Oct 19\n"


class TestNoGpu:
    """Nodes without a usable GPU, with the TensorFlow for CPUs that is installed."""

    def test_nothing(self, tmp_path, node, finding):
        """A node that shows no sign of a GPU may measure its CPU: a warning; if a GPU was asked for, a failure."""
        assert finding(node(tmp_path, deadline_seconds=0.01), "gpu").status == "warn"
        asked = finding(node(tmp_path, "gpu"), "gpu")
        assert (asked.status, asked.said.startswith("TensorFlow falls back to the CPU")) == ("fail", True)

    @pytest.mark.parametrize(
        ("mark", "remedy"),
        [(".singularity.d/labels.json", "--nv"), (".dockerenv", "--gpus all"), ("run/.containerenv", "nvidia.com/gpu")],
    )
    def test_container_without_gpu(self, tmp_path, mark, remedy, write, node, finding):
        """A driver on the host and no device in the container: the option that was forgotten is named."""
        write(tmp_path, mark)
        write(tmp_path, "proc/driver/nvidia/version", VERSION.format("550.54.15"))
        found = finding(node(tmp_path, "gpu"), "driver")
        assert (found.status, "/dev/nvidia0" in found.said, remedy in found.remedy) == ("fail", True, True)

    def test_build_for_cpus(self, tmp_path, write, node, finding):
        """A node with a GPU and a TensorFlow for CPUs is a failure, whatever was asked for."""
        write(tmp_path, "proc/driver/nvidia/version", VERSION.format("550.54.15"))
        found = finding(node(tmp_path, deadline_seconds=0.01), "gpu")
        assert (found.status, "built without CUDA" in found.said, "CUDA image" in found.remedy) == ("fail", True, True)


class TestGpu:
    """A staged GPU: NVIDIA's management library by LD_LIBRARY_PATH, TensorFlow's CUDA build by its build record."""

    def test_sound(self, staged_gpu, findings):
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
    def test_native_code(self, staged_gpu, capability, status, findings):
        """A GPU of a later generation than the build's code is a warning, an earlier one a failure."""
        assert findings(staged_gpu, CAPABILITY=capability)["gpu:0 code"].status == status

    def test_no_cache(self, staged_gpu, findings):
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
    def test_state(self, staged_gpu, stage, check, status, said, findings):
        """What the management library says of a GPU is judged."""
        found = findings(staged_gpu, **stage)[check]
        assert (found.status, said in found.said) == (status, True)

    @pytest.mark.parametrize(
        ("driver", "said"), [("470.223.02", "too old for CUDA 12.5.1"), ("550.54.15", "/dev/nvidia0")]
    )
    def test_driver(self, staged_gpu, tmp_path, driver, said, write, findings):
        """A driver that is too old, or that cannot be reached, is a failure with the version at fault."""
        shutil.copytree(staged_gpu, tmp_path / "node")
        write(tmp_path / "node", "proc/driver/nvidia/version", VERSION.format(driver))
        if "too old" in said:
            write(tmp_path / "node", "dev/nvidia0")
            write(tmp_path / "node", "usr/lib/x/libcuda.so.1")
        found = findings(tmp_path / "node")["driver"]
        assert (found.status, driver in found.said, said in found.said) == ("fail", True, True)

    def test_fall_back(self, staged_gpu, findings):
        """A TensorFlow that cannot use the GPU is a failure that says what it falls back to."""
        found = findings(staged_gpu)["gpu"]
        assert (found.status, found.said.startswith("TensorFlow falls back to the CPU")) == ("fail", True)
