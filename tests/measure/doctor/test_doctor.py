"""The doctor as a whole, and `cifar doctor`."""

from __future__ import annotations

import json

import pytest

from cifar import cli
from cifar.backend import survey
from cifar.measure import doctor
from cifar.measure.doctor import Finding


def test_worst():
    """The worst of the findings counts: unknown is worse than pass, and better than a warning."""
    order = ("pass", "unknown", "warn", "fail")
    for place, status in enumerate(order):
        assert doctor.worst([Finding("x", known, "") for known in order[: place + 1]]) == status


class TestCommand:
    """`cifar doctor`."""

    @pytest.fixture(autouse=True)
    def _without_gpu(self, tmp_path, monkeypatch):
        """Examine a node without a GPU."""
        if survey.take().missing_gpu is None:
            pytest.skip("this node has a GPU")
        monkeypatch.chdir(tmp_path)

    def test_lines(self, capsys):
        """Where no terminal folds it, a finding is one line with its remedy; a failure is exit code 1."""
        assert cli.main(["doctor", "--device", "gpu"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert all(line.split()[0] in doctor.SEVERITY for line in lines)
        assert lines[-1].startswith("fail     gpu                 TensorFlow falls back to the CPU: ")
        assert " -> " in lines[-1]

    def test_json(self, capsys):
        """The same findings as JSON, with the worst of them."""
        assert cli.main(["doctor", "--device", "gpu", "--json"]) == 1
        printed = json.loads(capsys.readouterr().out)
        assert printed["worst"] == "fail"
        assert {"processors", "memory", "results", "data", "gpu"} <= {found["check"] for found in printed["findings"]}

    @pytest.mark.parametrize(
        ("statuses", "code", "strict"),
        [
            ((), 0, 0),
            (("pass", "unknown"), 0, 0),
            (("pass", "warn", "unknown"), 0, 5),
            (("fail", "warn"), 1, 1),
        ],
        ids=["nothing", "unknown", "warning", "failure"],
    )
    def test_exit_code_is_by_the_worst(self, monkeypatch, statuses, code, strict):
        """A failure is 1 wherever it stands; a warning is 5 with --strict, else 0; what is unknown is neither."""
        found = [Finding("staged", status, "as staged") for status in statuses]
        monkeypatch.setattr(doctor, "examine", lambda _node: iter(found))
        assert cli.main(["doctor"]) == code
        assert cli.main(["doctor", "--strict"]) == strict
        assert cli.main(["doctor", "--strict", "--json"]) == strict
