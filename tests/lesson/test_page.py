"""The lesson's figures and page: what they show of one run and of two, and what they do not compare."""

from __future__ import annotations

import hashlib
import html
import json
import os
from importlib import resources

import numpy as np
import pytest

from cifar.lesson import page
from cifar.record import runfolder

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VALID = 30
DATASET = {
    "path": "/data/cifar10.h5",
    "digest": "ab" * 32,
    "source": "CIFAR-10",
    "synthetic": False,
    "train": 1000,
    "valid": VALID,
}


def digest(text):
    """A SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


def run(folder, *, device="cpu", epochs=2, seconds=10.0, wrong=(), **facts):
    """Write a run folder as `cifar train`, `evaluate` and `predict` leave it; `wrong` images are named amiss."""
    rows = [
        {
            "epoch": number,
            "images": 1000,
            "seconds": seconds,
            "first_step_seconds": 1.5,
            "images_per_second": 1000 / seconds,
            "loss": 2 / number,
            "accuracy": 0.3 + 0.1 * number,
            "val_loss": 1.8 / number,
            "val_accuracy": 0.5 + 0.1 * number,
            "val_seconds": 0.5,
            "order": digest(f"order {number}"),
            "weights": digest(f"weights {number}"),
        }
        for number in range(1, epochs + 1)
    ]
    layers = [{"name": "conv2d", "kind": "Conv2D", "shape": [32, 32, 32], "parameters": 896, "flop": 1_769_472}]
    facts = {
        "device": device,
        "seed": 0,
        "batch_size": 250,
        "deterministic": False,
        "schema": 1,
        "dataset": DATASET,
        "initial_weights": "cd" * 32,
        "layers": layers,
        "flop": {"forward": 1_769_472, "training": 3_538_944},
        "fingerprint": {"tensorflow": "2.21.0"},
        "environment": {"node": {"cpu_model": "AMD EPYC"}, "device": {"threads": 2}},
        "placement": {"training": {"/device:CPU:0": 487}},
        "weights": {"file": f"epoch-{epochs:02}.weights.h5", "sha256": digest("file"), "masks": [[0, 4 * epochs]]},
        "epochs": rows,
    } | facts
    answer = {"device": device, "epoch": epochs, "weights": digest(f"weights {epochs}"), "placement": {}}
    last = rows[-1]
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(facts))
    evaluation = {"images": VALID, "loss": last["val_loss"], "accuracy": last["val_accuracy"]}
    (folder / "evaluation.json").write_text(json.dumps(answer | evaluation))
    (folder / "predictions.json").write_text(json.dumps(answer))
    lines = [",".join(("image", "truth", "predicted", *NAMES))]
    right = [image for image in range(VALID) if image not in wrong][: round(VALID * last["val_accuracy"])]
    for image in range(VALID):
        found = (image + (image not in right) + (image in wrong[2:])) % 10
        probabilities = [0.9 if label == found else 0.1 / 9 for label in range(10)]
        lines.append(",".join(map(str, (image, image % 10, found, *probabilities))))
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    return folder


def written(folder, runs, notes=()):
    """The page's text."""
    images = np.zeros((24, 32, 32, 3), np.uint8)
    path = page.write(folder, runs, samples_of=(images[:14], ["frog"] * 14), asked=images, notes=notes)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def two(tmp_path):
    """The same work on two devices, the second five times as fast; they disagree on the images 1, 7 and 25."""
    return [
        page.load(run(tmp_path / "cpu", wrong=(1, 2))),
        page.load(run(tmp_path / "gpu", device="gpu", seconds=2.0, wrong=(2, 7, 25))),
    ]


def test_page_of_two_devices(two, tmp_path):
    """Accuracy of each, one ratio for the same work, the disagreements, and every figure as PNG and SVG."""
    text = written(tmp_path, two)
    assert "cpu 70.00\N{NO-BREAK SPACE}% after 2 epochs; gpu 70.00" in text
    assert "gpu was 5.00 times as fast as cpu" in text
    assert "cpu and gpu name 3 of 30 images differently; no probability differs by more than 0.889" in text
    assert "487 on CPU:0" in text
    assert "of the same quality" in text
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    names = ("samples", "history-cpu", "history-gpu", "history", "predictions")
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert all(f"figures/{file}" in text for file in files)


def test_page_runs_no_script(two, tmp_path):
    """The page carries the report's policy, which allows no script."""
    policy = resources.files("cifar.report").joinpath("templates/policy.html").read_text().strip()
    assert "default-src 'none'" in policy
    assert policy in written(tmp_path, two)


def test_page_of_one_device(two, tmp_path):
    """With one device there is nothing to compare, and the note says what the other half needs."""
    text = written(tmp_path, two[:1], ["The GPU's half was not run: it has <none>."])
    assert "Training took cpu 20.00\N{NO-BREAK SPACE}s: 100.0 images/s." in text
    assert "it has &lt;none&gt;" in text
    assert "<p>Energy of training: not measurable here" in text
    assert "times as fast" not in text
    assert "The same work?" not in text
    assert not (tmp_path / "figures" / "history.png").exists()


@pytest.mark.parametrize(
    ("joules", "energy", "words"),
    [
        ([600, 650.5], "the GPU's board", "1,250\N{NO-BREAK SPACE}J by the GPU's board"),
        ([None, None], {"unmeasurable": "there is no counter"}, "not measurable here, for there is no counter"),
        (
            [600, None],
            "the board",
            "not measurable here, for the counter stood still or could not be read in 1 of 2 epochs",
        ),
    ],
    ids=["measured", "no counter", "stood still"],
)
def test_energy(two, tmp_path, joules, energy, words):
    """The page says how many joules by whose counter, or why that is not known: never 0."""
    two[1].facts["energy"] = energy
    for row, used in zip(two[1].facts["epochs"], joules, strict=True):
        row["joules"] = used
    text = html.unescape(written(tmp_path, two))
    assert f"gpu: Energy of training: {words}." in text
    assert "cpu: Energy of training: not measurable here" in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"epochs": 1}, "for 2 and 1 epochs: times of unequal work are not compared"),
        ({"initial_weights": "00" * 32}, "these differ: initial weights"),
        ({"dataset": {**DATASET, "digest": "00" * 32}}, "these differ: dataset"),
        ({"deterministic": True}, "these differ: determinism"),
        ({"fingerprint": {"tensorflow": "2.20.0"}}, "these differ: place (tensorflow)."),
    ],
)
def test_unequal_work_is_not_compared(two, tmp_path, facts, words):
    """Where anything differs that makes the work, no ratio is given, and what differs is named."""
    other = page.load(run(tmp_path / "other", device="gpu", seconds=2.0, **facts))
    said = page.speed_in_words([two[0], other])
    assert words in said
    assert "times as fast" not in said
    text = written(tmp_path, [two[0], other])
    assert "this says nothing about the devices" in text
    assert "of the same quality" not in text


def test_other_batches_are_not_compared(two):
    """Another order of the images is another work."""
    two[1].facts["epochs"][1]["order"] = "another"
    assert "these differ: batches" in page.speed_in_words(two)


def test_differing_facts_are_named(two):
    """Which version differs stands beside the answer."""
    two[1].facts["fingerprint"] = {"tensorflow": "2.20.0", "keras": "3"}
    assert page.same_work(two)[-1] == ("place", False, "keras, tensorflow")


def test_history_is_over_epochs_and_over_seconds(two):
    """Four panels: loss and accuracy, over epochs and over summed seconds, validation and training of each arm."""
    axes = page.history({found.arm: found.history for found in two}).axes
    assert [panel.get_title(loc="left") for panel in axes] == [
        *("Loss over epochs", "Loss over seconds", "Accuracy over epochs", "Accuracy over seconds")
    ]
    drawn = [line.get_xydata().tolist() for line in axes[3].lines]
    assert len(drawn) == 4
    np.testing.assert_allclose(drawn[0], [[10, 0.6], [20, 0.7]])
    np.testing.assert_allclose(drawn[2], [[2, 0.6], [4, 0.7]])


def test_predictions_mark_disagreement():
    """A frame stands where the answers differ, and a sign says for each whether it is right."""
    images = np.zeros((3, 32, 32, 3), np.uint8)
    sides = {"cpu": ["cat", "dog", "frog"], "gpu": ["cat", "cat", "ship"]}
    figure = page.predictions(images, ["cat", "dog", "bird"], sides)
    assert [panel.spines["left"].get_visible() for panel in figure.axes] == [False, True, True]
    said = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert said[1] == ["cpu: dog \N{CHECK MARK}", "gpu: cat \N{BALLOT X}"]
    assert [panel.get_title(loc="center") for panel in figure.axes] == ["cat", "dog", "bird"]


def test_samples_are_written(tmp_path):
    """A sheet is a PNG or an SVG, and nothing else."""
    images = np.zeros((14, 32, 32, 3), np.uint8)
    for name, head in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        assert page.write_samples(tmp_path / name, images, ["frog"] * 14).read_bytes().startswith(head)
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        page.write_samples(tmp_path / "a.gif", images, ["frog"] * 14)


@pytest.mark.parametrize(
    ("name", "text", "error", "remedy"),
    [
        ("run.json", None, FileNotFoundError, "cifar train"),
        ("run.json", "{", ValueError, "cifar train"),
        ("run.json", '{"epochs": []}', ValueError, "cifar train"),
        ("evaluation.json", None, FileNotFoundError, "cifar evaluate"),
        ("evaluation.json", "[1]", ValueError, "cifar evaluate"),
        ("evaluation.json", '{"weights": 5}', ValueError, "cifar evaluate"),
        ("predictions.json", '{"weights": null}', ValueError, "cifar predict"),
        ("predictions.csv", None, FileNotFoundError, "cifar predict"),
        ("predictions.csv", "image,truth\n1,2\n", ValueError, "cifar predict"),
        ("predictions.csv", "", ValueError, "cifar predict"),
    ],
)
def test_bad_folders(tmp_path, name, text, error, remedy):
    """A file that is missing, damaged or of other weights is named, with the command that makes it anew."""
    folder = run(tmp_path / "run")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(error, match=remedy) as caught:
        page.load(folder)
    assert "run" in str(caught.value)


def changed(folder, name, **values):
    """Change some values of a file of the folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("run.json", {"epochs": [], "weights": None}, "has no finished epoch; continue it with .*--resume"),
        ("run.json", {"weights": None}, "contradicts itself: 2 finished epochs and no weights"),
        ("run.json", {"device": "../../x"}, "run.json is damaged .device"),
        ("evaluation.json", {"weights": "00" * 32}, "evaluation.json is not of the run's last epoch"),
        ("evaluation.json", {"epoch": 1}, "after epoch 1, not 30 after 2"),
        ("evaluation.json", {"loss": 0.91}, "the loss is 0.91, and it was 0.9"),
        ("evaluation.json", {"accuracy": 0.71}, "no whole number of 30 images"),
        ("evaluation.json", {"accuracy": 0.9}, "the accuracy is 0.9, and it was 0.7"),
        ("predictions.json", {"weights": "00" * 32}, "predictions.json is not of the run's last epoch"),
        ("predictions.json", {"table": "00" * 32}, "is not the table that was written with predictions.json"),
    ],
)
def test_files_that_contradict_each_other(tmp_path, name, values, words):
    """What is not of the run's weights, or cannot be true beside the rest, is not shown as the run's."""
    folder = run(tmp_path / "run")
    changed(folder, name, **values)
    with pytest.raises(ValueError, match=words):
        page.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("\n0,0,0,", "\n0,0,1,"), "another class than the most probable"),
        (lambda text: text.replace("\n0,0,0,0.9", "\n0,0,0,0.95"), "do not add up to 1"),
        (lambda text: text.replace("\n0,0,", "\n1,0,"), "images or classes that are none"),
        (lambda text: text.replace("airplane", "plane,and"), "is cut short|is damaged|other columns"),
        (lambda text: text.replace("\n0,0,0,0.9", "\n0,0,0,x"), "holds texts"),
        (
            lambda text: text.replace("\n5,5,5,", "\n5,4,5,").replace("\n6,6,", "\n6,4,").replace("\n7,7,", "\n7,4,"),
            "18",
        ),
    ],
    ids=["class", "probability", "image", "columns", "text", "truth"],
)
def test_predictions_that_contradict_themselves(tmp_path, change, words):
    """A table that was changed by hand is refused with what is wrong in it."""
    folder = run(tmp_path / "run")
    path = folder / "predictions.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=words):
        page.load(folder)


def test_history_of_another_run_is_noticed(tmp_path):
    """A history.csv of other epochs contradicts run.json; one that is an epoch behind was written before a kill."""
    folder = run(tmp_path / "run")
    rows = page.load(folder).facts["epochs"]
    (folder / "history.csv").write_text(runfolder.history(rows[:1]))
    assert page.load(folder).facts["epochs"] == rows
    (folder / "history.csv").write_text(runfolder.history([{**rows[0], "loss": 1.9}, rows[1]]))
    with pytest.raises(ValueError, match=r"history\.csv and run\.json contradict each other"):
        page.load(folder)


def test_links_and_pipes(two, tmp_path):
    """Links where outputs are to be are replaced, none is followed; a pipe that nobody writes to is not waited for."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "lesson.html").symlink_to(victim / "mine")
    written(folder, two)
    assert not (folder / "lesson.html").is_symlink()
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "figures").symlink_to(victim)
    with pytest.raises(ValueError, match="figures is a link"):
        written(linked, two)
    assert [path.name for path in victim.iterdir()] == ["mine"]
    assert (victim / "mine").read_text() == "mine"
    for name in ("predictions.csv", "run.json"):
        (two[0].folder / name).unlink()
        os.mkfifo(two[0].folder / name)
        with pytest.raises(ValueError, match="is no regular file"):
            page.load(two[0].folder)
