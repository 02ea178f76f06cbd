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
ABOVE = ("cifar.measure", "cifar.report", "cifar.cli")

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
    "cifar/cli/train.py",
    "cifar/workload/agreement.py",
    "cifar/workload/clock.py",
    "cifar/workload/course.py",
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


@pytest.mark.parametrize(
    ("part", "unknown"),
    [
        ("record", ("cifar.node", "cifar.backend", "cifar.workload", *ABOVE, *HEAVY)),
        ("node", ("cifar.backend", "cifar.workload", *ABOVE, *HEAVY)),
        ("backend", ("cifar.workload", *ABOVE)),
        ("workload", ("cifar.measure", "cifar.report", "cifar.cli")),
        ("measure", ("cifar.workload", "cifar.report", "cifar.cli")),
        ("report", ("cifar.node", "cifar.backend", "cifar.workload", "cifar.measure", "cifar.cli", *HEAVY)),
    ],
)
def test_arrows(part, unknown):
    """A part of the package imports none of the parts that it must not know."""
    files = sorted((PACKAGE / part).rglob("*.py"))
    assert len(files) > 1
    wrong = {
        f"{file.name}: {name}"
        for file in files
        for name in imported(file)
        if any(name == other or name.startswith(f"{other}.") for other in unknown)
    }
    assert not wrong


@pytest.mark.parametrize("file", sorted((PACKAGE / "backend").glob("*.py")), ids=lambda file: file.name)
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
    parts = ("record", "node", "backend", "measure", "report", "cli")
    files = {file for part in parts for file in (PACKAGE / part).rglob("*.py")}
    files -= {PACKAGE / "backend" / f"{name}.py" for name in HEAVY}
    modules = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in sorted(files)]
    program = f"import sys, {', '.join(modules)}; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("module", ["cifar.cli", "cifar.report.record", "cifar.report.compare", "cifar.report.page"])
def test_reading_half_is_free_of_tensorflow(module):
    """Importing the command line or the reading half loads neither TensorFlow nor Keras."""
    program = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_longest_function():
    """No function of the package is longer than 40 lines."""
    long = [
        f"{path.name}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 40
    ]
    assert not long
