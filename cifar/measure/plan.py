"""What a campaign measures: the plan, which is `campaign.json` in the campaign's folder."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from cifar.record import files
from cifar.record.plan import PLAN, arms, exists
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator


_NO_NUMBERS = {"NaN", "Infinity", "-Infinity"}
"""As `files.read_json` gives them back."""


@dataclass(frozen=True)
class Plan:
    """What a campaign measures."""

    devices: tuple[str, ...]
    """One arm each, in order; a device named twice is two arms, `cpu` and `cpu#2`."""
    runs: int
    effort: str
    dataset: str
    """The HDF5 file."""
    digest: str
    """The dataset's digest; a campaign is not resumed on another one."""
    only: str | None = None
    """Measure only the workloads that this expression selects, as in pytest's `-k`; None for all."""
    missing_gpu: Unmeasurable | None = None
    """Why this node has no GPU to measure, with the remedy; None where it has one or none was looked for."""
    deadline_seconds: float | None = None
    """A run that takes longer is ended; None: as long as the effort and the number of workloads let expect."""

    @property
    def arms(self) -> dict[str, str]:
        """Arm to device."""
        return arms(self.devices)

    def schedule(self) -> list[tuple[str, int]]:
        """Arms and run numbers in the order in which they run.

        Every second turn goes through the arms backwards, so that a node that grows slower or faster over the
        campaign favours none of them.
        """
        arms = list(self.arms)
        return [(arm, run) for run in range(1, self.runs + 1) for arm in (arms if run % 2 else list(reversed(arms)))]


def read(folder: Path) -> Plan:
    """Return the plan of the campaign in `folder`.

    Raises FileNotFoundError where there is none, and ValueError, which names file and field, where it does not fit
    plan.schema.json.
    """
    path = folder / PLAN
    if not exists(folder):
        message = f"{folder} holds no campaign ({PLAN} is missing); start one without --resume"
        raise FileNotFoundError(message)
    try:
        fields = files.read_json(path)
        _check(fields)
    except ValueError as error:
        remedy = "start a new campaign with another --out, or report on its records by their names"
        message = f"{path} is damaged: it {error}; {remedy}"
        raise ValueError(message) from error
    missing = fields.get("missing_gpu")
    read = {
        "devices": tuple(fields["devices"]),
        "runs": int(fields["runs"]),  # 1.0 is a whole number, too
        "missing_gpu": Unmeasurable.read(missing) if missing else None,
        "dataset": _path(fields["dataset"]),
    }
    return Plan(**{**fields, **read})


def _path(text: str) -> str:
    """The path that stands in a plan as itself, or as a URI where it is no UTF-8, which JSON could not hold."""
    return os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))) if text.startswith("file://") else text


def _check(fields: Any) -> None:
    """Raise ValueError, in words that follow the file's name, unless the fields fit the schema."""
    if isinstance(fields, dict) and _NO_NUMBERS & set(map(str, fields.values())):
        message = "holds NaN or Infinity, which are no JSON"
        raise ValueError(message)
    error = next(_validator().iter_errors(fields), None)
    if error is not None:
        place = " / ".join(map(str, error.instance_path))
        message = f"has no good {place}: {error.message[:200]}" if place else f"is no plan: {error.message[:200]}"
        raise ValueError(message)


@functools.cache
def _validator() -> Draft202012Validator:
    """The compiled schema, built at first use."""
    import jsonschema_rs

    schema = resources.files(__package__).joinpath("plan.schema.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(schema))


def write(folder: Path, plan: Plan) -> None:
    """Write the plan into `folder`, in one step; to be called by who holds the folder."""
    files.replace(folder / PLAN, json.dumps(_fields(plan), indent=1) + "\n")


def _fields(plan: Plan) -> dict[str, Any]:
    """The plan as it stands in its file."""
    fields = dataclasses.asdict(plan)
    is_text = not re.search("[\ud800-\udfff]", plan.dataset)
    dataset = plan.dataset if is_text else Path(plan.dataset).as_uri()
    return fields | {"dataset": dataset}


def make_folder(folder: Path) -> None:
    """Make the folder of a new campaign; FileExistsError where it holds anything already, or is no folder."""
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is no folder; name another --out"
        raise FileExistsError(message)
    folder.mkdir(parents=True, exist_ok=True)
    if not files.is_unused(folder):
        message = f"{folder} is not empty; name another --out, or continue that campaign with --resume"
        raise FileExistsError(message)


def start(folder: Path, plan: Plan) -> None:
    """Make `folder` and write the plan into it; FileExistsError where it holds anything already."""
    make_folder(folder)
    write(folder, plan)


def extend(folder: Path, plan: Plan, runs: int) -> Plan:
    """Return `plan` with `runs` runs an arm, and write it into `folder`; ValueError for fewer than it has."""
    if runs < plan.runs:
        message = f"{folder} has {plan.runs} runs an arm, not {runs}: runs can be added only"
        raise ValueError(message)
    longer = dataclasses.replace(plan, runs=runs)
    _check(json.loads(json.dumps(_fields(longer))))
    write(folder, longer)
    return longer


def latest(results: Path) -> Path:
    """The campaign under `results` that was begun last; FileNotFoundError where there is none."""
    campaigns = sorted(results.glob(f"*/{PLAN}"), key=lambda path: path.stat().st_mtime)
    if not campaigns:
        message = f"there is no campaign under {results}; start one without --resume"
        raise FileNotFoundError(message)
    return campaigns[-1].parent
