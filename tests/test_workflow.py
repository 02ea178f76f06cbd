"""The workflow of public CI runs nothing that can change under it, and may do no more than it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parent.parent / ".github/workflows").glob("*.yml"))
TEXT = "\n".join(file.read_text(encoding="utf-8") for file in FILES)


@pytest.mark.parametrize("used", sorted(set(re.findall(r"uses: *(.+)", TEXT))))
def test_actions_are_pinned(used):
    """Every action is named by the hash of its commit, with the release that it is beside it."""
    assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_permissions():
    """A job may read the source; only the one that signs may do more."""
    top, *jobs = re.split(r"^  (?=\w+:$)", TEXT.partition("\njobs:\n")[2], flags=re.MULTILINE)
    assert top == ""
    assert "permissions:\n  contents: read\n\n" in TEXT.partition("\njobs:\n")[0]
    assert {job.partition(":")[0]: "write" in job for job in jobs} == {"check": False, "image": False, "sign": True}
    assert "pull_request_target" not in TEXT
