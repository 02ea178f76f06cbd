"""From a seed, a dataset and a folder to a trained network, epoch by epoch, through any interruption.

A run folder holds `run.json` (what was trained where, and every finished epoch), `history.csv` (the epochs again,
for a spreadsheet) and `epoch-NN.weights.h5` (Keras's own format: weights and the optimizer's moments).  `run.json`
is replaced in one step and names the weights that belong to it, so that the folder is at every moment that of a
whole number of epochs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.workload import dataset, model, training
from cifar.workload.generator import DataGenerator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import keras

    Row = dict[str, Any]
    Call = Callable[..., Any]
    Watch = Callable[[str, Call], Call]

SCHEMA = 1
RUN = "run.json"
HISTORY = "history.csv"
BATCH_SIZE = 250
_ASK_SECONDS = 20.0
_DATASET = ("digest", "source", "synthetic", "train", "valid")
_OURS = (RUN, HISTORY, "epoch-*.weights.h5", "evaluation.json", "predictions.*")


@dataclass(frozen=True)
class Run:
    """A run folder and what its `run.json` says."""

    folder: Path
    facts: dict[str, Any]

    @property
    def epochs(self) -> list[Row]:
        """The finished epochs, in order: losses, accuracies, seconds, and digests of order and weights."""
        epochs: list[Row] = self.facts["epochs"]
        return epochs

    @property
    def weights(self) -> Path | None:
        """The file of the weights after the last finished epoch; None before the first."""
        return self.folder / self.facts["weights"]["file"] if self.facts["weights"] else None

    def add(self, network: keras.Model, row: Row) -> None:
        """Add an epoch: first its weights, then the word of it, then nothing older is needed any more."""
        before = self.weights
        path = self.folder / f"epoch-{row['epoch']:02}.weights.h5"
        network.save_weights(path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        # Keras leaves the state of the dropout masks out of its file.
        masks = [variable.numpy().tolist() for variable in network.non_trainable_variables]
        self.facts["weights"] = {"file": path.name, "sha256": _sha256(path), "masks": masks}
        self.epochs.append(row)
        self.write()
        if before is not None and before != path:
            before.unlink(missing_ok=True)

    def write(self) -> None:
        """Replace `run.json`, then `history.csv`."""
        replace(self.folder / RUN, json.dumps(self.facts, indent=1, allow_nan=False) + "\n")
        if self.epochs:
            names = list(self.epochs[-1])
            rows: list[list[Any]] = [names, *([row.get(name) for name in names] for row in self.epochs)]
            lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
            replace(self.folder / HISTORY, "\n".join(lines) + "\n")


def replace(path: Path, text: str) -> None:
    """Write `path` whole, in one step: whoever reads it finds the old text or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


# --- a folder's begin and its reading


def check_free(folder: Path, *, force: bool = False) -> None:
    """Raise FileExistsError where `folder` holds anything; with `force`, anything but a run, which may go."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / RUN).exists():
        message = f"{folder} exists and is no run folder ({RUN} is missing); name another --out"
        raise FileExistsError(message)
    if not force:
        message = f"{folder} holds a run; continue it with --resume, replace it with --force, or name another --out"
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

    `facts` (JSON) are what the caller knows of the place; of these `fingerprint` must be the same again when the
    run is resumed.  `force` replaces a run that is there.  Raises what `dataset.describe` and `check_free` raise.
    """
    found = dataset.describe(data)
    check_free(folder, force=force)
    run = Run(
        folder,
        {
            "schema": SCHEMA,
            "device": device,
            "seed": seed,
            "batch_size": BATCH_SIZE,
            "deterministic": deterministic,
            "dataset": {"path": str(found.path.resolve()), **{name: getattr(found, name) for name in _DATASET}},
            **_network(seed),
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            **(facts or {}),
            "weights": None,
            "epochs": [],
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for pattern in _OURS for path in folder.glob(pattern)]:
        path.unlink()
    run.write()
    return run


def _network(seed: int) -> dict[str, Any]:
    """What is to be known of the network of `seed` before it is trained."""
    network = model.build(seed)
    return {
        "initial_weights": model.digest(network),
        "layers": [vars(layer) for layer in model.layers(network)],
        "flop": {"forward": model.forward_flop(network), "training": model.training_flop(network)},
    }


def load(folder: Path) -> Run:
    """The run in `folder`; FileNotFoundError where there is none, ValueError where its file is damaged."""
    path = folder / RUN
    if not path.exists():
        message = f"{folder} is no run folder ({RUN} is missing); make one with `cifar train --out {folder}`"
        raise FileNotFoundError(message)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        schema = facts["schema"]
        kinds: dict[str, Any] = {"device": str, "seed": int, "batch_size": int, "deterministic": bool, "dataset": dict}
        kinds |= {"initial_weights": str, "weights": dict | None, "epochs": list}
        wrong = [name for name, kind in kinds.items() if not isinstance(facts[name], kind)]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} is damaged ({error!r}); train anew with --force"
        raise ValueError(message) from error
    if wrong or schema != SCHEMA:
        reason = (
            f"has schema {schema}, and this version reads {SCHEMA}" if schema != SCHEMA else f"has a wrong {wrong[0]}"
        )
        message = f"{path} {reason}; train anew with --force"
        raise ValueError(message)
    return Run(folder, facts)


def check_dataset(run: Run, path: str | os.PathLike[str] | None = None) -> Path:
    """The file that the run was trained on, or `path` where that holds the same; ValueError where it does not."""
    path = Path(run.facts["dataset"]["path"] if path is None else path)
    found = dataset.describe(path)
    if found.digest != run.facts["dataset"]["digest"]:
        message = (
            f"{run.folder} was trained on another dataset (digest {run.facts['dataset']['digest'][:12]}) than {path} "
            f"holds ({found.digest[:12]}); name that file with --dataset"
        )
        raise ValueError(message)
    return path


def check_place(run: Run, fingerprint: Mapping[str, Any]) -> None:
    """Raise ValueError where the run began with other versions or on another kind of node than this."""
    before = run.facts.get("fingerprint", {})
    changed = [
        f"{name} was {before.get(name)} and is {fingerprint.get(name)}"
        for name in {**before, **fingerprint}
        if before.get(name) != fingerprint.get(name)
    ]
    if changed:
        message = f"{run.folder} cannot be resumed with the same result: {'; '.join(changed)}; begin anew with --force"
        raise ValueError(message)


def restored(run: Run) -> keras.Model:
    """The run's network, ready to train, as it was after the last finished epoch.

    Raises ValueError (with the file and the remedy) where this version builds another network than the run's, and
    for weights that are missing, cut short or changed.
    """
    network = training.prepare(model.build(run.facts["seed"]))
    if model.digest(network) != run.facts["initial_weights"]:
        message = (
            f"{run.folder / RUN} is of another network than this version builds from seed {run.facts['seed']}; "
            "use the version that trained it, or train anew with --force"
        )
        raise ValueError(message)
    path = run.weights
    if path is None:
        return network
    if not path.exists() or _sha256(path) != run.facts["weights"]["sha256"]:
        reason = "is cut short or was changed" if path.exists() else "is missing"
        message = f"{path} {reason}; bring it back from a copy, or train anew with --force"
        raise ValueError(message)
    network.load_weights(path)
    for variable, state in zip(network.non_trainable_variables, run.facts["weights"]["masks"], strict=True):
        variable.assign(state)
    return network


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the lock falls with the process, however it ends."""
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is training in {folder}; wait for it, or name another --out"
            raise BlockingIOError(message) from error
        yield
    finally:
        os.close(number)


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
    """Train until the run has `epochs` epochs or, sooner, `until` validation accuracy; gives each as it is finished.

    It runs on the device in scope; `wait()` returns when that device has finished, `joules()` the energy used so far
    (None: not measurable), and `watch(what, call)` a `call` that does the same and is looked at.  Each epoch is in the
    folder before it is given.  Raises what `restored` and `check_dataset` raise, and ValueError for a loss that is no
    finite number, which leaves the epoch out.
    """
    path = check_dataset(run, data)
    network = restored(run)
    feed = DataGenerator(path, batch_size=run.facts["batch_size"], seed=run.facts["seed"])
    valid = DataGenerator(path, "valid", run.facts["batch_size"], shuffle=False)
    one_step = watch("training", training.counting_step(network))
    probabilities = watch("validation", training.forward(network))
    for _ in run.epochs:
        feed.on_epoch_end()
    while len(run.epochs) < epochs and not reached(run, until):
        row: Row = {"epoch": len(run.epochs) + 1} | _one_epoch(
            one_step, feed, f"epoch {len(run.epochs) + 1}/{epochs}", wait, joules, progress
        )
        begin = time.perf_counter()
        row["val_loss"], row["val_accuracy"] = training.evaluate(probabilities, training.take(valid, len(valid)))
        row["val_seconds"] = time.perf_counter() - begin
        row |= {"order": feed.digest(), "weights": model.digest(network)}
        if not math.isfinite(row["loss"] + row["val_loss"]):
            message = f"epoch {row['epoch']} of {run.folder} has the loss {row['loss']}: train with another --seed"
            raise ValueError(message)
        run.add(network, row)
        yield row
        feed.on_epoch_end()


def reached(run: Run, until: float | None) -> bool:
    """Whether a finished epoch of the run has a validation accuracy of `until` or more; False for None."""
    return until is not None and any(row["val_accuracy"] >= until for row in run.epochs)


def _one_epoch(  # noqa: PLR0913, PLR0917 - as `train`
    one_step: Call,
    feed: DataGenerator,
    what: str,
    wait: Callable[[], None],
    joules: Callable[[], float | None],
    progress: dataset.Progress,
) -> Row:
    """Train on every batch once; mean loss and accuracy before each step, seconds and joules until the device is done.

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
        progress(f"{what}, {sum(size for *_, size in counted) / seconds:,.0f} images/s", index, len(feed))
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
        # A counter that stands still counts nothing.
        "joules": after - before if before is not None and after is not None and after > before else None,
        "loss": sum(float(loss) * size for loss, _, size in counted) / feed.images,
        "accuracy": sum(float(hits) for _, hits, _ in counted) / feed.images,
    }


def _sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
