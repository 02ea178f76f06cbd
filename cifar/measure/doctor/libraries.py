"""CUDA's libraries, which TensorFlow opens: where each was found, its package's version, and whether it loads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cifar.measure.doctor import trial
from cifar.measure.doctor.finding import Finding
from cifar.node import packages, process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cifar.measure.doctor.finding import Node

# Those that TensorFlow opens, by the package that brings them; the number is the interface's, not the version.
LIBRARIES = {
    "nvidia-cuda-runtime": "libcudart.so.12",
    "nvidia-cublas": "libcublas.so.12",
    "nvidia-cudnn": "libcudnn.so.9",
    "nvidia-cufft": "libcufft.so.11",
    "nvidia-cusolver": "libcusolver.so.11",
    "nvidia-cusparse": "libcusparse.so.12",
    "nvidia-cuda-cupti": "libcupti.so.12",
    "nvidia-cuda-nvrtc": "libnvrtc.so.12",
    "nvidia-nvjitlink": "libnvJitLink.so.12",
    "nvidia-nccl": "libnccl.so.2",
}

_REINSTALL = "reinstall the locked CUDA libraries (containers/requirements-cuda.txt)"


def libraries(node: Node) -> Iterator[Finding]:
    """Yield a finding for each library of CUDA."""
    named = [Path(folder) for folder in node.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    places = {library: _place(node, named, library) for library in LIBRARIES.values()}
    problems = load_problems(node, [place for place in places.values() if place])
    installed = dict(packages.installed())
    for package, library in LIBRARIES.items():
        place = places[library]
        version = _version(installed, package)
        if place is None:
            yield Finding(library, "fail", "not found", _REINSTALL)
        elif problem := problems[place]:
            said = f"{place} does not load: {problem}"
            yield Finding(library, "fail", said, f"{_REINSTALL}; unset LD_LIBRARY_PATH")
        elif any(place.startswith(str(folder)) for folder in named):
            said = f"{place} goes before the locked {version or 'one'}"
            yield Finding(library, "warn", said, "unset LD_LIBRARY_PATH, unless the driver needs it")
        else:
            yield Finding(library, "pass", f"{version} in {Path(place).parent}")


def _place(node: Node, named: Sequence[Path], library: str) -> str | None:
    """Where the loader finds a library: LD_LIBRARY_PATH goes before what TensorFlow's packages bring."""
    places = [folder / library for folder in named]
    for entry in node.path:
        places.extend(sorted(Path(entry).glob(f"nvidia/*/lib/{library}")))
    return next((str(place) for place in places if place.exists()), None)


def _version(installed: Mapping[str, str], package: str) -> str:
    """The version of the package that brings a library, which may carry CUDA's release in its name; "" for none."""
    for name in sorted(installed):
        if re.fullmatch(rf"{package}(-cu\d+)?", name):
            return installed[name]
    return ""


# A library that loads is one whose own libraries are found too.
_LOAD = """
import ctypes, json, sys
for line in sys.stdin.read().splitlines():
    try:
        ctypes.CDLL(line)
        print("tried", json.dumps([line, None]), flush=True)
    except OSError as error:
        print("tried", json.dumps([line, str(error)]), flush=True)
"""


def load_problems(node: Node, places: Sequence[str]) -> dict[str, str | None]:
    """Return for each library why it does not load, or None; tried in a fresh process, which may die of it."""
    environ, seconds = process.environment(node.environ), node.deadline_seconds
    done = trial.run(_LOAD, environ=environ, seconds=seconds, given="\n".join(places))
    why = "the process that loaded it died"
    if done.code is None:
        why = f"it, or one before it, did not load within {seconds:.0f} s"
    answers = {}
    for line in done.out.splitlines():
        if line.startswith("tried "):
            place, problem = json.loads(line.removeprefix("tried "))
            answers[place] = problem
    return {place: answers.get(place, why) for place in places}
