"""Planned runs that have no record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cifar import cli

if TYPE_CHECKING:
    from pathlib import Path


def test_runs_that_are_missing_from_a_campaign_are_said(report: Any, tmp_path: Path, capsys: Any) -> None:
    """What was planned and has no record stands under what was left out: the report is of an interrupted campaign."""
    report({"cpu": {}, "gpu": {"faster": 20}}, runs=(1, 2))
    plan = {"devices": ["cpu", "gpu", "cpu"], "runs": 3, "effort": "quick", "dataset": "/x", "digest": "5f" * 32}
    (tmp_path / "campaign" / "campaign.json").write_text(json.dumps(plan))
    assert cli.main(["report", str(tmp_path / "campaign")]) == 0
    printed = capsys.readouterr().out
    said = (tmp_path / "campaign" / "report.md").read_text(encoding="utf-8")
    for arm, count in (("cpu", "1 of 3 planned runs has"), ("cpu#2", "3 of 3 planned runs have")):
        reason = f"{count} no record: `cifar bench --resume --out {tmp_path}/campaign` measures what is missing"
        assert f"left out: a whole run on {arm}: {reason}\n" in printed
        assert f"| (whole run) | {arm} | {reason.replace('`', chr(92) + '`')} |" in said
    assert cli.main(["report", str(tmp_path / "campaign" / "cpu-1.json"), "--out", str(tmp_path / "one")]) == 0
    assert "planned" not in capsys.readouterr().out
