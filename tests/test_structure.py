"""The house: who may know whom, and how light the reading half is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cifar

PACKAGE = Path(cifar.__file__).parent
HEAVY = ("tensorflow", "keras", "jax", "torch")
KNOWS = {
    "record": (),
    "statistics": (),
    "node": ("record",),
    "data": ("record",),
    "backend": ("node", "record"),
    "workload": ("data", "record"),
    "measure": ("backend", "node", "record", "statistics"),
    "report": ("record", "statistics"),
    "lesson": ("backend", "node", "data", "workload", "measure", "record", "report"),
    "cli": ("backend", "node", "data", "workload", "measure", "record", "statistics", "report", "lesson"),
}
"""Which rooms each room may import."""
READING = ("record", "statistics", "node", "data", "report")
"""Rooms that work where TensorFlow is not installed."""

FRAMEWORKS = {
    "benchmarks/peers/by_jax.py",
    "benchmarks/peers/by_keras.py",
    "benchmarks/peers/by_ours.py",
    "benchmarks/peers/by_torch.py",
    "benchmarks/test_forward.py",
    "benchmarks/test_ladder.py",
    "benchmarks/test_peak.py",
    "benchmarks/test_peer.py",
    "benchmarks/test_training.py",
    "cifar/workload/agreement.py",
    "cifar/workload/clock.py",
    "cifar/workload/cost.py",
    "cifar/lesson/run.py",
    "cifar/workload/generator.py",
    "cifar/workload/model.py",
    "cifar/workload/training.py",
}
"""Files outside of `cifar/backend` that import TensorFlow, Keras, JAX or PyTorch; this list only gets shorter."""


def imported(path):
    """Every module that a file names in an import or a call of `import_module`, wherever that stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "import_module":
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return names


@pytest.mark.parametrize("room", KNOWS)
def test_arrows(room):
    """A room of the package imports no room but those that it may know; the reading half no TensorFlow."""
    unknown = [f"cifar.{other}" for other in KNOWS if other not in (room, *KNOWS[room])]
    if room in READING:
        unknown += HEAVY
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert len(files) > 1
    wrong = {
        f"{file.name}: {name}"
        for file in files
        for name in imported(file)
        if any(name == other or name.startswith(f"{other}.") for other in unknown)
    }
    assert not wrong


def test_no_circles():
    """No two modules need each other, directly or by way of others; the devices of the backends do, and say why.

    `device` claims by the backend that was asked for, whose file asks `survey` why a GPU is missing, which tries one.
    """
    files = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    needs = {}
    for name, path in files.items():
        named = imported(path)
        named |= {other.rpartition(".")[0] for other in named}  # `from module import thing`
        needs[name] = named & files.keys()
    # A module that nobody else needs, or that needs nobody, is in no circle.
    while outside := {name for name, others in needs.items() if not others & needs.keys()}:
        needs = {name: others for name, others in needs.items() if name not in outside}
    while outside := needs.keys() - {other for others in needs.values() for other in others}:
        needs = {name: others for name, others in needs.items() if name not in outside}
    assert {name.removeprefix("cifar.") for name in needs} <= {"backend.device", "backend.survey", "backend.tensorflow"}


def test_every_room_is_known():
    """A room that is new says whom it may know."""
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(KNOWS)


def test_lesson_draws_as_the_report_does():
    """Of the report, the lesson knows how figures are drawn and shown, and how a number is written; nothing else."""
    known = {"drawing", "figures.style", "figures.style.COLOURS", "figures.style.MARKERS", "text.number"}
    known |= {"pictures.Picture", "pictures.shown", "rendering.template"}
    used = {name for file in (PACKAGE / "lesson").glob("*.py") for name in imported(file)}
    assert {name for name in used if name.startswith("cifar.report")} <= {f"cifar.report.{name}" for name in known}


BACKENDS = sorted(set((PACKAGE / "backend").glob("*.py")) - {PACKAGE / "backend" / "loading.py"})
"""Without the file that imports a framework by its name, whichever it is, before anything else does."""


@pytest.mark.parametrize("file", BACKENDS, ids=lambda file: file.name)
def test_a_backend_imports_its_own_framework(file):
    """TensorFlow, JAX and PyTorch are each imported by the file that has their name, and by no other backend."""
    frameworks = {name.split(".")[0] for name in imported(file)} & {"tensorflow", "jax", "torch"}
    assert frameworks <= {file.stem}


def test_who_imports_a_framework():
    """Outside of `cifar/backend`, no other files than these do; a file that no longer does is to be struck off."""
    top = PACKAGE.parent
    files = [*PACKAGE.rglob("*.py"), *(top / "benchmarks").rglob("*.py"), *(top / "lesson").rglob("*.py")]
    importing = {
        file.relative_to(top).as_posix()
        for file in files
        if file.parent != PACKAGE / "backend" and {name.split(".")[0] for name in imported(file)} & set(HEAVY)
    }
    assert importing == FRAMEWORKS


def test_a_node_is_looked_at_without_a_framework():
    """Importing all that looks at a node, measures and reads loads no framework, but for the backends themselves."""
    parts = ("record", "statistics", "node", "data", "backend", "measure", "report", "cli")
    files = {file for part in parts for file in (PACKAGE / part).rglob("*.py")}
    files -= {PACKAGE / "backend" / f"{name}.py" for name in HEAVY}
    modules = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in sorted(files)]
    program = f"import sys, {', '.join(modules)}; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize(
    "module",
    ["cifar.cli", "cifar.record.reading", "cifar.report.compare", "cifar.report.page", "cifar.lesson.page"],
)
def test_reading_half_is_free_of_tensorflow(module):
    """Importing the command line or the reading half loads neither TensorFlow nor Keras."""
    program = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_reading_half_imports_quickly():
    """Records and comparisons need no TensorFlow, pandas or matplotlib to be imported, nor SciPy."""
    program = "import sys; from cifar.record import reading; from cifar.report import compare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "keras", "h5py", "pandas", "matplotlib", "scipy", "jsonschema_rs", "jinja2"}
    assert not heavy & set(done.stdout.split())
