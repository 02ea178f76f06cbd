"""A run: the network trained in a folder, epoch by epoch, through any interruption.

A run folder holds `run.json` (what was trained where, and every finished epoch), `history.csv`
(the epochs again, for a spreadsheet) and `epoch-NN.weights.h5` (Keras's own format: weights and
the optimizer's moments).  `run.json` is replaced in one step and names the weights that belong to
it, so that the folder is at every moment that of a whole number of epochs.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from cifar.data import dataset
from cifar.record import files, runfolder
from cifar.record.runfolder import HISTORY, RUN
from cifar.record.text import plain
from cifar.workload import cost, model, training
from cifar.workload.generator import DataGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import keras

    Row = dict[str, Any]
    Call = Callable[..., Any]
    Watch = Callable[[str, Call], Call]

BATCH_SIZE = 250
_ASK_SECONDS = 20.0
_DATASET = ("digest", "source", "synthetic", "train", "valid")
_OURS = re.compile(
    r"history\.csv|epoch-\d+\.weights\.h5|evaluation\.json|predictions\.(csv|json|png|svg)",
)
"""What belongs to a run beside its `run.json`."""
_PART = ".part.weights.h5"
_LARGEST = 64 << 20
"""Bytes of the largest file of weights that is read; the network's has 10 MB."""
_DEEPEST, _MOST = 10, 100
_REMEDY = "bring it back from a copy, or train anew with --force"


@dataclass(frozen=True)
class Run:
    """A run folder and what its `run.json` says."""

    folder: Path
    facts: dict[str, Any]

    @property
    def epochs(self) -> list[Row]:
        """The finished epochs: losses, accuracies, seconds, digests of order and weights."""
        epochs: list[Row] = self.facts["epochs"]
        return epochs

    @property
    def weights(self) -> Path | None:
        """The file of the weights after the last finished epoch; None before the first."""
        weights = self.facts["weights"]
        return files.inside(self.folder, weights["file"]) if weights else None

    @property
    def steps(self) -> int:
        """How many training steps the finished epochs had."""
        an_epoch: int = -(-self.facts["dataset"]["train"] // self.facts["batch_size"])
        return len(self.epochs) * an_epoch

    def add(self, network: keras.Model, row: Row) -> None:
        """Add an epoch: its weights, then the word of it; then nothing older is needed any more."""
        before = self.weights
        path = self.folder / runfolder.weights_name(row["epoch"])
        sha256 = _save(network, path)
        # Keras leaves the state of the dropout masks out of its file.
        masks = [variable.numpy().tolist() for variable in network.non_trainable_variables]
        self.facts["weights"] = {"file": path.name, "sha256": sha256, "masks": masks}
        self.epochs.append(row)
        self.write()
        if before is not None and before != path:
            before.unlink(missing_ok=True)

    def write(self) -> None:
        """Replace `run.json`, then `history.csv`."""
        files.replace(self.folder / RUN, files.json_text(self.facts))
        if self.epochs:
            files.replace(self.folder / HISTORY, runfolder.history(self.epochs))


def _save(network: keras.Model, path: Path) -> str:
    """Write the weights whole and in one step, replacing what stands there; the file's SHA-256."""
    part = path.with_name(f".{secrets.token_hex(4)}{_PART}")  # the ending that Keras wants
    try:
        network.save_weights(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        sha256 = _sha256(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # has its final name by now, unless something went wrong
    return sha256


# --- a folder's begin and its reading


def check_free(folder: Path, *, force: bool = False) -> None:
    """Raise FileExistsError where `folder` holds anything.

    With `force`, only for anything but a run, which may go.
    """
    if files.is_unused(folder):
        return
    if not os.path.lexists(folder / RUN):
        message = f"{folder} exists and is no run folder ({RUN} is missing); name another --out"
        raise FileExistsError(message)
    if not force:
        remedy = "continue it with --resume, replace it with --force, or name another --out"
        message = f"{folder} holds a run; {remedy}"
        raise FileExistsError(message)


def start(  # noqa: PLR0913 - each is a fact about the run
    folder: Path,
    data: str | os.PathLike[str],
    *,
    device: str,
    seed: int = 0,
    deterministic: bool = False,
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Run:
    """Make the folder of a run that trains the network of `seed` on the dataset file `data`.

    `facts` (JSON) are what the caller knows of the place; of these `fingerprint` must be the same
    again when the run is resumed.  `force` replaces a run that is there.  Raises what
    `dataset.describe` and `check_free` raise.
    """
    description = dataset.describe(data)
    check_free(folder, force=force)
    begun = Run(
        folder,
        {
            "schema": runfolder.SCHEMA,
            "device": device,
            "seed": seed,
            "batch_size": BATCH_SIZE,
            "deterministic": deterministic,
            "dataset": _trained_on(description),
            **_network(seed),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            **(facts or {}),
            "weights": None,
            "epochs": [],
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    begun.write()
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
            path.unlink()
    return begun


def _trained_on(description: dataset.Description) -> dict[str, Any]:
    """What a run says of the dataset's file that it is trained on."""
    facts = {name: getattr(description, name) for name in _DATASET}
    return {"path": str(description.path.resolve()), **facts}


def _network(seed: int) -> dict[str, Any]:
    """What is to be known of the network of `seed` before it is trained."""
    network = model.build(seed)
    return {
        "initial_weights": model.digest(network),
        "layers": [vars(layer) for layer in cost.layers(network)],
        "flop": {"forward": cost.forward_flop(network), "training": cost.training_flop(network)},
    }


def load(folder: Path) -> Run:
    """The run in `folder`.

    FileNotFoundError where there is none; ValueError where its file is damaged, does not fit its
    schema, or contradicts itself: with the field at fault and the remedy.
    """
    return Run(folder, runfolder.read(folder))


def check_dataset(run: Run, path: str | os.PathLike[str] | None = None) -> Path:
    """The file that the run was trained on, or `path`; ValueError where it holds something else."""
    path = Path(run.facts["dataset"]["path"] if path is None else path)
    description = dataset.describe(path)
    trained_on = run.facts["dataset"]
    if description.digest != trained_on["digest"]:
        message = (
            f"{run.folder} was trained on another dataset "
            f"(digest {trained_on['digest'][:12]}) than {path} holds "
            f"({description.digest[:12]}); name that file with --dataset"
        )
        raise ValueError(message)
    for name in _DATASET:
        value = getattr(description, name)
        if value != trained_on[name]:
            message = (
                f"{run.folder / RUN} contradicts {path}, which has the same digest: "
                f"dataset.{name} is not {value}; "
                f"bring {RUN} back from a copy, or train anew with --force"
            )
            raise ValueError(message)
    return path


def check_place(run: Run, fingerprint: Mapping[str, Any]) -> None:
    """Raise ValueError where the run began with other versions, or on another kind of node."""
    before = run.facts.get("fingerprint", {})
    changed = [
        f"{name} was {before.get(name)} and is {fingerprint.get(name)}"
        for name in {**before, **fingerprint}
        if before.get(name) != fingerprint.get(name)
    ]
    if changed:
        reasons = "; ".join(changed)
        what = f"{run.folder} cannot be resumed with the same result"
        message = f"{what}: {reasons}; begin anew with --force"
        raise ValueError(message)


def restored(run: Run) -> keras.Model:
    """The run's network, ready to train, as it was after the last finished epoch.

    Raises ValueError (with the file and the remedy) where this version builds another network than
    the run's, and for weights that are missing, cut short or changed, or are not those of the last
    epoch.
    """
    seed = run.facts["seed"]
    network = training.prepare(model.build(seed))
    if not _same_network(run.facts, _network(seed)):
        message = (
            f"{run.folder / RUN} is of another network than this version builds from seed {seed}; "
            "use the version that trained it, or train anew with --force"
        )
        raise ValueError(message)
    path = run.weights
    if path is None:
        return network
    if not path.exists() or _sha256(path) != run.facts["weights"]["sha256"]:
        reason = "is cut short or was changed" if path.exists() else "is missing"
        message = f"{path} {reason}; {_REMEDY}"
        raise ValueError(message)
    _load_weights(path, network)
    steps = int(network.optimizer.iterations.numpy())
    if model.digest(network) != run.epochs[-1]["weights"] or steps != run.steps:
        expected = f"those after epoch {len(run.epochs)} of {RUN}"
        message = f"{path} holds other weights than {expected}; {_REMEDY}"
        raise ValueError(message)
    _set_masks(run, network)
    return network


def _same_network(facts: Mapping[str, Any], built: Mapping[str, Any]) -> bool:
    """Whether a run's facts are of the network that is built here, but for its layers' names."""
    if facts["initial_weights"] != built["initial_weights"] or facts["flop"] != built["flop"]:
        return False
    return _unnamed(facts["layers"]) == _unnamed(built["layers"])


def _unnamed(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers without their names, which Keras numbers, and with shapes as JSON has them."""
    return [{**layer, "name": "", "shape": list(layer["shape"])} for layer in layers]


def _load_weights(path: Path, network: keras.Model) -> None:
    """Load a file of Keras's.

    ValueError for one that leads elsewhere or holds anything but weights of this network.
    """
    variables = (*network.trainable_variables, *network.optimizer.variables)
    shapes = {tuple(variable.shape) for variable in variables}
    try:
        with h5py.File(path, "r") as file:
            _check_group(file, shapes, depth=0)
        network.load_weights(path)
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        reason = plain(" ".join(str(error).split())[:200])
        message = f"{path} does not hold this network's weights ({reason}); {_REMEDY}"
        raise ValueError(message) from error


def _check_group(group: h5py.Group, shapes: Collection[tuple[int, ...]], *, depth: int) -> None:
    """Raise ValueError unless all in `group` lies in this file.

    Each of its datasets must be numbers in one of `shapes`.
    """
    if depth > _DEEPEST or len(group) > _MOST:
        message = "it is nested deeper, or has more parts, than a network"
        raise ValueError(message)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            message = f"{name} is a link to another place"
            raise ValueError(message)  # noqa: TRY004 wrong data, no wrong type
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, shapes, depth=depth + 1)
        elif not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
            message = f"{name} is kept outside of the file"
            raise ValueError(message)
        elif item.shape not in shapes or item.dtype.kind not in "fiu":
            message = f"{name} has the type {item.dtype} and the shape {item.shape}"
            raise ValueError(message)


def _set_masks(run: Run, network: keras.Model) -> None:
    """Set the state of each dropout's random numbers: its seed, and its masks, one a step."""
    drawn = run.facts["weights"]["masks"]
    states = network.non_trainable_variables
    expected = [[int(variable.numpy()[0]), run.steps] for variable in states]
    if drawn != expected:
        begun = f"{run.steps} steps from seed {run.facts['seed']}"
        message = f"{run.folder / RUN}: weights.masks are not those after {begun}; {_REMEDY}"
        raise ValueError(message)
    for variable, state in zip(states, drawn, strict=True):
        variable.assign(state)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone, and remove what a killed one left half written."""
    with files.held(folder, "training"):
        files.sweep(folder)
        for part in folder.glob(f".????????{_PART}"):
            part.unlink(missing_ok=True)
        yield


# --- training


def train(  # noqa: PLR0913 - what, how long, and how it is watched
    run: Run,
    epochs: int,
    *,
    data: str | os.PathLike[str] | None = None,
    until: float | None = None,
    wait: Callable[[], None] = lambda: None,
    joules: Callable[[], float | None] = lambda: None,
    watch: Watch = lambda _what, call: call,
    progress: dataset.Progress = dataset.silent,
) -> Iterator[Row]:
    """Train until the run has `epochs` epochs or `until` validation accuracy; give each epoch.

    It runs on the device in scope; `wait()` returns when that device has finished, `joules()` the
    energy used so far (None: not measurable), and `watch(what, call)` a `call` that does the same
    and is looked at.  Each epoch is in the folder before it is given.  Raises what `restored` and
    `check_dataset` raise, and ValueError for a loss that is no finite number, which leaves the
    epoch out.
    """
    path = check_dataset(run, data)
    network = restored(run)
    feed = DataGenerator(path, batch_size=run.facts["batch_size"], seed=run.facts["seed"])
    valid = DataGenerator(path, "valid", run.facts["batch_size"], shuffle=False)
    one_step = watch("training", training.counting_step(network))
    probabilities = watch("validation", training.forward(network))
    _pass_over(run, feed)
    while len(run.epochs) < epochs and not reached(run, until):
        row: Row = {"epoch": len(run.epochs) + 1} | _one_epoch(
            one_step, feed, f"epoch {len(run.epochs) + 1}/{epochs}", wait, joules, progress
        )
        begin = time.perf_counter()
        batches = training.take(valid, len(valid))
        row["val_loss"], row["val_accuracy"] = training.evaluate(probabilities, batches)
        row["val_seconds"] = time.perf_counter() - begin
        row |= {"order": feed.digest(), "weights": model.digest(network)}
        _check_loss(run, row)
        run.add(network, row)
        yield row
        feed.on_epoch_end()


def _check_loss(run: Run, row: Row) -> None:
    """Raise ValueError for an epoch whose loss is no finite number."""
    if not math.isfinite(row["loss"] + row["val_loss"]):
        epoch = f"epoch {row['epoch']} of {run.folder}"
        message = f"{epoch} has the loss {row['loss']}: train with another --seed"
        raise ValueError(message)


def _pass_over(run: Run, feed: DataGenerator) -> None:
    """Let `feed` be as after the finished epochs; ValueError where they had other batches."""
    for done in run.epochs:
        if feed.digest() != done["order"]:
            epoch = f"{run.folder / RUN}: epoch {done['epoch']}"
            message = f"{epoch} had other batches than this version draws; {_REMEDY}"
            raise ValueError(message)
        feed.on_epoch_end()


def reached(run: Run, until: float | None) -> bool:
    """Whether a finished epoch has a validation accuracy of `until` or more; False for None."""
    return until is not None and any(row["val_accuracy"] >= until for row in run.epochs)


def _one_epoch(  # noqa: PLR0913, PLR0917 - as `train`
    one_step: Call,
    feed: DataGenerator,
    what: str,
    wait: Callable[[], None],
    joules: Callable[[], float | None],
    progress: dataset.Progress,
) -> Row:
    """Train on every batch once.

    The result has the mean loss and accuracy before each step, and the seconds and joules until
    the device is done.
    The energy is asked for now and then, too, so that no counter of it wraps around twice.
    """
    before, asked = joules(), 0.0
    begin = time.perf_counter()
    first, counted = 0.0, []
    for index, (images, labels) in enumerate(training.take(feed, len(feed)), start=1):
        counted.append((*one_step(images, labels), len(images)))
        if not first:
            wait()
        seconds = time.perf_counter() - begin
        first = first or seconds
        images_done = sum(size for *_, size in counted)
        progress(f"{what}, {images_done / seconds:,.0f} images/s", index, len(feed))
        if seconds - asked > _ASK_SECONDS:
            joules()
            asked = seconds
    wait()
    seconds = time.perf_counter() - begin
    after = joules()
    return {
        "images": feed.images,
        "seconds": seconds,
        "first_step_seconds": first,
        "images_per_second": feed.images / seconds,
        "joules": _used(before, after),
        "loss": sum(float(loss) * size for loss, _, size in counted) / feed.images,
        "accuracy": sum(float(hits) for _, hits, _ in counted) / feed.images,
    }


def _used(before: float | None, after: float | None) -> float | None:
    """Joules between two readings of a counter; None where it cannot be read, or stands still."""
    if before is None or after is None or after <= before:
        return None
    return after - before


def _sha256(path: Path) -> str:
    """SHA-256 (hex) of a file of weights.

    ValueError for a pipe or device, or a file far larger than weights are.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 it has no path
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            message = f"{path} is no file of this network's weights; {_REMEDY}"
            raise ValueError(message)
        return hashlib.file_digest(file, "sha256").hexdigest()
