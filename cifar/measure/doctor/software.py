"""The software of a node: its image, its packages, what else Python finds, and whether all that is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cifar.measure import source
from cifar.measure.doctor import trial
from cifar.measure.doctor.finding import Finding, some, unknown
from cifar.node import container, packages, process
from cifar.record import files
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cifar.measure.doctor.finding import Node


def image(node: Node) -> Iterator[Finding]:
    """Yield whether results can name the image that they were measured in; nothing outside of a container."""
    facts = container.container(node.root, node.environ)
    if facts["kind"] == "none":
        return
    for fact in (facts["image"], facts["digest"]):
        if isinstance(fact, Unmeasurable):
            said = f"{facts['kind']}; results will not name the image: {fact.reason}"
            yield Finding("image", "warn", said, fact.remedy)
            return
    yield Finding("image", "pass", f"{facts['kind']}, {facts['image']}, {facts['digest']}")


def locked() -> Finding:
    """Return whether the packages are those of the lock."""
    lock = source.lock(source.PACKAGE.parent / "containers", dict(packages.installed()))
    if isinstance(lock, Unmeasurable):
        return unknown("packages", lock)
    if not lock["differs"]:
        return Finding("packages", "pass", f"as in {lock['file']}")
    said = f"not as in {lock['file']}: {some(lock['differs'])}"
    install = f"pip install -r containers/{lock['file']} in a fresh environment"
    return Finding("packages", "warn", said, install)


# --- what is not ours


def foreign(node: Node) -> Finding:
    """Return whether Python finds packages that belong to something else: the host's, under a container's feet."""
    ours = (sys.prefix, sys.base_prefix, str(source.PACKAGE.parent))
    entries = [entry for entry in node.path if entry and not entry.startswith(ours)]
    names = sorted({name for name, _ in packages.distributions(entries)})
    folders = [entry for entry in entries if _has_packages(Path(entry)) or _shadows(Path(entry))]
    if not (names or folders):
        return Finding("foreign packages", "pass", f"none; all are under {sys.prefix}")
    said = f"Python also finds {some(names) or 'packages'} in {some(folders or entries)}"
    if container.container_kind(node.root, node.environ) is None:
        return Finding("foreign packages", "warn", said, "unset PYTHONPATH")
    remedy = "unset PYTHONPATH, and start the container with --containall --cleanenv"
    return Finding("foreign packages", "fail", said, remedy)


def _has_packages(folder: Path) -> bool:
    """Whether a package of Python lies in `folder`."""
    return any(folder.glob("*/__init__.py"))


def _shadows(folder: Path) -> bool:
    """Whether a module in `folder` has the name of one that is needed here, as `random.py` has."""
    needed = {*sys.stdlib_module_names, *NEEDED, "tensorflow", "keras", "cifar"}
    return any(path.stem in needed for path in folder.glob("*.py"))


_KERAS = {
    "backend": "tensorflow",
    "epsilon": 1e-07,
    "floatx": "float32",
    "image_data_format": "channels_last",
}
"""What Keras takes where nobody says otherwise.  Source: keras/src/backend/config.py."""


def keras_settings(node: Node) -> Iterator[Finding]:
    """Yield how this user's own settings of Keras differ from its defaults, which are what is measured."""
    check = "Keras's settings"
    home = node.environ.get("KERAS_HOME")
    if not home and node.environ.get("HOME"):
        home = f"{node.environ['HOME']}/.keras"
    path = Path(home or os.devnull) / "keras.json"
    if not os.path.lexists(path):
        return
    try:
        settings = files.read_json(path)
    except (OSError, ValueError) as error:
        yield Finding(check, "pass", f"{path} cannot be read ({error}); it is not used here")
        return
    if not isinstance(settings, dict):
        return
    differing = []
    for name, default in _KERAS.items():
        value = settings.get(name, default)
        if value != default:
            differing.append(f"{name} {value!r}")
    if differing:
        said = f"{path} says {', '.join(differing)}; it is not used here, for it would make another network"
        yield Finding(check, "pass", said)


# --- what is needed

NEEDED = ("psutil", "pynvml", "numpy", "h5py", "rich")
"""Modules that are needed whatever is measured; TensorFlow and Keras show themselves when a product is computed."""

_IMPORT = """
import sys
for name in sys.argv[1:]:
    __import__(name)
    print('imported', name, flush=True)
"""


def imported(environ: Mapping[str, str] = os.environ, seconds: float = 300.0) -> Iterator[Finding]:
    """Yield whether the packages can be imported that are needed whatever is measured; tried in fresh processes."""
    left = list(NEEDED)
    findings = []
    while left:
        done = trial.run(_IMPORT, *left, environ=process.environment(environ), seconds=seconds)
        printed = {line.removeprefix("imported ") for line in done.out.splitlines()}
        # It prints the name of each that it has imported: the one after them is that which it died of.
        while left and left[0] in printed:
            left.pop(0)
        if left:
            said = f"{left.pop(0)} cannot be imported: {trial.last_words(done, seconds)}"
            remedy = "install the lock anew in a fresh environment, and unset PYTHONPATH"
            findings.append(Finding("imports", "fail", said, remedy))
    yield from findings or [Finding("imports", "pass", ", ".join(NEEDED))]
