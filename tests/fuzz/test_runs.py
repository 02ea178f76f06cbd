"""Run folders of any content: read as they were, or refused in a sentence, and nothing outside of them is touched."""

from __future__ import annotations

import functools
import json
import os
import shutil

import pytest
from hypothesis import given, settings

from cifar.data import dataset
from cifar.lesson import page
from cifar.lesson import run as runs
from cifar.record import runfolder
from cifar.workload import model, training

# Keras reads its own variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TRIES = int(os.environ.get("FUZZ_TRIES", "25"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A true run of one epoch on 8 images, evaluated and asked, with a victim beside it."""
    place = tmp_path_factory.mktemp("fuzz")
    data = dataset.prepare_synthetic(place / "tiny.h5", train=8, valid=4)
    folder = place / "run"
    run = runs.start(folder, data, device="cpu", seed=3, facts={"asked": {"epochs": 1, "until": None}})
    run.facts.update(placement={"training": {"/device:CPU:0": 3}}, energy={"unmeasurable": "no counter"})
    run.facts.update(fingerprint={"keras": "3", "tf32": True}, environment={"device": {"threads": 2}})
    (row,) = runs.train(run, 1)
    answer = {"device": "cpu", "epoch": 1, "weights": row["weights"], "placement": {}}
    evaluation = {"images": 4, "loss": row["val_loss"], "accuracy": row["val_accuracy"], "seconds": 0.5}
    (folder / "evaluation.json").write_text(json.dumps(answer | evaluation))
    (folder / "predictions.json").write_text(json.dumps(answer))
    images, labels = dataset.read(data, "valid", 0, 4)
    found = training.predict(training.forward(runs.restored(run)), images.astype("float32") / 255)
    lines = [",".join(("image", "truth", "predicted", *dataset.CLASS_NAMES))]
    for image, (label, parts) in enumerate(zip(labels, found, strict=True)):
        lines.append(",".join((f"{image},{label},{parts.argmax()}", *(f"{part:.9g}" for part in parts))))
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    (place / "victim").write_text("mine")
    (place / "victim.weights.h5").write_text("mine")
    page.load(folder)
    return folder


def around(folder):
    """All files beside the run's folder, and all in it but those that are changed."""
    changed = {runs.RUN, *runfolder.ANSWERS.values()}
    files = [path for path in folder.parent.rglob("*") if path.is_file() and path.name not in changed]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def shown(read):
    """What a run says of results: all that a page shows as measured, and the file of the weights."""
    facts, evaluation = read.facts, getattr(read, "evaluation", {})
    counts = [facts["dataset"][name] for name in ("train", "valid")]
    file = facts["weights"]["file"]
    return [facts["epochs"], facts["flop"], *counts, file, evaluation.get("accuracy"), evaluation.get("epoch")]


def check_sentence(error):
    """A refusal is one line that can be read."""
    assert "\n" not in str(error)
    assert len(str(error)) < 2_000


def test_changed_run(mutations, tally, folder):
    """Whatever was changed in run.json, its results are those that were there, or it is refused."""
    path = folder / runs.RUN
    text, before = path.read_text(), around(folder)
    course_says, lesson_says = shown(runs.load(folder)), shown(page.load(folder))

    @given(mutations(json.loads(text)))
    def one(data):
        path.write_bytes(data)
        for reader, says in ((runs.load, course_says), (page.load, lesson_says)):
            try:
                read = reader(folder)
            except (OSError, ValueError) as error:
                check_sentence(error)
                tally["run.json, refused"] += 1
                continue
            tally["run.json, read"] += 1
            assert shown(read) == says
        assert around(folder) == before

    try:
        one()
    finally:
        path.write_text(text)


@pytest.mark.parametrize("name", sorted(runfolder.ANSWERS.values()))
def test_changed_answers(mutations, tally, folder, name):
    """Whatever was changed in evaluation.json or predictions.json, the page shows what was there, or it is refused."""
    path = folder / name
    text, before = path.read_text(), around(folder)
    says = shown(page.load(folder))

    @given(mutations(json.loads(text)))
    def one(data):
        path.write_bytes(data)
        try:
            read = page.load(folder)
        except (OSError, ValueError) as error:
            check_sentence(error)
            tally[f"{name}, refused"] += 1
        else:
            tally[f"{name}, read"] += 1
            assert shown(read) == says
        assert around(folder) == before

    try:
        one()
    finally:
        path.write_text(text)


@pytest.fixture
def quickly_built(monkeypatch):
    """Networks of the same seed are built once, which takes most of the time, and then set to their begin again."""
    built = functools.cache(lambda seed: [(part, part.numpy()) for part in network(seed).variables])
    network = functools.cache(model.build)

    def again(seed):
        for variable, value in built(seed):
            variable.assign(value)
        return network(seed)

    monkeypatch.setattr(model, "build", again)


@pytest.mark.usefixtures("quickly_built")
def test_changed_run_is_restored(mutations, tally, folder, tmp_path):
    """What is restored to be trained on is the run's own network after its last epoch."""
    copy = shutil.copytree(folder, tmp_path / "run")
    path, text = copy / runs.RUN, (copy / runs.RUN).read_text()
    weights = json.loads(text)["epochs"][-1]["weights"]
    for _ in range(2):  # what was not changed is restored, and again
        assert model.digest(runs.restored(runs.load(copy))) == weights

    @settings(max_examples=max(5, TRIES // 10))
    @given(mutations(json.loads(text)))
    def one(data):
        path.write_bytes(data)
        try:
            network = runs.restored(runs.load(copy))
        except (OSError, ValueError) as error:
            check_sentence(error)
            tally["run.json, not restored"] += 1
        else:
            tally["run.json, restored"] += 1
            assert model.digest(network) == weights

    one()
