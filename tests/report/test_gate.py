"""Gates: what hits one, what does not, and which exit code follows from a comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cifar.report.compare import compare
from cifar.report.gate import exit_code, gate, hits

from .handmade import made

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cifar.record.model import Record
    from cifar.report.comparison import Comparison


def test_gate_needs_the_verdict_and_the_size(slower: Comparison) -> None:
    """10 % slower hits a gate of 5 %, not one of 15 %; what is not SLOWER hits none."""
    assert [pair.workload for pair in gate(slower, "slower:5%")] == ["w"]
    assert gate(slower, "slower:15%") == []
    assert gate(slower, "slower:0.5%") != []
    noisy = compare(made("cpu", [[0.5], [1.5]]), made("gpu", [[1.0], [2.0]]))
    assert gate(noisy, "slower:0%") == []


def failing(arm: str, runs: Sequence[int], *, skipped: bool | None = False) -> list[Record]:
    """Three runs of an arm, of which `runs` have a reason in place of a number."""
    failure = {"workload": "w", "reason": "not\n8"} | ({} if skipped is None else {"skipped": skipped})
    return [
        replace(record, results=(), failures=(failure,)) if record.run in runs else record
        for record in made(arm, [[1.0], [1.001], [1.002]])
    ]


@pytest.mark.parametrize(
    ("baseline", "candidate", "code"),
    [
        pytest.param(failing("cpu", []), failing("gpu", [1, 2, 3]), 1, id="no number at all"),
        pytest.param(failing("cpu", []), failing("gpu", [2]), 1, id="a failure in one run"),
        pytest.param(failing("cpu", [1]), failing("gpu", [2]), 0, id="both fail at times"),
        pytest.param(failing("cpu", [1]), failing("gpu", [1, 2, 3]), 1, id="fails at times, then always"),
        pytest.param(failing("cpu", [1, 2, 3]), failing("gpu", [1, 2, 3]), 4, id="never worked"),
        pytest.param(failing("cpu", [1]), failing("gpu", []), 0, id="mended"),
        pytest.param(failing("cpu", []), failing("gpu", [2], skipped=True), 0, id="skipped"),
        pytest.param(failing("cpu", []), failing("gpu", [2], skipped=None), 0, id="an older record"),
    ],
)
def test_gate_is_hit_by_a_failure(baseline: list[Record], candidate: list[Record], code: int) -> None:
    """A check that fails on the candidate alone hits any gate, and says so; without a gate it hits none."""
    found = compare(baseline, candidate)
    assert exit_code(found, "slower:99%") == code
    said = [hit.rpartition(": ") for hit in hits(found, "slower:99%")]
    assert {(hit.partition(" for it: ")[0], reason) for hit, _, reason in said} == (
        {("slower:99% is hit: w: failed on gpu, and cpu has a number", "not 8")} if code == 1 else set()
    )
    assert exit_code(found) == (0 if found.pairs else 4)


def test_hits_are_sentences(slower: Comparison) -> None:
    """A pair that hits the gate is said with its ratio."""
    (said,) = hits(slower, "slower:5%")
    assert said.startswith("slower:5% is hit: w: gpu is 0.9000 (")
    assert said.endswith(") times as fast as cpu")


@pytest.mark.parametrize("spec", ["slower", "slower:5", "faster:5%", "slower:-5%", "slower:100%", "slower:x%", ""])
def test_malformed_gate_is_refused(slower: Comparison, spec: str) -> None:
    """A gate that is not understood must not pass."""
    with pytest.raises(ValueError, match="is no gate: write slower:5%"):
        exit_code(slower, spec)


def test_exit_codes(slower: Comparison) -> None:
    """0 compared, 1 gate hit, 4 nothing compared or an arm missing, 5 inconclusive only where strict."""
    inconclusive = compare(made("cpu", [[1.0]]), made("gpu", [[1.0]]))
    assert exit_code(slower, strict=True) == 0
    assert exit_code(slower, "slower:5%") == 1
    assert exit_code(inconclusive) == 0
    assert exit_code(inconclusive, strict=True) == 5
    missing = compare(made("cpu", [[1.0]]), [])
    assert exit_code(missing, "slower:5%", strict=True) == 4
    assert missing.candidate == "(no record)"
    assert exit_code(compare([], [])) == 4
