"""From the lesson as text, whose diffs can be read, to the same lesson as a notebook: `python lesson/pair.py`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

TEXT = Path(__file__).with_name("cifar10-cpu-vs-gpu.py")
NOTEBOOK = TEXT.with_suffix(".ipynb")


def notebook(text: str) -> str:
    """The notebook's file, without outputs, of a text whose cells begin with `# %%` or `# %% [markdown]`."""
    cells = []
    for number, part in enumerate(re.split(r"^# %%", text, flags=re.MULTILINE)[1:]):
        head, _, body = part.partition("\n")
        kind = "markdown" if head.strip() == "[markdown]" else "code"
        body = re.sub(r"^# ?", "", body, flags=re.MULTILINE) if kind == "markdown" else body
        cell = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": body.strip().splitlines(keepends=True),
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    facts = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(TEXT.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{NOTEBOOK}\n")
