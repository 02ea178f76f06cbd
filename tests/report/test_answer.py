"""The answer: one sentence in each case, and why there is none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from .conftest import WITHOUT_GPU
from .handmade import WORKLOADS
from .pages import text

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Write  # type: ignore[import-not-found]


def test_answer_comes_first(report: Any) -> None:
    """The first heading of both pages is the answer: devices by name, ratio, interval, number of runs."""
    found = report({"cpu": {}, "gpu": {"faster": 20}})
    pattern = (
        r"Training, fed from memory: gpu \(NVIDIA H100\) is \d\d\.\d times as fast as cpu \(AMD EPYC, 2 cores\); "
        r"95 % interval \d\d\.\d to \d\d\.\d, from 3 runs each\."
    )
    assert re.fullmatch(pattern, found.answer)
    assert found.markdown.read_text(encoding="utf-8").startswith(f"# {found.answer}\n")
    assert f"<h1>{found.answer}</h1>" in found.html.read_text(encoding="utf-8")


def test_answer_prefers_training_as_it_is_done(report: Any) -> None:
    """Of all that was measured the answer is about training fed by the generator."""
    found = report(
        {
            "cpu": {"workloads": WORKLOADS | {"training[feed=generator]": (5000, 3.0)}},
            "gpu": {"workloads": WORKLOADS | {"training[feed=generator]": (5000, 1.0)}},
        }
    )
    assert found.answer.startswith("Training, fed by the generator: gpu (NVIDIA H100) is")


def test_one_arm_has_its_speed_and_the_reason_for_no_gpu(report: Any) -> None:
    """A node without GPU gets its own speed and the reason as answer; the remedy stands in the note below it."""
    found = report({"cpu": {}}, missing_gpu=[("no driver: none at all", "load one")])
    assert re.fullmatch(
        r"Training, fed from memory: cpu \(AMD EPYC, 2 cores\) does 1,\d{3}\simages/s "
        r"\(95 % interval 1,\d{3} to 1,\d{3}, 3 runs\); no GPU was measured: no driver: none at all\.",
        found.answer,
    )
    assert found.comparisons == ()
    assert "No GPU was measured: no driver: none at all: load one." in text(found)


def test_reason_of_an_older_campaign(report: Any) -> None:
    """Where reason and remedy are one text, the answer has what stands before its first colon, and the note all."""
    found = report({"cpu": {}}, missing_gpu=[("no NVIDIA driver is loaded: load one.", "")])
    assert found.answer.endswith("no GPU was measured: no NVIDIA driver is loaded.")
    assert "No GPU was measured: no NVIDIA driver is loaded: load one." in text(found)


def test_reason_for_no_gpu_is_taken_from_the_environment(report: Any) -> None:
    """Without a note the record's own environment says why there is no GPU; other notes do not."""
    found = report({"cpu": {"environment": WITHOUT_GPU}}, runs=(1,), notes=["Something else."])
    assert "(one run, so no interval); no GPU was measured: no NVIDIA driver on this node." in found.answer
    assert report({"cpu": {}}, runs=(1,)).answer.endswith("no GPU was measured."), "a node's GPU that was not asked for"
    assert report({"cpu": {"environment": {}}}, runs=(1,)).answer.endswith("no GPU was measured.")


def test_one_gpu_alone_is_no_cpu_without_gpu(report: Any) -> None:
    """A GPU by itself has its speed, in seconds where there are no images, and nothing is missing."""
    found = report(
        {"gpu": {"workloads": {"startup[stage=import]": (None, 3.0)}, "environment": {"device": {"gpu": None}}}}
    )
    assert re.fullmatch(
        r"Start-up: interpreter and imports: gpu does 3\.\d{3}\ss \(95 % interval 2\.\d{3} to 3\.\d{3}, 3 runs\)\.",
        found.answer,
    )


def test_runs_without_spread_say_so(report: Any) -> None:
    """Equal times have no interval."""
    found = report({"cpu": {"noise": 0.0, "shift": 0.0}})
    assert "(3 runs without any spread)" in found.answer


def test_nothing_measured_is_said(report: Any) -> None:
    """A campaign of which every benchmark failed has an answer, too."""
    found = report(
        {"cpu": {"workloads": {}, "failures": [{"workload": "training[feed=memory]", "reason": "out of\nmemory"}]}}
    )
    assert found.answer == "Nothing was measured on cpu (AMD EPYC, 2 cores): see what was left out."
    assert "Training, fed from memory cpu every run: out of memory" in text(found)
    assert len(pd.read_csv(found.csv)) == 0


def test_inconclusive_says_how_many_runs_would_settle_it(report: Any) -> None:
    """What cannot be said is not said, and the way to know is."""
    found = report({"cpu": {"shift": 0.1}, "cpu#2": {"shift": 0.1, "faster": 0.95}})
    assert re.search(
        r"whether cpu#2 .* or cpu .* is faster cannot be said yet: ratio .*; about \d+ runs an arm", found.answer
    )


def test_equivalent_says_within_what(report: Any) -> None:
    """A thing compared with itself is as fast as itself, within the margin."""
    found = report({"cpu": {}, "cpu#2": {}}, margin=0.2)
    assert re.search(r"cpu#2 \(.*\) is as fast as cpu \(.*\) within 20\s%: ratio", found.answer)


def test_single_runs_have_a_ratio_and_no_claim(report: Any) -> None:
    """One run an arm gives a ratio, and says that it has no interval."""
    found = report({"cpu": {}, "gpu": {"faster": 20}}, runs=(1,))
    assert "from 1 run each, but one run has no interval: measure at least 2 runs an arm, better 5." in found.answer


def test_unequal_numbers_of_runs_are_named(report: Any, write: Write, tmp_path: Path) -> None:
    """3 and 4 runs are not called 3 runs each."""
    write(tmp_path / "campaign", "gpu", 4, workloads=WORKLOADS, faster=20)
    assert "from 3 and 4 runs." in report({"cpu": {}, "gpu": {"faster": 20}}).answer


def test_not_comparable_gives_the_fields_and_no_ratio(report: Any) -> None:
    """Other data is no ratio: the answer, the page and the report say which field differs, with its values."""
    found = report({"cpu": {}, "gpu": {"fingerprint": {"dataset": "c" * 64}, "environment": {}}})
    assert found.comparisons == ()
    assert [(refused.baseline, refused.candidate) for refused in found.refused] == [("cpu", "gpu")]
    assert found.answer.startswith("gpu and cpu are not comparable, for these differ: ")
    assert "gpu is not comparable with cpu" in text(found)
    assert "## gpu is not comparable with cpu" in found.markdown.read_text(encoding="utf-8")


def test_arms_without_a_common_workload_are_no_comparison(report: Any) -> None:
    """Nothing in common is said in the answer, and each workload stands among what was left out."""
    found = report({"cpu": {"workloads": {"a": (1, 1.0)}}, "gpu": {"workloads": {"b": (1, 1.0)}}})
    assert found.answer == "Nothing of gpu could be compared with cpu: see what was left out."
    assert "only gpu has a number for it" in text(found)


def test_answer_is_about_the_device_not_about_the_second_cpu(report: Any) -> None:
    """Of cpu#2 and gpu, both compared with cpu, the answer is about the GPU."""
    assert "gpu (NVIDIA H100) is" in report({"cpu": {}, "cpu#2": {}, "gpu": {"faster": 20}}).answer
