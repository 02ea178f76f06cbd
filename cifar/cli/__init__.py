"""The command `cifar`: parse, call, print; nothing else.

One module a group of commands, each with a function that adds its commands to the parser.  Heavy modules are
imported by the command that needs them, so that `cifar --help` answers at once.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import TYPE_CHECKING

from cifar.cli import bench, data, node, report
from cifar.cli.terminal import INTERRUPTED, WRONG_USAGE, say

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's) and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except (OSError, ValueError) as error:
        say(f"cifar {options.name}: {error}")
        return WRONG_USAGE


def _parser() -> argparse.ArgumentParser:
    """The command line; every command's function is its `command`."""
    parser = argparse.ArgumentParser(
        prog="cifar", description="How does this GPU compare with this CPU on deep learning, and why?"
    )
    parser.add_argument("--version", action="version", version=f"cifar-bench {version('cifar-bench')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    node.add_doctor(commands)
    data.add_prepare(commands)
    bench.add_bench(commands)
    node.add_replay(commands)
    report.add_compare(commands)
    report.add_report(commands)
    return parser
