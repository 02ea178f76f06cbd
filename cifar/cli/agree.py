"""From two sides, each a backend, device and precision, to whether they agree within rounding: `cifar agree`."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import math
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.backend.loading import load
from cifar.cli.data import ready
from cifar.cli.terminal import MissingDeviceError, check_new, console
from cifar.cli.train import GATE, claim
from cifar.node import process
from cifar.record import files
from cifar.record.text import plain

if TYPE_CHECKING:
    import argparse
    import zipfile
    from collections.abc import Callable

_IMAGES = 20
_BACKENDS = ("tensorflow", "jax", "torch")
_PRECISIONS = ("float32", "tf32", "float64", "bfloat16")
_LARGEST = 64 << 20
"""Bytes of a side's numbers at most; the network's gradients in float64 have 6 MB."""


def add_agree(commands: Any) -> None:
    """`cifar agree`."""
    parser = commands.add_parser("agree", help="whether two devices, backends or precisions compute the same")
    parser.set_defaults(command=_agree)
    side = "[BACKEND:]DEVICE[@PRECISION], such as cpu, gpu@tf32, jax:cpu@bfloat16, or a file of --out"
    parser.add_argument("one", metavar="A", help=side)
    parser.add_argument("other", metavar="B", nargs="?", help="the same; without it A is only computed, into --out")
    parser.add_argument("--run", type=Path, metavar="RUN", help="with the weights of this run (default: untrained)")
    parser.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="write A's numbers, to be compared elsewhere")


def _agree(options: argparse.Namespace) -> int:
    """Compute one side, or compare two; 1 where they lie further apart than rounding explains."""
    if (options.other is None) == (options.out is None):
        message = "give two sides to compare, or one side and --out FILE.npz to write it"
        raise ValueError(message)
    for side in filter(None, (options.one, options.other)):
        if not Path(side).is_file():
            _parsed(side)
    data = ready(options.dataset).path
    if options.out:
        check_new(options.out)
        return _write(options, data)
    sides = {"one": options.one, "other": options.other}
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        # What may be missing comes first: nobody waits for a CPU to be told that there is no GPU.
        for name, side in sorted(sides.items(), key=lambda item: _is_on_cpu(item[1])):
            if Path(side).is_file():
                paths[name] = Path(side)
                continue
            paths[name] = Path(folder) / f"{name}.npz"
            code = _computed(side, paths[name], data, options.run)
            if code > 0:
                return code  # it has said why
            if code < 0:
                message = f"{side} was ended by signal {-code} ({signal.strsignal(-code)}) while it computed"
                raise ChildProcessError(message)
        one, other = _read(paths["one"]), _read(paths["other"])
    return _compared(options, data, one, other)


def _is_on_cpu(side: str) -> bool:
    """Whether a side is to be computed on the CPU, or was computed by now."""
    return Path(side).is_file() or _parsed(side)[1] == "cpu"


def _parsed(side: str) -> tuple[str, str, str]:
    """Backend, device and precision of a side; ValueError for what names none, or a backend that is not installed."""
    from cifar.backend.device import number_of

    place, _, precision = side.partition("@")
    backend, _, device = place.partition(":")
    if backend not in _BACKENDS:
        backend, device = "tensorflow", place
    precision = precision or "float32"
    number_of(device)
    if precision not in _PRECISIONS or (precision == "tf32" and device == "cpu"):
        message = f"{side}: {device} does not compute in {precision}; give float32, float64, bfloat16, or on GPUs tf32"
        raise ValueError(message)
    if importlib.util.find_spec(backend) is None:
        message = f"{side}: {backend} is not installed; `pip install {backend}`, or name another side"
        raise ValueError(message)
    return backend, device, precision


def _computed(side: str, path: Path, data: Path, run: Path | None) -> int:
    """Let a fresh process compute a side into `path`, for a process is bound to one device; its exit code."""
    command = process.python("-m", "cifar", "agree", side, "--out", str(path), "--dataset", str(data))
    command += [] if run is None else ["--run", str(run)]
    done = subprocess.run(command, env=process.environment(), check=False, stdout=subprocess.DEVNULL)
    return done.returncode


def _task(data: Path, folder: Path | None) -> tuple[Any, Any, Any, str]:
    """Weights, images and labels of the batch, and a digest of all three."""
    from cifar.lesson import run as runs
    from cifar.workload import model
    from cifar.workload.generator import DataGenerator

    if folder is None:
        weights = model.build().get_weights()
    else:
        run = runs.load(folder)
        runs.check_dataset(run, data)
        weights = runs.restored(run).get_weights()
    images, labels = DataGenerator(data, batch_size=_IMAGES)[0]
    digest = hashlib.sha256(b"".join(part.tobytes() for part in (*weights, images, labels))).hexdigest()
    return weights, images, labels, digest


def _write(options: argparse.Namespace, data: Path) -> int:
    """Compute A on its device and write it."""
    backend, name, precision = _parsed(options.one)
    scope, watch = (_claim_tensorflow if backend == "tensorflow" else _claim_other)(backend, name)
    import numpy as np

    from cifar.workload import agreement

    with scope:
        weights, images, labels, digest = _task(data, options.run)
        found = agreement.compute(weights, images, labels, precision, watch=watch)
    content = io.BytesIO()
    np.savez(content, **found, side=options.one, precision=precision, task=digest)  # type: ignore[arg-type]
    files.replace(options.out, content.getvalue())
    print(f"{options.one}: {options.out}")
    return 0


def _claim_tensorflow(_backend: str, name: str) -> tuple[Any, Callable[..., Any]]:
    """The scope of the device, and what watches that all is executed there."""
    from cifar.backend import placement

    device = claim(name)
    return device.scope(), placement.Audit(device).watch


def _claim_other(backend: str, name: str) -> tuple[Any, Callable[..., Any]]:
    """Bind JAX or PyTorch to the device, before Keras is imported, and watch where its results lie."""
    from cifar.backend import placement
    from cifar.backend.device import number_of

    number = number_of(name)
    on_cpu = number is None
    os.environ |= {
        "JAX_PLATFORMS": "cpu" if on_cpu else "cuda,cpu",  # the first of them is taken
        "JAX_CUDA_VISIBLE_DEVICES": str(number or 0),
        "KERAS_TORCH_DEVICE": "cpu" if on_cpu else f"cuda:{number}",
    }
    if number is not None and (reason := _missing(backend, number)):
        message = f"{backend}:{name} cannot be had: {reason}"
        raise MissingDeviceError(message)
    load(backend)  # where the network runs; the module imports TensorFlow all the same
    return contextlib.nullcontext(), placement.watch_results("cpu" if on_cpu else "gpu")


def _missing(backend: str, number: int) -> str | None:
    """Why JAX or PyTorch has no such GPU; None where it has."""
    if backend == "torch":
        from cifar.backend import torch

        return torch.missing_gpu(number)
    from cifar.backend import jax

    return jax.missing_gpu(number)


def _read(path: Path) -> dict[str, Any]:
    """A side's arrays, float64, and its facts; ValueError for a file that is none."""
    import zipfile
    import zlib

    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive)
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        facts = {name: plain(str(found.pop(name))) for name in ("side", "precision", "task")}
        _check_numbers(found, facts)
    except (
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = plain(str(error)[:200])
        message = f"{path} is no file of `cifar agree --out`, or is cut short ({reason}); make it anew"
        raise ValueError(message) from error
    return {**found, **facts}


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Raise ValueError for an archive that unpacked is far larger than a side is."""
    size = sum(member.file_size for member in archive.infolist())
    if size > _LARGEST:
        message = f"it has {size:,} bytes, far more than a side"
        raise ValueError(message)


def _check_numbers(found: dict[str, Any], facts: dict[str, str]) -> None:
    """Raise ValueError for arrays that are no numbers, and for a precision that there is not."""
    if facts["precision"] not in _PRECISIONS:
        message = f"{facts['precision'][:20]} is no precision"
        raise ValueError(message)
    for name, array in found.items():
        if array.dtype != "float64":
            message = f"{name[:40]} is of type {array.dtype}"
            raise ValueError(message)


def _compared(options: argparse.Namespace, data: Path, one: dict[str, Any], other: dict[str, Any]) -> int:
    """Print each distance in units of its tolerance, the largest last; 1 where one is beyond."""
    load()
    device = claim("cpu")
    from rich.markup import escape
    from rich.table import Table

    from cifar.workload import agreement

    with device.scope():
        weights, images, labels, digest = _task(data, options.run)
        if not one["task"] == other["task"] == digest:
            message = "the sides were computed with other weights or another batch; make both anew"
            raise ValueError(message)
        precisions = [side["precision"] for side in (one, other)]
        tolerances = agreement.tolerances(weights, images, labels, precisions)
    for side, path in ((one, options.one), (other, options.other)):
        if missing := tolerances.keys() - side.keys():
            message = f"{path}: {min(missing)} is missing; make it anew"
            raise ValueError(message)
    arrays = [{name: side[name] for name in tolerances} for side in (one, other)]
    distances = agreement.distances(*arrays)
    names = [side["side"] for side in (one, other)]
    table = Table(title=escape(f"{names[0]} and {names[1]}, on {_IMAGES} images"))
    for column in ("what", "distance", "tolerance", "in its units"):
        table.add_column(column, justify="left" if column == "what" else "right")
    units = {name: distances[name] / tolerances[name] for name in tolerances}
    for name, unit in units.items():
        table.add_row(name, f"{distances[name]:.1e}", f"{tolerances[name]:.1e}", f"{unit:.3f}")
    console().print(table)
    print("Distances are norms of differences over norms; tolerances are five standard deviations of rounding.")
    worst = max(units, key=lambda name: math.inf if math.isnan(units[name]) else units[name])
    agrees = units[worst] <= 1
    print(
        f"They {'agree' if agrees else 'do not agree'}: the largest distance is {units[worst]:.3f} tolerances, {worst}"
    )
    return 0 if agrees else GATE
