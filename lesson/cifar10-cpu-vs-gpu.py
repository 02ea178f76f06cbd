# %% [markdown]
# # CIFAR-10 on a CPU and on a GPU
#
# **How does a GPU compare with a CPU at deep learning?** We train one small network on both, on the same pictures,
# and look at what comes out: how well it learns, and how long that takes.
#
# The steps: look at the devices, look at the data, define the network, train it on each device, evaluate it, and
# compare. Each step is also a command (`cifar devices`, `cifar data`, `cifar model`, `cifar train`, `cifar evaluate`,
# `cifar predict`), and `cifar lesson` does all of them at once.

# %%
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np  # for the exercises

from cifar.backend import survey
from cifar.backend.device import claim
from cifar.data import dataset
from cifar.lesson import page

EPOCHS = int(os.environ.get("LESSON_EPOCHS", "2"))
FOLDER = Path(os.environ.get("LESSON_FOLDER", "lesson-runs"))


class Picture:
    """A figure as a notebook shows it."""

    def __init__(self, figure):
        """Show `figure`."""
        self.figure = figure

    def _repr_png_(self):
        """Return the picture as a PNG."""
        file = io.BytesIO()
        self.figure.savefig(file, format="png")
        return file.getvalue()


# %% [markdown]
# ## 1. Which devices are there?
#
# A GPU that is in the machine can still be out of reach: no driver, a TensorFlow without CUDA, a batch job that did
# not ask for it. `survey` tries it and, where it fails, says why and what to do.

# %%
here = survey.take()
print("Devices:", ", ".join(here.devices))
print("No GPU:", here.missing_gpu) if here.missing_gpu else print("The GPU computes.")

# %% [markdown]
# **Exercise.** How many processors may this notebook use, and who says so?
#
# <details><summary>Solution</summary>
#
# In `cifar.node.allotment`, `limits()` lists every limit: the scheduler's mask, the cgroup, the batch system. The least
# of them counts: `allotted_cpus()`.
#
# </details>

# %% [markdown]
# ## 2. The data
#
# CIFAR-10 is 60,000 colour pictures of 32 × 32 pixels in ten classes: 50,000 to train with, and 10,000 to validate
# with, which training never sees. `cifar prepare` puts them into one HDF5 file. Where that has not been done, we use
# a stand-in that is made up: the same shapes, but no real pictures.

# %%
path = Path(os.environ.get("LESSON_DATASET", dataset.default_path()))
if not path.exists():
    path = dataset.prepare_synthetic(dataset.default_path(synthetic=True))
found = dataset.describe(path)
print(f"{found.source}: {found.train:,} images to train with, {found.valid:,} to validate with")

with h5py.File(path) as file:
    for name in file:
        print(f"{name}: {file[name].shape}, {file[name].dtype}")

# %% [markdown]
# HDF5 keeps arrays in a file so that a part can be read without the rest: `file["x_train"][0]` reads one picture.
# That is a table of numbers from 0 to 255: rows, columns, and red, green and blue.

# %%
images, labels = dataset.read(path, "train", 0)
print(images[0])
print("label:", labels[0], dataset.CLASS_NAMES[labels[0]])

# %%
Picture(page.samples(images, [dataset.CLASS_NAMES[labels[0]]]))

# %% [markdown]
# **Exercise.** Show fourteen pictures of the training set, each under the name of its class.
#
# <details><summary>Solution</summary>
#
# ```python
# images, labels = dataset.read(path, "train", 0, 14)
# Picture(page.samples(images, [dataset.CLASS_NAMES[label] for label in labels]))
# ```
#
# </details>

# %% [markdown]
# **Exercise.** How many pictures of each class are there to validate with?
#
# <details><summary>Solution</summary>
#
# ```python
# np.bincount(dataset.read(path, "valid", 0, found.valid)[1])
# ```
#
# </details>

# %% [markdown]
# ## 3. The network
#
# A process can compute with TensorFlow on one device only if it says so before it begins; this notebook takes the CPU
# and leaves the GPU to the training. The modules that load TensorFlow come after that.

# %%
device = claim("cpu")

from cifar.workload import cost, model, training  # noqa: E402
from cifar.workload.generator import DataGenerator  # noqa: E402

network = model.build(seed=0)
network.summary()
print(f"one picture costs {cost.forward_flop(network):,} floating-point operations to classify")

# %% [markdown]
# **Exercise.** The first dense layer has 262,400 parameters. Why?
#
# <details><summary>Solution</summary>
#
# The last pooling leaves 2 × 2 places with 256 numbers each: 1,024. Each of the 256 outputs has a weight for every one
# of them, and a bias: 256 × (1,024 + 1).
#
# </details>

# %% [markdown]
# ## 4. Batches
#
# The optimizer moves the weights after every batch of 250 pictures. The generator delivers them as numbers from 0 to
# 1, with labels as ten numbers of which one is 1, and in another order every epoch.

# %%
batches = DataGenerator(path, "train", batch_size=250, seed=0)
pictures, targets = batches[0]
print(pictures.shape, pictures.dtype, pictures.min(), pictures.max())
print(targets[0])

# %% [markdown]
# **Exercise.** Show that an epoch holds each picture exactly once, and that the next epoch has another order.
#
# <details><summary>Solution</summary>
#
# ```python
# first = batches.order.copy()
# batches.on_epoch_end()
# sorted(first) == list(range(batches.images)), (first == batches.order).all()
# ```
#
# </details>

# %% [markdown]
# ## 5. One step by hand
#
# Training is this step, many times: classify a batch, see how wrong that was (the loss), and move each weight a little
# in the direction that makes it less wrong. An untrained network guesses: its loss is about ln 10 = 2.303.

# %%
with device.scope():
    step = training.step(training.prepare(network))
    print("loss before each of three steps:", [round(float(step(pictures, targets)), 3) for _ in range(3)])

# %% [markdown]
# ## 6. Training on each device
#
# Each device trains in a process of its own, which sees no other device. Both start from the same weights and get the
# same batches in the same order. That is not taken on trust: it is recorded, and checked below. What was interrupted
# goes on from its last finished epoch.


# %%
def cifar(*arguments):
    """Run a command of the package, as in a terminal."""
    command = [sys.executable, "-m", "cifar", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            for line in process.stdout:
                print(line, end="")
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(errors.read())


for name in here.devices:
    begun = (FOLDER / name / "run.json").exists()
    how = ["--resume"] if begun else ["--device", name, "--dataset", path]
    cifar("train", *how, "--epochs", EPOCHS, "--out", FOLDER / name)

# %% [markdown]
# ## 7. Evaluation and predictions
#
# Evaluation counts how often the most probable class is the true one, over all pictures that training never saw. It
# runs on the device that the run names.

# %%
for name in here.devices:
    cifar("evaluate", FOLDER / name)
    cifar("predict", FOLDER / name)
runs = [page.load(FOLDER / name) for name in here.devices]

# %% [markdown]
# ## 8. Did they do the same work?

# %%
if len(runs) == 1:
    print("There is one run: nothing to compare.")
for what, same, words in page.same_work(runs) if len(runs) > 1 else []:
    print(f"{what}: {'the same' if same else 'DIFFERENT'} ({words})")

# %% [markdown]
# ## 9. Loss and accuracy, over epochs and over seconds
#
# Dashed: training, with dropout at work; solid: validation. Over epochs two devices should lie close together; over
# seconds they part.

# %%
Picture(page.history({run.arm: run.history for run in runs}))

# %%
print(page.speed_in_words(runs))
for run in runs:
    print(f"{run.arm}: {page.energy_in_words(run.facts)}")

# %% [markdown]
# **Exercise.** A colleague trains 2 epochs on the CPU and 10 on the GPU and says: "the GPU is better, it reaches 73 %."
# What is wrong with that?
#
# <details><summary>Solution</summary>
#
# It got five times the work. At the same number of epochs the two devices reach the same accuracy within chance; what
# differs is the time. Accuracy is a matter of the network and of the number of steps, speed is one of the device.
#
# </details>
#
# **Exercise.** You have one run on each device. Is their ratio "the" speed of the GPU?
#
# <details><summary>Solution</summary>
#
# No: the next run differs, on a busy node by much. Several runs of each, in turn, give an interval: `cifar bench`. It
# also takes apart where the time goes: delivering pictures, computing, waiting.
#
# </details>

# %% [markdown]
# ## 10. Predictions side by side
#
# Above each picture its class, below it what each device's network takes it for. A frame marks a disagreement.

# %%
shown = dataset.read(path, "valid", 0, 24)[0]
names = dataset.CLASS_NAMES
truth = [names[label] for label in runs[0].predictions["truth"][:24]]
answers = {run.arm: [names[label] for label in run.predictions["predicted"][:24]] for run in runs}
Picture(page.predictions(shown, truth, answers))

# %%
for run in runs[1:]:
    count, apart = page.disagreements(runs[0], run)
    print(f"{runs[0].arm} and {run.arm} name {count:,} of {found.valid:,} pictures differently")

# %% [markdown]
# **Exercise.** Same weights at the start, same batches: why do two devices disagree at all?
#
# <details><summary>Solution</summary>
#
# Each adds the same numbers in another order, and floating-point sums depend on the order in their last digits.
# Training magnifies that step by step. `cifar agree cpu gpu` shows whether on one batch, before it grows, they agree
# within rounding.
#
# </details>
#
# ## What to take home
#
# - Compare devices at the same work, or do not compare them.
# - One run is an impression. An interval is a measurement.
# - The device does not change what is learned, only how long it takes.
