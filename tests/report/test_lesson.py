"""The lesson's figures and page: what they show of one run and of two, and what they do not compare."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest

from cifar.report import lesson

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VALID = 30


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
            "val_accuracy": 0.35 + 0.1 * number,
            "val_seconds": 0.5,
            "order": f"order {number}",
            "weights": f"weights {number}",
        }
        for number in range(1, epochs + 1)
    ]
    dataset = {"digest": "ab" * 32, "source": "CIFAR-10", "synthetic": False, "train": 1000, "valid": VALID}
    layers = [{"name": "conv2d", "kind": "Conv2D", "shape": [32, 32, 32], "parameters": 896, "flop": 1_769_472}]
    facts = {
        "device": device,
        "seed": 0,
        "batch_size": 250,
        "deterministic": False,
        "dataset": dataset,
        "initial_weights": "cd" * 32,
        "layers": layers,
        "flop": {"forward": 1_769_472, "training": 3_538_944},
        "fingerprint": {"tensorflow": "2.21.0"},
        "environment": {"node": {"cpu_model": "AMD EPYC"}, "device": {"threads": 2}},
        "placement": {"training": {"/device:CPU:0": 487}},
        "weights": {"file": f"epoch-{epochs:02}.weights.h5"},
        "epochs": rows,
    } | facts
    answer = {"device": device, "weights": f"weights {epochs}", "placement": {}}
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "evaluation.json").write_text(json.dumps(answer | {"loss": 0.9, "accuracy": 0.7}))
    (folder / "predictions.json").write_text(json.dumps(answer))
    lines = [",".join(("image", "truth", "predicted", *NAMES))]
    for image in range(VALID):
        found = (image + (image in wrong)) % 10
        probabilities = [0.9 if label == found else 0.1 / 9 for label in range(10)]
        lines.append(",".join(map(str, (image, image % 10, found, *probabilities))))
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    return folder


def page(folder, runs, notes=()):
    """The page's text."""
    images = np.zeros((24, 32, 32, 3), np.uint8)
    path = lesson.write(folder, runs, samples_of=(images[:14], ["frog"] * 14), asked=images, notes=notes)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def two(tmp_path):
    """The same work on two devices, the second five times as fast; they disagree on the images 1, 7 and 25."""
    return [
        lesson.load(run(tmp_path / "cpu", wrong=(1, 2))),
        lesson.load(run(tmp_path / "gpu", device="gpu", seconds=2.0, wrong=(2, 7, 25))),
    ]


def test_page_of_two_devices(two, tmp_path):
    """Accuracy of each, one ratio for the same work, the disagreements, and every figure as PNG and SVG."""
    text = page(tmp_path, two)
    assert "cpu 70.00\N{NO-BREAK SPACE}% after 2 epochs; gpu 70.00" in text
    assert "gpu was 5.00 times as fast as cpu" in text
    assert "cpu and gpu name 3 of 30 images differently; no probability differs by more than 0.889" in text
    assert "487 on CPU:0" in text
    assert "of the same quality" in text
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    names = ("samples", "history-cpu", "history-gpu", "history", "predictions")
    assert files == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert all(f"figures/{file}" in text for file in files)


def test_page_of_one_device(two, tmp_path):
    """With one device there is nothing to compare, and the note says what the other half needs."""
    text = page(tmp_path, two[:1], ["The GPU's half was not run: it has <none>."])
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
    text = html.unescape(page(tmp_path, two))
    assert f"gpu: Energy of training: {words}." in text
    assert "cpu: Energy of training: not measurable here" in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"epochs": 1}, "for 2 and 1 epochs: times of unequal work are not compared"),
        ({"initial_weights": "00"}, "these differ: initial weights"),
        ({"dataset": {"digest": "00", "valid": VALID}}, "these differ: dataset"),
        ({"batch_size": 32}, "these differ: batch size"),
        ({"deterministic": True}, "these differ: determinism"),
        ({"fingerprint": {"tensorflow": "2.20.0"}}, "these differ: place (tensorflow)."),
    ],
)
def test_unequal_work_is_not_compared(two, tmp_path, facts, words):
    """Where anything differs that makes the work, no ratio is given, and what differs is named."""
    other = lesson.load(run(tmp_path / "other", device="gpu", seconds=2.0, **facts))
    said = lesson.speed_in_words([two[0], other])
    assert words in said
    assert "times as fast" not in said
    text = page(tmp_path, [two[0], other])
    assert "this says nothing about the devices" in text
    assert "of the same quality" not in text


def test_other_batches_are_not_compared(two):
    """Another order of the images is another work."""
    two[1].facts["epochs"][1]["order"] = "another"
    assert "these differ: batches" in lesson.speed_in_words(two)


def test_differing_facts_are_named(two):
    """Which version differs stands beside the answer."""
    two[1].facts["fingerprint"] = {"tensorflow": "2.20.0", "keras": "3"}
    assert lesson.same_work(two)[-1] == ("place", False, "keras, tensorflow")


def test_history_is_over_epochs_and_over_seconds(two):
    """Four panels: loss and accuracy, over epochs and over summed seconds, validation and training of each arm."""
    axes = lesson.history({found.arm: found.history for found in two}).axes
    assert [panel.get_title(loc="left") for panel in axes] == [
        *("Loss over epochs", "Loss over seconds", "Accuracy over epochs", "Accuracy over seconds")
    ]
    drawn = [line.get_xydata().tolist() for line in axes[3].lines]
    assert len(drawn) == 4
    np.testing.assert_allclose(drawn[0], [[10, 0.45], [20, 0.55]])
    np.testing.assert_allclose(drawn[2], [[2, 0.45], [4, 0.55]])


def test_predictions_mark_disagreement():
    """A frame stands where the answers differ, and a sign says for each whether it is right."""
    images = np.zeros((3, 32, 32, 3), np.uint8)
    sides = {"cpu": ["cat", "dog", "frog"], "gpu": ["cat", "cat", "ship"]}
    figure = lesson.predictions(images, ["cat", "dog", "bird"], sides)
    assert [panel.spines["left"].get_visible() for panel in figure.axes] == [False, True, True]
    said = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert said[1] == ["cpu: dog \N{CHECK MARK}", "gpu: cat \N{BALLOT X}"]
    assert [panel.get_title(loc="center") for panel in figure.axes] == ["cat", "dog", "bird"]


def test_samples_are_written(tmp_path):
    """A sheet is a PNG or an SVG, and nothing else."""
    images = np.zeros((14, 32, 32, 3), np.uint8)
    for name, head in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        assert lesson.write_samples(tmp_path / name, images, ["frog"] * 14).read_bytes().startswith(head)
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        lesson.write_samples(tmp_path / "a.gif", images, ["frog"] * 14)


@pytest.mark.parametrize(
    ("name", "text", "error", "remedy"),
    [
        ("run.json", None, FileNotFoundError, "cifar train"),
        ("run.json", "{", ValueError, "cifar train"),
        ("run.json", '{"epochs": []}', ValueError, "--resume"),
        ("evaluation.json", None, FileNotFoundError, "cifar evaluate"),
        ("evaluation.json", "[1]", ValueError, "cifar evaluate"),
        ("evaluation.json", '{"weights": "older"}', ValueError, "cifar evaluate"),
        ("predictions.json", '{"weights": "older"}', ValueError, "cifar predict"),
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
        lesson.load(folder)
    assert "run" in str(caught.value)
