"""What this node has, on staged nodes and with the TensorFlow that is installed."""

from __future__ import annotations

import json
import os
import time

import pytest

from cifar.backend import missing, survey
from cifar.backend.missing import GpuFacts

from .conftest import fresh


class TestObserve:
    """The facts behind a missing GPU."""

    def test_a_node_with_a_gpu_in_apptainer(self, tmp_path, write):
        """Driver, device files, container, hidden GPUs and the job are all seen; libcuda below /.singularity.d too."""
        write(tmp_path, "proc/driver/nvidia/version", "NVRM version: NVIDIA Kernel Module  560.35.03  Fri Aug\n")
        for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
            write(tmp_path, f"dev/{name}")
        write(tmp_path, ".singularity.d/libs/libcuda.so.1")
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_ID": "7"}
        facts = survey.observe(tmp_path, environ)
        assert (facts.driver, facts.driver_library, facts.container) == ("560.35.03", True, "apptainer")
        assert facts.device_files == ("nvidia0", "nvidia1")
        assert (facts.visible, facts.job, facts.computes) == ("", "slurm", False)

    def test_driver_library_by_path(self, tmp_path, write):
        """A folder in LD_LIBRARY_PATH counts as a place of libcuda."""
        write(tmp_path, "driver/libcuda.so.1")
        facts = survey.observe(tmp_path / "empty", {**os.environ, "LD_LIBRARY_PATH": f"{tmp_path / 'driver'}:"})
        assert facts.driver_library

    @pytest.mark.slow
    def test_trial(self):
        """TensorFlow is tried in a process of its own, which says what it found and loads nothing here."""
        facts = survey._try_gpu(GpuFacts(), {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}, 120)  # noqa: SLF001
        assert facts.cuda_build is not None
        assert facts.gpus == ()
        assert not facts.computes
        assert "cpu_feature_guard" in facts.log or "cuInit" in facts.log
        assert "Traceback" not in facts.log

    def test_a_trial_that_hangs(self):
        """A TensorFlow that does not answer is given up after the deadline, and the reason says so."""
        facts = survey._try_gpu(GpuFacts("550.54.15", True, ("nvidia0",)), os.environ, 0.05)  # noqa: SLF001
        assert "did not answer within" in missing.explain(facts).reason


class TestSurvey:
    """What a campaign would measure here."""

    def test_survey_of_several_gpus(self, monkeypatch):
        """The first GPU is measured, and the others are named, so that nobody takes them for measured."""
        monkeypatch.setattr(survey, "observe", lambda: GpuFacts(gpus=("0", "1", "2"), computes=True))
        assert survey.take() == survey.Survey(("cpu", "gpu"), None, ("gpu:1", "gpu:2"))

    def test_survey(self):
        """There is always the CPU, and either a GPU or the reason why not; the campaign's process stays light."""
        code = (
            "import json, sys\nfrom cifar.backend import survey\nfound = survey.take()\n"
            "reason = str(found.missing_gpu) if found.missing_gpu else None\n"
            "print(json.dumps([found.devices, reason, 'tensorflow' in sys.modules]))"
        )
        names, reason, loaded = json.loads(fresh(code).stdout)
        assert names in (["cpu"], ["cpu", "gpu"])
        assert (reason is None) is (names == ["cpu", "gpu"])
        assert not loaded

    def test_import_is_instant(self):
        """Importing the modules loads neither TensorFlow nor anything else that is heavy."""
        start = time.perf_counter()
        modules = "cifar.backend.device, cifar.backend.placement, cifar.backend.survey"
        heavy = {"tensorflow", "numpy", "keras"}
        done = fresh(f"import sys, {modules}; print({heavy} & set(sys.modules))")
        assert done.stdout.strip() == "set()"
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("source", "build"),
    [
        ("import collections\nbuild_info = {'is_cuda_build': False}\n", {"is_cuda_build": False}),
        ("build_info = collections.OrderedDict([('cuda_version', '12.5.1')])\n", {"cuda_version": "12.5.1"}),
        ("build_info = made()\n", {}),
        ("build_info = [", {}),
        ("", {}),
    ],
)
def test_build_record(source, build):
    """TensorFlow's record of its build is read and not run; a broken one tells nothing."""
    assert survey._build_info(source) == build  # noqa: SLF001
