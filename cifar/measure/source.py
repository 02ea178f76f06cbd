"""What was run: the commit, the lock, the packages that are installed, and a digest of the workload's source."""

from __future__ import annotations

import hashlib
import os
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.node import packages, process
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Facts = dict[str, Any]

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of this package; in a checkout, `benchmarks` and `containers` stand beside it."""


def describe(package: Path = PACKAGE) -> Facts:
    """Return commit, lock, installed packages and the workload's source, as digests where they are many.

    `package` is the folder of this package.
    """
    installed = packages.installed()
    return {
        "version": _version(),
        **(_commit_of_image() or _commit(package.parent)),
        "workload": workload_digest(package),
        "lock": lock(package.parent / "containers", dict(installed)),
        "installed": _sha256(f"{name}=={version}\n".encode() for name, version in installed),
    }


def _version() -> str | Unmeasurable:
    """The version of this package."""
    try:
        return metadata.version("cifar-bench")
    except metadata.PackageNotFoundError:
        return Unmeasurable("cifar-bench is not installed, it runs from its checkout")


def workload_digest(package: Path = PACKAGE) -> str | Unmeasurable:
    """Return the SHA-256 of the Python files of workload, data and benchmarks, their names included.

    The lesson's run is one of them: a training that was interrupted goes on by the code that began it.
    It is the same for a checkout and for an installed wheel, which has the benchmarks inside the package.  The
    evidence beside the benchmarks is none of theirs, and neither a wheel nor an image has it.
    """
    inside, beside = package / "benchmarks", package.parent / "benchmarks"
    folders = {
        "workload": package / "workload",
        "data": package / "data",
        "benchmarks": inside if inside.is_dir() else beside,
    }
    files = {
        f"{name}/{file.relative_to(folder).as_posix()}": file
        for name, folder in folders.items()
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] != "evidence"
    }
    run = package / "lesson" / "run.py"
    if run.is_file():
        files["lesson/run.py"] = run
    if not files:
        return Unmeasurable("none of cifar/workload, cifar/data and benchmarks has a Python file")
    # A length before each part keeps two different sets of files from reading alike.
    parts = ((name.encode(), file.read_bytes()) for name, file in sorted(files.items()))
    return _sha256(b"%d %s %d " % (len(name), name, len(text)) + text for name, text in parts)


# --- the lock

_BUILDS = {"tensorflow", "tensorflow-cpu"}


def lock(folder: Path, installed: Mapping[str, str]) -> Facts | Unmeasurable:
    """Return the lock in `folder` that fits the installed TensorFlow, its digest, and how they differ.

    `installed` gives the version of each installed package.  `differs` lists those whose version is not the lock's,
    and both builds of TensorFlow where both are installed: empty for a match.  Packages that the lock does not name
    may stand beside.
    """
    name = "tensorflow-cpu" if "tensorflow-cpu" in installed else "tensorflow"
    kind = "cpu" if name == "tensorflow-cpu" else "cuda"
    files = sorted(folder.glob(f"requirements-{kind}*.txt"), key=lambda file: len(file.name))
    if not files:
        reason = f"there is no requirements-{kind}.txt beside the package; `installed` tells what was used"
        return Unmeasurable(reason, "run from a checkout, or from an image")
    locks = {file: _pins(file) for file in files}
    fitting = [file for file in files if installed.get(name) in locks[file].get(name, ())]
    file = fitting[0] if fitting else files[0]
    pins = locks[file]
    differs = {package for package, version in installed.items() if version not in pins.get(package, {version})}
    if installed.keys() >= _BUILDS:  # they share a folder, and whichever was installed last is the one that is used
        differs |= _BUILDS
    return {"file": file.name, "sha256": _sha256([file.read_bytes()]), "differs": sorted(differs)}


def _pins(file: Path) -> dict[str, set[str]]:
    """The versions that a lock names for each package, several where they depend on the platform."""
    pins: dict[str, set[str]] = {}
    text = file.read_text(encoding="utf-8")
    pattern = r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)"
    for name, version in re.findall(pattern, text, re.MULTILINE):
        pins.setdefault(packages.normal(name), set()).add(version)
    return pins


# --- the commit

COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""The name of a commit, by SHA-1 or by SHA-256."""
GIT_SECONDS = 20.0
"""How long git may take to answer."""


def _commit_of_image(environ: Mapping[str, str] = os.environ) -> Facts | None:
    """Commit and dirty as the image's recipe was told them, or None outside of our images."""
    revision = environ.get("CIFAR_REVISION")
    if not revision:
        return None
    if revision == "unknown":
        remedy = "build it with --build-arg REVISION=$(git rev-parse HEAD)"
        why = Unmeasurable("the image was built without its commit", remedy)
        return {"commit": why, "dirty": why}
    return {"commit": revision.removesuffix("-dirty"), "dirty": revision.endswith("-dirty")}


def _commit(folder: Path) -> Facts:
    """Commit and dirty of the checkout whose top is `folder`."""
    try:
        top = _git(folder, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != folder.resolve():  # the environment may lie inside another project's checkout
            why = Unmeasurable("the package is installed, it does not run from a checkout")
            return {"commit": why, "dirty": why}
        dirty = bool(_git(folder, "status", "--porcelain"))
    except (OSError, ValueError) as error:
        why = Unmeasurable(f"git does not tell: {packages.without_user(str(error))}")
        return {"commit": why, "dirty": why}
    try:
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
    except (OSError, ValueError):
        return {"commit": Unmeasurable("the checkout has no commit yet"), "dirty": dirty}
    if not COMMIT.fullmatch(commit):
        why = Unmeasurable(f"git answers {commit[:100]!r}, which is no commit")
        return {"commit": why, "dirty": dirty}
    return {"commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    """What git prints of the checkout `folder`; ValueError where it fails or does not answer."""
    # A hook's GIT_DIR would name another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = process.run(["git", "-C", str(folder), *arguments], seconds=GIT_SECONDS, environ=environ)
    if done.code is None:
        message = f"it did not answer within {GIT_SECONDS:.0f} s"
        raise ValueError(message)
    if done.code:
        message = (done.err.strip() or f"exit code {done.code}").splitlines()[0]
        raise ValueError(message)
    return done.out.strip()


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
