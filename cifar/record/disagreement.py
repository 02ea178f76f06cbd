"""Disagreement: what records say against each other, or the rounds that two of them cannot both have measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar.record import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cifar.record.model import Record

FEWEST = 3
"""Different rounds of a workload that no other run has by chance."""


def disagreement(records: Sequence[Record]) -> str:
    """Return what records say against each other, with the files; empty where they do not.

    Two runs never have the same rounds to the bit, so one is a copy of the other, whatever it is called. Runs of one
    arm in one campaign do the same work, and one version of a workload has one unit.
    """
    found = (_other_campaign(records), _copy(records), _other_work(records), _other_unit(records))
    return next((wrong for wrong in found if wrong), "")


def _other_campaign(records: Iterable[Record]) -> str:
    """Which record of a campaign's folder says that it belongs to another campaign than those beside it."""
    seen: dict[Path, Record] = {}
    for record in records:
        first = seen.setdefault(record.path.parent, record)
        if first.campaign != record.campaign and plan.exists(record.path.parent):
            what = f"is of campaign {record.campaign}, and {first.path} beside it of campaign {first.campaign}"
            return f"{record.path} {what}: keep one campaign's records in a folder"
    return ""


def _copy(records: Iterable[Record]) -> str:
    """Which two records have the same rounds."""
    seen: dict[tuple[object, ...], Record] = {}
    for record in records:
        for key in _marks(record):
            first = seen.setdefault(key, record)
            if first is not record:
                what = f"the same rounds to the bit of {key[0]}"
                return f"{first.path} and {record.path} have {what}, so one is a copy of the other: keep one of them"
    return ""


def _marks(record: Record) -> Iterator[tuple[object, ...]]:
    """What no other run has: a workload's rounds, and all rounds together, where the clock tells them apart."""
    for result in record.results:
        if len(set(result.seconds)) >= FEWEST:
            yield result.workload, result.seconds
    coarse = any(len(result.seconds) > len(set(result.seconds)) for result in record.results)
    if record.results and not coarse:
        together = [(result.workload, result.seconds, result.warmup_seconds) for result in record.results]
        yield "all workloads", *together, *(result.memory["host_peak_bytes"] for result in record.results)


def _other_work(records: Iterable[Record]) -> str:
    """Which run of an arm did another amount of work in a call than the arm's other runs of that campaign."""
    seen: dict[tuple[object, ...], tuple[Record, dict[str, float | None]]] = {}
    for record in records:
        for result in record.results:
            calls = result.calls or 1
            amounts = {"images": result.images, "flop": result.flop, "bytes": result.bytes, **result.needs}
            each = {name: None if amount is None else amount / calls for name, amount in amounts.items()}
            key = (record.path.parent, record.campaign, record.arm, result.workload)
            first, expected = seen.setdefault(key, (record, each))
            name = next((name for name in each | expected if each.get(name) != expected.get(name)), None)
            if name:
                here, there = _number(each.get(name)), _number(expected.get(name))
                what = f"a call of {result.workload} has {here} {name}, and {there} in {first.path}"
                return f"{record.path}: {what}, another run of {record.arm}: name runs of one campaign"
    return ""


def _other_unit(records: Iterable[Record]) -> str:
    """Which record measures another quantity by the same version of a workload."""
    seen: dict[tuple[object, str], tuple[Record, str]] = {}
    for record in records:
        version = record.fingerprint.get("workload")
        for result in record.results if version is not None else ():
            first, unit = seen.setdefault((version, result.workload), (record, result.unit))
            if unit != result.unit:
                what = f"{result.workload} is in {result.unit}, and in {unit} in {first.path}"
                return f"{record.path}: {what}, by the same source of the workload: name runs that belong together"
    return ""


def _number(value: float | None) -> str:
    """An amount, or that there is none."""
    return "no" if value is None else f"{value:.12g}"
