"""From the command line to this node: `doctor` examines it, `devices` lists what is there, `replay` repeats."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.terminal import NOT_COMPARABLE, console, say
from cifar.record.unmeasurable import Unmeasurable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cifar.measure.doctor import Finding, Status

EXIT_CODES: dict[Status, int] = {"pass": 0, "unknown": 0, "warn": 0, "fail": 1}
"""By the worst finding; a warning has none of its own, or every busy node would end the job that asked."""
STRICT = EXIT_CODES | {"warn": 5}
"""With --strict; 5 as in `cifar compare --strict`, and neither code is that of wrong usage (2)."""
STYLES: dict[Status, str] = {"pass": "32", "unknown": "2", "warn": "33", "fail": "1;31"}
"""Green, dim, yellow, bold red, as a terminal takes them (ECMA-48, Select Graphic Rendition)."""


def add_doctor(commands: Any) -> None:
    """`cifar doctor`."""
    parser = commands.add_parser("doctor", help="examine this node, and say what to do about what is wrong")
    parser.set_defaults(command=_doctor)
    parser.add_argument("--device", choices=("cpu", "gpu"), help="examine for this one only (default: both)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results will go (default: results)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 5 where the worst finding is a warning")


def _doctor(options: argparse.Namespace) -> int:
    """Print the findings; the exit code is by the worst: 1 a failure, 5 a warning (with --strict), else 0."""
    from cifar.measure import doctor

    findings = doctor.examine(doctor.Node({"results": options.out, "data": None}, options.device))
    found = list(findings) if options.json else list(_shown(findings))
    worst = doctor.worst(found)
    if options.json:
        print(json.dumps({"worst": worst, "findings": [dataclasses.asdict(finding) for finding in found]}, indent=1))
    return (STRICT if options.strict else EXIT_CODES)[worst]


def _shown(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Print each finding as it comes, on one line where nothing must be folded to the terminal's width.

    By Python's own means, for the package that draws tables elsewhere may be what is broken.
    """
    folds = sys.stdout is not None and sys.stdout.isatty()  # None: it was closed
    for finding in findings:
        yield finding
        print(_folded(finding) if folds else finding.line, flush=True)


def _folded(finding: Finding) -> str:
    """The finding in columns as wide as the terminal, with its status in colour where that is wanted."""
    width = max(60, shutil.get_terminal_size().columns)
    indent = " " * len(f"{finding.status:7}  {finding.check:18}  ")
    lines = textwrap.wrap(finding.line, width, subsequent_indent=indent, break_on_hyphens=False)
    text = "\n".join(lines)
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{STYLES[finding.status]}m{finding.status}\x1b[0m{text.removeprefix(finding.status)}"


def add_devices(commands: Any) -> None:
    """`cifar devices`."""
    parser = commands.add_parser("devices", help="which devices this node has, and why a GPU is missing")
    parser.set_defaults(command=_devices)


def _devices(_options: argparse.Namespace) -> int:
    """Print devices and versions, and for a missing GPU the reason and the remedy."""
    from cifar.measure.doctor import software

    if broken := [finding for finding in software.imported() if finding.status == "fail"]:
        message = "; ".join(f"{finding.said} -> {finding.remedy}" for finding in broken)
        raise ValueError(message)
    from rich.table import Table

    from cifar.backend import missing, survey
    from cifar.node import computer, gpus, packages

    facts, node = survey.observe(), computer.describe()
    table = Table(title="Devices")
    for column in ("--device", "model", "processors", "memory"):
        table.add_column(column)
    allotted = f"{node['cpus']} of {node['logical_cores']}"
    table.add_row("cpu", _fact(node["cpu_model"]), allotted, _gibibytes(node["memory_bytes"]))
    listed = gpus.nvidia()["gpus"]
    if facts.computes:
        for number, gpu in enumerate(listed if isinstance(listed, list) else [listed] * len(facts.gpus)):
            known = {"name": gpu} if isinstance(gpu, Unmeasurable) else gpu
            memory = _gibibytes(known.get("memory_bytes"))
            table.add_row(f"gpu:{number}" if number else "gpu", _fact(known.get("name")), "", memory)
    console().print(table)
    if facts.computes:
        print("A GPU computes here: --device gpu uses it, --device cpu does not.")
    else:
        print(f"No GPU: {missing.explain(facts)}")
        print("All that runs here runs on the CPU.")
    versions = dict(packages.installed())
    names = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "h5py", "cifar-bench")
    shown = [f"{name} {versions[name]}" for name in names if name in versions]
    print(f"Versions: Python {sys.version.split()[0]}, {', '.join(shown)}")
    print(f"CUDA that TensorFlow was built with: {facts.cuda_version or 'none'}; driver: {facts.driver or 'none'}")
    return 0


def _fact(value: object) -> str:
    """A fact, or the reason why there is none."""
    return value.reason if isinstance(value, Unmeasurable) else str(value)


def _gibibytes(value: object) -> str:
    """Bytes in GiB; for anything else "not known"."""
    return f"{value / 2**30:.1f} GiB" if isinstance(value, int) else "not known"


def add_replay(commands: Any) -> None:
    """`cifar replay`."""
    parser = commands.add_parser("replay", help="print, or run, what would repeat a result")
    parser.set_defaults(command=_replay)
    parser.add_argument("result", type=Path, help="a campaign's folder, or a record in it")
    parser.add_argument("--run", action="store_true", help="measure again, if all that the result rests on is the same")


def _replay(options: argparse.Namespace) -> int:
    """Print the commands; with --run measure again, or say what is not as it was."""
    from cifar.cli import main
    from cifar.data import dataset
    from cifar.measure import replay

    plan, facts = replay.read(options.result)
    if not options.run:
        lines = list(replay.script(plan, facts))  # whole, or not at all
        print("\n".join(lines))
        return 0
    path = Path(plan.dataset)
    if not path.exists():
        path = dataset.default_path(synthetic=facts["dataset"]["synthetic"])
    different = replay.differences(facts, dataset.describe(path).digest)
    for difference in different:
        say(f"not as it was: {difference}")
    if different:
        say("nothing was measured, for it would be something else; without --run the way to repeat it is printed")
        return NOT_COMPARABLE
    return main(["bench", *replay.options(plan), "--dataset", str(path)])
