"""Reading: one run's JSON file goes in, checked against the schema; frozen Records with every round come out."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import re
from collections import Counter
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.record import consistency, disagreement, sources
from cifar.record.files import read_json
from cifar.record.model import Record, Result
from cifar.record.plan import is_run
from cifar.record.text import plain

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from jsonschema_rs import Draft202012Validator, ValidationError


_SHOWN = 300
"""Characters of what stands in a file that a message shows."""


def read(path: str | os.PathLike[str]) -> Record:
    """Return the record in the file `path`.

    Raises OSError where the file cannot be read, and ValueError, which names the file, what is wrong and the
    remedy, where it is no JSON (cut short, say), does not fit record.schema.json, names a workload twice, or
    contradicts itself (see `consistency`).
    """
    return _read(Path(path), lambda value: value)


def _read(path: Path, share: Callable[[Any], Any]) -> Record:
    """As `read`; what `share` returns for a part takes its place."""
    try:
        content = read_json(path)  # NaN and Infinity come as text, and fail the schema at their place
    except ValueError as error:
        message = plain(f"{path} {error}: {sources.remedy(path)}")
        raise ValueError(message) from error
    if wrong := _wrong(content, path):
        message = plain(f"{path} {wrong}")
        raise ValueError(message)
    own = content["machine_info"]["cifar"]
    return Record(
        path=path,
        arm=own["arm"],
        device=own["device"],
        run=own["run"],
        campaign=own["campaign"],
        complete=own["complete"],
        started=own["started"],
        fingerprint=share(own["fingerprint"]),
        environment={key: share(value) for key, value in own["environment"].items()},
        failures=tuple(own["failures"]),
        results=tuple(_result(entry, share) for entry in content["benchmarks"]),
    )


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Python does not look for cycles meanwhile: records have none, and to look takes long where they are many."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@nothing_collected()
def load(*paths: str | os.PathLike[str]) -> list[Record]:
    """Return the records of all `paths`, each a file or a campaign's folder, in order of arm and run.

    `campaign.json` in a folder is no record and is passed over, and so is what `sources.find` passes over; any other
    JSON there has to be one. A campaign in which nothing was measured has no records, nor have the figures of a
    report that stands beside campaigns.
    Campaigns of one name in several folders are named by these too, see `told_apart`.
    Raises OSError and ValueError as `read` does, and ValueError for a folder that is no campaign and for two
    files that claim to be the same run of the same arm in the same campaign, or that are copies of one, wherever,
    and for runs that `disagreement` finds.
    """
    known: dict[str, Any] = {}

    def share(value: Any) -> Any:
        """The first of all equal values: the runs of a campaign say mostly the same, and thousands of them fit."""
        return known.setdefault(repr(value), value)

    records = [_read(file, share) for file in sources.find(paths).files]
    _refuse_twice(records, lambda record: (record.campaign, record.arm, record.run, record.started))
    if wrong := disagreement.disagreement(records):
        message = plain(wrong)
        raise ValueError(message)
    records = told_apart(records)
    _refuse_twice(records, lambda record: (record.campaign, record.arm, record.run))
    return sorted(records, key=lambda record: (record.began, record.arm, record.run))


def told_apart(records: Sequence[Record]) -> list[Record]:
    """Return the records, those of campaigns of one name in several folders under a name with the folder's.

    A campaign has its folder's name from when it was measured, so `results/nodes-100/node1` and
    `results/nodes-200/node1` both are `node1`: they become `nodes-100/node1` and `nodes-200/node1`; a folder that was
    renamed since comes between. As many folders stand before the name as tell all of them apart.
    """
    resolved = {folder: folder.resolve() for folder in {record.path.parent for record in records}}
    places = [(record.campaign, resolved[record.path.parent]) for record in records]
    folders = Counter(campaign for campaign, _ in set(places))
    names = _names({(campaign, folder) for campaign, folder in places if folders[campaign] > 1})
    renamed = []
    for record, place in zip(records, places, strict=True):
        name = names.get(place, record.campaign)
        renamed.append(record if name == record.campaign else replace(record, campaign=name))
    return renamed


def _refuse_twice(records: Iterable[Record], key: Callable[[Record], Hashable]) -> None:
    """Raise ValueError for two records of one key, which would count one measurement twice."""
    seen: dict[Hashable, Record] = {}
    for record in records:
        first = seen.setdefault(key(record), record)
        if first is not record:
            message = (
                f"{first.path} and {record.path} both claim to be run {record.run} of arm {record.arm} in campaign "
                f"{record.campaign}: name each file once, and keep one of two copies"
            )
            raise ValueError(plain(message))


def _names(places: Iterable[tuple[str, Path]]) -> dict[tuple[str, Path], str]:
    """A name for each campaign in a folder: the fewest last parts of its path, two at least, that tell all apart."""
    parts = {
        (campaign, folder): folder.parts if folder.name == campaign else (*folder.parts, campaign)
        for campaign, folder in places
    }
    names: dict[tuple[str, Path], str] = {}
    for length in range(2, max(map(len, parts.values()), default=0) + 1):
        names = {place: plain("/".join(path[-length:])) for place, path in parts.items()}
        if len(set(names.values())) == len(names):
            break
    return names


@functools.cache
def _validator() -> Draft202012Validator:
    """The compiled schema, built at first use."""
    import jsonschema_rs

    schema = resources.files(__package__).joinpath("record.schema.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(schema))


def _wrong(content: Any, path: Path) -> str:
    """What is wrong with the content of the file `path`, and the remedy; empty where it is a record to trust."""
    version = _version(content)
    if version is not None and version != 1:
        advice = "read it with the version that wrote it, or measure again"
        return f"is a record of schema {_short(str(version))}, and this cifar-bench reads schema 1: {advice}"
    if not _validator().is_valid(content):
        error = _first_error(content)
        wrong = f"is no valid record: {_place(content, error.instance_path)}: {_short(error.message)}"
    elif twice := _repeated(entry["name"].removeprefix("test_") for entry in content["benchmarks"]):
        wrong = f"holds the workload {twice} twice, so neither number can be trusted"
    elif found := consistency.contradiction(content):
        wrong = f"contradicts itself: {_place(content, found.place)}: {_short(found.what)}"
    elif named := _named_otherwise(content["machine_info"]["cifar"], path):
        wrong = f"contradicts its name: it holds {named}"
    else:
        return ""
    return f"{wrong}; {sources.remedy(path)}"


def _named_otherwise(own: Mapping[str, Any], path: Path) -> str:
    """Which run a file holds that has the name of another run; empty where it has not.

    Such a name is one that a run of the campaign has by its plan, or that only a run has: `cpu#2-1.json`.
    """
    if path.name == f"{own['arm']}-{own['run']}.json":
        return ""
    if not is_run(path) and not re.fullmatch(r"(cpu|gpu(:\d+)?)(#\d+)?-[1-9]\d*\.json", path.name):
        return ""
    return f"run {own['run']} of arm {own['arm']}"


def _short(text: str) -> str:
    """A text that may hold a whole file, with its beginning and its end, which says what is wrong."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"


def _version(content: Any) -> Any:
    """The version of the schema that a record names; None where it names none."""
    for name in ("machine_info", "cifar", "schema"):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _first_error(content: Any) -> ValidationError:
    """The first of what does not fit the schema: to find them all takes gigabytes where they are millions."""
    import jsonschema_rs

    try:
        _validator().validate(content)
    except jsonschema_rs.ValidationError as error:
        return error
    message = "the record fits the schema"
    raise AssertionError(message)


def _place(content: Any, where: Sequence[str | int]) -> str:
    """The place `where` in words, with the workload's name in place of its index."""
    place = list(where)
    if len(place) > 1 and place[0] == "benchmarks":
        entry = content["benchmarks"][place[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        place[:2] = [str(name).removeprefix("test_") if name else f"benchmark {place[1]}"]
    if place[-3:-1] == ["stats", "data"]:
        place[-3:] = [f"round {int(place[-1]) + 1}"]
    return _short(" / ".join(map(str, place))) or "the file"


def _result(entry: Mapping[str, Any], share: Callable[[Any], Any]) -> Result:
    """One checked entry of `benchmarks` as a Result; see `_read`."""
    extra = entry["extra_info"]
    seconds, steps = tuple(map(float, entry["stats"]["data"])), tuple(map(float, extra.get("step_seconds", ())))
    epoch = extra.get("epoch_seconds")
    outside = epoch - steps[-1] if steps and epoch else None  # that epoch was the last one
    steps = steps[1 : len(seconds) + 1]  # without the warm-up's
    if whole := extra.get("epoch_images"):
        part = extra["images"] / whole
        seconds = tuple(step + part * (total - step) for step, total in zip(steps, seconds, strict=True))
    said = (entry["name"].removeprefix("test_"), tuple(extra["checks"]), extra.get("work", {}), extra.get("needs", {}))
    workload, checks, work, needs = share(said)
    return Result(
        workload=workload,
        images=extra["images"],
        seconds=seconds,
        warmup_seconds=extra["warmup_seconds"],
        flop=extra["flop"],
        memory=share(extra["memory"]),
        work=work,
        checks=checks,
        calls=extra.get("calls"),
        step_seconds=steps,
        accuracy=extra.get("accuracy"),
        epoch_seconds=epoch,
        epoch_outside=outside,
        bytes=extra.get("bytes"),
        needs=needs,
    )


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that occurs a second time."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
