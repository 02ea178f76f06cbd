"""From a campaign to the commands that repeat it, and to what stands against repeating it here."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from cifar.measure import campaign, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cifar.measure.campaign import Plan

Facts = dict[str, Any]


def read(result: Path) -> tuple[Plan, Facts]:
    """Return the plan and the environment of a campaign, named by its folder or by one of its records.

    Raises FileNotFoundError or ValueError where there is no plan or no record of a run.
    """
    folder = result if result.is_dir() else result.parent
    plan = campaign.resume(folder)
    records = [result] if result.is_file() and result.name != campaign.PLAN else sorted(folder.glob("*-*.json"))
    for path in records:
        try:
            facts: Facts = json.loads(path.read_text(encoding="utf-8"))["machine_info"]["cifar"]["environment"]
        except (ValueError, KeyError, TypeError):
            continue
        return plan, facts
    message = f"{folder} holds a plan and no record: begin it by `cifar bench --resume --out {folder}`"
    raise ValueError(message)


def options(plan: Plan) -> list[str]:
    """Return the options of `cifar bench` that measure the same again; the dataset is named beside them."""
    devices = [word for device in plan.devices for word in ("--device", device)]
    effort = [] if plan.effort == "default" else [f"--{plan.effort}"]
    return [*devices, "--runs", str(plan.runs), *effort, *(("--only", plan.only) if plan.only else ())]


def script(plan: Plan, facts: Facts) -> Iterator[str]:
    """Yield the lines of a shell script that repeats the campaign, with what must be the same as comments."""
    source, dataset = facts["source"], facts["dataset"]
    yield f"# On {_known(facts['node']['cpu_model'])}, {_graphics(facts)}; another node gives other numbers."
    if isinstance(source["commit"], str):
        yield f"git checkout {source['commit']}"
    else:
        yield f"# The commit is {_known(source['commit'])}. Workloads and benchmarks: {source['workload']}"
    if source["dirty"] is True:
        yield "# The checkout had changes that are in no commit."
    inside = ""
    if facts["container"]["kind"] == "none":
        yield from _packages(source["lock"])
    else:
        yield from _image(facts)
        if facts["container"]["kind"] == "apptainer":
            inside = 'apptainer exec --nv --contain --home "$PWD" cifar.sif '
    yield f"# The dataset: {dataset['digest']}"
    prepare, file = _data(dataset)
    yield inside + shlex.join(["cifar", "prepare", *prepare, "--out", file])
    yield inside + shlex.join(["cifar", "bench", *options(plan), "--dataset", file])


def _data(dataset: Facts) -> tuple[list[str], str]:
    """The options of `cifar prepare` that make the dataset, and a file for it that holds no other one.

    It is named, for without a name `cifar bench` takes CIFAR-10 where it finds it; in `results`, which git ignores.
    """
    name = dataset["digest"][:12]
    if not dataset["synthetic"]:
        return [], f"results/cifar10-{name}.h5"
    seed = re.search(r"seed (\d+)", dataset["source"])
    return ["--synthetic", *(("--seed", seed[1]) if seed else ())], f"results/standin-{name}.h5"


def _packages(lock: Facts) -> Iterator[str]:
    """The lines that install what was installed."""
    yield f"# The packages' lock: {lock['sha256'] if 'sha256' in lock else _known(lock)}"
    if lock.get("differs"):
        yield f"# Installed otherwise than locked: {', '.join(lock['differs'])}"
    yield f"pip install -r containers/{lock.get('file', 'requirements-cpu.txt')}"
    yield "pip install --no-deps --no-build-isolation --editable ."


def _image(facts: Facts) -> Iterator[str]:
    """The lines that build the image, which is to have the same digest."""
    container, lock = facts["container"], facts["source"]["lock"]
    name = lock.get("file", "requirements-cpu.txt").removeprefix("requirements-").removesuffix(".txt")
    variant, _, tensorflow = name.partition("-")
    yield f"# The image, run by {container['kind']}: {_known(container['image'])}, {_known(container['digest'])}"
    yield f"nox -s image -- --variant {variant}" + (f" --tensorflow {tensorflow}" if tensorflow else "")
    if container["kind"] == "apptainer":
        yield f"ln -sf dist/cifar-bench-{name}.sif cifar.sif"
    else:
        yield f"# What follows runs in {container['kind']}; see containers/README.md."


def differences(facts: Facts, dataset: str) -> list[str]:
    """Return in words what is not as it was: source, packages, image, data; empty where a repeat is one.

    `dataset` is the digest of the data that is prepared here.
    """
    now = {"source": environment.source(), "container": environment.container(), "dataset": {"digest": dataset}}
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
        if before != here and not (isinstance(before, dict) and isinstance(here, dict)):
            found.append(f"{what} was {_known(before)}, here it is {_known(here)}")
    return found


def _graphics(facts: Facts) -> str:
    """The GPUs in words."""
    gpus = facts["gpus"] if isinstance(facts["gpus"], list) else []
    names = [str(gpu["name"]) for gpu in gpus if isinstance(gpu.get("name"), str)]
    return ", ".join(names) or "without a GPU"


def _known(fact: object) -> str:
    """A fact, or why it is unknown."""
    return f"unknown ({fact['unmeasurable']})" if isinstance(fact, dict) and "unmeasurable" in fact else str(fact)
