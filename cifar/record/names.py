"""Names: a workload is named by its family and its parameters; what that name says, and the order of names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FAMILIES = ("training", "forward", "prediction", "generator", "startup", "peak")
"""In the order in which they are shown."""

WORDS = {
    "training[feed=memory]": "Training, fed from memory",
    "training[feed=generator]": "Training, fed by the generator",
    "training[feed=memory,by=keras]": "Training, fed from memory, Keras's step",
    "training[by=lesson]": "Training, the lesson's way",
    "training[by=aligned]": "Training, the lesson's way, a chunk a batch",
    "generator[by=aligned,batch=250]": "The lesson's generator, a chunk a batch",
    "prediction[feed=generator]": "Prediction, fed by the generator",
    "prediction[feed=lesson]": "Prediction, fed by the lesson's generator",
    "startup[stage=interpreter]": "Start-up: interpreter",
    "startup[stage=import]": "Start-up: interpreter and imports",
    "startup[stage=device]": "Start-up: interpreter, imports and device",
    "startup[stage=first-batch]": "Start-up: first batch",
    "startup[stage=build]": "Start-up: network built",
    "startup[stage=first-step]": "Start-up: first training step",
    "peak[what=matmul,type=float32]": "Limit: matrix product in float32",
    "peak[what=matmul,type=tf32]": "Limit: matrix product in TF32",
    "peak[what=matmul,type=bfloat16]": "Limit: matrix product in bfloat16",
    "peak[what=copy]": "Limit: memory, copied",
    "peak[what=read]": "Limit: memory, read",
    "peak[what=host-copy]": "Limit: the images copied on the host",
    "peak[what=to-device]": "Limit: host to device",
    "peak[what=launch]": "Limit: the smallest call",
    "peak[what=file,cache=warm]": "Limit: the file, from the page cache",
    "peak[what=file,cache=cold]": "Limit: the file, past the page cache",
}


def parameters(workload: str) -> dict[str, str]:
    """Return the parameters in a workload's name, as text: `{"batch": "250"}` of `forward[batch=250]`."""
    parts = (part.partition("=") for part in workload.partition("[")[2].rstrip("]").split(",") if part)
    return {key: value for key, _, value in parts}


def size(text: str | None) -> int | None:
    """Return the size that a parameter says, such as a batch's; None where it is no whole number above 0."""
    if text is None or not re.fullmatch("[1-9][0-9]{0,11}", text):
        return None
    return int(text)


def words(workload: str) -> str:
    """Return a workload's name in words, `Forward, batch 250, input on the host`; the name itself if it is new."""
    if workload in WORDS:
        return WORDS[workload]
    match workload.partition("[")[0], parameters(workload):
        case "generator", {"by": by, "batch": batch, **rest} if not rest:
            whose = "Our" if by == "ours" else f"The {by}'s"
            name = f"{whose} generator, batch {batch}"
        case "forward", {"batch": batch, "input": place, **rest} if not rest:
            name = f"Forward, batch {batch}, input on the {place}"
        case "forward", {"batch": batch, "by": way, **rest} if not rest:
            name = f"Forward, batch {batch}, by {way}"
        case "peer_generator", {"by": by}:
            name = f"Generators to choose from: {by}"
        case "peer_tensors", {"by": by}:
            name = f"Generators to choose from, bytes as tensors: {by}"
        case "peer_training" | "peer_forward" as family, {"by": by, **rest} if rest.keys() <= {"batch"}:
            batch = f", batch {rest['batch']}" if rest else ""
            name = f"Frameworks to choose from, {family.removeprefix('peer_')}{batch}: {by}"
        case family, sizes if family.startswith("growth_"):
            numbers = ((key, value, size(value)) for key, value in sizes.items())
            shown = (f"{key} {value}" if number is None else f"{key} {number:,}" for key, value, number in numbers)
            name = f"Growth: {', '.join(shown)}"
        case family, {"rung": rung} if family.startswith("ladder_"):
            name = f"Ladder, {family.removeprefix('ladder_')}: {rung}"
        case _:
            name = workload
    return name


def series(workload: str) -> str:
    """Return the workload's name without its batch size: `forward[input=host]` of `forward[batch=32,input=host]`."""
    rest = ",".join(f"{key}={value}" for key, value in parameters(workload).items() if key != "batch")
    return f"{workload.partition('[')[0]}[{rest}]"


def in_order(workloads: Iterable[str]) -> list[str]:
    """Return workloads in the order in which they are shown: by family, then as they came, small batches first."""
    names = list(workloads)
    came = list(dict.fromkeys(map(series, names)))

    def key(workload: str) -> tuple[int, int, int]:
        family, batch = workload.partition("[")[0], size(parameters(workload).get("batch"))
        place = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
        return place, came.index(series(workload)), batch or 0

    return sorted(names, key=key)
