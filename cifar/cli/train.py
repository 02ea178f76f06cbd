"""From the command line to the network: shown, trained, evaluated and asked, each on a device that is named."""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.backend.loading import load
from cifar.cli.data import ready
from cifar.cli.terminal import (
    INTERRUPTED,
    MissingDeviceError,
    console,
    interruptible,
    new_folder,
    progress_bar,
    say,
)
from cifar.record import files
from cifar.record.runfolder import ANSWERS, LARGEST_SEED, MOST_EPOCHS

if TYPE_CHECKING:
    from collections.abc import Callable

    from cifar.backend.tensorflow import Device
    from cifar.lesson.run import Run

GATE = 1
_EPOCHS = 10
_SHOWN = 24


def claim(name: str, *, deterministic: bool = False) -> Device:
    """Bind this process to the device `name`; MissingDeviceError says why it cannot be had.

    `deterministic` makes every operation give the same bits each time, or fail where it has no such kernel.

    """
    from cifar.backend import device, survey

    load()
    try:
        claimed = device.claim(name)
    except ModuleNotFoundError as error:
        raise MissingDeviceError(str(survey.missing_gpu_reason())) from error
    except RuntimeError as error:
        raise MissingDeviceError(str(error)) from error
    if deterministic:
        from cifar.backend import tensorflow

        tensorflow.make_deterministic()
    return claimed


def add_model(commands: Any) -> None:
    """`cifar model`."""
    parser = commands.add_parser("model", help="the network: layers, shapes, parameters, FLOP and activations")
    parser.set_defaults(command=_model)


def _model(_options: argparse.Namespace) -> int:
    """Print the network's layers, for one image."""
    from rich.table import Table

    claim("cpu")
    from cifar.workload import cost, model

    network = model.build()
    layers = cost.layers(network)
    table = Table(title="The lesson's network, for one image of 32 x 32 x 3", show_footer=True)
    parameters, activations = (sum(getattr(layer, name) for layer in layers) for name in ("parameters", "activations"))
    table.add_column("layer", "together")
    table.add_column("kind")
    for column, total in (
        ("output", ""),
        ("parameters", f"{parameters:,}"),
        ("FLOP", f"{cost.forward_flop(network):,}"),
        ("activations", f"{activations:,}"),
    ):
        table.add_column(column, total, justify="right")
    for layer in layers:
        shape = "x".join(map(str, layer.shape))
        numbers = (f"{number:,}" for number in (layer.parameters, layer.flop, layer.activations))
        table.add_row(layer.name, layer.kind, shape, *numbers)
    console().print(table)
    print("FLOP: multiplications and additions of the forward pass; activations: float32 numbers, 4 bytes each.")
    print(f"A training step costs {cost.training_flop(network):,} FLOP an image: forward, and back for the gradients.")
    return 0


def add_train(commands: Any) -> None:
    """`cifar train`."""
    parser = commands.add_parser("train", help="train the network on one device, into a run folder")
    parser.set_defaults(command=_train)
    parser.add_argument("--device", help="cpu, gpu or gpu:N (default: cpu)")
    parser.add_argument("--epochs", type=_positive, metavar="N", help="passes over the training images (default: 10)")
    parser.add_argument("--until", type=_part, metavar="0.70", help="stop at this validation accuracy")
    parser.add_argument("--seed", type=seed, help="of weights, batches and dropout (default: 0)")
    parser.add_argument("--deterministic", action="store_true", default=None, help="the same bits every time; slower")
    parser.add_argument("--dataset", type=Path, help="an HDF5 file of `cifar prepare`, or CIFAR-10's archive or folder")
    parser.add_argument("--out", type=Path, metavar="RUN", help="the run folder (default: results/train-<time>)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="continue the run in --out from its last epoch")
    again.add_argument("--force", action="store_true", help="replace the run in --out")


def _positive(text: str) -> int:
    """A whole number from 1 on, as large as a run's file may say."""
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MOST_EPOCHS:
        message = f"{text[:20]} is no whole number from 1 on, up to {MOST_EPOCHS:,}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def seed(text: str) -> int:
    """A seed that NumPy and TensorFlow take."""
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > LARGEST_SEED:
        message = f"{text[:20]} is no seed: give a whole number from 0 to {LARGEST_SEED}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _part(text: str) -> float:
    """A number above 0, and at most 1."""
    try:
        part = float(text)
    except ValueError:
        part = 0.0
    if not 0 < part <= 1:
        message = f"{text} is no accuracy above 0 and up to 1, such as 0.70"
        raise argparse.ArgumentTypeError(message)
    return part


def _train(options: argparse.Namespace) -> int:
    """Train, and print each epoch."""
    load()
    from cifar.lesson import run as runs

    with interruptible():
        folder, device, opened = (_continued if options.resume else _begun)(options)
        with runs.locked(folder):
            run = opened()
            print(f"Training on {_named(device)} into {folder}")
            try:
                _epochs(run, device, options.dataset)
            except KeyboardInterrupt:
                done = f"interrupted; finished epochs: {len(run.epochs)}"
                say(f"{done}; continue with `cifar train --resume --out {folder}`")
                return INTERRUPTED
    return _say_result(run, run.facts["asked"]["until"])


def _epochs(run: Run, device: Device, data: Path | None) -> None:
    """Train and print as many epochs as are asked for."""
    from cifar.backend import placement
    from cifar.lesson import run as runs
    from cifar.node import energy
    from cifar.record.unmeasurable import as_json

    asked = run.facts["asked"]
    with device.scope(), progress_bar() as progress:
        path, audit = runs.check_dataset(run, data), placement.Audit(device)
        run.facts["placement"] = audit.operations
        counter = energy.counter(device.number)
        if isinstance(counter, energy.Counter):
            run.facts["energy"], joules = counter.whose, counter.joules
        else:
            run.facts["energy"], joules = as_json(counter), lambda: None
        calls: dict[str, Any] = {"wait": device.wait, "joules": joules, "watch": audit.watch, "progress": progress}
        for row in runs.train(run, **asked, data=path, **calls):
            print(_in_words(row, asked["epochs"]), flush=True)


def _begun(options: argparse.Namespace) -> tuple[Path, Device, Callable[[], Run]]:
    """A folder, its device, and what makes a run there; whatever is wrong is told before the folder is touched."""
    from cifar.data import dataset
    from cifar.lesson import run as runs
    from cifar.measure import environment
    from cifar.record.fingerprint import fingerprint

    if options.out:
        runs.check_free(options.out, force=options.force)
    found = ready(options.dataset)
    with progress_bar() as progress:
        dataset.verified(found.path, progress=progress)
    device = claim(options.device or "cpu", deterministic=bool(options.deterministic))
    facts = environment.collect(device, found)
    folder = options.out or new_folder("train")
    folder.mkdir(parents=True, exist_ok=True)

    def start() -> Run:
        with device.scope():
            return runs.start(
                folder,
                found.path,
                device=device.name,
                seed=options.seed or 0,
                deterministic=bool(options.deterministic),
                force=options.force,
                facts={
                    "asked": {"epochs": options.epochs or _EPOCHS, "until": options.until},
                    "fingerprint": fingerprint(facts),
                    "environment": facts,
                },
            )

    return folder, device, start


def _continued(options: argparse.Namespace) -> tuple[Path, Device, Callable[[], Run]]:
    """The folder --out, its device, and what opens the run there again, once nobody else trains in it.

    ValueError where something else is asked for than what it began with.
    """
    from cifar.data import dataset
    from cifar.lesson import run as runs
    from cifar.measure import environment
    from cifar.record.fingerprint import fingerprint

    if options.out is None:
        message = "--resume needs --out RUN, the folder to continue in"
        raise ValueError(message)
    run = runs.load(options.out)
    for name in ("device", "seed", "deterministic"):
        asked = getattr(options, name)
        if asked is not None and asked != run.facts[name]:
            message = f"{run.folder} began with --{name} {run.facts[name]}, not {asked}; leave that out, or use --force"
            raise ValueError(message)
    path = runs.check_dataset(run, options.dataset)
    device = claim(run.facts["device"], deterministic=run.facts["deterministic"])
    runs.check_place(run, fingerprint(environment.collect(device, dataset.describe(path))))

    def reopened() -> Run:
        again = runs.load(options.out)
        now = {name: value for name in ("epochs", "until") if (value := getattr(options, name)) is not None}
        again.facts["asked"] = {"epochs": _EPOCHS, "until": None, **again.facts.get("asked", {}), **now}
        again.write()
        return again

    return options.out, device, reopened


def _named(device: Device) -> str:
    """A device with what it is."""
    return f"{device.name} ({device.model})" if device.model else f"{device.name} ({device.threads} threads)"


def _in_words(row: dict[str, Any], epochs: int) -> str:
    """One finished epoch in a line."""
    return (
        f"epoch {row['epoch']}/{epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.2%}; "
        f"validation loss {row['val_loss']:.4f}, accuracy {row['val_accuracy']:.2%}; "
        f"{row['seconds']:.1f} s, {row['images_per_second']:,.0f} images/s"
    )


def _say_result(run: Run, until: float | None) -> int:
    """Print what the training came to; 1 where it did not come to `until`."""
    from cifar.lesson import page
    from cifar.lesson import run as runs

    images, seconds = (sum(row[name] for row in run.epochs) for name in ("images", "seconds"))
    epochs = f"{len(run.epochs)} epoch{'s' * (len(run.epochs) > 1)}"
    print(f"{epochs}, {images:,} images in {seconds:.1f} s of training")
    print(page.energy_in_words(run.facts))
    print(f"Run: {run.folder}")
    if until is None:
        return 0
    best = max(row["val_accuracy"] for row in run.epochs)
    if runs.reached(run, until):
        print(f"reached {until:.0%} validation accuracy: {best:.2%}")
        return 0
    print(f"did not reach {until:.0%} validation accuracy; the best was {best:.2%}: continue with --resume --epochs N")
    return GATE


# --- a trained network at work


def add_evaluate(commands: Any) -> None:
    """`cifar evaluate`."""
    parser = commands.add_parser("evaluate", help="cross-entropy and accuracy of a run on the validation images")
    parser.set_defaults(command=_evaluate)
    _add_run(parser)


def add_predict(commands: Any) -> None:
    """`cifar predict`."""
    parser = commands.add_parser("predict", help="what a run takes each validation image for, 24 of them as a picture")
    parser.set_defaults(command=_predict)
    _add_run(parser)


def _add_run(parser: argparse.ArgumentParser) -> None:
    """The options of what asks a trained network."""
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder of `cifar train`")
    parser.add_argument("--device", help="cpu, gpu or gpu:N (default: the one it was trained on)")
    parser.add_argument("--dataset", type=Path, help="where the run's HDF5 file is now (default: where it was)")


def _evaluate(options: argparse.Namespace) -> int:
    """Evaluate, print and write `evaluation.json`."""
    load()
    from cifar.backend import placement
    from cifar.lesson import run as runs
    from cifar.workload import training
    from cifar.workload.generator import DataGenerator

    run, path, device = _opened(options)
    audit = placement.Audit(device)
    with device.scope():
        probabilities = audit.watch("evaluation", training.forward(runs.restored(run)))
        valid = DataGenerator(path, "valid", run.facts["batch_size"], shuffle=False)
        begin = time.perf_counter()
        loss, accuracy = training.evaluate(probabilities, training.take(valid, len(valid)))
        seconds = time.perf_counter() - begin
    facts = {
        "device": device.name,
        "epoch": len(run.epochs),
        "weights": run.epochs[-1]["weights"],
        "images": valid.images,
        "loss": loss,
        "accuracy": accuracy,
        "seconds": seconds,
        "placement": audit.operations,
    }
    files.replace(run.folder / ANSWERS["evaluate"], files.json_text(facts))
    print(f"Test cross-entropy: {loss:.5f}")
    print(f"Test accuracy: {accuracy:.2%} of {valid.images:,} images")
    print(f"Evaluated on {_named(device)} in {seconds:.2f} s, the first call's compilation included")
    return 0


def _predict(options: argparse.Namespace) -> int:
    """Predict every validation image, write them all and draw the first."""
    load()
    import numpy as np

    from cifar.backend import placement
    from cifar.data import dataset
    from cifar.lesson import page
    from cifar.lesson import run as runs
    from cifar.report.figures import style
    from cifar.workload import training

    run, path, device = _opened(options)
    images, labels = dataset.read(path, "valid", 0, run.facts["dataset"]["valid"])
    audit = placement.Audit(device)
    with device.scope():
        probabilities = audit.watch("prediction", training.forward(runs.restored(run)))
        found = training.predict(probabilities, np.divide(images, np.float32(255)), run.facts["batch_size"])
    header = ",".join(("image", "truth", "predicted", *dataset.CLASS_NAMES))
    lines = (
        ",".join((str(image), str(truth), str(row.argmax()), *(f"{part:.9g}" for part in row)))
        for image, (truth, row) in enumerate(zip(labels, found, strict=True))
    )
    table = "\n".join((header, *lines)) + "\n"
    files.replace(run.folder / "predictions.csv", table)
    facts = {
        "device": device.name,
        "weights": run.epochs[-1]["weights"],
        "table": hashlib.sha256(table.encode()).hexdigest(),
        "placement": audit.operations,
    }
    files.replace(run.folder / ANSWERS["predict"], files.json_text(facts))
    names = dataset.CLASS_NAMES
    sides = {device.name: [names[row.argmax()] for row in found[:_SHOWN]]}
    figure = page.predictions(images[:_SHOWN], [names[label] for label in labels[:_SHOWN]], sides)
    picture, _ = style.save(figure, run.folder, "predictions")
    right = int((found.argmax(axis=1) == labels).sum())
    print(f"{right:,} of {len(labels):,} images are named right; predicted on {_named(device)}")
    print(f"All of them: {run.folder / 'predictions.csv'}; the first {len(images[:_SHOWN])}: {picture}")
    return 0


def _opened(options: argparse.Namespace) -> tuple[Run, Path, Device]:
    """A run with at least one epoch, its dataset, and the device to ask it on."""
    from cifar.data import dataset
    from cifar.lesson import run as runs

    run = runs.load(options.run)
    if not run.epochs:
        message = f"{run.folder} has no finished epoch; continue it with `cifar train --resume --out {run.folder}`"
        raise ValueError(message)
    path = runs.check_dataset(run, options.dataset)
    dataset.verified(path)
    return run, path, claim(options.device or run.facts["device"], deterministic=run.facts["deterministic"])
