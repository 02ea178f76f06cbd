"""The notebook: its two forms are one text, and it runs from the first cell to the last, solutions included."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cifar.workload import dataset

PAIR = runpy.run_path(str(Path(__file__).parent.parent / "lesson" / "pair.py"))
TEXT = PAIR["TEXT"].read_text(encoding="utf-8")


def test_both_forms_are_one_text():
    """The notebook's file is what `python lesson/pair.py` makes of the text."""
    assert PAIR["NOTEBOOK"].read_text(encoding="utf-8") == PAIR["notebook"](TEXT)


def test_cells():
    """Markdown and code become cells of their kind, without the text's comment signs; nothing else is lost."""
    text = "# %% [markdown]\n# # Title\n#\n# Text\n\n# %%\nprint(1)\n\n\n# %%\n# a comment\nx = 2\n"
    cells = json.loads(PAIR["notebook"](text))["cells"]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("markdown", "# Title\n\nText"),
        ("code", "print(1)"),
        ("code", "# a comment\nx = 2"),
    ]


@pytest.mark.slow
def test_runs_on_the_stand_in(tmp_path):
    """Every cell and every folded solution runs, in order, and the runs that it makes are there."""
    data = dataset.prepare_synthetic(tmp_path / "data.h5", train=503, valid=60)
    parts = []
    for cell in json.loads(PAIR["notebook"](TEXT))["cells"]:
        source = "".join(cell["source"])
        solutions = re.findall(r"```python\n(.*?)```", source, re.DOTALL)
        parts += [source] if cell["cell_type"] == "code" else solutions
    assert len(parts) > 15
    environment = {"LESSON_DATASET": str(data), "LESSON_EPOCHS": "1", "LESSON_FOLDER": str(tmp_path / "runs")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1: loss" in done.stdout
    assert "batches: the same" in done.stdout
    assert (tmp_path / "runs" / "cpu" / "predictions.csv").exists()
