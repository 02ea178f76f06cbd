"""Consistency: what a record says twice must be the same twice, or neither can be trusted."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cifar.record.fingerprint import contradictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


ROUNDING = 1e-9
"""Relative difference of the same statistic, computed in another order, that is rounding."""
SUMS = ("rounds", "mean", "total", "ops")
"""Statistics that are rounded as a part of themselves; the others as a part of the longest round."""
IMAGE_BYTES = 32 * 32 * 3
"""Of an image as bytes; what copying one needs is a multiple of it."""
FORWARD, TRAINING = "forward", "training"
NETWORK = {
    "forward": FORWARD,
    "ladder_forward": FORWARD,
    "peer_forward": FORWARD,
    "prediction": FORWARD,
    "training": TRAINING,
    "ladder_training": TRAINING,
    "peer_training": TRAINING,
    "growth_batch": TRAINING,
}
"""Families that send images through the lesson's network, and which way: each image costs the same there."""
EXACT = {"forward": "batch", "growth_batch": "batch", "growth_images": "images", "growth_cold": "images"}
"""Families one call of which is as many images as that parameter in the name says."""


class Contradiction(NamedTuple):
    """A place in a record, as keys and indices, and what is wrong there, in words that follow the place."""

    place: tuple[str | int, ...]
    what: str


def contradiction(content: Mapping[str, Any]) -> Contradiction | None:
    """Return the first thing that a record, which fits the schema, says in two ways; None where there is none."""
    return next(_all(content), None)


def _all(content: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Every contradiction of a record."""
    ours = content["machine_info"]["cifar"]
    yield from _at(("machine_info", "cifar"), _times(ours, content.get("datetime")))
    yield from _at((), _nothing(content["benchmarks"], ours))
    yield from _at(("machine_info", "cifar"), _device(ours))
    yield from _at(("machine_info", "cifar", "fingerprint"), _fingerprint(ours))
    for index, entry in enumerate(content["benchmarks"]):
        place = ("benchmarks", index)
        yield from _at(place, _name(entry))
        yield from _at((*place, "stats"), _statistics(entry["stats"]))
        yield from _at((*place, "extra_info"), _amounts(entry))
        yield from _at((*place, "extra_info"), _epoch(entry))
        yield from _at((*place, "extra_info"), _memory(entry, ours["device"]))
    yield from _network(content["benchmarks"])
    yield from _epochs(content["benchmarks"])


def _at(place: tuple[str | int, ...], found: Iterable[tuple[str, str]]) -> Iterator[Contradiction]:
    """Contradictions by field as contradictions of the record."""
    for field, what in found:
        yield Contradiction((*place, *field.split("/")), what)


# --- the run


def moment(text: str) -> datetime:
    """Return a time in ISO 8601 with its offset; ValueError for any other text."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        message = "it has no offset from UTC"
        raise ValueError(message)
    return time


def _times(ours: Mapping[str, Any], written: object) -> Iterator[tuple[str, str]]:
    """A run begins before it ends, and its file is written after it began."""
    times = {"started": ours["started"], "finished": ours["finished"]}
    for field, text in times.items():
        try:
            times[field] = moment(text) if text is not None else None
        except ValueError as error:
            yield field, f"{text!r} is no time in ISO 8601 with its offset, such as 2026-03-01T10:00:00+00:00 ({error})"
            return
    if ours["complete"] and times["finished"] is None:
        yield "finished", "it has no time although the run is complete"
    if times["finished"] is not None and times["finished"] < times["started"]:
        yield "finished", f"{ours['finished']} is before it started, {ours['started']}"
    if isinstance(written, str):
        try:
            before = moment(written) < times["started"]
        except ValueError:
            return  # pytest-benchmark's own, which nothing is read from
        if before:
            yield "started", f"{ours['started']} is after the file was written, {written}"


def _nothing(entries: Sequence[object], ours: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A run that is complete has measured something, or says why it has not."""
    if ours["complete"] and not entries and not ours["failures"]:
        yield "benchmarks", "the run is complete, and it has neither a result nor a failure"


def _device(ours: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The arm is named after the device, and the environment knows the same device."""
    arm, device = ours["arm"], ours["device"]
    base = re.sub(r"#\d+$", "", arm)
    if base != device and not base.endswith(f":{device}"):
        yield "arm", f"{arm!r} is no arm of the device {device!r}"
    facts = ours["environment"].get("device")
    if not isinstance(facts, dict):
        return
    kind = "cpu" if device == "cpu" else "gpu"
    if facts.get("name", device) != device:
        yield "environment/device/name", f"it is {facts['name']!r}, and the record is of {device!r}"
    if facts.get("kind", kind) != kind:
        yield "environment/device/kind", f"it is {facts['kind']!r}, and the record is of {device!r}"
    if kind == "cpu" and isinstance(facts.get("gpu"), str):
        yield "environment/device/gpu", f"it names the GPU {facts['gpu']!r}, and the record is of the CPU"


def _fingerprint(ours: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every field of the fingerprint is what the environment says."""
    for field, value in contradictions(ours["fingerprint"], ours["environment"]).items():
        yield field, f"it is {ours['fingerprint'].get(field)!r}, and the environment says {value!r}"


# --- a benchmark


def _name(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The full name and the parameters say what the name says."""
    name = entry["name"]
    fullname, param, params = (entry.get(key) for key in ("fullname", "param", "params"))
    if fullname is not None and fullname.rpartition("::")[2] != name:
        yield "fullname", f"it is {fullname!r}, and the name is {name!r}"
    if param is not None and not name.endswith(f"[{param}]"):
        yield "param", f"it is {param!r}, and the name is {name!r}"
    for key, value in _numbers(name).items():
        said = (params or {}).get(key, value)
        if isinstance(said, int) and said != value:
            yield f"params/{key}", f"it is {said!r}, and the name is {name!r}"


def _numbers(name: str) -> dict[str, int]:
    """The parameters in a benchmark's name that are whole numbers: `{"batch": 250}`."""
    return {key: int(digits) for key, digits in re.findall(r"[\[,]([^=,\[\]]+)=(\d{1,15})(?=[,\]])", name)}


def _statistics(stats: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every statistic that is given is that of the rounds."""
    expected = statistics_of(stats["data"])
    for name, value in expected.items():
        allowed = ROUNDING * (value if name in SUMS else expected["max"])
        if name in stats and abs(stats[name] - value) > allowed:
            yield name, f"it is {stats[name]!r}, and the rounds give {value!r}"


def statistics_of(rounds: Sequence[float]) -> dict[str, float]:
    """Return what pytest-benchmark says of rounds in seconds, by its names."""
    data, count, total = sorted(rounds), len(rounds), math.fsum(rounds)
    mean = total / count
    squares = math.fsum((seconds - mean) ** 2 for seconds in data)
    first, third = _quartiles(data)
    return {
        "rounds": count,
        "median": _median(data),
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "total": total,
        "ops": 1 / mean,
        "stddev": math.sqrt(squares / (count - 1)) if count > 1 else 0.0,
        "q1": first,
        "q3": third,
        "iqr": third - first,
    }


def _median(data: Sequence[float]) -> float:
    """The median of sorted numbers."""
    half = len(data) // 2
    return data[half] if len(data) % 2 else (data[half - 1] + data[half]) / 2


def _quartiles(data: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile of sorted numbers, as pytest-benchmark counts them.

    Of an even count they are the medians of its halves, of an odd one they lie between the two nearest numbers.
    """
    count, (whole, rest) = len(data), divmod(len(data), 4)
    if count == 1:
        return data[0], data[0]
    if rest == 1:
        return _between(data, whole - 1, 0.75), _between(data, 3 * whole, 0.25)
    if rest == 3:  # noqa: PLR2004 - three more than a multiple of four
        return _between(data, whole, 0.25), _between(data, 3 * whole + 1, 0.75)
    return _median(data[: count // 2]), _median(data[count // 2 :])


def _between(data: Sequence[float], index: int, part: float) -> float:
    """The number that is this part of the way from one to the next."""
    return (1 - part) * data[index] + part * data[index + 1]


def _amounts(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Amounts are those of so many equal calls, and of as many images as the name and the work say."""
    extra, name = entry["extra_info"], entry["name"]
    calls, images = extra.get("calls") or 1, extra["images"]
    amounts = {field: extra.get(field) for field in ("images", "flop", "bytes")}
    amounts |= {f"needs/{limit}": amount for limit, amount in extra.get("needs", {}).items()}
    for field, amount in amounts.items():
        if amount is not None and amount % calls:
            yield field, f"{amount} cannot be shared out among {calls} calls"
    if calls > 1 and extra["warmup_seconds"] is None:
        yield "calls", f"{calls} calls have no warm-up, which only what is called once has not"
    if images is None:
        return
    parameter = EXACT.get(_family(entry), "")
    expected = _numbers(name).get(parameter)
    if expected is not None and images != calls * expected:
        yield "images", f"{images} are not those of {calls} calls of {name.removeprefix('test_')}"
    rows = re.fullmatch(r"rows 0 to (\d{1,15})", extra["work"].get("batches", ""))
    if rows and images != calls * (int(rows[1]) + 1):
        yield "images", f"{images} are not those of {calls} calls on {rows[0]}"
    copied = extra.get("needs", {}).get("peak[what=host-copy]", 0)
    if copied % (images * IMAGE_BYTES):
        yield "images", f"{images} images of {IMAGE_BYTES} bytes cannot need copies of {copied} bytes"


def _epoch(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A round's steps are within the round, its images within the epoch, and the accuracy is the checked one."""
    extra, rounds = entry["extra_info"], entry["stats"]["data"]
    steps, whole = extra.get("step_seconds"), extra.get("epoch_images")
    if whole is not None and (extra["images"] or math.inf) > whole:
        yield "epoch_images", f"an epoch has {whole} images, and a round {extra['images'] or 'says of none'}"
    if whole is not None and not steps:
        yield "epoch_images", "it is of no use without step_seconds"
    if steps and len(steps) <= len(rounds):
        yield "step_seconds", f"{len(steps)} are not one for the warm-up and one for each of {len(rounds)} rounds"
    for place, (step, seconds) in enumerate(zip((steps or [])[1:], rounds, strict=False), start=1):
        if step > seconds * (1 + ROUNDING):
            yield f"step_seconds/{place}", f"{step} is longer than its round of {seconds}"
    if steps and (extra.get("epoch_seconds") or math.inf) < steps[-1]:
        yield "epoch_seconds", f"{extra['epoch_seconds']} is shorter than its steps of {steps[-1]}"
    checked = re.findall(r"accuracy (\d\.\d{3})\b", " ".join(extra["checks"]))
    if extra.get("accuracy") is not None and checked and f"{extra['accuracy']:.3f}" not in checked:
        yield "accuracy", f"it is {extra['accuracy']!r}, and the checks say {checked[0]}"


def _memory(entry: Mapping[str, Any], device: str) -> Iterator[tuple[str, str]]:
    """The CPU has no memory of its own."""
    peak = entry["extra_info"]["memory"]["device_peak_bytes"]
    if device == "cpu" and peak is not None:
        yield "memory/device_peak_bytes", f"it is {peak}, and the CPU computes in the host's memory"


def _family(entry: Mapping[str, Any]) -> str:
    """`forward` of `test_forward[batch=250]`."""
    return str(entry["name"]).removeprefix("test_").partition("[")[0]


def _network(entries: Sequence[Mapping[str, Any]]) -> Iterator[Contradiction]:
    """Each image through the lesson's network costs as much arithmetic as any other the same way."""
    known: dict[tuple[str, str], tuple[float, str]] = {}
    for index, entry in enumerate(entries):
        extra, way = entry["extra_info"], NETWORK.get(_family(entry))
        if way is None or not extra["images"]:
            continue
        costs = {"flop": extra["flop"]}
        costs |= {f"needs/{limit}": cost for limit, cost in extra.get("needs", {}).items() if "what=matmul" in limit}
        for field, cost in costs.items():
            if cost is None:
                continue
            each = cost / extra["images"]
            first, where = known.setdefault((way, field), (each, entry["name"].removeprefix("test_")))
            if each != first:
                what = f"{cost} for {extra['images']} images is {each:.12g} each, and in {where} it is {first:.12g}"
                yield Contradiction(("benchmarks", index, "extra_info", *field.split("/", 1)), what)


def _epochs(entries: Sequence[Mapping[str, Any]]) -> Iterator[Contradiction]:
    """An epoch of the dataset has the same images in every workload."""
    wholes = [(index, entry["extra_info"].get("epoch_images")) for index, entry in enumerate(entries)]
    known = [(index, whole) for index, whole in wholes if whole is not None]
    for index, whole in known:
        if whole != known[0][1]:
            where = entries[known[0][0]]["name"].removeprefix("test_")
            what = f"it is {whole}, and {known[0][1]} in {where}"
            yield Contradiction(("benchmarks", index, "extra_info", "epoch_images"), what)
