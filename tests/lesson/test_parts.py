"""The parts of the lesson: their commands, what of them is still to do, and how one is run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cifar.lesson import parts
from cifar.lesson.parts import Part
from cifar.record.unmeasurable import Unmeasurable


def test_each_device_has_a_folder(tmp_path):
    """A device that is asked for twice is two arms, each with a folder whose name any file system takes."""
    made = parts.parts(tmp_path, ["cpu", "gpu:1", "cpu"], "10,2,3")
    assert [(part.arm, part.device, part.epochs) for part in made] == [
        ("cpu", "cpu", 10),
        ("gpu:1", "gpu:1", 2),
        ("cpu#2", "cpu", 3),
    ]
    assert [part.folder.name for part in made] == ["cpu", "gpu1", "cpu-2"]


def test_one_number_of_epochs_is_for_all(tmp_path):
    """A single number of epochs is every device's."""
    assert [part.epochs for part in parts.parts(tmp_path, ["cpu", "gpu"], "4")] == [4, 4]


@pytest.mark.parametrize("epochs", ["0", "2,", "1,2,3", "-1", "1.5", "\u0665", "1" * 10, ""])
def test_bad_epochs(tmp_path, epochs):
    """What is no number of epochs, or not one a device, is refused in words."""
    with pytest.raises(ValueError, match="give one number from 1 on, or 2 with commas between"):
        parts.parts(tmp_path, ["cpu", "gpu"], epochs)


def test_commands(tmp_path):
    """A part trains, evaluates and predicts, in this order, and each command can be typed in a shell."""
    part = Part("cpu", "cpu", 2, tmp_path / "my run")
    train, *questions = part.commands("a b.h5", 7, deterministic=True)
    options = ["--device", "cpu", "--epochs", "2", "--seed", "7", "--deterministic", "--dataset", "a b.h5"]
    assert train == ["train", *options, "--out", str(part.folder)]
    assert questions == [["evaluate", str(part.folder)], ["predict", str(part.folder)]]
    assert parts.line(["predict", "my run"]) == "cifar predict 'my run'"
    assert "--deterministic" not in part.commands("a b.h5", 7, deterministic=False)[0]


def test_unfinished(tmp_path):
    """All is to do where nothing has begun; a run that is not whole is resumed, and asked anew."""
    part = Part("cpu", "cpu", 2, tmp_path / "cpu")
    commands = part.commands("a.h5", 0, deterministic=False)
    assert part.unfinished("a.h5", 0, deterministic=False) == commands
    part.folder.mkdir()
    (part.folder / "run.json").write_text("{}")
    assert part.unfinished("a.h5", 0, deterministic=False) == [[*commands[0], "--resume"], *commands[1:]]


def test_exit_code_is_the_commands(tmp_path):
    """What a command ends with is handed on: 2 for one that there is none of."""
    with (tmp_path / "lock").open("w") as lock:
        assert parts.run(["model", "--help"], lock.fileno()) == 0
        assert parts.run(["nonsense"], lock.fileno()) == 2


def test_interruption_ends_the_command(tmp_path):
    """Where this process is interrupted, the command has ended before it is said, and there is no exit code."""
    program = """
import os, signal, sys, threading
from cifar.lesson import parts
signal.signal(signal.SIGINT, signal.default_int_handler)
wait = ["-c", "import time; time.sleep(60)"]
parts.process.python = lambda *_arguments: [sys.executable, *wait]
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
with open(sys.argv[1], "w") as lock:
    print(parts.run(["train"], lock.fileno()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "lock")], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.stdout, done.returncode) == ("None\n", 0), done.stderr


def test_other_half():
    """The reason why there is no GPU is told; where nobody asked for it, the command that does."""
    assert "this node has none: buy one." in parts.other_half(Unmeasurable("this node has none", "buy one"))
    assert "cifar lesson --device cpu --device gpu" in parts.other_half(None)
