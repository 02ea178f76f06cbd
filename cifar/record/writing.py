"""The writing of a record: one run's JSON file, replaced after each benchmark, so that no result is ever lost."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cifar.record import files
from cifar.record.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SCHEMA = 1
"""The version of our part of a record; record.schema.json describes it."""
MOST_LETTERS = 2000
"""Of a reason why a benchmark has no number: a traceback can be as long as a book."""

Content = dict[str, Any]


class RunRecord:
    """The record of a run while it is measured.

    The file is pytest-benchmark's own JSON with our part in `machine_info["cifar"]`. It says that it is incomplete
    until `close` says otherwise: a run that dies leaves its finished results and the word that there should be more.
    """

    def __init__(  # noqa: PLR0913 - each is a field of the record
        self,
        path: Path,
        generate: Callable[[Sequence[object], Content], Content],
        *,
        arm: str,
        device: str,
        run: int,
        campaign: str,
        environment: Content,
    ) -> None:
        """Begin a record that will be written to `path`.

        `generate(results, ours)` returns the whole content, in pytest-benchmark's form, from its own results and our
        part. `environment` holds the facts of `cifar.measure.environment`; the fingerprint is made of them.
        """
        self._path = path
        self._generate = generate
        self._results: list[object] = []
        self._ours: Content = {
            "schema": SCHEMA,
            "arm": arm,
            "device": device,
            "run": run,
            "campaign": campaign,
            "complete": False,
            "started": _now(),
            "finished": None,
            "failures": [],
            "fingerprint": fingerprint(environment),
            "environment": environment,
        }

    def add_result(self, stats: object) -> None:
        """Add what pytest-benchmark measured of one workload, and write the record anew."""
        self._results.append(stats)
        self.write()

    def add_failure(self, workload: str, reason: str, *, skipped: bool) -> None:
        """Add a workload without a number and the reason, and write the record anew."""
        failure = {"workload": workload, "reason": reason[:MOST_LETTERS], "skipped": skipped}
        self._ours["failures"].append(failure)
        self.write()

    def close(self, *, complete: bool, load_at_end: Content) -> None:
        """Add what is known at the end of the run, and write the record a last time.

        A run that has neither measured anything nor says why is not complete, whatever its process makes of it.
        """
        has_content = bool(self._results or self._ours["failures"])
        self._ours["complete"] = complete and has_content
        self._ours["finished"] = _now()
        self._ours["environment"]["load_at_end"] = load_at_end
        self.write()

    def write(self) -> None:
        """Replace the file by the record as it stands: at no moment is there half a file."""
        content = self._generate(self._results, self._ours)
        files.replace(self._path, files.json_text(content, default=_name))


def _now() -> str:
    """Return the time in ISO 8601 with its offset."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _name(parameter: Any) -> str:
    """Return what stands in the record for a benchmark's parameter that is a function, or a partial one."""
    function = getattr(parameter, "func", parameter)
    return str(function.__name__)
