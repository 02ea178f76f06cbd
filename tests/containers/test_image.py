"""The program behind `nox -s image`: its lock and base, and that an audit that asked nobody is no pass."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar.measure.doctor.libraries import LIBRARIES

FOLDER = Path(__file__).resolve().parent.parent.parent / "containers"


@pytest.fixture
def image(monkeypatch):
    """The program as a module; its files stand beside each other."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("image")


@pytest.fixture
def formats(image):
    """The formats that it builds."""
    return importlib.import_module(image.Oci.__module__)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
@pytest.mark.parametrize(("tensorflow", "end"), [(None, ""), ("2.19", "-2.19")])
def test_variant(image, name, tensorflow, end):
    """Variant and release of TensorFlow together name a lock that is there."""
    assert image.variant(argparse.Namespace(variant=name, tensorflow=tensorflow)) == name + end


def test_no_lock(image):
    """A release without a lock is refused, and those that have one are named."""
    with pytest.raises(SystemExit, match=r"no lock cpu-2\.12, only .*cpu-2\.19"):
        image.variant(argparse.Namespace(variant="cpu", tensorflow="2.12"))


@pytest.mark.parametrize("text", ["MIT", "=====\n MIT\n=====\nPermission is hereby granted", "\nMIT\n"])
def test_title(image, text):
    """Of a licence that is given by its whole text the first line stands for it."""
    assert image.title(text) == "MIT"


@pytest.mark.parametrize("wrong", [{}, {"built": False}, {"libcudnn.so.9": "fail"}, {"packages": "warn"}])
def test_cuda_is_as_locked(image, tmp_path, capsys, wrong):
    """An image for GPUs passes only with TensorFlow's CUDA build, every library loading, and all packages as locked."""
    found = {"built": True, "packages": "pass", "gpu": "fail"} | dict.fromkeys(LIBRARIES.values(), "pass") | wrong
    form = SimpleNamespace(run=lambda _target, home, *_words: (home / "answer.json").write_text(json.dumps(found)))
    if wrong:
        with pytest.raises(SystemExit, match=next(iter(wrong))):
            image.inside.check_cuda(form, Path("x.sif"), tmp_path)
    else:
        image.inside.check_cuda(form, Path("x.sif"), tmp_path)
        assert "its 10 libraries load, as locked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo pulled", None),
        ("echo trying; echo more >&2; echo no route >&2; exit 1", "pull.sh x: no route"),
        ("exit 3", "pull.sh x: code 3, without a word"),
        ("exec sleep 60", "pull.sh x was not done after 1 s"),
    ],
    ids=["success", "failure", "silence", "too long"],
)
def test_complaint(formats, tmp_path, script, said):
    """Why a base cannot be pulled is told in the puller's last words, or by how long was waited."""
    program = tmp_path / "pull.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found = formats.complaint(str(program), "x", seconds=1)
    assert (found and found.removeprefix(f"{tmp_path}/")) == said


@pytest.mark.parametrize("refusal", [None, "buildah pull: no route"])
def test_standin(image, tmp_path, monkeypatch, capsys, refusal):
    """A stand-in takes the base's place only where that cannot be pulled, and why it cannot is printed."""
    monkeypatch.setattr(image, "standin", lambda work, _epoch: work / "base.oci.tar")
    forms = [SimpleNamespace(refusal=lambda _base, said=said: said) for said in (None, refusal)]
    recipe = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    found = image.choose_base(recipe, tmp_path, 0, forms)
    if refusal:
        assert found == (image.STANDIN, tmp_path / "base.oci.tar")
        assert f"CANNOT BE PULLED here: {refusal}\nA STAND-IN " in capsys.readouterr().out
    else:
        assert found == (image.pinned_base(recipe), None)
        assert capsys.readouterr().out == ""


def test_docker_is_not_compared(image, formats):
    """Two builds by Docker are not compared, for they cannot be equal, and what to do is said; others are."""
    image.check_comparable([formats.Oci("buildah"), formats.Sif("apptainer")])
    with pytest.raises(SystemExit, match=r"Docker's own builder .* apt-get install buildah"):
        image.check_comparable([formats.Oci("docker"), formats.Sif("apptainer")])


def test_digest(formats, tmp_path):
    """An archive's digest is its manifest's; an old Docker's archive, which has none, is refused with the remedy."""
    for name, text in (("index", '{"manifests": [{"digest": "sha256:12"}]}'), ("manifest", "[]")):
        (tmp_path / f"{name}.json").write_text(text)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(tmp_path / f"{name}.json", f"{name}.json")
    form = formats.Oci("docker")
    assert form.digest(tmp_path / "index.tar") == "sha256:12"
    with pytest.raises(SystemExit, match=r"manifest.tar is no OCI archive.* from version 25 on: use that, or buildah"):
        form.digest(tmp_path / "manifest.tar")


SKIPPED = '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}'
SOUND = '{"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}]}'
HIT = '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]}'


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        (SKIPPED, 0, "NOT AUDITED, for the index tells of none of 1 packages"),
        (SOUND, 0, "1 of 2 packages audited; known vulnerabilities: none"),
        (HIT, 1, "1 of 1 packages audited; known vulnerabilities: a CVE-1"),
        ("", 1, "NOT AUDITED, for the service does not answer: no route"),
    ],
    ids=["skipped", "sound", "vulnerable", "no answer"],
)
def test_audit(image, tmp_path, monkeypatch, capsys, printed, code, expected):
    """What was found is named; where nobody could be asked, that is said, though pip-audit ends well."""
    (tmp_path / "printed").write_text(printed)
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/printed\necho no route >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    image.audit(tmp_path / "lock.txt", tmp_path / "x.sif")
    assert capsys.readouterr().out == f"x.sif: {expected}\n"
    assert (tmp_path / "x.audit.json").exists() is bool(printed)
