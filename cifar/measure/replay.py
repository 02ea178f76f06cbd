"""From a campaign to the commands that repeat it, and to what stands against repeating it here."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, TypeGuard

from cifar.measure import campaign, source
from cifar.node.container import container
from cifar.record import archive, files
from cifar.record.text import plain
from cifar.record.unmeasurable import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cifar.measure.campaign import Plan

Facts = dict[str, Any]


def read(result: Path) -> tuple[Plan, Facts]:
    """Return the plan and the environment of a campaign, named by its folder or by one of its records.

    The facts that a repeat rests on are there and have the form of what they say they are.  Raises FileNotFoundError
    or ValueError where there is no plan or no record of a run, or where a fact is missing or has another form.
    """
    if not archive.exists(result):
        message = f"{result}: there is no such file or folder: name a campaign's folder, or one of its records"
        raise FileNotFoundError(message)
    folder = result if archive.is_folder(result) else result.parent
    plan = campaign.resume(folder)
    if archive.is_file(result) and result.name != campaign.PLAN:
        return plan, _environment(result)
    for path in archive.contents(folder):
        if not path.match("*-*.json"):
            continue
        try:
            facts = _environment(path)
        except _NoRecordError:  # of a run that is being written, or somebody else's
            continue
        return plan, facts
    message = f"{folder} holds a plan and no record: begin it by `cifar bench --resume --out {folder}`"
    raise ValueError(message)


class _NoRecordError(ValueError):
    """A file that is no record of a run."""


def _environment(path: Path) -> Facts:
    """The environment in the record `path`."""
    try:
        facts = files.read_json(path)["machine_info"]["cifar"]["environment"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        message = f"{path} is no record of a run ({error}); name another one, or the campaign's folder"
        raise _NoRecordError(message) from error
    for place, form in _FORMS.items():
        fact: Any = facts
        for name in place.split("."):
            fact = fact.get(name) if isinstance(fact, dict) else None
        if not (_is_unmeasurable(fact) and place in _MAY_BE_UNKNOWN) and not form(fact):
            shown = plain(str(fact)[:60]).replace("\n", " ")
            message = f"{path} cannot be repeated: its {place} is {shown!r}, which is {_NOTHING[form]}"
            raise ValueError(message)
    found: Facts = facts
    return found


def _is_unmeasurable(fact: Any) -> TypeGuard[dict[str, str]]:
    """Whether a fact could not be had, with the reason."""
    return isinstance(fact, dict) and isinstance(fact.get("unmeasurable"), str)


def _text(fact: object) -> bool:
    return isinstance(fact, str)


def _switch(fact: object) -> bool:
    return isinstance(fact, bool)


def _object(fact: object) -> bool:
    return isinstance(fact, dict)


def _commit(fact: object) -> bool:
    return isinstance(fact, str) and source.COMMIT.fullmatch(fact) is not None


def _digest(fact: object) -> bool:
    return isinstance(fact, str) and re.fullmatch("[0-9a-f]{64}", fact) is not None


def _image_digest(fact: object) -> bool:
    return isinstance(fact, str) and _digest(fact.removeprefix("sha256:"))


def _kind(fact: object) -> bool:
    return fact in ("none", "apptainer", "docker", "podman")


def _lock(fact: object) -> bool:
    """Whether a lock has a plain name, a digest and a list of packages."""
    if not isinstance(fact, dict):
        return False
    name, differs = fact.get("file"), fact.get("differs")
    return (
        isinstance(name, str)
        and re.fullmatch(r"requirements-[a-z]+(-[0-9]+(\.[0-9]+){0,2})?\.txt", name) is not None
        and _digest(fact.get("sha256"))
        and isinstance(differs, list)
        and all(isinstance(package, str) for package in differs)
    )


_FORMS = {
    "node.cpu_model": _text,
    "source.commit": _commit,
    "source.dirty": _switch,
    "source.workload": _digest,
    "source.installed": _digest,
    "source.lock": _lock,
    "container": _object,
    "container.kind": _kind,
    "container.image": _text,
    "container.digest": _image_digest,
    "dataset.digest": _digest,
    "dataset.source": _text,
    "dataset.synthetic": _switch,
}
"""What a repeat rests on, and the form that it has."""
_MAY_BE_UNKNOWN = set(_FORMS) - {"container", "container.kind", "dataset.digest", "dataset.source", "dataset.synthetic"}
_NOTHING = {
    _text: "no text",
    _switch: "neither true nor false",
    _object: "no object",
    _commit: "no commit of 40 hexadecimal digits",
    _digest: "no SHA-256 in hexadecimal digits",
    _image_digest: "no SHA-256 in hexadecimal digits",
    _kind: "no kind of container that is known",
    _lock: "no lock: a file requirements-*.txt, its sha256, and the packages that differ",
}
"""What a fact is that has not that form."""


def options(plan: Plan) -> list[str]:
    """Return the options of `cifar bench` that measure the same again; the dataset is named beside them."""
    devices = [word for device in plan.devices for word in ("--device", device)]
    effort = [] if plan.effort == "default" else [f"--{plan.effort}"]
    return [*devices, "--runs", str(plan.runs), *effort, *((f"--only={plan.only}",) if plan.only else ())]


def script(plan: Plan, facts: Facts) -> Iterator[str]:
    """Yield the lines of a shell script that repeats the campaign, with what must be the same as comments.

    What comes from a file is quoted, and in a comment it is one line.
    """
    source, dataset = facts["source"], facts["dataset"]
    yield _comment(f"On {_known(facts['node']['cpu_model'])}, {_graphics(facts)}; another node gives other numbers.")
    if isinstance(source["commit"], str):
        yield shlex.join(["git", "checkout", source["commit"]])
    else:
        workload = _known(source["workload"])
        yield _comment(f"The commit is {_known(source['commit'])}. Workloads and benchmarks: {workload}")
    if source["dirty"] is True:
        yield _comment("The checkout had changes that are in no commit.")
    inside = ""
    if facts["container"]["kind"] == "none":
        yield from _packages(source["lock"])
    else:
        yield from _image(facts)
        if facts["container"]["kind"] == "apptainer":
            inside = 'apptainer exec --nv --contain --home "$PWD" cifar.sif '
    yield _comment(f"The dataset: {dataset['digest']}")
    prepare, file = _data(dataset)
    yield inside + shlex.join(["cifar", "prepare", *prepare, "--out", file])
    line = inside + shlex.join(["cifar", "bench", *options(plan), "--dataset", file])
    if plain(line) != line or "\n" in line:
        message = f"{campaign.PLAN} cannot be repeated: it holds a text with control characters: {line[:200]!r}"
        raise ValueError(message)
    yield line


def _comment(text: str) -> str:
    """A comment, on one line."""
    return f"# {plain(' '.join(text.splitlines()))}"


def _data(dataset: Facts) -> tuple[list[str], str]:
    """The options of `cifar prepare` that make the dataset, and a file for it that holds no other one.

    It is named, for without a name `cifar bench` takes CIFAR-10 where it finds it; in `results`, which git ignores.
    """
    name = dataset["digest"][:12]
    if not dataset["synthetic"]:
        return [], f"results/cifar10-{name}.h5"
    seed = re.search(r"seed ([0-9]{1,19})\b", dataset["source"])
    return ["--synthetic", *(("--seed", seed[1]) if seed else ())], f"results/standin-{name}.h5"


def _packages(lock: Facts) -> Iterator[str]:
    """The lines that install what was installed."""
    yield _comment(f"The packages' lock: {lock['sha256'] if 'sha256' in lock else _known(lock)}")
    if lock.get("differs"):
        yield _comment(f"Installed otherwise than locked: {', '.join(lock['differs'])}")
    yield shlex.join(["pip", "install", "-r", f"containers/{lock.get('file', 'requirements-cpu.txt')}"])
    yield "pip install --no-deps --no-build-isolation --editable ."


def _image(facts: Facts) -> Iterator[str]:
    """The lines that build the image, which is to have the same digest."""
    container, lock = facts["container"], facts["source"]["lock"]
    name = lock.get("file", "requirements-cpu.txt").removeprefix("requirements-").removesuffix(".txt")
    variant, _, tensorflow = name.partition("-")
    image = f"{_known(container['image'])}, {_known(container['digest'])}"
    yield _comment(f"The image, run by {container['kind']}: {image}")
    release = ["--tensorflow", tensorflow] if tensorflow else []
    yield shlex.join(["nox", "-s", "image", "--", "--variant", variant, *release])
    if container["kind"] == "apptainer":
        yield shlex.join(["ln", "-sf", f"dist/cifar-bench-{name}.sif", "cifar.sif"])
    else:
        yield _comment(f"What follows runs in {container['kind']}; see containers/README.md.")


def differences(facts: Facts, dataset: str) -> list[str]:
    """Return in words what is not as it was: source, packages, image, data; empty where a repeat is one.

    `dataset` is the digest of the data that is prepared here.
    """
    now = as_json({"source": source.describe(), "container": container(), "dataset": {"digest": dataset}})
    places = {
        "the workloads' source": ("source", "workload"),
        "the commit": ("source", "commit"),
        "the installed packages": ("source", "installed"),
        "the image": ("container", "digest"),
        "the dataset": ("dataset", "digest"),
    }
    found = []
    for what, (subject, name) in places.items():
        before, here = facts[subject][name], now[subject][name]
        # What neither side can tell is not a difference: a result from outside of a container has no image.
        if before != here and not (_is_unmeasurable(before) and _is_unmeasurable(here)):
            found.append(plain(f"{what} was {_known(before)}, here it is {_known(here)}"))
    return found


def _graphics(facts: Facts) -> str:
    """The GPUs in words."""
    gpus = facts["gpus"] if isinstance(facts.get("gpus"), list) else []
    names = [str(gpu["name"]) for gpu in gpus if isinstance(gpu, dict) and isinstance(gpu.get("name"), str)]
    return ", ".join(names) or "without a GPU"


def _known(fact: object) -> str:
    """A fact, or why it is unknown."""
    return f"unknown ({fact['unmeasurable']})" if _is_unmeasurable(fact) else str(fact)
