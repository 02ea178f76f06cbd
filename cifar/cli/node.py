"""From the command line to this node: what is wrong with it, and what repeats a result: `cifar doctor`, `replay`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.cli.terminal import NOT_COMPARABLE, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from cifar.measure.doctor import Finding, Status

EXIT_CODES: dict[Status, int] = {"pass": 0, "unknown": 0, "warn": 0, "fail": 1}
"""By the worst finding; a warning has none of its own, or every busy node would end the job that asked."""
STRICT = EXIT_CODES | {"warn": 5}
"""With --strict; 5 as in `cifar compare --strict`, and neither code is that of wrong usage (2)."""
STYLES: dict[Status, str] = {"pass": "green", "unknown": "dim", "warn": "yellow", "fail": "bold red"}


def add_doctor(commands: Any) -> None:  # noqa: ANN401
    """`cifar doctor`."""
    parser = commands.add_parser("doctor", help="examine this node, and say what to do about what is wrong")
    parser.set_defaults(command=_doctor)
    parser.add_argument("--device", choices=("cpu", "gpu"), help="examine for this one only (default: both)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where results will go (default: results)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 5 where the worst finding is a warning")


def _doctor(options: argparse.Namespace) -> int:
    """Print the findings; the exit code is by the worst: 1 a failure, 5 a warning (with --strict), else 0."""
    from cifar.measure import doctor  # noqa: PLC0415
    from cifar.workload import dataset  # noqa: PLC0415

    folders = {"results": options.out, "data": dataset.cache_folder()}
    findings = doctor.examine(doctor.Node(folders, options.device))
    found = list(findings) if options.json else list(_shown(findings))
    worst = doctor.worst(found)
    if options.json:
        print(json.dumps({"worst": worst, "findings": [dataclasses.asdict(finding) for finding in found]}, indent=1))
    return (STRICT if options.strict else EXIT_CODES)[worst]


def _shown(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Print each finding as it comes, on one line where nothing must be folded to the terminal's width."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for finding in findings:
        yield finding
        if not console.is_terminal:
            print(finding.line, flush=True)
            continue
        line = Table.grid(padding=(0, 2))
        line.add_column(width=7)
        line.add_column(width=18)
        line.add_column()
        said = Text.assemble(finding.said, (f" -> {finding.remedy}" if finding.remedy else "", "cyan"))
        line.add_row(Text(finding.status, STYLES[finding.status]), finding.check, said)
        console.print(line)


def add_replay(commands: Any) -> None:  # noqa: ANN401
    """`cifar replay`."""
    parser = commands.add_parser("replay", help="print, or run, what would repeat a result")
    parser.set_defaults(command=_replay)
    parser.add_argument("result", type=Path, help="a campaign's folder, or a record in it")
    parser.add_argument("--run", action="store_true", help="measure again, if all that the result rests on is the same")


def _replay(options: argparse.Namespace) -> int:
    """Print the commands; with --run measure again, or say what is not as it was."""
    from cifar.cli import main  # noqa: PLC0415 it imports this module
    from cifar.measure import replay  # noqa: PLC0415
    from cifar.workload import dataset  # noqa: PLC0415

    plan, facts = replay.read(options.result)
    if not options.run:
        for line in replay.script(plan, facts):
            print(line)
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
