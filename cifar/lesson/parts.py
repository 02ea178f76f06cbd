"""The lesson in parts: each device trains, evaluates and predicts, then one page tells of all.

This says which commands a part consists of, which of them are still to do, and runs them.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar.node import process
from cifar.record.runfolder import MOST_EPOCHS, RUN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cifar.record.unmeasurable import Unmeasurable

    Command = list[str]

SAMPLES = 14
"""Training images that the page shows as the data."""
PREDICTED = 24
"""Validation images that the page shows with their predictions."""


@dataclass(frozen=True)
class Part:
    """One device's part of the lesson: training into a run folder, evaluation and prediction.

    `arm` names it on the page: `cpu`, and `cpu#2` where the same device is asked for a second
    time.
    """

    arm: str
    device: str
    epochs: int
    folder: Path

    @property
    def has_begun(self) -> bool:
        """Whether its training has left anything that can be resumed."""
        return (self.folder / RUN).exists()

    def commands(self, dataset: str, seed: int, *, deterministic: bool) -> list[Command]:
        """Return what the part consists of, in order, as arguments of `cifar`."""
        train = ["train", "--device", self.device]
        train += ["--epochs", str(self.epochs), "--seed", str(seed)]
        if deterministic:
            train.append("--deterministic")
        train += ["--dataset", dataset, "--out", str(self.folder)]
        return [train, ["evaluate", str(self.folder)], ["predict", str(self.folder)]]

    def unfinished(self, dataset: str, seed: int, *, deterministic: bool) -> list[Command]:
        """Return which commands are still to do: none where the folder holds what they leave."""
        train, *questions = self.commands(dataset, seed, deterministic=deterministic)
        if not self.has_begun:
            return [train, *questions]
        if self._is_finished():
            return []
        return [[*train, "--resume"], *questions]

    def _is_finished(self) -> bool:
        """Whether all epochs are there, with the evaluation and the predictions of the last one."""
        from cifar.lesson import page

        try:
            trained = page.load(self.folder)
        except (OSError, ValueError):
            return False
        return len(trained.history) >= self.epochs


def parts(folder: Path, devices: Sequence[str], epochs: str) -> list[Part]:
    """Return each device's part, with a folder of its own in `folder`.

    `epochs` is one number for all devices, or one a device with commas between: `10` or `10,2`.
    Raises ValueError for anything else.
    """
    numbers = _numbers(epochs, len(devices))
    times: Counter[str] = Counter()
    made = []
    for device, number in zip(devices, numbers, strict=True):
        times[device] += 1
        arm = device if times[device] == 1 else f"{device}#{times[device]}"
        name = arm.replace(":", "").replace("#", "-")
        made.append(Part(arm, device, number, folder / name))
    return made


def _numbers(epochs: str, devices: int) -> list[int]:
    """The number of epochs of each device."""
    texts = epochs.split(",")
    fit = all(re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_EPOCHS for text in texts)
    if not fit or len(texts) not in {1, devices}:
        remedy = f"give one number from 1 on, or {devices} with commas between"
        message = f"--epochs {epochs[:40]}: {remedy}"
        raise ValueError(message)
    if len(texts) == 1:
        texts *= devices
    return [int(text) for text in texts]


def line(command: Command) -> str:
    """Return a command as one types it in a shell."""
    return f"cifar {shlex.join(command)}"


def run(command: Command, lock: int) -> int | None:
    """Run a command in a process of its own, bound to one device, and return its exit code.

    None: this process was interrupted meanwhile, and has ended the command. The command holds the
    lesson's `lock`, an open file's number, too: where this process is killed and the command works
    on, nobody else begins in the lesson's folder.
    """
    arguments = process.python("-m", "cifar", *command)
    environment = process.environment()
    started = subprocess.Popen(arguments, env=environment, pass_fds=(lock,))
    try:
        return started.wait()
    except KeyboardInterrupt:
        started.terminate()  # Ctrl-C has reached it too, a SIGTERM to this process has not
        started.wait()
        return None


def other_half(missing_gpu: Unmeasurable | None) -> str:
    """Return a sentence that says what the GPU's half of the lesson would need."""
    if missing_gpu is None:
        both = "`cifar lesson --device cpu --device gpu`"
        return f"Only the CPU was asked for: {both} does both halves."
    return f"This is the CPU's half. The GPU's was not run: {missing_gpu}"


def write_page(folder: Path, finished: Sequence[Part], data: Path, notes: Sequence[str]) -> Path:
    """Write the page of finished parts, with images of the dataset file `data`; return its path.

    `notes` are sentences that stand at its head. Raises what `page.load` and `dataset.read` raise.
    """
    from cifar.data import dataset
    from cifar.lesson import page

    trained = []
    commands: list[Command] = []
    for part in finished:
        results = page.load(part.folder, part.arm)
        facts = results.facts
        trained.append(results)
        path, seed = facts["dataset"]["path"], facts["seed"]
        commands += part.commands(path, seed, deterministic=facts["deterministic"])
    images, labels = dataset.read(data, "train", 0, SAMPLES)
    predicted, _ = dataset.read(data, "valid", 0, PREDICTED)
    return page.write(
        folder,
        trained,
        samples_of=(images, [dataset.CLASS_NAMES[label] for label in labels]),
        asked=predicted,
        notes=notes,
        commands=[line(command) for command in commands],
    )
