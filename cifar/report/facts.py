"""Facts: what records say of their environment goes in; what a report names of it, in words, comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.record.model import Record
    from cifar.report.arms import Arm

CPU_MODEL = ("node.cpu_model", "cpu_model")
CPU_CORES = ("node.cpus", "cpus")
CPU_THREADS = ("node.hyperthreading",)
GPU_MODEL = ("device.gpu", "gpus.0.name", "gpu")
DIGEST = ("dataset.digest", "dataset")
"""Where the facts stand in the environment, or in the fingerprint; the first that is there."""

PUBLISHED = "c212c2c6de88cfe9e7c57647be836c3324113f65210e153438afeaa71f0635d8"
"""The digest over CIFAR-10's arrays as published: what has another is not called so, whatever a record says."""
DATA = {
    "True": "a made-up stand-in for CIFAR-10",
    "False": "data that are not CIFAR-10 as published",
}
"""What the data are by whether the record calls them made up."""


def machine(arm: Arm) -> str:
    """Return an arm with the device behind it: `cpu (AMD EPYC, 2 cores)`."""
    record = arm.records[0]
    if arm.device != "cpu":
        parts = [fact(record, GPU_MODEL)]
    else:
        unit = "hardware thread" if fact(record, CPU_THREADS) == "True" else "core"
        parts = [fact(record, CPU_MODEL), _cores(fact(record, CPU_CORES), unit)]
    known = [part for part in parts if part]
    return f"{arm.name} ({', '.join(known)})" if known else arm.name


def _cores(cores: str | None, unit: str) -> str:
    """The number of logical processors in words, which are hardware threads where a core has several.

    A cgroup may grant parts of one. Empty where it is not known.
    """
    try:
        count = float(cores or "")
    except ValueError:
        return ""
    return f"{count:g} {unit}{'s' * (count != 1)}"


def dataset(records: Sequence[Record]) -> str:
    """Return which data the numbers stand for, by name and digest; several, where arms of several are not comparable.

    A sentence: `Dataset: CIFAR-10, digest c212c2c6de88.`
    """
    # Runs that were loaded together share what they say alike: thousands of them are looked at once.
    distinct = {(id(record.environment.get("dataset")), id(record.fingerprint)): record for record in records}
    names = dict.fromkeys(_data(record) for record in distinct.values())
    return f"Dataset: {' and '.join(names)}."


def _data(record: Record) -> str:
    """What the data of a record are, with the beginning of their digest."""
    digest = fact(record, DIGEST) or ""
    made_up = fact(record, ("dataset.synthetic",)) or ""
    name = "CIFAR-10" if digest == PUBLISHED else DATA.get(made_up, "not named")
    return f"{name}, digest {digest[:12]}" if digest else name


def fact(record: Record, places: Sequence[str]) -> str | None:
    """Return the fact at the first of `places` that the record's environment or fingerprint has."""
    known = flat(record.environment) | flat(record.fingerprint)
    return next((str(known[place]) for place in places if known.get(place) is not None), None)


def flat(nested: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries and lists as one dictionary: `{"node.cpus": 2, "gpus.0.name": "NVIDIA H100"}`."""
    items = nested.items() if isinstance(nested, dict) else enumerate(nested)
    facts: dict[str, Any] = {}
    for key, value in items:
        if isinstance(value, dict | list) and value:
            facts |= flat(value, f"{prefix}{key}.")
        else:
            facts[f"{prefix}{key}"] = value
    return facts
