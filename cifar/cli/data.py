"""From the command line to CIFAR-10 as one HDF5 file, and to what is in it: `cifar prepare` and `cifar data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.terminal import check_new, console, progress_bar
from cifar.record.text import plain

if TYPE_CHECKING:
    import argparse

    from rich.text import Text

_SPLITS = ("train", "valid")
_GRID = 14


def add_prepare(commands: Any) -> None:
    """`cifar prepare`."""
    parser = commands.add_parser("prepare", help="make the HDF5 file of CIFAR-10, or of a made-up stand-in")
    parser.set_defaults(command=_prepare)
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--source", type=Path, help="CIFAR-10's archive or folder, or an HDF5 file (default: found, or downloaded)"
    )
    origin.add_argument("--synthetic", action="store_true", help="make up a stand-in that needs no network")
    parser.add_argument("--seed", type=int, default=0, help="of the stand-in (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="the HDF5 file (default: in the user's cache)")


def _prepare(options: argparse.Namespace) -> int:
    """Make the file and print where it is and what is in it."""
    from cifar.data import dataset

    target = options.out or dataset.default_path(synthetic=options.synthetic)
    with progress_bar() as progress:
        if options.synthetic:
            dataset.prepare_synthetic(target, options.seed, progress=progress)
        else:
            dataset.prepare(target, options.source, progress=progress)
    print(described(dataset.describe(target)))
    return 0


def described(found: Any) -> str:
    """A dataset in one line."""
    what = "stand-in for CIFAR-10 (made up)" if found.synthetic else "not CIFAR-10 as published"
    if found.is_cifar_10:
        what = "CIFAR-10"
    where = f"{found.train:,} + {found.valid:,} images, digest {found.digest[:12]}, in {found.path}"
    return plain(f"{what}: {where}")


def ready(named: Path | None) -> Any:
    """Describe the dataset to work on, made ready where it is not, and print which one it is, and why.

    `named` is an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder, or the file that the lesson's text
    makes of it; None: CIFAR-10 as prepared before, else the stand-in.
    """
    from cifar.data import dataset, hdf5

    with progress_bar() as progress:
        if named is None:
            path = dataset.default_path()
            if not path.exists():
                path = dataset.prepare_synthetic(dataset.default_path(synthetic=True), progress=progress)
        elif (named.suffix in {".h5", ".hdf5"} or hdf5.is_hdf5(named)) and not dataset.taught(named):
            path = named
        else:
            path = dataset.prepare(dataset.default_path(), named, progress=progress)
        found = dataset.verified(path, progress=progress)
    print(f"Dataset: {described(found)}")
    if named is None and found.synthetic:
        print("CIFAR-10 itself was not prepared; `cifar prepare` does that, and --dataset names another file.")
    return found


# --- what is in it


def add_data(commands: Any) -> None:
    """`cifar data info`, `cifar data show` and `cifar data plot`."""
    parser = commands.add_parser("data", help="look at the dataset: shapes and classes, one image, a sheet of samples")
    views = parser.add_subparsers(metavar="VIEW", required=True, dest="view")
    info = views.add_parser("info", help="shapes, types, classes, and how many images of each")
    info.set_defaults(command=_info)
    show = views.add_parser("show", help="one image: its numbers, its label, its picture")
    show.set_defaults(command=_show)
    show.add_argument("image", type=int, metavar="N", help="its place in the split, from 0")
    show.add_argument("--out", type=Path, help="write the picture to this file (.png or .svg) too")
    plot = views.add_parser("plot", help="a sheet of 2 x 7 images with their classes")
    plot.set_defaults(command=_plot)
    plot.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (default: 0)")
    plot.add_argument("--out", type=Path, default=Path("samples.png"), help=".png or .svg (default: samples.png)")
    for view in (show, plot):
        view.add_argument("--split", choices=_SPLITS, default="train", help="default: train")
    for view in (info, show, plot):
        view.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare` (default: the prepared one)")


def _info(options: argparse.Namespace) -> int:
    """Print what the file holds."""
    import numpy as np
    from rich.table import Table

    from cifar.data import dataset

    found = ready(options.dataset)
    labels = [dataset.labels(found.path, split) for split in _SPLITS]
    counts = [np.bincount(part, minlength=len(dataset.CLASS_NAMES)) for part in labels]
    print(f"Images: uint8, from 0 to 255; train {(found.train, 32, 32, 3)}, validation {(found.valid, 32, 32, 3)}")
    print("        (images, rows, columns, channels red, green, blue)")
    print(f"Labels: uint8, from 0 to 9; train {(found.train, 1)}, validation {(found.valid, 1)}")
    print(plain(f"Source: {found.source}; digest {found.digest}"))
    table = Table(title=f"{len(dataset.CLASS_NAMES)} classes")
    for column in ("label", "class", "train", "validation"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for label, name in enumerate(dataset.CLASS_NAMES):
        table.add_row(str(label), name, *(f"{count[label]:,}" for count in counts))
    console().print(table)
    return 0


def _show(options: argparse.Namespace) -> int:
    """Print one image's numbers, label and, where the terminal has colours enough, its picture."""
    from cifar.data import dataset

    if options.out:
        check_new(options.out)
    images, labels = dataset.read(ready(options.dataset).path, options.split, options.image)
    name = dataset.CLASS_NAMES[labels[0]]
    print(f"Image {options.image} of {options.split}: {images[0].shape}, {images[0].dtype}")
    print(images[0])
    print(f"Label: {labels[0]}, {name}")
    stdout = console()
    if stdout.color_system in {"256", "truecolor"} and "utf" in stdout.encoding:
        stdout.print(picture(images[0]))
    elif not options.out:
        print("This terminal shows no picture; --out FILE.png writes one.")
    if options.out:
        from cifar.lesson import page

        print(plain(f"Picture: {page.write_samples(options.out, images, [f'{labels[0]}: {name}'])}"))
    return 0


def picture(image: Any) -> Text:
    """An image uint8 (2n, m, 3) as n lines of m characters, each showing two pixels, one above the other."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    text = Text()
    for upper, lower in zip(image[::2].tolist(), image[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
            text.append("\N{UPPER HALF BLOCK}", style)
        text.append("\n")
    return text


def _plot(options: argparse.Namespace) -> int:
    """Write a sheet of samples."""
    from cifar.data import dataset
    from cifar.lesson import page

    check_new(options.out)
    images, labels = dataset.read(ready(options.dataset).path, options.split, options.first, _GRID)
    sheet = page.write_samples(options.out, images, [dataset.CLASS_NAMES[label] for label in labels])
    print(plain(f"Picture: {sheet}"))
    return 0
