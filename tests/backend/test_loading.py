"""Loading Keras and its backend: in which order, and what they may say meanwhile."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("os.abort()", -6), ("raise SystemExit(3)", 3)])
def test_only_notices_are_left_out(end, code):
    """What a library writes to stderr passes, its known notices do not; nothing is lost in a crash, nor thereafter."""
    program = f"""import os
from cifar.backend import loading
with loading.without("a known notice"):
    os.write(2, b"I0000 a known notice\\nE0000 an error\\nlast words")
    {end}
os.write(2, b", a known notice later")"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr == "E0000 an error\nlast words" + ", a known notice later" * (code == 0)


def test_triton_is_imported_before_tensorflow(tmp_path):
    """PyTorch's Triton, imported after TensorFlow, would crash the process."""
    (tmp_path / "triton.py").write_text("import sys; print('tensorflow' in sys.modules)")
    code = "from contextlib import suppress; from cifar.backend.loading import load\n"
    code += "with suppress(ModuleNotFoundError): load('torch')  # PyTorch itself need not be there\n"
    code += "print(*sys.modules)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    before, modules = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split(
        "\n", 1
    )
    assert before == "False"
    assert "tensorflow" in modules.split()
