"""From this node to one finding a check: pass, warn, fail or unknown, with what to do about it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cifar.backend import missing, survey
from cifar.measure import source
from cifar.node import allotment, computer, container, gpus, kernel, memory, packages, process
from cifar.record import files
from cifar.record.text import plain
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cifar.backend.missing import GpuFacts

Status = Literal["pass", "unknown", "warn", "fail"]
SEVERITY: tuple[Status, ...] = ("pass", "unknown", "warn", "fail")

_GIB = 1 << 30
_NETWORK = r"nfs\d?|lustre|gpfs|beegfs|cifs|smb\d?|smbfs|ceph|panfs|pvfs2|wekafs|afs|9p|fuse\..*"


@dataclass(frozen=True)
class Finding:
    """What one check found: in words, with the remedy where something is wrong."""

    check: str
    status: Status
    said: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """Keep each text fit for a line of a terminal: it may name a folder, or quote what a program printed."""
        for name in ("said", "remedy"):
            object.__setattr__(self, name, plain(" ".join(getattr(self, name).splitlines())))

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{self.status:7}  {self.check:18}  {self.said}" + (f" -> {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Node:
    """What is examined; tests stage one."""

    folders: Mapping[str, Path | None]
    """What is written, and where: `results`, `data`; None: where it is kept if nobody says otherwise."""
    device: str | None = None
    """cpu or gpu where only one of them matters; a GPU that is asked for and missing is a failure."""
    root: Path = kernel.ROOT
    """The folder that /proc, /sys and /dev are read from."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    path: Sequence[str] = tuple(sys.path)
    """Where Python finds packages."""
    deadline_seconds: float = 300.0
    """How long TensorFlow may take for one product."""


def examine(node: Node) -> Iterator[Finding]:
    """Yield the finding of each check as soon as it is made; what executes TensorFlow comes last."""
    yield from glance(node)
    imports = list(imported(node.environ, node.deadline_seconds))
    yield from imports
    if node.device != "gpu":
        yield _executed(node, "cpu")
    if node.device != "cpu":
        yield from _gpu_side(node, asked=not any(finding.said.startswith("pynvml cannot") for finding in imports))


def glance(node: Node) -> Iterator[Finding]:
    """Yield the findings that take no process of their own, in less than a second."""
    yield from _container(node)
    yield _locked()
    yield _foreign(node)
    yield from _keras(node)
    yield _processors(node)
    yield _memory(node)
    yield _shared_memory(node)
    for name, folder in node.folders.items():
        yield _folder(node, name, folder)
    yield _clock(node)
    yield _load(node)


def worst(findings: Sequence[Finding]) -> Status:
    """Return the worst status among the findings."""
    return max((finding.status for finding in findings), key=SEVERITY.index, default="pass")


def _unknown(check: str, fact: Unmeasurable) -> Finding:
    """The finding of a check whose fact cannot be had."""
    return Finding(check, "unknown", fact.reason, fact.remedy)


# --- the software -------------------------------------------------------------------------------------------


def _container(node: Node) -> Iterator[Finding]:
    """Whether results can name the image that they were measured in; nothing outside of a container."""
    found = container.container(node.root, node.environ)
    if found["kind"] == "none":
        return
    for fact in (found["image"], found["digest"]):
        if isinstance(fact, Unmeasurable):
            said = f"{found['kind']}; results will not name the image: {fact.reason}"
            yield Finding("image", "warn", said, fact.remedy)
            return
    yield Finding("image", "pass", f"{found['kind']}, {found['image']}, {found['digest']}")


def _locked() -> Finding:
    """Whether the packages are those of the lock."""
    lock = source.lock(source.PACKAGE.parent / "containers", dict(packages.installed()))
    if isinstance(lock, Unmeasurable):
        return _unknown("packages", lock)
    if not lock["differs"]:
        return Finding("packages", "pass", f"as in {lock['file']}")
    install = f"pip install -r containers/{lock['file']} in a fresh environment"
    return Finding("packages", "warn", f"not as in {lock['file']}: {_some(lock['differs'])}", install)


def _foreign(node: Node) -> Finding:
    """Whether Python finds packages that belong to something else: the host's, under a container's feet."""
    ours = (sys.prefix, sys.base_prefix, str(source.PACKAGE.parent))
    foreign = [entry for entry in node.path if entry and not entry.startswith(ours)]
    names = sorted({name for name, _ in packages.distributions(foreign)})
    folders = [entry for entry in foreign if any(Path(entry).glob("*/__init__.py")) or _shadows(Path(entry))]
    if not (names or folders):
        return Finding("foreign packages", "pass", f"none; all are under {sys.prefix}")
    contained = container.container_kind(node.root, node.environ) is not None
    return Finding(
        "foreign packages",
        "fail" if contained else "warn",
        f"Python also finds {_some(names) or 'packages'} in {_some(folders or foreign)}",
        "unset PYTHONPATH" + (", and start the container with --containall --cleanenv" if contained else ""),
    )


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


def _keras(node: Node) -> Iterator[Finding]:
    """Whether this user's own settings of Keras differ from its defaults, which are what is measured."""
    home = node.environ.get("KERAS_HOME") or (node.environ.get("HOME") and f"{node.environ['HOME']}/.keras")
    path = Path(home or os.devnull) / "keras.json"
    if not os.path.lexists(path):
        return
    try:
        settings = files.read_json(path)
    except (OSError, ValueError) as error:
        yield Finding("Keras's settings", "pass", f"{path} cannot be read ({error}); it is not used here")
        return
    settings = settings if isinstance(settings, dict) else {}
    differing = [f"{name} {settings[name]!r}" for name in _KERAS if settings.get(name, _KERAS[name]) != _KERAS[name]]
    if differing:
        said = f"{path} says {', '.join(differing)}; it is not used here, for it would make another network"
        yield Finding("Keras's settings", "pass", said)


NEEDED = ("psutil", "pynvml", "numpy", "h5py", "rich")
"""Modules that are needed whatever is measured; TensorFlow and Keras show themselves when a product is computed."""


def imported(environ: Mapping[str, str] = os.environ, seconds: float = 300.0) -> Iterator[Finding]:
    """Yield whether the packages can be imported that are needed whatever is measured; tried in fresh processes."""
    left, words = list(NEEDED), {}
    while left:
        # It prints the name of each that it has imported: the one after them is that which it died of.
        program = f"for name in {left}:\n    __import__(name)\n    print('imported', name, flush=True)"
        done = _tried(program, environ=process.environment(environ), seconds=seconds)
        printed = {line.removeprefix("imported ") for line in done.out.splitlines()}
        left = left[next((place for place, name in enumerate(left) if name not in printed), len(left)) :]
        if left:
            words[left.pop(0)] = _last_words(done, seconds)
    for name, said in words.items():
        remedy = "install the lock anew in a fresh environment, and unset PYTHONPATH"
        yield Finding("imports", "fail", f"{name} cannot be imported: {said}", remedy)
    if not words:
        yield Finding("imports", "pass", ", ".join(NEEDED))


def _tried(
    program: str, *arguments: str, environ: Mapping[str, str], seconds: float, given: str = ""
) -> process.Finished:
    """How a Python program ended in a fresh process; where none can be started, that is what it said."""
    try:
        return process.run(process.python("-c", program, *arguments), seconds=seconds, environ=environ, given=given)
    except OSError as error:
        return process.Finished(1, "", f"no process can be started: {error}")


def _last_words(done: process.Finished, seconds: float) -> str:
    """What a process said last before it failed."""
    if done.code is None:
        return f"no answer within {seconds:g} s"
    lines = [line.strip() for line in done.err.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.code}"


# --- what the node allots -----------------------------------------------------------------------------------


def _processors(node: Node) -> Finding:
    """Whether there is more than one processor, and what was promised is there."""
    granted = allotment.limits(node.root, node.environ)
    least = allotment.least(granted)
    limits = ", ".join(f"{name} {limit}" for name, limit in granted.items() if limit is not None)
    said = f"{least} to compute with ({limits})"
    usable = min(limit for name in ("affinity", "cgroup") if (limit := granted[name]) is not None)
    promised = max((limit for name in ("SLURM_CPUS_PER_TASK", "NCPUS") if (limit := granted[name])), default=0)
    if promised > usable:
        remedy = "start the program as the job's task (with Slurm: `srun --cpus-per-task=$SLURM_CPUS_PER_TASK`)"
        return Finding("processors", "warn", f"{promised} are allotted, but only {usable} can be used: {said}", remedy)
    if least == 1:
        ask = "ask for more (Slurm: --cpus-per-task=8, Docker: --cpus, OMP_NUM_THREADS unset)"
        return Finding("processors", "warn", f"{said}: the data generator and the training share it", ask)
    return Finding("processors", "pass", said)


def _memory(node: Node) -> Finding:
    """Whether a run fits into memory: it takes up to 2 GiB."""
    limit = memory.cgroup_limit(node.root)
    free = memory.memory("MemAvailable", node.root)
    known = [number for number in (limit, free) if number is not None]
    if not known:
        return Finding("memory", "unknown", "/proc/meminfo does not tell how much is available")
    usable = min(known)
    said = f"{usable / _GIB:.1f} GiB to use" + (f" (limit {limit / _GIB:.1f} GiB)" if limit is not None else "")
    if usable < 2 * _GIB:
        return Finding("memory", "fail", said, "2 GiB are needed: ask for more (Slurm: --mem=16G, Docker: --memory)")
    if usable < 4 * _GIB:
        return Finding("memory", "warn", said, "a run fits, the page cache for the data may not: ask for 4 GiB or more")
    return Finding("memory", "pass", said)


def _shared_memory(node: Node) -> Finding:
    """Whether /dev/shm, through which CUDA's libraries and worker processes exchange data, is more than a token."""
    folder = node.root / "dev/shm"
    if not folder.is_dir():
        return Finding("shared memory", "warn", "there is no /dev/shm", "have it mounted (Docker: --shm-size=1g)")
    size = shutil.disk_usage(folder).total
    said = f"{size / _GIB:.2f} GiB"
    if size < _GIB // 8:
        return Finding("shared memory", "warn", said, "give it 1 GiB (Docker: --shm-size=1g)")
    return Finding("shared memory", "pass", said)


def _folder(node: Node, name: str, folder: Path | None) -> Finding:
    """Whether a folder can be written, has room, keeps locks, and lies on a disk of this node."""
    elsewhere = "name another with --out" if name == "results" else "name another with XDG_CACHE_HOME"
    try:
        folder = folder or files.cache_folder()
    except FileNotFoundError as error:
        return Finding(name, "fail", str(error), elsewhere)
    try:
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(there).free
        locks = files.keeps_locks(there)  # a file is made for that
    except OSError as error:
        return Finding(name, "fail", f"{folder} cannot be written: {error.strerror or error}", elsewhere)
    kind = _file_system(node.root, there)
    said = f"{folder} on {kind}, {free / _GIB:.1f} GiB free"
    if free < _GIB // 2:
        return Finding(name, "fail", said, f"1 GiB is needed: make room, or {elsewhere}")
    if name != "results" and re.fullmatch(_NETWORK, kind):
        return Finding(name, "warn", f"{said}: reading it measures the network too", f"{elsewhere}, on a local disk")
    if name == "results" and not locks:
        said += f", and it keeps no locks: one in {tempfile.gettempdir()} stands in, which other nodes do not see"
        return Finding(name, "warn", said, f"measure into it from one node at a time, or {elsewhere}")
    return Finding(name, "pass", said)


def _file_system(root: Path, folder: Path) -> str:
    """The kind of file system that `folder` lies on."""
    kinds = {}
    for line in (kernel.read_text(root / "proc/self/mountinfo", "surrogateescape") or "").splitlines():
        before, _, after = (part.split() for part in line.partition(" - "))
        if len(before) > _MOUNT_POINT and after:
            kinds[_unescaped(before[_MOUNT_POINT])] = after[0]
    places = [str(folder.resolve()), *map(str, folder.resolve().parents)]
    return next((kinds[place] for place in places if place in kinds), "an unknown file system")


_MOUNT_POINT = 4
"""The place of the mount point among the fields of a line of mountinfo.  Source: man 5 proc_pid_mountinfo."""


def _unescaped(path: str) -> str:
    """A path as mountinfo writes it: a space is written as a backslash and its number in base 8."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda match: chr(int(match[1], 8)), path)


def _clock(node: Node) -> Finding:
    """Whether the processor's clock is free to rise and not held back to save power."""
    governor, boost = computer.governor(node.root), computer.boost(node.root)
    driver = kernel.read_text(node.root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    if isinstance(governor, Unmeasurable):
        return _unknown("clock", governor)
    turbo = "turbo unknown" if isinstance(boost, Unmeasurable) else f"turbo {'on' if boost else 'off'}"
    said = f"governor {governor}, {turbo}"
    # These drivers let the processor choose its clock under either governor, up to the highest.
    if "powersave" in governor.split(",") and driver not in {"intel_pstate", "amd-pstate-epp"}:
        return Finding("clock", "warn", said, "have the governor set: `cpupower frequency-set -g performance`")
    return Finding("clock", "pass", said)


def _load(node: Node) -> Finding:
    """Whether others compute on the node."""
    load = computer.load_now(node.root)
    if isinstance(load, Unmeasurable):
        return _unknown("load", load)
    cores = allotment.processors()
    said = f"{load['minutes_1']:.1f} runnable tasks in the last minute on {cores} processors"
    if load["minutes_1"] > max(0.5, cores / 4):
        return Finding("load", "warn", said, "wait, end what runs, or take the node alone (Slurm: --exclusive)")
    return Finding("load", "pass", said)


# --- TensorFlow's placement, executed -----------------------------------------------------------------------

_PRODUCT = "import keras, sys; from cifar.backend import device; print(device.claim(sys.argv[1]).tensorflow_name)"


def _executed(node: Node, device: str) -> Finding:
    """Whether a fresh process computes a product on the device, and nowhere else."""
    environ = process.environment(node.environ) | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = _tried(_PRODUCT, device, environ=environ, seconds=node.deadline_seconds)
    if done.code is None:
        said = f"TensorFlow computed nothing within {node.deadline_seconds:.0f} s"
        return Finding(device, "fail", said, "see whether the disk with the packages is slow, or the device hangs")
    if done.code:
        words = _last_words(done, node.deadline_seconds)
        return Finding(device, "fail", words, "install the lock anew, or use the image")
    place = (done.out.split() or ["a device that it did not name"])[-1]
    return Finding(device, "pass", f"TensorFlow computed a product on {place}")


# --- the way to a GPU ---------------------------------------------------------------------------------------


def _gpu_side(node: Node, *, asked: bool) -> Iterator[Finding]:
    """Driver, libraries, the state of each GPU where the management library can be `asked`, and a product on each."""
    facts = survey.observe(node.root, node.environ, node.deadline_seconds)
    gpus = _gpus(node) if asked else []
    if facts.driver or facts.driver_library:
        yield _driver(facts)
    if facts.cuda_build:
        yield from _libraries(node)
    for number, gpu in enumerate(gpus):
        yield from _state(node, f"gpu:{number}", gpu, facts.cuda_targets)
    yield _gpu(node, facts)
    for number in range(1, len(facts.gpus)):
        yield _executed(node, f"gpu:{number}")


def _gpus(node: Node) -> list[Mapping[str, Any] | Unmeasurable]:
    """What NVIDIA's management library says of each GPU."""
    listed = gpus.nvidia(environ=node.environ, root=node.root)["gpus"]
    return listed if isinstance(listed, list) else []


def _driver(facts: GpuFacts) -> Finding:
    """Whether the driver is whole, can be reached, and is new enough for TensorFlow's CUDA."""
    if problem := missing.driver_problem(facts):
        return Finding("driver", "fail", problem.reason, problem.remedy)
    oldest = missing.oldest_driver(facts)
    needed = f"; CUDA {facts.cuda_version} needs {oldest}" if oldest else ""
    return Finding("driver", "pass", f"NVIDIA driver {facts.driver or 'of unknown version'}{needed}")


def _gpu(node: Node, facts: GpuFacts) -> Finding:
    """Whether TensorFlow computes on the first GPU; where it does not, a campaign would measure the CPU alone."""
    if facts.computes:
        return Finding("gpu", "pass", f"TensorFlow computed a product on the first of {len(facts.gpus)}")
    why = missing.explain(facts)
    signs = (facts.driver, facts.driver_library, facts.device_files, facts.cuda_build, facts.visible is not None)
    if node.device == "gpu" or any(signs):
        return Finding("gpu", "fail", f"TensorFlow falls back to the CPU: {why.reason}", why.remedy)
    return Finding("gpu", "warn", f"only the CPU can be measured: {why.reason}", why.remedy)


def _state(node: Node, name: str, gpu: Mapping[str, Any] | Unmeasurable, targets: Sequence[str]) -> Iterator[Finding]:
    """What the driver says of one GPU."""
    if isinstance(gpu, Unmeasurable):
        yield Finding(name, "fail", gpu.reason, gpu.remedy)
        return
    yield _native(node, name, gpu, targets)
    yield _shared(name, gpu)
    yield _held_down(name, gpu)
    yield _memory_errors(name, gpu)
    if gpu["persistence"] == "off":
        remedy = "have it switched on: `nvidia-smi -pm 1`"
        yield Finding(f"{name} persistence", "warn", "off: the driver starts anew for every process", remedy)


def _native(node: Node, name: str, gpu: Mapping[str, Any], targets: Sequence[str]) -> Finding:
    """Whether TensorFlow holds code for the GPU's compute capability, or must compile it at first use.

    Code for 8.0 runs on 8.6 too, but not on 9.0; what is named compute_90 can be compiled for 9.0 and all later.
    """
    check, capability = f"{name} code", gpu["compute_capability"]
    if isinstance(capability, Unmeasurable) or not targets:
        return Finding(check, "unknown", "the GPU or this TensorFlow does not tell which code it runs or holds")
    said = f"{_text(gpu['name'])} has compute capability {capability}, TensorFlow code for {' '.join(targets)}"
    own = _capability(capability.replace(".", ""))
    built = [(target.startswith("compute_"), _capability(target.rpartition("_")[2])) for target in targets]
    if any(code[0] == own[0] and code <= own for _, code in built):
        return Finding(check, "pass", said)
    if not any(portable and code <= own for portable, code in built):
        return Finding(check, "fail", said, "use a TensorFlow that was built for this GPU")
    said += ": it is compiled at first use, which takes minutes, and XLA may refuse"
    if node.environ.get("CUDA_CACHE_DISABLE") == "1":
        return Finding(check, "warn", f"{said}; CUDA_CACHE_DISABLE=1 repeats that in every run", "unset it")
    remedy = "use a TensorFlow that was built for it, or keep what was compiled: CUDA_CACHE_PATH=<a lasting folder>"
    return Finding(check, "warn", said, remedy)


def _capability(digits: str) -> tuple[int, int]:
    """(8, 9) of "89" or "89a", (12, 0) of "120"."""
    number = re.match(r"\d+", digits)
    return divmod(int(number[0]), 10) if number else (0, 0)


def _shared(name: str, gpu: Mapping[str, Any]) -> Finding:
    """Whether this process has the GPU to itself, and the whole of it."""
    check, others, used = f"{name} sharing", gpu["other_processes"], gpu["memory_used_bytes"]
    if gpu["mig"] == "on":
        remedy = "compare it with slices of the same size only, or take a whole GPU"
        return Finding(check, "warn", "MIG is on: a slice of the GPU is measured", remedy)
    if isinstance(others, int) and others:
        remedy = "end them, or ask for the GPU alone (Slurm: --exclusive); `nvidia-smi` lists them"
        return Finding(check, "warn", f"{others} other processes compute on it", remedy)
    if isinstance(others, Unmeasurable):
        return _unknown(check, others)
    held = f"{used / _GIB:.1f} GiB are taken" if isinstance(used, int) else "taken memory unknown"
    return Finding(check, "pass", f"no other process computes on it; {held}")


def _held_down(name: str, gpu: Mapping[str, Any]) -> Finding:
    """Whether something holds the clocks down."""
    check, reasons = f"{name} clocks", gpu["throttle_reasons"]
    if isinstance(reasons, Unmeasurable):
        return _unknown(check, reasons)
    said = f"{_text(gpu['sm_clock_mhz'])} of {_text(gpu['sm_clock_max_mhz'])} MHz"
    if holding := [reason for reason in reasons if reason != "gpu idle"]:
        remedy = "see `nvidia-smi -q -d PERFORMANCE,CLOCK,POWER`: cooling, power limit, locked clocks"
        return Finding(check, "warn", f"{said}, held down by: {'; '.join(holding)}", remedy)
    return Finding(check, "pass", f"{said}, nothing holds them down")


def _memory_errors(name: str, gpu: Mapping[str, Any]) -> Finding:
    """Whether the GPU's memory is protected and sound."""
    check, errors = f"{name} memory", gpu["ecc_errors"]
    if isinstance(errors, Unmeasurable):
        return Finding(check, "unknown", f"errors: {errors.reason}")
    said = f"ECC {_text(gpu['ecc'])}, {errors} errors since the driver started that could not be corrected"
    return Finding(check, "fail", said, "have the GPU reset or replaced") if errors else Finding(check, "pass", said)


def _text(fact: object) -> str:
    """A fact as it is printed."""
    return "unknown" if isinstance(fact, Unmeasurable) else str(fact)


# --- CUDA's libraries ---------------------------------------------------------------------------------------

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


def _libraries(node: Node) -> Iterator[Finding]:
    """Each library of CUDA: where it was found, its package's version, and whether it loads."""
    folders = [Path(folder) for folder in node.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    found = {}
    for library in LIBRARIES.values():
        # LD_LIBRARY_PATH goes before what TensorFlow's packages bring.
        places = [*(folder / library for folder in folders), *_packaged(node.path, library)]
        found[library] = next((str(place) for place in places if place.exists()), None)
    problems = _problems(node, [place for place in found.values() if place])
    versions = dict(packages.installed())
    for package, library in LIBRARIES.items():
        place = found[library]
        version = next((versions[name] for name in sorted(versions) if re.fullmatch(rf"{package}(-cu\d+)?", name)), "")
        reinstall = "reinstall the locked CUDA libraries (containers/requirements-cuda.txt)"
        if place is None:
            yield Finding(library, "fail", "not found", reinstall)
        elif problem := problems[place]:
            yield Finding(library, "fail", f"{place} does not load: {problem}", f"{reinstall}; unset LD_LIBRARY_PATH")
        elif any(place.startswith(str(folder)) for folder in folders):
            said = f"{place} goes before the locked {version or 'one'}"
            yield Finding(library, "warn", said, "unset LD_LIBRARY_PATH, unless the driver needs it")
        else:
            yield Finding(library, "pass", f"{version} in {Path(place).parent}")


def _packaged(path: Sequence[str], library: str) -> Iterator[Path]:
    """Where the packages on `path` keep a library."""
    for entry in path:
        yield from sorted(Path(entry).glob(f"nvidia/*/lib/{library}"))


def _problems(node: Node, places: Sequence[str]) -> dict[str, str | None]:
    """Library to the reason why it does not load, or None; tried in a fresh process, which may die of it."""
    environ = process.environment(node.environ)
    done = _tried(_LOAD, environ=environ, seconds=node.deadline_seconds, given="\n".join(places))
    why = "the process that loaded it died"
    if done.code is None:
        why = f"it, or one before it, did not load within {node.deadline_seconds:.0f} s"
    tried = [line.removeprefix("tried ") for line in done.out.splitlines() if line.startswith("tried ")]
    answers = dict(json.loads(line) for line in tried)
    return {place: answers.get(place, why) for place in places}


def _some(names: Sequence[str], shown: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
