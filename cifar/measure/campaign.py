"""From a plan to a folder of records: fresh processes, interleaved, kept whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cifar
from cifar.measure import meter
from cifar.measure.plan import Plan, extend, latest, make_folder, start
from cifar.measure.plan import read as resume
from cifar.node import image, process
from cifar.record import files
from cifar.record.plan import MOST_RUNS, PLAN
from cifar.record.text import plain

__all__ = ["MOST_RUNS", "PLAN", "Plan", "extend", "latest", "make_folder", "resume", "start"]

Progress = Callable[[str, int, int], None]

_START_SECONDS = 300.0
"""Of a run's deadline, for the interpreter, imports and the device, on a node whose disk is slow."""
_NONE_COLLECTED = 5
"""Pytest's exit code."""
_ASKED_FOR = 5
"""What is measured only where it is asked for takes this many times as long."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[int]:
    """Hold the campaign in `folder` for this process and its runs; gives the lock's descriptor.

    Whatever killed processes have left half-written there is removed.  BlockingIOError where another process, or a
    run that has outlived its own, works on the folder.
    """
    with files.held(folder, "measuring") as lock:
        files.sweep(folder)
        for part in folder.glob("*.tmp"):
            if re.fullmatch(r"(cpu|gpu(:\d+)?)(#\d+)?-\d+\.\d+\.tmp", part.name):  # as earlier versions left it
                part.unlink()
        yield lock


def run(folder: Path, plan: Plan, lock: int, *, progress: Progress = lambda _what, _done, _total: None) -> list[str]:
    """Measure every run of `plan` that has no complete record in `folder` yet; say in words which failed.

    `lock` is what `held` gives; `progress(what, done, total)` counts benchmarks.  KeyboardInterrupt ends the run under
    way and leaves the finished ones.  A run past its deadline is ended, and the next one begins.
    """
    todo = left(folder, plan)
    share = Share(progress, len(todo))
    failures = [_measured(run, share, lock) for run in todo]
    return [failure for failure in failures if failure]


def left(folder: Path, plan: Plan) -> list[Run]:
    """Return the runs of `plan` that have no complete record in `folder` yet, in the order in which they run."""
    runs = [Run(folder, plan, arm, number) for arm, number in plan.schedule()]
    return [run for run in runs if not is_complete(run.record)]


def check_records(folder: Path, plan: Plan) -> None:
    """Raise ValueError where a complete record in `folder` was measured otherwise than `plan` has it."""
    for arm, number in plan.schedule():
        path = Run(folder, plan, arm, number).record
        if not is_complete(path):
            continue
        environment = files.read_json(path)["machine_info"]["cifar"].get("environment", {})
        planned = {"effort": plan.effort, "only": plan.only or "all workloads"}
        for name, value in planned.items():
            measured = environment.get(name, value)  # earlier versions did not record the selection
            if measured != value:
                message = (
                    f"{path} was measured with {name} {measured!r}, and {folder / PLAN} has {value!r}: "
                    "start a new campaign with another --out"
                )
                raise ValueError(message)


def name_of(folder: Path) -> str:
    """Return the campaign's name: as its records have it, for a folder may be renamed, else the folder's."""
    for path in sorted(folder.glob("*-*.json")):
        if is_complete(path):
            return str(files.read_json(path)["machine_info"]["cifar"].get("campaign", folder.resolve().name))
    return plain(folder.resolve().name)


def is_complete(path: Path) -> bool:
    """Whether `path` is the record of the run that its name says, and that run came to its end."""
    try:
        facts = files.read_json(path)["machine_info"]["cifar"]
        return facts["complete"] is True and path.name == f"{facts['arm']}-{facts['run']}.json"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def benchmarks_folder() -> Path:
    """The folder of the benchmarks: beside the package in a checkout, inside it when installed."""
    package = Path(cifar.__file__).resolve().parent
    for folder in (package.parent / "benchmarks", package / "benchmarks"):
        if (folder / "conftest.py").exists():
            return folder
    message = f"the benchmarks are neither beside nor inside {package}; install the package anew"
    raise FileNotFoundError(message)


@dataclass(frozen=True)
class Run:
    """One run of a campaign: a process that measures an arm."""

    folder: Path
    plan: Plan
    arm: str
    number: int

    @property
    def record(self) -> Path:
        """The file of what it measured."""
        return self.folder / f"{self.arm}-{self.number}.json"

    @property
    def log(self) -> Path:
        """The file of what it said."""
        return self.folder / f"{self.arm}-{self.number}.log"

    def command(self) -> list[str]:
        """Its command line, which can be repeated by hand."""
        plan = self.plan
        return [
            *_pytest(plan),
            *("-v", "--color=no", "--tb=short"),
            # What TensorFlow and XLA say stands in the log also where they end the process themselves.
            "--capture=no",
            *("--benchmark-columns=median,iqr,rounds", "--benchmark-warmup=off"),
            *(f"--device={plan.arms[self.arm]}", f"--arm={self.arm}", f"--run-number={self.number}"),
            f"--campaign={name_of(self.folder)}",
            *(f"--effort={plan.effort}", f"--dataset={plan.dataset}", f"--record={self.record.absolute()}"),
        ]


def _pytest(plan: Plan) -> list[str]:
    """Pytest on our benchmarks, without any settings or plug-ins but those that are named here."""
    benchmarks = benchmarks_folder()
    return [
        *process.python("-m", "pytest", str(benchmarks), "-c", os.devnull, f"--rootdir={benchmarks}"),
        *("--import-mode=importlib", "-p", "no:cacheprovider", "-p", "benchmark"),
        *(("-k", plan.only) if plan.only else ()),
    ]


def check_only(plan: Plan) -> None:
    """Raise ValueError, with the names that there are, where the plan's expression selects no workload."""
    if plan.only is None:
        return
    done = _collected(plan)
    if done.returncode == 0:
        return
    names = re.findall(r"::test_(\S+)", _collected(dataclasses.replace(plan, only=None)).stdout)
    there = f"there are {', '.join(names)}; and those of ladder, peer and growth" if names else "none can be collected"
    why = "selects none of the workloads"
    if found := re.search(r"Wrong expression passed to '-k': .*?: (.*)", done.stdout + done.stderr):
        why = f"is no expression ({found[1]}), such as 'training or startup'"
    elif done.returncode != _NONE_COLLECTED:
        why = f"cannot be tried, for the benchmarks do not load ({_telling((done.stdout + done.stderr).splitlines())})"
    message = f"--only {plan.only!r} {why}: {there}"
    raise ValueError(message)


def _collected(plan: Plan) -> subprocess.CompletedProcess[str]:
    """What pytest finds to measure; nothing is measured, and no device is claimed."""
    try:
        return subprocess.run(
            [*_pytest(plan), "--collect-only", "--quiet", f"--effort={plan.effort}", "--color=no"],
            env=process.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"the benchmarks did not load within {_START_SECONDS:.0f} s: is the disk with the packages slow?"
        raise TimeoutError(message) from error


@dataclass
class Share:
    """Turns what the runs print into the progress of the campaign, counted in benchmarks."""

    progress: Progress
    turns: int
    benchmarks: int = 1
    """In one run; what the latest run said."""
    turn: int = -1
    done: int = 0
    run: str = ""
    workload: str = ""
    """The one that is being measured; empty before the first."""
    _line: str = ""

    def begin(self, run: str) -> None:
        """Begin the next run."""
        self.turn, self.done, self.run, self.workload, self._line = self.turn + 1, 0, run, "", ""
        self._tell("starting")

    def read(self, text: str) -> None:
        """Read what the run printed since the last time: whole lines, or the beginning of one."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._begun(line)
            if found := re.search(r"collected (?:.* / )?(\d+) (?:items?|selected)", line):
                self.benchmarks = max(1, int(found[1]))
            elif self.workload and re.search(r"(?:^|\s)(PASSED|FAILED|ERROR|SKIPPED)\b", line):
                self.done, self.workload = self.done + 1, ""
        self._begun(self._line)

    def _begun(self, line: str) -> None:
        """Note the workload whose measurement the line says to have begun."""
        found = re.search(r"::test_(\S+) ", line)
        if found and found[1] != self.workload:
            self.workload = found[1]
            self._tell(found[1])

    def _tell(self, what: str) -> None:
        self.progress(f"{self.run}: {what}", self.turn * self.benchmarks + self.done, self.turns * self.benchmarks)


def _measured(run: Run, share: Share, lock: int) -> str:
    """Measure one run in a fresh process; why it is not complete, in words, or nothing."""
    share.begin(f"{run.arm} {run.number}")
    ended = process.watched(
        run.command(),
        process.environment() | image.passed_on(),
        run.log,
        lock,
        read=share.read,
        deadline=lambda: deadline_seconds(run.plan, share.benchmarks),
    )
    if ended.late:
        return _late(run, share)
    if not is_complete(run.record):
        return f"run {run.number} of {run.arm} {_ending(ended.code)}: {_last_words(run.log)} (see {run.log})"
    return ""


def deadline_seconds(plan: Plan, workloads: int) -> float:
    """Seconds that a run may take: as planned, else far more than any node should need for so many workloads."""
    if plan.deadline_seconds is not None:
        return plan.deadline_seconds
    times = _ASKED_FOR if any(name in (plan.only or "") for name in ("ladder", "peer", "growth")) else 1
    return _START_SECONDS + times * workloads * meter.EFFORTS[plan.effort].deadline_seconds


def _late(run: Run, share: Share) -> str:
    """Say which workload a run hung in that was past its deadline, and keep that with what it had finished."""
    seconds = deadline_seconds(run.plan, share.benchmarks)
    reason = f"it had not ended after {seconds:,.0f} s, the run's deadline, and was ended"
    if run.record.exists():  # else it hung before it opened one
        record = files.read_json(run.record)
        failure = {"workload": share.workload or "end of the run", "reason": reason, "skipped": False}
        record["machine_info"]["cifar"]["failures"].append(failure)
        files.replace(run.record, files.json_text(record))
    where = share.workload or ("its end" if share.done else "its start")
    return f"run {run.number} of {run.arm} hung in {where}: {reason}; --deadline names another (see {run.log})"


def _ending(code: int) -> str:
    """How a process ended that came to no good, in words."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


_SAYS_NOTHING = re.compile(r"^(inifile|rootdir|platform|plugins|cachedir|configfile|usage)\b|^Extension modules|^\W*$")
_SAYS_WHY = re.compile(r"\berror\b|\bfatal\b|\bunknown\b|\bfailed\b|\bExit:|\w+Error\b|\bno such\b", re.IGNORECASE)


def _last_words(log: Path) -> str:
    """The last line of a run's log that says why it ended."""
    return _telling(log.read_text(encoding="utf-8", errors="replace").splitlines())


def _telling(lines: Sequence[str]) -> str:
    """The last line that says why a process ended, or else the last that says anything."""
    words = [words for line in lines if not _SAYS_NOTHING.search(words := line.strip("= !\t"))]
    why = [line for line in words if _SAYS_WHY.search(line)]
    return (why or words or ["it said nothing"])[-1][:500]
