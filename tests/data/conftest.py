"""A disk that is really full soon."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MB; skip where there is no right to."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = shutil.which("mount")
    if command is None:
        pytest.skip("there is no mount command to make a small disk with")
    mount = [command, "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
    yield disk
    subprocess.run([command.replace("mount", "umount"), str(disk)], check=True)
