"""The lesson's figures and its page: what each device has trained, from run folders."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.report import drawing

# isort: split
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cifar.record import files, runfolder
from cifar.record.text import plain
from cifar.report.figures import style
from cifar.report.figures.style import COLOURS, MARKERS
from cifar.report.pictures import Picture, shown
from cifar.report.rendering import template
from cifar.report.text import number

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Images = NDArray[Any]

RIGHT, WRONG = "#00745A", "#B34700"
"""Colours of a right and of a wrong name; a sign says it too."""
SPACE = "\N{NO-BREAK SPACE}"
COLUMNS, CLASSES = ("image", "truth", "predicted"), 10
"""The columns of predictions.csv before those of the classes, and the number of these."""


@dataclass(frozen=True)
class Trained:
    """A run folder as the lesson shows it: `facts` of its run.json, and what it was asked later."""

    arm: str
    folder: Path
    facts: dict[str, Any]
    evaluation: dict[str, Any]
    prediction: dict[str, Any]
    """Facts of the predictions: their device, their weights, and what was executed where."""
    predictions: pd.DataFrame
    """image, truth, predicted, and a probability for each class, by its name; a row an image."""

    @property
    def history(self) -> pd.DataFrame:
        """A row for each epoch; `elapsed` are the seconds of training until its end."""
        rows = pd.DataFrame(self.facts["epochs"])
        return rows.assign(elapsed=rows["seconds"].cumsum())

    @property
    def seconds(self) -> float:
        """Of training, over all epochs."""
        return float(self.history["seconds"].sum())


def load(folder: Path, arm: str | None = None) -> Trained:
    """What a run folder holds, under the name `arm` (default: its device).

    FileNotFoundError where a file is missing, ValueError for one that is damaged or of other
    weights than the run's, each with the command that makes it anew.
    """
    facts = runfolder.read(folder)
    if not facts["epochs"]:
        remedy = f"continue it with `cifar train --resume --out {folder}`"
        message = f"{folder} has no finished epoch; {remedy}"
        raise ValueError(message)
    evaluation = runfolder.answer(folder, facts, "evaluate")
    prediction = runfolder.answer(folder, facts, "predict")
    predictions = _table(folder, facts, prediction)
    _check_same(folder, evaluation, prediction, predictions)
    return Trained(arm or facts["device"], folder, facts, evaluation, prediction, predictions)


def _table(folder: Path, facts: Mapping[str, Any], prediction: Mapping[str, Any]) -> pd.DataFrame:
    """The predictions of all validation images."""
    path = folder / "predictions.csv"
    try:
        text = files.read_text(path)
        predictions = pd.read_csv(io.StringIO(text))
        has_gaps = predictions.isna().to_numpy().any()
        complete = len(predictions) == facts["dataset"]["valid"] and not has_gaps
    except FileNotFoundError as error:
        message = f"{path} is missing; run `cifar predict {folder}`"
        raise FileNotFoundError(message) from error
    except ValueError as error:
        message = f"{path} is damaged ({plain(str(error))}); run `cifar predict {folder}` again"
        raise ValueError(message) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    wrong = _wrong_table(predictions) if complete else "is cut short"
    if prediction.get("table", digest) != digest:
        wrong = "is not the table that was written with predictions.json"
    if wrong:
        message = f"{path} {wrong}; run `cifar predict {folder}` again"
        raise ValueError(message)
    return predictions


def _wrong_table(predictions: pd.DataFrame) -> str | None:
    """What is wrong with a table of predictions, in words; None where nothing is."""
    names = list(predictions.columns)
    if tuple(names[:3]) != COLUMNS or len(names) != len(COLUMNS) + CLASSES:
        return "has other columns than a table of predictions"
    if not all(dtype.kind in "iuf" for dtype in predictions.dtypes):
        return "holds texts where numbers should be"
    are_images = (predictions["image"] == np.arange(len(predictions))).all()
    are_classes = predictions["truth"].isin(range(CLASSES)).all()
    if not (are_images and are_classes):
        return "has images or classes that are none"
    probabilities = predictions[names[3:]].to_numpy()
    if (predictions["predicted"] != probabilities.argmax(axis=1)).any():
        return "names another class than the most probable one"
    sums = probabilities.sum(axis=1)
    if (probabilities < 0).any() or not np.allclose(sums, 1, atol=1e-3):
        return "has probabilities that do not add up to 1"
    return None


def _check_same(
    folder: Path,
    evaluation: Mapping[str, Any],
    prediction: Mapping[str, Any],
    predictions: pd.DataFrame,
) -> None:
    """Raise ValueError where predictions and evaluation name different numbers of images right."""
    right = int((predictions["predicted"] == predictions["truth"]).sum())
    counted = evaluation["accuracy"] * evaluation["images"]
    alike = evaluation["device"] == prediction["device"] == "cpu"
    if abs(right - counted) > runfolder.wavering(evaluation["images"], alike=alike):
        message = (
            f"{folder}: the predictions name {right:,} images right and the evaluation "
            f"{counted:,.0f}; run `cifar evaluate {folder}` and `cifar predict {folder}` again"
        )
        raise ValueError(message)


# --- figures


def samples(images: Images, titles: Sequence[str], columns: int = 7) -> Figure:
    """Images uint8 (n, 32, 32, 3), each under its title, `columns` in a line."""
    columns = min(columns, len(images))
    lines = math.ceil(len(images) / columns)
    size = (max(2.6, 1.25 * columns), 1.55 * lines)
    with drawing.settings():
        figure = Figure(figsize=size, dpi=150, layout="constrained")
        for axes, image, title in _grid(figure, images, titles, lines, columns):
            axes.imshow(image)
            axes.set_title(title, loc="center", fontsize=9, fontweight="normal")
    return figure


def write_samples(path: Path, images: Images, titles: Sequence[str]) -> Path:
    """Write `samples` to `path`, a .png or .svg, and return it; ValueError for another ending."""
    if path.suffix not in {".png", ".svg"}:
        message = f"{path} is to be a picture; let its name end in .png or .svg"
        raise ValueError(message)
    figure = samples(images, titles)
    files.replace(path, style.png(figure) if path.suffix == ".png" else style.svg(figure))
    return path


def history(runs: Mapping[str, pd.DataFrame], first: int = 0) -> Figure:
    """Loss and accuracy of each arm's history, over epochs and over seconds of training.

    Validation is a solid line, training a dashed one; the arms have the colours from number
    `first` on.
    """
    looks = []
    for place in range(first, first + len(runs)):
        colour = COLOURS[place % len(COLOURS)]
        looks.append({"color": colour, "marker": MARKERS[place % len(MARKERS)]})
    with drawing.settings():
        figure = Figure(figsize=(10, 6.4), dpi=150, layout="constrained", facecolor="white")
        grid = figure.subplots(2, 2, sharey="row")
        for row, what in zip(grid, ("loss", "accuracy"), strict=True):
            _history(row[0], runs, looks, what, "epoch")
            _history(row[1], runs, looks, what, "elapsed")
            if what == "accuracy":
                percent = PercentFormatter(1, decimals=0, symbol=f"{SPACE}%")
                row[0].yaxis.set_major_formatter(percent)
            else:
                row[0].set_ylim(bottom=0)
        _history_legend(figure, dict(zip(runs, looks, strict=True)))
    return figure


def _history(
    axes: Axes,
    runs: Mapping[str, pd.DataFrame],
    looks: Sequence[dict[str, Any]],
    what: str,
    over: str,
) -> None:
    """Draw one quantity of all histories over epochs ("epoch") or seconds ("elapsed")."""
    for look, history in zip(looks, runs.values(), strict=True):
        axes.plot(history[over], history[f"val_{what}"], "-", markersize=4, **look)
        axes.plot(history[over], history[what], "--", markersize=3, alpha=0.65, **look)
    if over == "epoch":
        axes.set_xlabel("epochs")
        axes.set_title(f"{what.capitalize()} over epochs")
    else:
        axes.set_xlabel("seconds of training, without validation")
        axes.set_title(f"{what.capitalize()} over seconds")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=over == "epoch"))
    axes.set_xlim(left=0)


def _history_legend(figure: Figure, arms: Mapping[str, dict[str, Any]]) -> None:
    """The arms by colour, training and validation by line."""
    handles = [Line2D([], [], label=arm, **look) for arm, look in arms.items()]
    handles.append(Line2D([], [], color="#444444", linestyle="-", label="validation"))
    handles.append(Line2D([], [], color="#444444", linestyle="--", label="training"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=9.5)


def predictions(
    images: Images,
    truth: Sequence[str],
    sides: Mapping[str, Sequence[str]],
    columns: int = 6,
) -> Figure:
    """Images with their true class above and what each arm takes them for below.

    A frame is drawn where the arms disagree.
    """
    lines = math.ceil(len(images) / columns)
    size = (1.75 * columns, (1.55 + 0.18 * len(sides)) * lines)
    with drawing.settings():
        figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor="white")
        grid = _grid(figure, images, truth, lines, columns)
        for place, (axes, image, name) in enumerate(grid):
            axes.imshow(image)
            axes.set_title(name, loc="center", fontsize=9)
            axes.set_xlabel("\n" * len(sides), fontsize=8.5)  # room for the answers
            answers = {arm: names[place] for arm, names in sides.items()}
            for line, (arm, answer) in enumerate(answers.items()):
                of = f"{arm}: " if len(sides) > 1 else ""
                _answer_below(axes, f"{of}{answer}", line, right=answer == name)
            if len(set(answers.values())) > 1:
                axes.spines[:].set(visible=True, color=WRONG, linewidth=3)
    return figure


def _answer_below(axes: Axes, answer: str, line: int, *, right: bool) -> None:
    """Write an answer below an image, with a sign and a colour that say whether it is right."""
    sign, colour = ("\N{CHECK MARK}", RIGHT) if right else ("\N{BALLOT X}", WRONG)
    axes.annotate(
        f"{answer} {sign}",
        xy=(0.5, 0),
        xycoords="axes fraction",
        xytext=(0, -11 - 11 * line),
        textcoords="offset points",
        ha="center",
        color=colour,
        fontsize=8,
    )


def _grid(
    figure: Figure, images: Images, titles: Sequence[str], lines: int, columns: int
) -> list[tuple[Axes, Any, str]]:
    """Axes without ticks, each with its image and title; those left over go."""
    every = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in every:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
    for axes in every[len(images) :]:
        axes.remove()
    return list(zip(every[: len(images)], images, titles, strict=True))


# --- what the runs say together


def same_work(runs: Sequence[Trained]) -> list[tuple[str, bool, str]]:
    """What must be the same for runs to be the same work, whether it is, and what was compared.

    Batches are compared over the epochs that all runs have.
    """
    facts = [run.facts for run in runs]
    digests = [fact["dataset"]["digest"] for fact in facts]
    weights = [fact["initial_weights"] for fact in facts]
    sizes = [fact["batch_size"] for fact in facts]
    promises = [fact["deterministic"] for fact in facts]
    epochs = [len(fact["epochs"]) for fact in facts]
    orders = [_orders(fact, min(epochs)) for fact in facts]
    prints = [fact.get("fingerprint", {}) for fact in facts]
    in_order = f"the order of all images in {min(epochs)} epochs, by digest"
    place = ", ".join(_differing(prints)) or "versions, node, threads, driver and precision"
    entries: list[tuple[str, list[Any], str]] = [
        ("dataset", digests, f"digest {digests[0][:12]}"),
        ("initial weights", weights, f"digest {weights[0][:12]}"),
        ("batches", orders, in_order),
        ("batch size", sizes, f"{sizes[0]} images"),
        ("determinism", promises, "asked for or not, alike"),
        ("epochs", epochs, " and ".join(map(str, epochs))),
        ("place", prints, place),
    ]
    return [(name, _all_equal(values), words) for name, values, words in entries]


def _all_equal(values: Sequence[Any]) -> bool:
    """Whether all values are the first one."""
    return all(value == values[0] for value in values)


def _orders(facts: Mapping[str, Any], epochs: int) -> str:
    """The digests of the orders of a run's first epochs."""
    return "".join(row["order"] for row in facts["epochs"][:epochs])


def _differing(fingerprints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what is not the same in all fingerprints, sorted."""
    names: set[str] = set()
    for fingerprint in fingerprints:
        names |= fingerprint.keys()
    differing = []
    for name in sorted(names):
        values = {str(fingerprint.get(name)) for fingerprint in fingerprints}
        if len(values) > 1:
            differing.append(name)
    return differing


def speed_in_words(runs: Sequence[Trained]) -> str:
    """How long the runs trained, compared where they did the same work, or why they are not."""
    took = " and ".join(f"{run.arm} {number(run.seconds)}{SPACE}s" for run in runs)
    if len(runs) == 1:
        images = sum(row["images"] for row in runs[0].facts["epochs"])
        return f"Training took {took}: {number(images / runs[0].seconds)} images/s."
    different = []
    for name, same, words in same_work(runs):
        if not same:
            different.append(f"place ({words})" if name == "place" else name)
    if different == ["epochs"]:
        epochs = " and ".join(str(len(run.facts["epochs"])) for run in runs)
        return f"Training took {took}, for {epochs} epochs: times of unequal work are not compared."
    if different:
        names = ", ".join(different)
        return f"Training took {took}. No ratio is given, for these differ: {names}."
    slow = max(runs, key=lambda run: run.seconds)
    fast = min(runs, key=lambda run: run.seconds)
    times = number(slow.seconds / fast.seconds, 3)
    result = f"in these runs {fast.arm} was {times} times as fast as {slow.arm}"
    return f"The same training took {took}: {result}."


def energy_in_words(facts: Mapping[str, Any]) -> str:
    """How many joules the training of a run took, by whose counter, or why that is not known."""
    used = [row.get("joules") for row in facts["epochs"]]
    whose = facts.get("energy", "nobody")
    if None not in used:
        return f"Energy of training: {number(sum(used))}{SPACE}J by {whose}."
    if isinstance(whose, dict):
        missing = whose["unmeasurable"]
        if whose.get("remedy"):
            missing += f" ({whose['remedy']})"
    else:
        failed = f"{used.count(None)} of {len(used)} epochs"
        missing = f"the counter stood still or could not be read in {failed}"
    return f"Energy of training: not measurable here, for {missing}."


def _energies(runs: Sequence[Trained]) -> list[str]:
    """What each run says of its energy, or what all of them say."""
    words = {run.arm: energy_in_words(run.facts) for run in runs}
    different = set(words.values())
    if len(different) == 1:
        return list(different)
    return [f"{arm}: {sentence}" for arm, sentence in words.items()]


def disagreements(one: Trained, other: Trained) -> tuple[int, float]:
    """How many images two runs name differently, and the largest difference of a probability."""
    names = list(one.predictions.columns[3:])
    differences = (one.predictions[names] - other.predictions[names]).abs()
    unlike = one.predictions["predicted"] != other.predictions["predicted"]
    return int(unlike.sum()), float(differences.to_numpy().max())


# --- the page


def write(  # noqa: PLR0913 - what the page shows
    folder: str | os.PathLike[str],
    runs: Sequence[Trained],
    *,
    samples_of: tuple[Images, Sequence[str]],
    asked: Images,
    notes: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> Path:
    """Write lesson.html and figures/ (PNG and SVG) into `folder` and return the page's path.

    `samples_of` are images with their class names to show as the data, `asked` the first
    validation images; `notes` are sentences such as why there is no GPU, `commands` what was run.
    """
    folder = Path(folder)
    beside = folder / "figures"
    if beside.is_symlink():
        reason = "is a link, and pictures are not written to where it leads"
        message = f"{beside} {reason}; delete the link"
        raise ValueError(message)
    beside.mkdir(parents=True, exist_ok=True)
    files.sweep(beside)
    pictures = {
        picture.name: shown(picture, *style.save(picture.figure, beside, picture.name))
        for picture in _pictures(runs, samples_of, asked)
    }
    view = _view(runs) | {"notes": notes, "commands": commands, "pictures": pictures}
    page = folder / "lesson.html"
    files.replace(page, template("page.html", Path(__file__).parent).render(view))
    return page


def _view(runs: Sequence[Trained]) -> dict[str, Any]:
    """All of the page that the runs say, as text."""
    checks = same_work(runs) if len(runs) > 1 else []
    return {
        "answer": _answer(runs),
        "speed": speed_in_words(runs),
        "energy": _energies(runs),
        "facts": runs[0].facts,
        "deterministic": all(run.facts["deterministic"] for run in runs),
        "devices": [_device(run) for run in runs],
        "layers": [_layer(layer) for layer in runs[0].facts["layers"]],
        "epochs": [[run.arm, _epochs(run)] for run in runs],
        "tasks": TASKS,
        "placement": [_placement(run) for run in runs],
        "checks": [[name, "yes" if same else "no", words] for name, same, words in checks],
        "same": all(same for _, same, _ in checks),
        "evaluations": [_evaluation(run) for run in runs],
        "pairs": [_pair(one, other) for one, other in combinations(runs, 2)],
        "runs": [_files(run) for run in runs],
    }


def _pictures(
    runs: Sequence[Trained],
    samples_of: tuple[Images, Sequence[str]],
    asked: Images,
) -> list[Picture]:
    """The lesson's figures: samples, a history a device and one of all, predictions."""
    text = "Fourteen training images, each under its class."
    pictures = [Picture("samples", "Samples", text, samples(*samples_of))]
    text = "Training and validation, epoch by epoch."
    for place, run in enumerate(runs):
        name = f"history-{run.arm.replace(':', '').replace('#', '-')}"
        title = f"Loss and accuracy on {run.arm}"
        figure = history({run.arm: run.history}, first=place)
        pictures.append(Picture(name, title, text, figure))
    if len(runs) > 1:
        title = "Loss and accuracy of all devices"
        text = "The curves of all devices on the same axes."
        figure = history({run.arm: run.history for run in runs})
        pictures.append(Picture("history", title, text, figure))
    text = "Above each image its class, below it what the trained network takes it for."
    if len(runs) > 1:
        text += " A frame marks where the devices disagree."
    truth = _classes(runs[0], "truth", len(asked))
    sides = {run.arm: _classes(run, "predicted", len(asked)) for run in runs}
    figure = predictions(asked, truth, sides)
    return [*pictures, Picture("predictions", "Predictions", text, figure)]


def _classes(run: Trained, column: str, count: int) -> list[str]:
    """The names of the classes in a column of the first predictions of a run."""
    names = list(run.predictions.columns[3:])
    return [names[label] for label in run.predictions[column].head(count)]


def _answer(runs: Sequence[Trained]) -> str:
    """The page's first sentence."""
    data = runs[0].facts["dataset"]
    what = "made-up images (a stand-in for CIFAR-10)" if data["synthetic"] else "CIFAR-10 images"
    parts = []
    for run in runs:
        epochs = len(run.facts["epochs"])
        after = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        parts.append(f"{run.arm} {_percent(run.evaluation['accuracy'])} after {after}")
    images = f"{data['valid']:,} {what}"
    return f"Of {images} that it never saw, the network names right: {'; '.join(parts)}."


def _device(run: Trained) -> list[str]:
    """A run's device, what it is, and the versions that it ran with."""
    environment = run.facts.get("environment", {})
    device = environment.get("device", {})
    node = environment.get("node", {})
    software = environment.get("software", {})
    gpu = device.get("gpu")
    model = gpu if isinstance(gpu, str) else node.get("cpu_model")
    precision = "float32"
    if software.get("tf32") and run.facts["device"] != "cpu":
        precision = "float32, TF32 in matrix products"
    versions = f"TensorFlow {software.get('tensorflow', '?')}, Keras {software.get('keras', '?')}"
    return [run.arm, str(model or "?"), str(device.get("threads", "?")), precision, versions]


def _layer(layer: Mapping[str, Any]) -> list[str]:
    """A layer of the network as a row of text."""
    shape = " \N{MULTIPLICATION SIGN} ".join(map(str, layer["shape"]))
    flop = f"{layer['flop']:,}" if layer["flop"] else "\N{EN DASH}"
    return [layer["name"], layer["kind"], shape, f"{layer['parameters']:,}", flop]


TASKS = ("training", "validation", "evaluation", "prediction")
"""Whose first calls were looked at: a training step, and a batch of the others."""


def _placement(run: Trained) -> list[str]:
    """How many operations were executed where in each of a run's tasks."""
    executed = run.facts.get("placement", {})
    executed = executed | run.evaluation["placement"] | run.prediction["placement"]
    row = [run.arm]
    for task in TASKS:
        counts = executed.get(task, {})
        places = [f"{count:,} on {name.removeprefix('/device:')}" for name, count in counts.items()]
        row.append(", ".join(places) or "not looked at")
    return row


def _epochs(run: Trained) -> list[list[str]]:
    """A run's epochs as rows of text."""
    return [_epoch(row) for row in run.facts["epochs"]]


def _epoch(row: Mapping[str, Any]) -> list[str]:
    """An epoch as a row of text."""
    return [
        str(row["epoch"]),
        f"{row['loss']:.4f}",
        _percent(row["accuracy"]),
        f"{row['val_loss']:.4f}",
        _percent(row["val_accuracy"]),
        number(row["seconds"]),
        number(row["first_step_seconds"]),
        number(row["images_per_second"]),
    ]


def _evaluation(run: Trained) -> list[str]:
    """A run's evaluation as a row of text, with the device that evaluated."""
    evaluation = run.evaluation
    right = int((run.predictions["predicted"] == run.predictions["truth"]).sum())
    loss, accuracy = f"{evaluation['loss']:.5f}", _percent(evaluation["accuracy"])
    return [run.arm, evaluation["device"], loss, accuracy, f"{right:,}"]


def _pair(one: Trained, other: Trained) -> list[str]:
    """Two runs, and how much they disagree, as a row of text."""
    count, difference = disagreements(one, other)
    return [one.arm, other.arm, f"{count:,}", number(difference, 3)]


def _files(run: Trained) -> list[str]:
    """Where a run's folder and its weights are, as a row of text."""
    return [run.arm, run.folder.name, Path(run.facts["weights"]["file"]).name]


def _percent(part: float) -> str:
    """A part of 1 in per cent, with two decimals: the last of them is one image of 10,000."""
    return f"{100 * part:.2f}{SPACE}%"
