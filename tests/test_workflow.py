"""The workflows of public CI run nothing that can change under them, and may do no more than they need."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parent.parent / ".github/workflows").glob("*.yml"))
TEXT = "\n".join(file.read_text(encoding="utf-8") for file in FILES)


@pytest.mark.parametrize("used", sorted(set(re.findall(r"uses: *(.+)", TEXT))))
def test_actions_are_pinned(used):
    """Every action is named by the hash of its commit, with the release that it is beside it."""
    assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_permissions(file):
    """A job may read the source; only the one that signs may do more."""
    head, _, text = file.read_text(encoding="utf-8").partition("\njobs:\n")
    top, *jobs = re.split(r"^  (?=\w+:$)", text, flags=re.MULTILINE)
    assert top == ""
    assert jobs
    assert "permissions:\n  contents: read\n" in head
    assert all(("write" in job) is job.startswith("sign:\n") for job in jobs)
    assert "pull_request_target" not in TEXT


def test_cuda_image_is_built_when_it_changes():
    """The workflow that builds it is run for every file that goes into it, but for the suite itself."""
    text = next(file for file in FILES if file.name == "cuda.yml").read_text(encoding="utf-8")
    assert text.count("      - containers/*\n") == text.count("    paths:\n") == 2
    assert "nox -s image -- --variant cuda\n" in text


@pytest.mark.parametrize(("oci", "sif", "signed"), [(False, False, True), (True, False, False), (False, True, False)])
def test_no_standin_is_signed(tmp_path, oci, sif, signed):
    """Before anything is pushed or signed the job fails where one of the images was built on a stand-in."""
    if not shutil.which("jq"):
        pytest.skip("jq is not installed (Debian: apt-get install jq)")
    step, command = re.search(r"(- name: Refuse .*\n) +run: (.+)\n", TEXT).groups()
    assert TEXT.index("\n  sign:\n") < TEXT.index(step) < min(map(TEXT.index, ("skopeo copy", "cosign sign")))
    (tmp_path / "dist").mkdir()
    for form, standin in (("oci", oci), ("sif", sif)):
        (tmp_path / f"dist/cifar-bench-cpu.{form}.json").write_text(json.dumps({"stand-in": standin}))
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode == 0) is signed
