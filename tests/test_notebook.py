"""The notebook: its two forms are one text, and it runs from the first cell to the last, solutions included."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from cifar.backend import survey
from cifar.data import dataset

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


def with_solutions(text):
    """The notebook with every folded solution in a cell of its own, behind the one that hides it."""
    notebook = json.loads(PAIR["notebook"](text))
    cells = []
    for cell in notebook["cells"]:
        solutions = re.findall(r"```python\n(.*?)```", "".join(cell["source"]), re.DOTALL)
        code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
        cells += [cell, *({**code, "id": f"{cell['id']}-{at}", "source": it} for at, it in enumerate(solutions))]
    return notebook | {"cells": cells}


@pytest.mark.slow
def test_runs_in_a_kernel_on_the_stand_in(tmp_path):
    """Jupyter runs every cell and every folded solution, in order, shows each picture, and the runs are there."""
    if not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))):
        pytest.skip("nbclient and ipykernel are not installed")
    data = dataset.prepare_synthetic(tmp_path / "data.h5", train=503, valid=60)
    path = tmp_path / "lesson.ipynb"
    path.write_text(json.dumps(with_solutions(TEXT)))
    environment = {"LESSON_DATASET": str(data), "LESSON_EPOCHS": "1", "LESSON_FOLDER": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(path)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 15
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    printed = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    assert "epoch 1/1: loss" in printed
    assert ("batches: the same" if survey.take().missing_gpu is None else "nothing to compare") in printed
    assert (tmp_path / "runs" / "cpu" / "predictions.csv").exists()
