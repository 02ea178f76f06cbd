"""From the command line to CIFAR-10 as one HDF5 file: `cifar prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.terminal import progress_bar

if TYPE_CHECKING:
    import argparse


def add_prepare(commands: Any) -> None:  # noqa: ANN401 argparse keeps this class to itself
    """`cifar prepare`."""
    parser = commands.add_parser("prepare", help="make the HDF5 file of CIFAR-10, or of a made-up stand-in")
    parser.set_defaults(command=_prepare)
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--source", type=Path, help="CIFAR-10's archive or folder (default: found here, or downloaded)")
    origin.add_argument("--synthetic", action="store_true", help="make up a stand-in that needs no network")
    parser.add_argument("--seed", type=int, default=0, help="of the stand-in (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the HDF5 file (default: in the user's cache)")


def _prepare(options: argparse.Namespace) -> int:
    """Make the file and print where it is and what is in it."""
    from cifar.workload import dataset  # noqa: PLC0415

    target = options.out or dataset.default_path(synthetic=options.synthetic)
    with progress_bar() as progress:
        if options.synthetic:
            dataset.prepare_synthetic(target, options.seed, progress=progress)
        else:
            dataset.prepare(target, options.source, progress=progress)
    print(described(dataset.describe(target)))
    return 0


def described(found: Any) -> str:  # noqa: ANN401 importing its class here would import h5py
    """A dataset in one line."""
    what = "stand-in for CIFAR-10 (made up)" if found.synthetic else "CIFAR-10"
    return f"{what}: {found.train:,} + {found.valid:,} images, digest {found.digest[:12]}, in {found.path}"
