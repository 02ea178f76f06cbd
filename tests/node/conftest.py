"""What tests of a node share: writing the files of a staged one."""

from __future__ import annotations

import pytest


@pytest.fixture
def write():
    """The function `write(root, path, text)`: writes one file and the folders above it."""

    def written(root, path, text=""):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return written
