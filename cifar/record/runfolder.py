"""What the files of a run folder say: read against their schema, and refused where they contradict themselves.

A run folder is one of `cifar train`: `run.json`, `history.csv` and the weights, and beside them what `cifar evaluate`
and `cifar predict` have added.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

from cifar.record import files
from cifar.record.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from jsonschema_rs import Draft202012Validator

    Facts = dict[str, Any]
    Row = Mapping[str, Any]

SCHEMA = 1
RUN = "run.json"
HISTORY = "history.csv"
ANSWERS = {"evaluate": "evaluation.json", "predict": "predictions.json"}
"""What a command adds to a run folder."""
LARGEST_SEED = 2**32 - 1
MOST_EPOCHS = 10_000


def weights_name(epoch: int) -> str:
    """The name of the file of the weights after `epoch`."""
    return f"epoch-{epoch:02}.weights.h5"


def history(epochs: Sequence[Row]) -> str:
    """The table of the epochs as CSV, a line an epoch, its columns those of the last."""
    if not epochs:
        return ""
    names = list(epochs[-1])
    rows: list[list[Any]] = [names, *([row.get(name) for name in names] for row in epochs)]
    return "\n".join(",".join("" if value is None else str(value) for value in row) for row in rows) + "\n"


def read(folder: Path) -> Facts:
    """Return the facts in the `run.json` of `folder`.

    Raises FileNotFoundError where there is none, and ValueError, with the file, the field and the remedy, for one
    that does not fit its schema or contradicts itself or `history.csv`.
    """
    path = folder / RUN
    if not path.exists():
        message = f"{folder} is no run folder ({RUN} is missing); make one with `cifar train --out {folder}`"
        raise FileNotFoundError(message)
    remedy = f"bring it back from a copy, or train anew with `cifar train --force --out {folder}`"
    facts = _valid(path, "run", remedy)
    for what in _contradictions(facts):
        message = f"{path} contradicts itself: {what}; {remedy}"
        raise ValueError(message)
    _check_history(folder, facts["epochs"])
    return facts


def answer(folder: Path, facts: Facts, command: str) -> Facts:
    """Return what `cifar evaluate` or `cifar predict` has left in `folder`, whose run has the `facts`.

    Raises FileNotFoundError where it is missing, and ValueError where it does not fit its schema, is of other weights
    than those after the last epoch, or contradicts that epoch; each with the command that makes it anew.
    """
    path, last = folder / ANSWERS[command], facts["epochs"][-1]
    remedy = f"run `cifar {command} {folder}`"
    if not path.exists():
        message = f"{path} is missing; {remedy}"
        raise FileNotFoundError(message)
    content = _valid(path, command, remedy)
    if content["weights"] != last["weights"]:
        message = f"{path} is not of the run's last epoch; {remedy}"
        raise ValueError(message)
    if command == "evaluate" and (what := _wrong_evaluation(content, facts)):
        message = f"{path} contradicts {RUN}: {what}; {remedy}"
        raise ValueError(message)
    return content


def _valid(path: Path, kind: str, remedy: str) -> Facts:
    """The JSON object in `path`, which fits the schema of its `kind`."""
    import jsonschema_rs

    try:
        content: Facts = files.read_json(path)
    except ValueError as error:
        message = f"{path} is damaged ({plain(str(error))}); {remedy}"
        raise ValueError(message) from error
    if kind == "run" and isinstance(content, dict) and content.get("schema", SCHEMA) != SCHEMA:
        message = f"{path} has schema {_shown(content['schema'])}, and this version reads {SCHEMA}; {remedy}"
        raise ValueError(message)
    try:
        _validator(kind).validate(content)  # the first error only: a long list may hold millions
    except jsonschema_rs.ValidationError as error:
        place = ".".join(map(str, error.instance_path)) or "the file"
        message = f"{path} is damaged ({plain(place)[:100]}: {_shown(error.message)}); {remedy}"
        raise ValueError(message) from error
    return content


def _shown(value: object) -> str:
    """What a file holds, short and on one line of a terminal."""
    return plain(str(value)[:200]).replace("\n", "\\n")


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    """The compiled schema of one kind of file."""
    import jsonschema_rs

    schema = json.loads(resources.files(__package__).joinpath("run.schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.Draft202012Validator(schema | {"$ref": f"#/$defs/{kind}"})


# --- what cannot be true together


def _contradictions(facts: Facts) -> Iterator[str]:
    """What in a `run.json` contradicts something else there, in words."""
    epochs, weights = facts["epochs"], facts["weights"]
    if bool(epochs) != bool(weights):
        yield f"{len(epochs)} finished epochs and {'weights of one' if weights else 'no weights'}"
    elif weights and weights["file"] != weights_name(len(epochs)):
        yield f"weights.file is {weights['file']}, and the last of {len(epochs)} epochs has {weights_name(len(epochs))}"
    yield from _wrong_network(facts)
    for number, row in enumerate(epochs, start=1):
        if row["epoch"] != number:
            yield f"epoch {number} is called {row['epoch']}"
        for what in _wrong_epoch(row, facts["dataset"]):
            yield f"epoch {number}: {what}"


def _wrong_network(facts: Facts) -> Iterator[str]:
    """What in the layers contradicts what is said of them."""
    costs = [layer["flop"] for layer in facts["layers"] if layer["flop"]]
    if facts["flop"]["forward"] != sum(costs):
        yield f"flop.forward is {facts['flop']['forward']}, and the layers together have {sum(costs)}"
    elif facts["flop"]["training"] != 3 * sum(costs) - costs[0]:
        yield f"flop.training is {facts['flop']['training']}, and of these layers it is {3 * sum(costs) - costs[0]}"
    for layer in facts["layers"]:
        if layer.get("activations", math.prod(layer["shape"])) != math.prod(layer["shape"]):
            yield f"layer {_shown(layer['name'])} has {layer['activations']} activations in the shape {layer['shape']}"


def _wrong_epoch(row: Row, dataset: Row) -> Iterator[str]:
    """What in an epoch contradicts something else there, or the numbers of images."""
    if row["images"] != dataset["train"]:
        yield f"{row['images']} images, and the dataset has {dataset['train']} to train with"
    if not math.isclose(row["images_per_second"], row["images"] / row["seconds"], rel_tol=1e-9):
        yield f"{row['images']} images in {row['seconds']} seconds are not {row['images_per_second']} images/s"
    if row["first_step_seconds"] > row["seconds"]:
        yield f"its first step took {row['first_step_seconds']} of {row['seconds']} seconds"
    for name, images in (("accuracy", dataset["train"]), ("val_accuracy", dataset["valid"])):
        if not _counts(row[name], images):
            yield f"{name} is {row[name]}, which is no whole number of {images} images"


def _counts(part: float, images: int) -> bool:
    """Whether `part` is that of a whole number among `images`."""
    return abs(part * images - round(part * images)) < 1e-6 * images


def _wrong_evaluation(content: Facts, facts: Facts) -> str | None:
    """What in an evaluation contradicts the run's last epoch, in words; None where nothing does.

    The same weights on the same images: a CPU repeats that but for the rounding of sums, and other devices come near.
    """
    images, last = facts["dataset"]["valid"], facts["epochs"][-1]
    if content["images"] != images or content["epoch"] != last["epoch"]:
        return f"{content['images']} images after epoch {content['epoch']}, not {images} after {last['epoch']}"
    if not _counts(content["accuracy"], images):
        return f"the accuracy is {content['accuracy']}, which is no whole number of {images} images"
    alike = content["device"] == facts["device"] == "cpu"
    near = 1e-5 if alike else 0.01
    if not math.isclose(content["loss"], last["val_loss"], rel_tol=near, abs_tol=near):
        return f"the loss is {content['loss']}, and it was {last['val_loss']} while training"
    if abs(content["accuracy"] - last["val_accuracy"]) * images > wavering(images, alike=alike):
        return f"the accuracy is {content['accuracy']}, and it was {last['val_accuracy']} while training"
    return None


def wavering(images: int, *, alike: bool) -> float:
    """How many of `images` two passes through the same network may name differently, on CPUs alike or elsewhere.

    The most probable class of some images hangs on the rounding of sums.
    """
    return 0.5 + (2e-4 if alike else 0.01) * images


def _check_history(folder: Path, epochs: Sequence[Row]) -> None:
    """Raise ValueError where `history.csv` tells of other epochs; it may be missing, or one epoch behind."""
    path = folder / HISTORY
    try:
        found = files.read_text(path)
    except FileNotFoundError:
        return
    except ValueError as error:
        message = f"{path} {plain(str(error))}; delete it: it is written anew from {RUN}"
        raise ValueError(message) from error
    if found not in {history(epochs), history(epochs[:-1])}:
        message = (
            f"{path} and {RUN} contradict each other; if {RUN} is right, delete {path}, which is written anew from it"
        )
        raise ValueError(message)
