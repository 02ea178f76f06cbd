"""The view: how the facts of several runs are summed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .handmade import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_environment_of_runs_is_summed_up(report: Any, write: Write, tmp_path: Path) -> None:
    """Equal facts stand once, numbers that differ as a range, other facts as a list."""
    facts = {"load": 0.5, "host": "a", "ok": True, "none": None}
    write(tmp_path / "campaign", "cpu", 4, workloads=WORKLOADS, environment=facts | {"load": 1.25, "host": "b"})
    rows = report({"cpu": {"environment": facts}}).markdown.read_text(encoding="utf-8").splitlines()
    assert {"| load | 0.5000 to 1.250 |", "| host | a; b |", "| ok | yes |", "| none | \N{EN DASH} |"} <= set(rows)
