"""A device is claimed once in a process: what tests run in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def fresh(code, **environ):
    """Run Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
