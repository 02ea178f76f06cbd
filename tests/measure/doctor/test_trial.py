"""TensorFlow's placement is executed, not asked for."""

from __future__ import annotations

import os
import sys

import pytest

from cifar.measure.doctor import trial


def test_cpu(tmp_path, node, finding):
    """A product is computed on the CPU, by the TensorFlow that is installed."""
    found = finding(node(tmp_path, environ=dict(os.environ)), "cpu")
    assert (found.status, found.said) == ("pass", "TensorFlow computed a product on /device:CPU:0")


@pytest.mark.parametrize(
    ("code", "deadline", "said"),
    [
        ("import time; time.sleep(600)", 2, "computed nothing within 2 s"),
        ("raise ImportError('libm.so.6: GLIBC_2.99 not found')", 120, "GLIBC_2.99 not found"),
    ],
)
def test_broken(tmp_path, code, deadline, said, write, node, finding):
    """A TensorFlow that hangs is given up at the deadline, one that cannot load is quoted."""
    write(tmp_path, "tensorflow/__init__.py", code)
    staged = node(tmp_path, environ={**os.environ, "PYTHONPATH": str(tmp_path)}, deadline_seconds=deadline)
    found = finding(staged, "cpu")
    assert (found.status, said in found.said) == ("fail", True)


def test_no_process(monkeypatch):
    """Where no process can be started, that is what it said."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    done = trial.run("pass", environ={}, seconds=10)
    assert trial.last_words(done, 10).startswith("no process can be started: ")
