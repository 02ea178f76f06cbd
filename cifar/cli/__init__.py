"""The command `cifar`: parse, call, print; nothing else.

One module a group of commands, each with a function that adds its commands to the parser.  Heavy modules are
imported by the command that needs them, so that `cifar --help` answers at once.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import TYPE_CHECKING

from cifar.backend.placement import MisplacedError
from cifar.cli import agree, bench, data, lesson, node, report, train
from cifar.cli.terminal import (
    INTERRUPTED,
    NOTHING_MEASURED,
    WRONG_USAGE,
    MissingDeviceError,
    check_printed,
    say,
    steady_streams,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDED = (
    *(node.add_doctor, node.add_devices, data.add_prepare, data.add_data),
    *(bench.add_bench, report.add_compare, report.add_report, node.add_replay),
    *(lesson.add_lesson, train.add_model, train.add_train, train.add_evaluate, train.add_predict, agree.add_agree),
)
"""The commands in the order of the help: look at the node and the data; measure; teach."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's) and return the exit code."""
    steady_streams()
    options = _parser().parse_args(arguments)
    try:
        code = int(options.command(options))
        return code if check_printed() else code or WRONG_USAGE
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except (MissingDeviceError, MisplacedError) as error:
        say(f"cifar {options.name}: {error}")
        return NOTHING_MEASURED
    except (OSError, ValueError) as error:
        say(f"cifar {options.name}: {error}")
        return WRONG_USAGE
    except ImportError as error:
        if (error.name or "").startswith("cifar"):
            raise  # our own fault, which no installation mends
        say(f"cifar {options.name}: a package cannot be imported ({error}): `cifar doctor` says which, and what to do")
        return WRONG_USAGE


def _parser() -> argparse.ArgumentParser:
    """The command line; every command's function is its `command`."""
    parser = argparse.ArgumentParser(
        prog="cifar", description="How does this GPU compare with this CPU on deep learning, and why?"
    )
    parser.add_argument("--version", action="version", version=f"cifar-bench {version('cifar-bench')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    for add in ADDED:
        add(commands)
    return parser
