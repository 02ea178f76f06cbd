"""From run folders and some images to the lesson's figures and its page: what each device trained, and how it went."""

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
    """A run folder as the lesson shows it: `facts` of its run.json, and all that it was asked afterwards."""

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
        """A row for each epoch; `elapsed` are the seconds of training until its end, without validation."""
        rows = pd.DataFrame(self.facts["epochs"])
        return rows.assign(elapsed=rows["seconds"].cumsum())

    @property
    def seconds(self) -> float:
        """Of training, over all epochs."""
        return float(self.history["seconds"].sum())


def load(folder: Path, arm: str | None = None) -> Trained:
    """What a run folder holds, under the name `arm` (default: its device).

    FileNotFoundError where a file is missing, ValueError for one that is damaged or of other weights than the run's,
    each with the command that makes it anew.
    """
    facts = runfolder.read(folder)
    if not facts["epochs"]:
        message = f"{folder} has no finished epoch; continue it with `cifar train --resume --out {folder}`"
        raise ValueError(message)
    evaluation, prediction = (runfolder.answer(folder, facts, command) for command in ("evaluate", "predict"))
    predictions = _table(folder, facts, prediction)
    _check_same(folder, evaluation, prediction, predictions)
    return Trained(arm or facts["device"], folder, facts, evaluation, prediction, predictions)


def _table(folder: Path, facts: Mapping[str, Any], prediction: Mapping[str, Any]) -> pd.DataFrame:
    """The predictions of all validation images."""
    path = folder / "predictions.csv"
    try:
        text = files.read_text(path)
        predictions = pd.read_csv(io.StringIO(text))
        complete = len(predictions) == facts["dataset"]["valid"] and not predictions.isna().to_numpy().any()
    except FileNotFoundError as error:
        message = f"{path} is missing; run `cifar predict {folder}`"
        raise FileNotFoundError(message) from error
    except ValueError as error:
        message = f"{path} is damaged ({plain(str(error))}); run `cifar predict {folder}` again"
        raise ValueError(message) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    wrong = "is cut short" if not complete else _wrong_table(predictions)
    if prediction.get("table", digest) != digest:
        wrong = "is not the table that was written with predictions.json"
    if wrong:
        message = f"{path} {wrong}; run `cifar predict {folder}` again"
        raise ValueError(message)
    return predictions


def _wrong_table(predictions: pd.DataFrame) -> str | None:
    """What is wrong with a table of predictions, in words; None where each row is one image's and fits itself."""
    names = list(predictions.columns)
    if tuple(names[:3]) != COLUMNS or len(names) != len(COLUMNS) + CLASSES:
        return "has other columns than a table of predictions"
    if not all(dtype.kind in "iuf" for dtype in predictions.dtypes):
        return "holds texts where numbers should be"
    parts = predictions[names[3:]].to_numpy()
    if (predictions["image"] != np.arange(len(predictions))).any() or not predictions["truth"].isin(
        range(CLASSES)
    ).all():
        return "has images or classes that are none"
    if (predictions["predicted"] != parts.argmax(axis=1)).any():
        return "names another class than the most probable one"
    if (parts < 0).any() or not np.allclose(parts.sum(axis=1), 1, atol=1e-3):
        return "has probabilities that do not add up to 1"
    return None


def _check_same(
    folder: Path, evaluation: Mapping[str, Any], prediction: Mapping[str, Any], predictions: pd.DataFrame
) -> None:
    """Raise ValueError where the predictions name more or fewer images right than the evaluation does."""
    right = int((predictions["predicted"] == predictions["truth"]).sum())
    counted = evaluation["accuracy"] * evaluation["images"]
    alike = evaluation["device"] == prediction["device"] == "cpu"
    if abs(right - counted) > runfolder.wavering(evaluation["images"], alike=alike):
        message = (
            f"{folder}: the predictions name {right:,} images right and the evaluation {counted:,.0f}; run `cifar "
            f"evaluate {folder}` and `cifar predict {folder}` again"
        )
        raise ValueError(message)


# --- figures


def samples(images: Images, titles: Sequence[str], columns: int = 7) -> Figure:
    """Images uint8 (n, 32, 32, 3), each under its title, `columns` in a line."""
    columns = min(columns, len(images))
    lines = math.ceil(len(images) / columns)
    with drawing.settings():
        figure = Figure(figsize=(max(2.6, 1.25 * columns), 1.55 * lines), dpi=150, layout="constrained")
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

    Validation is a solid line, training a dashed one; the arms have the colours from number `first` on.
    """
    looks = [
        {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        for place in range(first, first + len(runs))
    ]
    with drawing.settings():
        figure = Figure(figsize=(10, 6.4), dpi=150, layout="constrained", facecolor="white")
        for row, what in zip(figure.subplots(2, 2, sharey="row"), ("loss", "accuracy"), strict=True):
            for axes, over in zip(row, ("epoch", "elapsed"), strict=True):
                for look, found in zip(looks, runs.values(), strict=True):
                    axes.plot(found[over], found[f"val_{what}"], "-", markersize=4, **look)
                    axes.plot(found[over], found[what], "--", markersize=3, alpha=0.65, **look)
                axes.set_xlabel("epochs" if over == "epoch" else "seconds of training, without validation")
                axes.set_title(f"{what.capitalize()} over {'epochs' if over == 'epoch' else 'seconds'}")
                axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=over == "epoch"))
                axes.set_xlim(left=0)
            if what == "accuracy":
                row[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=f"{SPACE}%"))
            else:
                row[0].set_ylim(bottom=0)
        _history_legend(figure, dict(zip(runs, looks, strict=True)))
    return figure


def _history_legend(figure: Figure, arms: Mapping[str, dict[str, Any]]) -> None:
    """The arms by colour, training and validation by line."""
    handles = [Line2D([], [], label=arm, **look) for arm, look in arms.items()]
    handles.append(Line2D([], [], color="#444444", linestyle="-", label="validation"))
    handles.append(Line2D([], [], color="#444444", linestyle="--", label="training"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=9.5)


def predictions(images: Images, truth: Sequence[str], sides: Mapping[str, Sequence[str]], columns: int = 6) -> Figure:
    """Images with their true class above and what each arm takes them for below; a frame where the arms disagree."""
    lines = math.ceil(len(images) / columns)
    with drawing.settings():
        height = 1.55 + 0.18 * len(sides)
        figure = Figure(figsize=(1.75 * columns, height * lines), dpi=150, layout="constrained", facecolor="white")
        for place, (axes, image, name) in enumerate(_grid(figure, images, truth, lines, columns)):
            axes.imshow(image)
            axes.set_title(name, loc="center", fontsize=9)
            answers = {arm: names[place] for arm, names in sides.items()}
            axes.set_xlabel("\n" * len(sides), fontsize=8.5)  # room for the answers
            for line, (arm, answer) in enumerate(answers.items()):
                sign, colour = ("\N{CHECK MARK}", RIGHT) if answer == name else ("\N{BALLOT X}", WRONG)
                text = f"{arm}: {answer} {sign}" if len(sides) > 1 else f"{answer} {sign}"
                below: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
                axes.annotate(text, (0.5, 0), (0, -11 - 11 * line), ha="center", color=colour, fontsize=8, **below)
            if len(set(answers.values())) > 1:
                axes.spines[:].set(visible=True, color=WRONG, linewidth=3)
    return figure


def _grid(
    figure: Figure, images: Images, titles: Sequence[str], lines: int, columns: int
) -> list[tuple[Axes, Any, str]]:
    """Axes without ticks, each with its image and title; those left over go."""
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for one in list(axes):
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
        one.grid(visible=False)
    for one in list(figure.axes)[len(images) :]:
        one.remove()
    return list(zip(figure.axes, images, titles, strict=True))


# --- what the runs say together


def same_work(runs: Sequence[Trained]) -> list[tuple[str, bool, str]]:
    """What must be the same for two runs to be the same work: its name, whether it is, and in words what was compared.

    Batches are compared over the epochs that all runs have.
    """
    least = min(len(run.facts["epochs"]) for run in runs)
    facts = [run.facts for run in runs]
    orders = ["".join(row["order"] for row in run.facts["epochs"][:least]) for run in runs]
    prints = [run.facts.get("fingerprint", {}) for run in runs]
    differing = sorted({name for one in prints for name in one if len({str(two.get(name)) for two in prints}) > 1})
    entries: list[tuple[str, list[Any], str]] = [
        ("dataset", [fact["dataset"]["digest"] for fact in facts], f"digest {facts[0]['dataset']['digest'][:12]}"),
        ("initial weights", [fact["initial_weights"] for fact in facts], f"digest {facts[0]['initial_weights'][:12]}"),
        ("batches", orders, f"the order of all images in {least} epochs, by digest"),
        ("batch size", [fact["batch_size"] for fact in facts], f"{facts[0]['batch_size']} images"),
        ("determinism", [fact["deterministic"] for fact in facts], "asked for or not, alike"),
        ("epochs", [len(fact["epochs"]) for fact in facts], " and ".join(str(len(fact["epochs"])) for fact in facts)),
        ("place", prints, ", ".join(differing) or "versions, node, threads, driver and precision"),
    ]
    return [(name, all(value == values[0] for value in values), words) for name, values, words in entries]


def speed_in_words(runs: Sequence[Trained]) -> str:
    """How long the runs trained, compared where they did the same work, or why they are not."""
    took = " and ".join(f"{run.arm} {number(run.seconds)}{SPACE}s" for run in runs)
    unlike = {name: words for name, same, words in same_work(runs) if not same}
    different = [f"place ({unlike[name]})" if name == "place" else name for name in unlike]
    if len(runs) == 1:
        rate = number(sum(row["images"] for row in runs[0].facts["epochs"]) / runs[0].seconds)
        return f"Training took {took}: {rate} images/s."
    if different == ["epochs"]:
        epochs = " and ".join(str(len(run.facts["epochs"])) for run in runs)
        return f"Training took {took}, for {epochs} epochs: times of unequal work are not compared."
    if different:
        return f"Training took {took}. No ratio is given, for these differ: {', '.join(different)}."
    slow, fast = max(runs, key=lambda run: run.seconds), min(runs, key=lambda run: run.seconds)
    return (
        f"The same training took {took}: in these runs {fast.arm} was {number(slow.seconds / fast.seconds, 3)} times "
        f"as fast as {slow.arm}."
    )


def energy_in_words(facts: Mapping[str, Any]) -> str:
    """How many joules the training of a run took, by whose counter, or why that is not known."""
    used, whose = [row.get("joules") for row in facts["epochs"]], facts.get("energy", "nobody")
    if None not in used:
        return f"Energy of training: {number(sum(used))}{SPACE}J by {whose}."
    missing = f"the counter stood still or could not be read in {used.count(None)} of {len(used)} epochs"
    if isinstance(whose, dict):
        missing = whose["unmeasurable"] + (f" ({whose['remedy']})" if whose.get("remedy") else "")
    return f"Energy of training: not measurable here, for {missing}."


def _energies(runs: Sequence[Trained]) -> list[str]:
    """What each run says of its energy, or what all of them say."""
    words = {run.arm: energy_in_words(run.facts) for run in runs}
    return (
        [*set(words.values())] if len(set(words.values())) == 1 else [f"{arm}: {said}" for arm, said in words.items()]
    )


def disagreements(one: Trained, other: Trained) -> tuple[int, float]:
    """Number of images that the two name differently, and the largest difference of any probability."""
    names = list(one.predictions.columns[3:])
    apart = (one.predictions[names] - other.predictions[names]).abs().to_numpy().max()
    return int((one.predictions["predicted"] != other.predictions["predicted"]).sum()), float(apart)


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

    `samples_of` are images with their class names to show as the data, `asked` the first validation images;
    `notes` are sentences such as why there is no GPU, `commands` what was run.
    """
    folder = Path(folder)
    beside = folder / "figures"
    if beside.is_symlink():
        message = f"{beside} is a link, and pictures are not written to where it leads; delete the link"
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
        "pairs": [[one.arm, other.arm, *_apart(one, other)] for one, other in combinations(runs, 2)],
        "runs": [[run.arm, run.folder.name, Path(run.facts["weights"]["file"]).name] for run in runs],
    }


def _pictures(runs: Sequence[Trained], samples_of: tuple[Images, Sequence[str]], asked: Images) -> list[Picture]:
    """The lesson's figures: samples, a history a device and one of all, predictions."""
    found = [
        Picture("samples", "Samples", "Fourteen training images, each under its class.", samples(*samples_of)),
    ]
    histories = {run.arm: run.history for run in runs}
    for place, run in enumerate(runs):
        name = f"history-{run.arm.replace(':', '').replace('#', '-')}"
        title = f"Loss and accuracy on {run.arm}"
        figure = history({run.arm: run.history}, first=place)
        found.append(Picture(name, title, "Training and validation, epoch by epoch.", figure))
    if len(runs) > 1:
        title = "Loss and accuracy of all devices"
        found.append(Picture("history", title, "The curves of all devices on the same axes.", history(histories)))
    names = list(runs[0].predictions.columns[3:])
    first = runs[0].predictions.head(len(asked))
    sides = {run.arm: [names[label] for label in run.predictions["predicted"].head(len(asked))] for run in runs}
    text = "Above each image its class, below it what the trained network takes it for."
    text += " A frame marks where the devices disagree." if len(runs) > 1 else ""
    figure = predictions(asked, [names[label] for label in first["truth"]], sides)
    return [*found, Picture("predictions", "Predictions", text, figure)]


def _answer(runs: Sequence[Trained]) -> str:
    """The page's first sentence."""
    data = runs[0].facts["dataset"]
    what = "made-up images (a stand-in for CIFAR-10)" if data["synthetic"] else "CIFAR-10 images"
    parts = [
        f"{run.arm} {_percent(run.evaluation['accuracy'])} after {len(run.facts['epochs'])} "
        f"epoch{'s' * (len(run.facts['epochs']) > 1)}"
        for run in runs
    ]
    return f"Of {data['valid']:,} {what} that it never saw, the network names right: {'; '.join(parts)}."


def _device(run: Trained) -> list[str]:
    """A run's device, what it is, and the versions that it ran with."""
    environment = run.facts.get("environment", {})
    device, node, software = (environment.get(name, {}) for name in ("device", "node", "software"))
    model = device.get("gpu") if isinstance(device.get("gpu"), str) else node.get("cpu_model")
    precision = (
        "float32, TF32 in matrix products" if software.get("tf32") and run.facts["device"] != "cpu" else "float32"
    )
    versions = f"TensorFlow {software.get('tensorflow', '?')}, Keras {software.get('keras', '?')}"
    return [run.arm, str(model or "?"), str(device.get("threads", "?")), precision, versions]


def _layer(layer: Mapping[str, Any]) -> list[str]:
    """A layer of the network as a row of text."""
    numbers = f"{layer['parameters']:,}", f"{layer['flop']:,}" if layer["flop"] else "\N{EN DASH}"
    return [layer["name"], layer["kind"], " \N{MULTIPLICATION SIGN} ".join(map(str, layer["shape"])), *numbers]


TASKS = ("training", "validation", "evaluation", "prediction")
"""Whose first calls were looked at: a training step, and a batch of the others."""


def _placement(run: Trained) -> list[str]:
    """How many operations were executed where in each of a run's tasks."""
    seen = run.facts.get("placement", {}) | run.evaluation["placement"] | run.prediction["placement"]
    places = [
        ", ".join(f"{count:,} on {device.removeprefix('/device:')}" for device, count in seen.get(task, {}).items())
        for task in TASKS
    ]
    return [run.arm, *(place or "not looked at" for place in places)]


def _epochs(run: Trained) -> list[list[str]]:
    """A run's epochs as rows of text."""
    return [
        [
            *(str(row["epoch"]), f"{row['loss']:.4f}", _percent(row["accuracy"])),
            *(f"{row['val_loss']:.4f}", _percent(row["val_accuracy"])),
            *(number(row["seconds"]), number(row["first_step_seconds"]), number(row["images_per_second"])),
        ]
        for row in run.facts["epochs"]
    ]


def _evaluation(run: Trained) -> list[str]:
    """A run's evaluation as a row of text, with the device that evaluated."""
    found = run.evaluation
    right = int((run.predictions["predicted"] == run.predictions["truth"]).sum())
    return [run.arm, found["device"], f"{found['loss']:.5f}", _percent(found["accuracy"]), f"{right:,}"]


def _apart(one: Trained, other: Trained) -> tuple[str, str]:
    """Disagreements of two runs, as text."""
    count, apart = disagreements(one, other)
    return f"{count:,}", number(apart, 3)


def _percent(part: float) -> str:
    """A part of 1 in per cent, with two decimals: a hundredth of a per cent is one image of 10,000."""
    return f"{100 * part:.2f}{SPACE}%"
