"""The batch scripts, run by bash beside stand-ins for Slurm and Apptainer: what is measured, and in what container."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "containers/slurm"
BOTH = ["--device", "cpu", "--device", "gpu"]
APPTAINER = """#!/bin/sh
printf '%s\\n' "$@" >>"$ASKED"
echo >>"$ASKED"
case " $* " in *" $REAL "*) ;; *) exit 0 ;; esac
while [ "$1" != cifar ]; do shift; done
exec "$@"
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A folder to submit from, with an image in it, and programs that stand in for srun and apptainer."""
    programs, here = tmp_path / "programs", tmp_path / "here"
    for folder in (programs, here):
        folder.mkdir()
    for name, text in (("srun", '#!/bin/sh\nshift\nexec "$@"\n'), ("apptainer", APPTAINER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (here / "cifar.sif").touch()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    variables = {"ASKED": tmp_path / "asked", "REAL": "nothing", "SLURM_CPUS_PER_TASK": 2, "SLURM_JOB_ID": 7}
    for name, value in (variables | {"SLURMD_NODENAME": "n1"}).items():
        monkeypatch.setenv(name, str(value))
    return here


def submitted(*words, script="bench.sbatch"):
    """The script run to its end."""
    return subprocess.run(["bash", FOLDER / script, *words], capture_output=True, text=True, check=False)


def asked(node):
    """What Apptainer was asked last, as the words before the image and those of `cifar` after it."""
    *_, last = (node.parent / "asked").read_text().strip().split("\n\n")
    words = last.splitlines()
    return words[: words.index("cifar")], words[words.index("cifar") + 1 :]


@pytest.mark.parametrize(
    ("given", "measured"),
    [
        ([], BOTH),
        (["--quick", "--only", "training or startup"], [*BOTH, "--quick", "--only", "training or startup"]),
        (["--quick", "--device", "gpu:1"], ["--quick", "--device", "gpu:1"]),
        (["--device=cpu"], ["--device=cpu"]),
    ],
    ids=["nothing", "other options", "a device", "a device after ="],
)
def test_devices(node, given, measured):
    """CPU and GPU are both named, whatever else is asked, unless a device is."""
    assert submitted("results/a", *given).returncode == 0
    assert asked(node)[1] == ["bench", "--out", "results/a", *measured]


def test_folder_of_its_own(node):
    """Without a word the results go where job and node name them."""
    assert submitted().returncode == 0
    assert asked(node)[1] == ["bench", "--out", "results/7-n1", *BOTH]


@pytest.mark.parametrize("given", [[], ["--runs", "12", "--strict", "--fail-on", "slower:5%"], ["--device", "gpu"]])
def test_goes_on(node, given):
    """A campaign that was begun goes on with its own devices and all the options of this job."""
    (node / "results/a").mkdir(parents=True)
    (node / "results/a/campaign.json").touch()
    assert submitted("results/a", *given).returncode == 0
    assert asked(node)[1] == ["bench", "--out", "results/a", "--resume", *given]


def test_array(node, monkeypatch):
    """A task of an array measures its node into a folder of the job's, with the same devices."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "9")
    monkeypatch.setenv("SLURM_SUBMIT_DIR", str(FOLDER.parent.parent))
    assert submitted("--quick", script="nodes.sbatch").returncode == 0
    assert asked(node)[1] == ["bench", "--out", "results/nodes-9/n1", *BOTH, "--quick"]


@pytest.mark.parametrize("name", ["cifar.sif", "link.sif", "../store/link.sif", "../store/x.sif"])
def test_image(node, monkeypatch, name):
    """The image's own file is in sight inside, read-only, wherever it lies and whatever link names it."""
    (node.parent / "store").mkdir()
    (node.parent / "store/x.sif").touch()
    for link in (node / "link.sif", node.parent / "store/link.sif"):
        link.symlink_to(node.parent / "store/x.sif")
    monkeypatch.setenv("CIFAR_SIF", name)
    assert submitted().returncode == 0
    image = str((node / name).resolve())
    assert asked(node)[0] == [
        *("exec", "--nv", "--contain", "--home", str(node), "--bind", f"{image}:{image}:ro", image)
    ]


def test_no_image(node):
    """Where there is no image that is said, with the remedy, and nothing is measured."""
    (node / "cifar.sif").unlink()
    done = submitted()
    assert done.returncode == 2
    assert "cifar.sif is missing in" in done.stderr
    assert "CIFAR_SIF=" in done.stderr
    assert not (node.parent / "asked").exists()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this node has a GPU")
def test_no_gpu(node, monkeypatch, small):
    """On a node without a GPU the job ends with an error, also where other options are given."""
    monkeypatch.setenv("REAL", "bench")
    done = submitted("results/a", "--quick", "--only", "first-step", "--dataset", str(small))
    assert done.returncode == 4, done.stderr
    assert "there is no gpu to measure" in done.stderr
    assert not (node / "results/a/campaign.json").exists()
