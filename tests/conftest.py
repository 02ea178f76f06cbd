"""Datasets that many tests read: a small stand-in, and CIFAR-10 itself where it lies beside the checkout."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cifar.data import dataset

REAL = Path(__file__).parents[2] / "shared" / "data" / "cifar-10-python.tar.gz"


@pytest.fixture(scope="session", autouse=True)
def _interruptible():
    """Ctrl-C and a closed terminal reach what the tests start, also where a shell or `nohup` has them ignored."""
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What tests note and keep is none of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A stand-in of 1,003 training and 250 validation images, in our layout."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "small.h5", train=1_003, valid=250)


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """CIFAR-10 as published, in our layout."""
    if not REAL.exists():
        pytest.skip(f"CIFAR-10 is not in {REAL.parent}")
    return dataset.prepare(tmp_path_factory.mktemp("data") / "cifar10.h5", REAL)


@pytest.fixture(scope="session")
def executed(tmp_path_factory):
    """The function `executed(script)`: what a shell script makes beside stand-ins for what it may call."""
    programs, here = tmp_path_factory.mktemp("programs"), tmp_path_factory.mktemp("here")
    for name in ("apptainer", "cifar", "git", "ln", "nox", "pip"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)

    def made(script):
        path = os.pathsep.join((str(programs), os.defpath))
        subprocess.run(["sh"], input=script.encode(), cwd=here, env={"PATH": path}, capture_output=True, check=False)
        return sorted(found.name for found in here.iterdir())

    return made


@pytest.fixture
def write():
    """The function `write(root, path, text)`: writes one file and the folders above it."""

    def written(root, path, text=""):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return written
