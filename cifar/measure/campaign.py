"""From arms and a number of runs to a folder of records: fresh processes, interleaved, kept whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cifar
from cifar.measure import image

if TYPE_CHECKING:
    from cifar.measure.devices import Missing

PLAN = "campaign.json"
Progress = Callable[[str, int, int], None]

_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """What a campaign measures; `campaign.json` in its folder."""

    devices: tuple[str, ...]
    """One arm each, in order; a device named twice is two arms, `cpu` and `cpu#2`."""
    runs: int
    effort: str
    dataset: str
    """The HDF5 file."""
    digest: str
    """The dataset's digest; a campaign is not resumed on another one."""
    only: str | None = None
    """Measure only the workloads that this expression selects, as in pytest's `-k`; None for all."""
    missing_gpu: Missing | str | None = None
    """Why this node has no GPU to measure, with the remedy; None where it has one or none was looked for."""

    @property
    def arms(self) -> dict[str, str]:
        """Arm to device."""
        seen: Counter[str] = Counter()
        arms = {}
        for device in self.devices:
            seen[device] += 1
            arms[device if seen[device] == 1 else f"{device}#{seen[device]}"] = device
        return arms

    def schedule(self) -> list[tuple[str, int]]:
        """Arms and run numbers in the order in which they run.

        Every second turn goes through the arms backwards, so that a node that grows slower or faster over the
        campaign favours none of them.
        """
        arms = list(self.arms)
        return [(arm, run) for run in range(1, self.runs + 1) for arm in (arms if run % 2 else list(reversed(arms)))]


def start(folder: Path, plan: Plan) -> None:
    """Make `folder` and write the plan into it; FileExistsError when it holds anything already."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        message = f"{folder} is not empty; name another --out, or continue that campaign with --resume"
        raise FileExistsError(message)
    _write(folder, plan)


def _write(folder: Path, plan: Plan) -> None:
    (folder / PLAN).write_text(json.dumps(dataclasses.asdict(plan), indent=1), encoding="utf-8")


def resume(folder: Path) -> Plan:
    """The plan of the campaign in `folder`; FileNotFoundError or ValueError where there is none."""
    path = folder / PLAN
    if not path.exists():
        message = f"{folder} holds no campaign ({PLAN} is missing); start one without --resume"
        raise FileNotFoundError(message)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Plan(**{**fields, "devices": tuple(fields["devices"])})
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} is damaged ({error}); start a new campaign with another --out"
        raise ValueError(message) from error


def extend(folder: Path, plan: Plan, runs: int) -> Plan:
    """Return `plan` with `runs` runs an arm, and write it into `folder`; ValueError for fewer than it has."""
    if runs < plan.runs:
        message = f"{folder} has {plan.runs} runs an arm, not {runs}: runs can be added only"
        raise ValueError(message)
    longer = dataclasses.replace(plan, runs=runs)
    _write(folder, longer)
    return longer


def latest(results: Path) -> Path:
    """The campaign under `results` that was begun last; FileNotFoundError where there is none."""
    campaigns = sorted(results.glob(f"*/{PLAN}"), key=lambda path: path.stat().st_mtime)
    if not campaigns:
        message = f"there is no campaign under {results}; start one without --resume"
        raise FileNotFoundError(message)
    return campaigns[-1].parent


def run(folder: Path, plan: Plan, *, progress: Progress = lambda _what, _done, _total: None) -> list[str]:
    """Measure every run of `plan` that has no complete record in `folder` yet; say in words which failed.

    `progress(what, done, total)` counts benchmarks.  KeyboardInterrupt ends the run under way and
    leaves the finished ones.  BlockingIOError when another process works on `folder`.
    """
    failures = []
    with _locked(folder):
        todo = [(arm, number) for arm, number in plan.schedule() if not is_complete(folder / f"{arm}-{number}.json")]
        share = Share(progress, len(todo))
        for arm, number in todo:
            code = _one_run(folder, plan, arm, number, share)
            if not is_complete(folder / f"{arm}-{number}.json"):
                log = folder / f"{arm}-{number}.log"
                failures.append(f"run {number} of {arm} ended with code {code}: {_last_words(log)} (see {log})")
    return failures


def is_complete(path: Path) -> bool:
    """Whether `path` is the record of a run that came to its end."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return bool(record["machine_info"]["cifar"]["complete"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def benchmarks_folder() -> Path:
    """The folder of the benchmarks: beside the package in a checkout, inside it when installed."""
    package = Path(cifar.__file__).parent
    for folder in (package.parent / "benchmarks", package / "benchmarks"):
        if (folder / "conftest.py").exists():
            return folder
    message = f"the benchmarks are neither beside nor inside {package}; install the package anew"
    raise FileNotFoundError(message)


def command(folder: Path, plan: Plan, arm: str, number: int) -> list[str]:
    """The command line of one run; it can be repeated by hand."""
    benchmarks = benchmarks_folder()
    return [
        *(sys.executable, "-m", "pytest", str(benchmarks), "-v", "--color=no", "--tb=short"),
        *("-c", os.devnull, f"--rootdir={benchmarks}", "--import-mode=importlib", "-p", "no:cacheprovider"),
        *("--benchmark-columns=median,iqr,rounds", "--benchmark-warmup=off"),
        *(f"--device={plan.arms[arm]}", f"--arm={arm}", f"--run-number={number}"),
        *(("-k", plan.only) if plan.only else ()),
        *(f"--effort={plan.effort}", f"--dataset={plan.dataset}", f"--record={folder / f'{arm}-{number}.json'}"),
    ]


@dataclass
class Share:
    """Turns what the runs print into the progress of the campaign, counted in benchmarks."""

    progress: Progress
    turns: int
    benchmarks: int = 1
    """In one run; what the latest run said."""
    turn: int = -1
    done: int = 0

    def begin(self, run: str) -> None:
        """Begin the next run."""
        self.turn, self.done = self.turn + 1, 0
        self._tell(f"{run}: starting")

    def read(self, run: str, line: str) -> None:
        """Read a line that the run printed."""
        if found := re.search(r"collected (?:.* / )?(\d+) (?:items?|selected)", line):
            self.benchmarks = max(1, int(found[1]))
        elif found := re.search(r"::test_(\S+) (PASSED|FAILED|ERROR|SKIPPED)", line):
            self.done += 1
            self._tell(f"{run}: {found[1]}")

    def _tell(self, what: str) -> None:
        self.progress(what, self.turn * self.benchmarks + self.done, self.turns * self.benchmarks)


def _one_run(folder: Path, plan: Plan, arm: str, number: int, share: Share) -> int:
    """Measure one run in a fresh process and return its exit code."""
    share.begin(f"{arm} {number}")
    environment = {**os.environ, **image.passed_on(), "KERAS_BACKEND": "tensorflow", "PYTHONUNBUFFERED": "1"}
    with (folder / f"{arm}-{number}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(  # noqa: S603 the command is our own
            command(folder.resolve(), plan, arm, number),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
        with process, _ended(process):
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                share.read(f"{arm} {number}", line)
            return process.wait()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End `process` and all that it started when the block is left early: first kindly, then not."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the campaign for this process alone; the lock falls with the process, however it ends."""
    with (folder / PLAN).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is measuring in {folder}; wait for it, or name another --out"
            raise BlockingIOError(message) from error
        yield


def _last_words(log: Path) -> str:
    """The last line of a run's log that says something."""
    lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    words = [line.strip("= !\t") for line in lines if line.strip("= !\t")]
    return words[-1] if words else "it said nothing"
