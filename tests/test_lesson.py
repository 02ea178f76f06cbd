"""The lesson on the command line: every step of it, what it refuses, and the same bits through an interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
from rich.console import Console

from cifar import cli
from cifar.backend import survey
from cifar.backend.missing import GpuFacts
from cifar.cli import data as data_command
from cifar.cli import train as train_command
from cifar.data import dataset
from cifar.record import files
from cifar.record.unmeasurable import Unmeasurable


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A stand-in of 503 training and 60 validation images."""
    return dataset.prepare_synthetic(tmp_path_factory.mktemp("data") / "tiny.h5", train=503, valid=60)


@pytest.fixture(scope="module")
def lesson(tiny, tmp_path_factory):
    """The folder of a lesson on two arms of the CPU, deterministic, two epochs on the first and one on the second."""
    folder = tmp_path_factory.mktemp("lesson") / "lesson"
    arguments = ["--device", "cpu", "--device", "cpu", "--epochs", "2,1", "--deterministic"]
    assert cifar("lesson", *arguments, "--dataset", tiny, "--out", folder) == 0
    return folder


@pytest.fixture
def run(lesson, tmp_path):
    """A copy of the run folder with two epochs."""
    return shutil.copytree(lesson / "cpu", tmp_path / "run")


def cifar(*arguments):
    """Run the command in this process and return its exit code."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


def started(*arguments):
    """Start the command as a shell's foreground does: in a process group of its own, which Ctrl-C interrupts."""
    command = [sys.executable, "-m", "cifar", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def epochs(folder):
    """Of each epoch all that does not depend on the clock or the node."""
    rows = json.loads((folder / "run.json").read_text())["epochs"]
    return [{name: value for name, value in row.items() if "second" not in name and name != "joules"} for row in rows]


def test_lesson_leaves_one_folder(lesson):
    """Figures, histories, weights, evaluations and predictions of each arm, and the page that tells of them."""
    for arm, last in (("cpu", 2), ("cpu-2", 1)):
        there = {path.name for path in (lesson / arm).iterdir()}
        assert there >= {"run.json", "history.csv", "evaluation.json", "predictions.csv", f"epoch-0{last}.weights.h5"}
        evaluation = json.loads((lesson / arm / "evaluation.json").read_text())
        row = epochs(lesson / arm)[-1]
        assert (evaluation["loss"], evaluation["accuracy"]) == (row["val_loss"], row["val_accuracy"])
        places = json.loads((lesson / arm / "run.json").read_text())["placement"]
        places |= evaluation["placement"] | json.loads((lesson / arm / "predictions.json").read_text())["placement"]
        assert set(places) == {"training", "validation", "evaluation", "prediction"}
        assert all(list(seen) == ["/device:CPU:0"] for seen in places.values())
    page = (lesson / "lesson.html").read_text()
    assert "for 2 and 1 epochs: times of unequal work are not compared" in page
    assert (lesson / "figures" / "history.svg").exists()


def test_lesson_without_gpu_says_what_is_missing(lesson):
    """The page of the CPU's half gives the reason and the remedy for the other."""
    reason = survey.take().missing_gpu
    if reason is None:
        pytest.skip("this node has a GPU")
    assert "The GPU&#39;s was not run: this node" in (lesson / "lesson.html").read_text()


def test_same_bits_in_fresh_processes(lesson):
    """Deterministic runs are equal bit by bit, epoch for epoch."""
    assert epochs(lesson / "cpu")[:1] == epochs(lesson / "cpu-2")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "lesson"])
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_interruption_changes_nothing(lesson, tiny, tmp_path, command, how):
    """Ctrl-C, which reaches the whole process group, and SIGTERM, which reaches the command alone, end it with a word.

    Resumed, a deterministic run has the bits of one that was never interrupted.
    """
    folder, options = tmp_path / "made", ["--device", "cpu", "--deterministic"]
    run = folder / "cpu" if command == "lesson" else folder
    with started(command, *options, "--epochs", "99", "--dataset", tiny, "--out", folder) as process:
        while not (line := process.stdout.readline()).startswith("epoch 1/99"):
            assert line, process.stderr.read()
        os.killpg(process.pid, signal.SIGINT) if how == "Ctrl-C" else process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"continue with `cifar {command} --resume --out {folder}`" in errors
    assert "Traceback" not in errors
    done = epochs(run)
    assert 1 <= len(done) < 99
    options += ["--epochs", len(done) + 1, "--out"]
    for again in ([command, "--resume", *options, folder], ["train", "--dataset", tiny, *options, tmp_path / "whole"]):
        with started(*again) as process:
            _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert epochs(run)[:-1] == done
    assert epochs(run) == epochs(tmp_path / "whole")
    assert epochs(run)[:2] == epochs(lesson / "cpu")


BOTH = """
import json, sys
from pathlib import Path
from cifar.backend.device import claim
device = claim("cpu")
import keras, tensorflow
from cifar.lesson import run as runs
from cifar.workload import model
from cifar.workload.generator import DataGenerator
tensorflow.config.experimental.enable_op_determinism()
run = runs.start(Path(sys.argv[2]), sys.argv[1], device="cpu", seed=1)
list(runs.train(run, 2))

network = model.build(1)
network.compile(optimizer=keras.optimizers.Adam(0.001), loss="categorical_crossentropy", metrics=["accuracy"])
train = DataGenerator(sys.argv[1], batch_size=250, seed=1)
train.epoch = -1  # before its first epoch `fit` takes two batches for their shapes, and ends an epoch
valid = DataGenerator(sys.argv[1], "valid", 250, shuffle=False)
history = network.fit(train, epochs=2, validation_data=valid, shuffle=False, verbose=0).history
print(json.dumps(history | {"weights": model.digest(network)}))
"""
"""A run of two epochs, and the lesson's own way: `compile` and `fit`."""


@pytest.fixture(params=["stand-in", "CIFAR-10"])
def taught(request, tiny, tmp_path):
    """The stand-in, and of CIFAR-10 itself the first 5,000 training and 1,000 validation images."""
    if request.param == "stand-in":
        return tiny
    real, part = request.getfixturevalue("real"), {}
    for split, count in (("train", 5_000), ("valid", 1_000)):
        part[f"x_{split}"], labels = dataset.read(real, split, 0, count)
        part[f"y_{split}"] = labels[:, None]
    shapes = {name: rows.shape for name, rows in part.items()}
    facts = {"source": "a part of CIFAR-10", "synthetic": False}
    return dataset._make(tmp_path / "part.h5", part.items(), shapes, facts, dataset.silent)


@pytest.mark.slow
def test_equals_a_plain_keras_script(taught, tmp_path):
    """Two epochs end in the bits of the weights of `compile` and `fit` with the same seed and batches.

    Nothing less than equal bits would tell: in forty steps a rounding that is moved weighs as much as two batches that
    are swapped.  Keras sums up an epoch's losses in float32.
    """
    command = [sys.executable, "-c", BOTH, taught, tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, expected = epochs(tmp_path / "run"), json.loads(done.stdout)
    assert rows[-1]["weights"] == expected["weights"]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [row[name] for row in rows] == pytest.approx(expected[name], rel=1e-6)


def test_resumed_lesson_repeats_nothing_that_is_done(lesson, tmp_path, capfd):
    """A lesson whose page is lost is told again from its runs, which stay as they are."""
    folder = shutil.copytree(lesson, tmp_path / "lesson")
    page = (folder / "lesson.html").read_text()
    (folder / "lesson.html").unlink()
    before = {path: path.read_bytes() for path in folder.glob("cpu*/*")}
    arguments = ["--device", "cpu", "--device", "cpu", "--epochs", "2,1", "--deterministic", "--out", folder]
    assert cifar("lesson", "--resume", *arguments) == 0
    assert "$ cifar" not in capfd.readouterr().out
    assert (folder / "lesson.html").read_text().count("<figure>") == page.count("<figure>")
    assert {path: path.read_bytes() for path in folder.glob("cpu*/*")} == before


# --- to look at


def test_devices(capsys):
    """Each device with what it is; versions; and for a missing GPU the reason."""
    assert cifar("devices") == 0
    printed = capsys.readouterr().out
    assert "cpu" in printed
    assert "Versions: Python" in printed
    assert "tensorflow" in printed
    if reason := survey.take().missing_gpu:
        assert f"No GPU: {reason}" in printed


@pytest.mark.parametrize("listed", ["one of two", "none"])
def test_a_gpu_that_is_lost(capsys, monkeypatch, listed):
    """A GPU of which nothing can be told stands with the reason where its model would."""
    lost = Unmeasurable("GPU is lost", "reset it")
    gpus = lost if listed == "none" else [{"name": "NVIDIA H100", "memory_bytes": 80 << 30}, lost]
    monkeypatch.setattr("cifar.node.gpus.nvidia", lambda: {"gpus": gpus})
    monkeypatch.setattr("cifar.backend.survey.observe", lambda: GpuFacts(gpus=("GPU:0", "GPU:1"), computes=True))
    assert cifar("devices") == 0
    printed = capsys.readouterr().out
    assert "GPU is lost" in next(line for line in printed.splitlines() if "gpu:1" in line)
    assert "None" not in printed
    assert ("80.0 GiB" in printed) is (listed == "one of two")


def test_data_info(tiny, capsys):
    """Shapes, types, and how many images of each class; these add up."""
    assert cifar("data", "info", "--dataset", tiny) == 0
    printed = capsys.readouterr().out
    assert "train (503, 32, 32, 3), validation (60, 32, 32, 3)" in printed
    rows = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == list(dataset.CLASS_NAMES)
    assert [sum(int(row[column]) for row in rows) for column in (2, 3)] == [503, 60]


def test_data_show(tiny, tmp_path, capsys):
    """The numbers, the label and the picture of the image that was asked for; a file is not written over."""
    picture = tmp_path / "one.png"
    with h5py.File(tiny) as file:
        pixels, label = file["x_valid"][7], int(file["y_valid"][7, 0])
    arguments = ["data", "show", 7, "--split", "valid", "--dataset", tiny, "--out", picture]
    assert cifar(*arguments) == 0
    printed = capsys.readouterr().out
    assert str(pixels) in printed
    assert f"Label: {label}, {dataset.CLASS_NAMES[label]}" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cifar(*arguments) == 2
    assert "one.png exists" in capsys.readouterr().err


def test_picture_in_the_terminal():
    """Each character shows two pixels: the upper one in its own colour, the lower one behind it."""
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    console = Console(force_terminal=True, color_system="truecolor", width=80)
    with console.capture() as capture:
        console.print(data_command.picture(image))
    assert "\x1b[38;2;3;4;5;48;2;12;13;14m\N{UPPER HALF BLOCK}" in capture.get()


def test_data_plot(tiny, tmp_path, capsys):
    """A sheet of samples is written where it was asked for."""
    assert cifar("data", "plot", "--dataset", tiny, "--out", tmp_path / "sheet.svg") == 0
    assert "sheet.svg" in capsys.readouterr().out
    assert (tmp_path / "sheet.svg").read_text().startswith("<?xml")


def test_model():
    """Layers, parameters, FLOP and activations of the lesson's network, and their sums; no notice of TensorFlow's."""
    with started("model") as process:
        printed, errors = process.communicate()
    assert "oneDNN" not in errors
    assert "absl" not in errors
    for number in ("787,530", "30,877,696", "79,370", "90,863,616"):
        assert number in printed


# --- what is refused


def damaged(path, tiny, change):
    """A copy of the dataset file at `path`, changed."""
    shutil.copy(tiny, path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def shape(file):
    """Give the images another shape."""
    del file["x_valid"]
    file.create_dataset("x_valid", data=np.zeros((60, 28, 28), "u1"))


def label(file):
    """Write a label that no class has."""
    file["y_train"][5, 0] = 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.__delitem__("x_train"), "the dataset x_train is missing"),
        (shape, "x_valid has the shape (60, 28, 28)"),
        (label, "y_train has the label 10"),
    ],
    ids=["no split", "shape", "label"],
)
def test_bad_dataset(tiny, tmp_path, capsys, change, words):
    """A dataset that cannot be trained on is named with what is wrong and the remedy, before anything is made."""
    path = damaged(tmp_path / "bad.h5", tiny, change)
    assert cifar("train", "--dataset", path, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert f"bad.h5: {words}" in said
    assert "cifar prepare" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--device", "tpu", "--dataset", "{tiny}", "--out", "{new}"], "'tpu' is no device"),
        (["train", "--dataset", "{new}/none.h5", "--out", "{new}"], "none.h5"),
        (["train", "--dataset", "{tiny}", "--out", "{run}"], "--resume"),
        (["train", "--dataset", "{tiny}", "--out", "{run}/.."], "is no run folder"),
        (["train", "--resume"], "--resume needs --out"),
        (["train", "--resume", "--out", "{new}"], "is no run folder"),
        (["train", "--resume", "--seed", "5", "--out", "{run}"], "began with --seed 0, not 5"),
        (["train", "--resume", "--device", "gpu", "--out", "{run}"], "began with --device cpu, not gpu"),
        (["train", "--resume", "--dataset", "{small}", "--out", "{run}"], "another dataset"),
        (["train", "--epochs", "0"], "0 is no whole number from 1 on"),
        (["train", "--until", "70"], "70 is no accuracy"),
        (["train", "--epochs", "1000000000"], "is no whole number from 1 on, up to 10,000"),
        (["train", "--seed", "-1"], "-1 is no seed"),
        (["lesson", "--seed", "99999999999999999999999"], "is no seed: give a whole number from 0 to 4294967295"),
        (["train", "--dataset", "{tiny}", "--out", "{tiny}"], "is no run folder"),
        (["evaluate", "{tiny}"], "is no run folder"),
        (["lesson", "--resume"], "--resume needs --out"),
        (["lesson", "--epochs", "9999999", "--device", "cpu", "--out", "{new}"], "--epochs 9999999"),
        (["evaluate", "{new}"], "is no run folder"),
        (["evaluate", "{run}", "--dataset", "{small}"], "another dataset"),
        (["predict", "{run}", "--dataset", "{new}/none.h5"], "none.h5"),
        (["lesson", "--device", "tpu", "--dataset", "{tiny}", "--out", "{new}"], "'tpu' is no device"),
        (["lesson", "--epochs", "1,2,3", "--device", "cpu", "--out", "{new}"], "--epochs 1,2,3"),
        (["lesson", "--dataset", "{tiny}", "--out", "{run}"], "is not empty"),
        (["lesson", "--resume", "--out", "{new}"], "holds no lesson"),
        (["data", "show", "503", "--dataset", "{tiny}"], "has no image 503: train has 503 images, 0 to 502"),
        (["data", "plot", "--first", "500", "--dataset", "{tiny}", "--out", "{new}.png"], "has no images 500 to 513"),
        (["data", "show", "0", "--dataset", "{tiny}", "--out", "{new}.gif"], ".png or .svg"),
    ],
)
def test_bad_input(tiny, small, run, tmp_path, capsys, arguments, words):
    """Bad input is exit code 2 and a sentence that names what is wrong; nothing is made, nothing is changed."""
    before = {path: path.read_bytes() for path in run.rglob("*")}
    places = {"tiny": tiny, "small": small, "run": run, "new": tmp_path / "new"}
    assert cifar(*(argument.format(**places) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("new*"))
    assert {path: path.read_bytes() for path in run.rglob("*")} == before


def test_folders_of_one_second(tmp_path, monkeypatch):
    """Two that begin in the same second have a folder each."""
    monkeypatch.chdir(tmp_path)
    folders = [train_command.new_folder("train") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == Path("results") for folder in folders)


def test_lesson_is_held(lesson, capsys):
    """While one process does the lesson in a folder, another is refused and changes nothing."""
    before = {path: path.read_bytes() for path in lesson.rglob("*.*")}
    arguments = ["--device", "cpu", "--device", "cpu", "--epochs", "2,1", "--deterministic", "--out", lesson]
    with files.held(lesson, "doing the lesson"):
        assert cifar("lesson", "--resume", *arguments) == 2
    assert "another process is doing the lesson in" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in lesson.rglob("*.*")} == before


@pytest.mark.slow
def test_orphan_keeps_the_lesson(tiny, tmp_path):
    """Where the lesson is killed and its training works on, the lesson is not begun again beside it."""
    folder, said = tmp_path / "made", tmp_path / "said"
    options = ["--device", "cpu", "--epochs", "9999", "--dataset", tiny, "--out", folder]
    command = [sys.executable, "-m", "cifar", "lesson", *map(str, options)]
    with said.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        while "epoch 1/9999" not in said.read_text():
            assert process.poll() is None, said.read_text()
            time.sleep(0.2)
        (orphan,) = psutil.Process(process.pid).children()
        process.kill()
    try:
        with started("lesson", "--resume", *options) as again:
            _, errors = again.communicate(timeout=300)
        assert orphan.is_running()
    finally:
        orphan.kill()
    assert again.returncode == 2
    assert "another process is doing the lesson in" in errors


@pytest.mark.slow
def test_planted_links_are_replaced(run, tmp_path):
    """Links in the place of what `evaluate` and `predict` write are replaced, and what they lead to stays as it was."""
    names = ["evaluation.json", *(f"predictions.{kind}" for kind in ("csv", "json", "png", "svg"))]
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in names:
        (run / name).unlink()
        (run / name).symlink_to(victim)
    program = "import sys; from cifar import cli; sys.exit(sum(cli.main([name, sys.argv[1]]) for name in sys.argv[2:]))"
    subprocess.run([sys.executable, "-c", program, run, "evaluate", "predict"], check=True, capture_output=True)
    assert victim.read_text() == "mine"
    assert not any((run / name).is_symlink() for name in names)
    assert json.loads((run / "predictions.json").read_text())["table"]


@pytest.mark.parametrize("command", [["evaluate"], ["train", "--resume", "--out"]])
def test_weights_cut_short(run, capsys, monkeypatch, command):
    """Weights that were cut short are named, and nothing is written over."""
    from cifar.backend import tensorflow

    weights = run / "epoch-02.weights.h5"
    weights.write_bytes(weights.read_bytes()[:5000])
    before = {path: path.read_bytes() for path in run.rglob("*")}
    monkeypatch.setattr("cifar.backend.device.claim", lambda name: tensorflow.Device(name, "/device:CPU:0", "cpu", 1))
    monkeypatch.setattr("cifar.lesson.run.check_place", lambda _run, _fingerprint: None)
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: None)
    assert cifar(*command, run) == 2
    assert "epoch-02.weights.h5 is cut short or was changed" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*")} == before


def test_missing_gpu(tiny, tmp_path, capsys):
    """A GPU that was asked for and is missing ends the lesson with the reason, and makes nothing."""
    if survey.take().missing_gpu is None:
        pytest.skip("this node has a GPU")
    assert cifar("lesson", "--device", "gpu", "--dataset", tiny, "--out", tmp_path / "new") == 4
    assert "there is no GPU for the lesson: this node" in capsys.readouterr().err
    assert cifar("train", "--device", "gpu", "--dataset", tiny, "--out", tmp_path / "new") == 4
    assert "cifar train: gpu " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
