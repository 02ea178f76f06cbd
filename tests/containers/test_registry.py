"""A base comes from its registry by digest: the right one is taken, a wrong one refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "containers"
WRONG = f"sha256:{'0' * 64}"
NOT_THERE = ("manifest unknown", "no such manifest", "MANIFEST_UNKNOWN")


def run(*words, folder=None):
    """Run a program to its end."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The address of a registry of this machine's own, which ends with the tests."""
    for program in ("docker-registry", "buildah", "skopeo"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian: apt-get install {program})")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder)}}, "http": {"addr": address}}
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        wait_for(f"http://{address}/v2/", process, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait()


def wait_for(address, process, log):
    """Wait until the registry answers; an error with its own words where it has ended."""
    for _ in range(100):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=10).close()  # noqa: S310 our own
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"no answer from {address}")


@pytest.fixture(scope="module")
def base(registry, tmp_path_factory):
    """The name of an image of one file in that registry, and its digest."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    tag, name = f"localhost/cifar-test:{folder.parent.name}", f"{registry}/python"
    built = run("buildah", "build", "--isolation=chroot", f"--tag={tag}", ".", folder=folder)
    assert built.returncode == 0, built.stderr
    try:
        pushed = run(
            "buildah", "push", "--tls-verify=false", f"--digestfile={folder / 'digest'}", tag, f"docker://{name}"
        )
        assert pushed.returncode == 0, pushed.stderr
    finally:
        run("buildah", "rmi", tag)
    return name, (folder / "digest").read_text()


def test_dockerfile(base, tmp_path):
    """The Dockerfile's FROM takes the base that has the digest, and nothing where none has it."""
    name, digest = base
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    end = text.index("FROM ${BASE}\n") + len("FROM ${BASE}\n")
    (tmp_path / "Dockerfile").write_text(text[:end])
    build = ("buildah", "build", "--isolation=chroot", "--tls-verify=false", f"--iidfile={tmp_path / 'id'}")
    right = run(*build, f"--build-arg=BASE={name}@{digest}", ".", folder=tmp_path)
    assert right.returncode == 0, right.stderr
    cleared = run("buildah", "rmi", "--force", (tmp_path / "id").read_text())
    assert cleared.returncode == 0, cleared.stderr
    wrong = run(*build, f"--build-arg=BASE={name}@{WRONG}", ".", folder=tmp_path)
    assert wrong.returncode != 0
    assert any(words in wrong.stderr for words in NOT_THERE), wrong.stderr


def test_definition_file(base, tmp_path):
    """So does the definition file's."""
    if not shutil.which("apptainer"):
        pytest.skip("Apptainer is not installed")
    (tmp_path / "scratch.def").write_text("Bootstrap: scratch\n")
    trial = run("apptainer", "build", "--fakeroot", "scratch.sif", "scratch.def", folder=tmp_path)
    if trial.returncode:
        pytest.skip(f"Apptainer cannot build here: {trial.stderr.strip().splitlines()[-1]}")
    name, digest = base
    text = (FOLDER / "cifar.def").read_text(encoding="utf-8")
    (tmp_path / "x.def").write_text(text[: text.index("%files\n")])  # where the base comes from, and no more
    target = tmp_path / "x.sif"
    build, files = ("apptainer", "build", "--fakeroot", "--no-https"), (target, "x.def")
    right = run(*build, f"--build-arg=BASE={name}@{digest}", *files, folder=tmp_path)
    assert right.returncode == 0, right.stderr
    assert target.exists()
    target.unlink()
    wrong = run(*build, f"--build-arg=BASE={name}@{WRONG}", *files, folder=tmp_path)
    assert wrong.returncode != 0
    assert any(words in wrong.stderr for words in NOT_THERE), wrong.stderr
    assert not target.exists()
