"""The house: who may know whom, and how light the reading half is."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cifar

PACKAGE = Path(cifar.__file__).parent
HEAVY = ("tensorflow", "keras")
ROOMS = ("cli", "measure", "record", "report", "statistics", "workload")


def imported(path):
    """Every module that a file names in an import, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    ("part", "unknown"),
    [
        ("record", (*(f"cifar.{room}" for room in ROOMS if room != "record"), *HEAVY)),
        ("statistics", (*(f"cifar.{room}" for room in ROOMS if room != "statistics"), *HEAVY)),
        ("workload", ("cifar.measure", "cifar.report", "cifar.cli")),
        ("measure", ("cifar.workload", "cifar.report", "cifar.cli")),
        ("report", ("cifar.workload", "cifar.measure", "cifar.cli", *HEAVY)),
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


@pytest.mark.parametrize("module", ["cifar.cli", "cifar.record.reading", "cifar.report.compare", "cifar.report.page"])
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


def test_longest_function():
    """No function of the package is longer than 40 lines."""
    long = [
        f"{path.name}: {node.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 40
    ]
    assert not long
