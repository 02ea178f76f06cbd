"""The plan of a campaign, `campaign.json` in its folder: its name, and the arms that devices stand for."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from cifar.record import archive
from cifar.record.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLAN = "campaign.json"
MOST_RUNS = 10_000
"""Of an arm; a larger number in a plan is damage."""


def arms(devices: Iterable[str]) -> dict[str, str]:
    """Return the device of each arm, in order; a device that is named twice is two arms, `cpu` and `cpu#2`."""
    seen: Counter[str] = Counter()
    found = {}
    for device in devices:
        seen[device] += 1
        found[device if seen[device] == 1 else f"{device}#{seen[device]}"] = device
    return found


def exists(folder: Path) -> bool:
    """Whether a folder, on the disk or in an archive, holds a campaign's plan."""
    return archive.exists(folder / PLAN)


def planned_runs(folder: Path) -> dict[str, int]:
    """Return how many runs of each arm the campaign in `folder` planned; {} where no plan can be read there."""
    try:
        plan = read_json(folder / PLAN)
    except (OSError, ValueError):
        return {}
    devices, runs = (plan.get("devices"), plan.get("runs")) if isinstance(plan, dict) else (None, None)
    if not isinstance(devices, list) or not all(isinstance(device, str) for device in devices):
        return {}
    if not isinstance(runs, int) or isinstance(runs, bool) or not 1 <= runs <= MOST_RUNS:
        return {}
    return dict.fromkeys(arms(devices), runs)


def is_run(path: Path) -> bool:
    """Whether a file lies in a campaign's folder under the name of one of its runs, `cpu-1.json`."""
    arm, _, number = path.name.removesuffix(".json").rpartition("-")
    is_number = re.fullmatch("[1-9][0-9]{0,8}", number) is not None
    return path.suffix == ".json" and is_number and arm in planned_runs(path.parent)
