"""The report: its answer in each case, what its files hold, and how fast it is written."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from cifar import cli
from cifar.record.reading import load
from cifar.report import answer, page, pairing

from .conftest import WITHOUT_GPU
from .handmade import grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Write  # type: ignore[import-not-found]

FEW = {
    "training[feed=memory]": (5000, 2.8),
    "training[by=lesson]": (5000, 4.9),
    "startup[stage=import]": (None, 3.0),
}


@pytest.fixture
def report(write: Write, tmp_path: Path) -> Any:
    """Write runs of some arms, given as their options by name, and their report."""

    def report(arms: dict[str, dict[str, Any]], runs: Sequence[int] = (1, 2, 3), **options: Any) -> page.Report:
        for arm, how in arms.items():
            for run in runs:
                write(tmp_path / "campaign", arm, run, **({"workloads": FEW} | how))
        return page.write(load(tmp_path / "campaign"), tmp_path / "report", **options)

    return report


class Words(HTMLParser):
    """The text of a page, and the balance of its tags."""

    VOID = frozenset({"meta", "br", "link", "path", "use", "rect"})

    def __init__(self) -> None:
        """Begin without text."""
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Remember what is open."""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Nothing stays open."""

    def handle_data(self, data: str) -> None:
        """Keep the text outside of styles."""
        if self.open and self.open[-1] != "style":
            self.said.append(data)


def text(found: page.Report) -> str:
    """The words of the HTML page, which must be well formed."""
    parser = Words()
    parser.feed(found.html.read_text(encoding="utf-8"))
    assert parser.open == []
    return " ".join(" ".join(parser.said).split())


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
            "cpu": {"workloads": FEW | {"training[feed=generator]": (5000, 3.0)}},
            "gpu": {"workloads": FEW | {"training[feed=generator]": (5000, 1.0)}},
        }
    )
    assert found.answer.startswith("Training, fed by the generator: gpu (NVIDIA H100) is")


def test_dataset_stands_in_the_second_line(report: Any) -> None:
    """The reader knows at once whether it was CIFAR-10 or a stand-in, and which by digest."""
    assert "Dataset: a made-up stand-in for CIFAR-10, digest 5f5f5f5f5f5f." in text(report({"cpu": {}}))


@pytest.mark.parametrize(
    ("environment", "fingerprint", "expected"),
    [
        (
            {"dataset": {"synthetic": False, "digest": "ab" * 32}},
            {},
            "Dataset: data that are not CIFAR-10 as published, digest abababababab.",
        ),
        ({}, {}, "Dataset: not named."),
        ({}, {"dataset": "cd" * 32}, "Dataset: not named, digest cdcdcdcdcdcd."),
    ],
)
def test_dataset_is_named_as_far_as_known(report: Any, environment: object, fingerprint: object, expected: str) -> None:
    """CIFAR-10 itself is named; what the record does not name is not guessed."""
    assert expected in text(report({"cpu": {"environment": environment, "fingerprint": fingerprint}}, runs=(1,)))


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


@pytest.mark.parametrize(("skipped", "code"), [(False, 1), (True, 0)])
def test_failed_workloads_are_counted_and_hit_the_gate(
    report: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], skipped: object, code: int
) -> None:
    """Both commands say how many workloads failed, and the gate's exit code follows; a skip is no failure."""
    failures = [{"workload": "training[by=lesson]", "reason": "the loss is NaN", "skipped": skipped}]
    few = {name: FEW[name] for name in ("training[feed=memory]", "startup[stage=import]")}
    report({"cpu": {}, "gpu": {"faster": 20, "workloads": few, "failures": failures}})
    for command in ("compare", "report"):
        assert cli.main([command, str(tmp_path / "campaign"), "--fail-on", "slower:5%"]) == code
        printed = capsys.readouterr().out
        assert ("1 workload failed on gpu: training[by=lesson]\n" in printed) is not skipped
        assert (
            "is hit: training[by=lesson]: failed on gpu, and cpu has a number for it: every" in printed
        ) is not skipped


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
    write(tmp_path / "campaign", "gpu", 4, workloads=FEW, faster=20)
    assert "from 3 and 4 runs." in report({"cpu": {}, "gpu": {"faster": 20}}).answer


def test_not_comparable_gives_the_fields_and_no_ratio(report: Any) -> None:
    """Other data is no ratio: the answer, the page and the report say which field differs, with its values."""
    found = report({"cpu": {}, "gpu": {"fingerprint": {"dataset": "c" * 64}, "environment": {}}})
    assert found.comparisons == ()
    assert [(refused.baseline, refused.candidate) for refused in found.refused] == [("cpu", "gpu")]
    assert found.answer.startswith("gpu and cpu are not comparable, for these differ: ")
    assert "gpu is not comparable with cpu" in text(found)
    assert "## gpu is not comparable with cpu" in found.markdown.read_text(encoding="utf-8")


def test_allowed_fields_are_printed(report: Any) -> None:
    """What was allowed to differ is compared, and both pages say so."""
    allow = ["tensorflow", "keras", "dataset", "tf32", "image"]
    found = report({"cpu": {}, "gpu": {"fingerprint": {"tensorflow": "2.22"}}}, allow=allow)
    assert len(found.comparisons) == 1
    for said in (text(found), found.markdown.read_text(encoding="utf-8")):
        assert "Allowed to differ, on request" in said
        assert "2.22" in said


def test_command_writes_the_report_again(report: Any, write: Write, tmp_path: Path) -> None:
    """The command has all options that are not the default, as a shell takes them, and it does what it says."""
    options = {"allow": ["a field", "keras"], "margin": 0.0725}
    found = report({"cpu": {}, "gpu": {"fingerprint": {"keras": "3.16"}}}, runs=(1,), **options)
    assert found.refused
    command = (
        f"cifar report {tmp_path}/campaign '--allow=a field' --allow=keras --margin=0.0725 --out={tmp_path}/report"
    )
    content = found.markdown.read_text(encoding="utf-8")
    assert f"`{command}` writes this report again." in content
    found.markdown.unlink()
    assert cli.main(shlex.split(command)[1:]) == 3
    assert found.markdown.read_text(encoding="utf-8") == content
    folder = write(tmp_path / "alone", workloads=FEW).parent
    plain = page.write(load(folder), folder)
    assert f"`cifar report {folder}` writes this report again." in plain.markdown.read_text(encoding="utf-8")


def test_arms_without_a_common_workload_are_no_comparison(report: Any) -> None:
    """Nothing in common is said in the answer, and each workload stands among what was left out."""
    found = report({"cpu": {"workloads": {"a": (1, 1.0)}}, "gpu": {"workloads": {"b": (1, 1.0)}}})
    assert found.answer == "Nothing of gpu could be compared with cpu: see what was left out."
    assert "only gpu has a number for it" in text(found)


def test_before_and_after_are_compared_with_themselves(write: Write, tmp_path: Path) -> None:
    """Two campaigns of the same devices: each arm against its own past, and the devices within each campaign."""
    for day, campaign in enumerate(("before", "after"), start=1):
        for arm, faster in (("cpu", 1.0), ("gpu", 10.0 * day)):
            for run in (1, 2, 3):
                write(tmp_path / campaign, arm, run, campaign=campaign, day=day, faster=faster, workloads=FEW)
    records = load(tmp_path / "before", tmp_path / "after")
    assert pairing.pairs(grouped(records)) == [
        ("cpu@before", "cpu@after"),
        ("cpu@before", "gpu@before"),
        ("gpu@before", "gpu@after"),
        ("cpu@after", "gpu@after"),
    ]
    found = page.write(records, tmp_path / "report")
    assert "gpu@after (NVIDIA H100) is 2" in found.answer
    assert [path.name for path in found.figures if "ratios" in path.name][::2] == [
        f"ratios-{n}.png" for n in (1, 2, 3, 4)
    ]


def test_baseline_may_be_named(report: Any) -> None:
    """Each other arm is compared with the named one; a name that is no arm is refused with those that are."""
    arms = {"cpu": {}, "gpu": {"faster": 20}, "gpu:1": {"faster": 21}}
    found = report(arms, baseline="gpu")
    assert [(each.baseline, each.candidate) for each in found.comparisons] == [("gpu", "cpu"), ("gpu", "gpu:1")]
    assert "gpu (NVIDIA H100)" in found.answer
    with pytest.raises(ValueError, match="no arm tpu to be the baseline, only cpu, gpu, gpu:1"):
        report(arms, baseline="tpu")


def test_answer_is_about_the_device_not_about_the_second_cpu(report: Any) -> None:
    """Of cpu#2 and gpu, both compared with cpu, the answer is about the GPU."""
    assert "gpu (NVIDIA H100) is" in report({"cpu": {}, "cpu#2": {}, "gpu": {"faster": 20}}).answer


def test_no_records_are_refused(tmp_path: Path) -> None:
    """There is no report on nothing."""
    with pytest.raises(ValueError, match="no records to report on: measure some"):
        page.write([], tmp_path)


def test_csv_is_tidy(report: Any) -> None:
    """One row for each workload, arm and run, with the numbers of the records."""
    found = report({"cpu": {}, "gpu": {"faster": 20}})
    frame = pd.read_csv(found.csv)
    assert len(frame) == len(FEW) * 2 * 3
    assert not frame.duplicated(["workload", "arm", "run"]).any()
    seconds = frame[frame["workload"] == "startup[stage=import]"]
    assert seconds["images_per_second"].isna().all()
    rates = frame[frame["workload"] == "training[feed=memory]"]
    assert (rates["images_per_second"] * rates["median_seconds_per_round"]).to_numpy() == pytest.approx([5000] * 6)


def test_page_stands_alone(report: Any) -> None:
    """The HTML needs no network, no script and no other file to be read; its drawings have words and own names."""
    content = report({"cpu": {}, "gpu": {"faster": 20}}).html.read_text(encoding="utf-8")
    assert "<script" not in content
    assert not re.search(r'(?:src|href)="(?:https?:)?//', content.replace('xlink:href="#', ""))
    assert content.count('<svg role="img" aria-label="') == 4
    names = re.findall(r'\bid="([^"]+)"', content)
    assert len({name.partition("-")[0] for name in names}) == 4
    assert "prefers-color-scheme: dark" in content
    assert "@media print" in content
    assert re.search(r'href="figures/throughput\.png"', content)


def test_page_escapes_what_records_say(report: Any) -> None:
    """Markup in a record is text on the page, and a pipe does not break a table of the Markdown."""
    bad = "<script>alert(1)</script> a|b"
    found = report(
        {"cpu": {"failures": [{"workload": "new", "reason": bad}], "environment": {"x": [bad, {}], "y": None}}}
    )
    assert "<script>" not in found.html.read_text(encoding="utf-8")
    assert "<script>alert(1)</script> a|b" in text(found)
    assert "a\\|b" in found.markdown.read_text(encoding="utf-8")


def test_cost_of_the_lessons_way_is_shown(report: Any) -> None:
    """The ratio of the lesson's training to that from memory is given for each arm, with its interval."""
    said = report({"cpu": {}, "gpu": {"faster": 20}}).markdown.read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if "training fed from memory" in line)
    assert re.fullmatch(r"\| .* \| 1\.7\d\stimes \(1\.\d+ to 1\.\d+\) \| 1\.7\d\stimes \(.*\) \|", row)


def test_epoch_is_taken_apart(report: Any) -> None:
    """Where a record says how long a short epoch's steps took, the page says what part of a whole one is none.

    Of 4 seconds for 5,000 images 1 is the steps', and the other 3 come once in 15,000 images: 1 is charged.
    """
    extra = {"step_seconds": [9.0, *[1.0] * 10], "epoch_images": 15_000}
    fixed = {"workloads": {"training[by=lesson]": (5_000, 4.0)}, "noise": 0.0, "shift": 0.0, "extra": extra}
    said = report({"cpu": fixed, "gpu": {}}).markdown.read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if "outside its steps" in line)
    assert re.fullmatch(r"\| .* \| 50\s% \| . \|", row)
    speed = next(line for line in said.splitlines() if line.startswith("| Training, the lesson's way |"))
    assert "2,500\N{NO-BREAK SPACE}images/s" in speed


def test_cost_of_single_runs_has_no_interval(report: Any) -> None:
    """One run's ratio says that it is one; an arm without the workload has a dash."""
    said = report({"cpu": {}, "gpu": {"workloads": {"new": (1, 1.0)}}}, runs=(1,)).markdown.read_text(encoding="utf-8")
    row = next(line for line in said.splitlines() if "training fed from memory" in line)
    assert re.search(r"times \(one run\) \| . \|$", row)


def test_share_of_the_limit_is_told(report: Any) -> None:
    """A workload that says what it needs has its share of what binds it, in words, and a place under the roof."""
    arithmetic, memory = "peak[what=matmul,type=float32]", "peak[what=copy]"
    all_three = {"forward[batch=1,input=host]": (1, 1.0), arithmetic: (None, 1.0), memory: (None, 1.0)}
    exact = {"workloads": all_three, "noise": 0.0, "shift": 0.0}
    extra = {"needs": {arithmetic: 12_000_000, memory: 24_000_000}, "bytes": 48_000_000, "flop": None}
    found = report({"cpu": exact | {"extra": extra}, "gpu": exact}, runs=(1,))
    said = found.markdown.read_text(encoding="utf-8")
    assert "figures/roofline.png" in said
    assert "| Forward, batch 1, input on the host | 50\N{NO-BREAK SPACE}% of memory, copied | \N{EN DASH} |" in said


@pytest.mark.parametrize(
    ("arm", "flop", "said"),
    [
        pytest.param("gpu", 12_000_000, "50\N{NO-BREAK SPACE}% of matrix product in float32", id="below"),
        pytest.param("gpu", 36_000_000, "150\N{NO-BREAK SPACE}% of matrix product in float32", id="Winograd"),
        pytest.param("cpu", 24_900_000, "104\N{NO-BREAK SPACE}% of matrix product in float32", id="noise"),
    ],
)
def test_share_above_the_limit_is_explained(report: Any, arm: str, flop: int, said: str) -> None:
    """A share above 100 % stands with the reason why it can be, and that below without."""
    arithmetic = "peak[what=matmul,type=float32]"
    exact = {"workloads": {"forward[batch=1,input=host]": (1, 1.0), arithmetic: (None, 1.0)}, "noise": 0, "shift": 0}
    found = report({arm: exact | {"extra": {"needs": {arithmetic: flop}, "flop": 24_000_000}}}, runs=(1,))
    page_said = found.markdown.read_text(encoding="utf-8")
    assert f"| Forward, batch 1, input on the host | {said} |" in page_said
    assert ("Above 100\N{NO-BREAK SPACE}%:" in page_said) is ("104" in said or "150" in said)
    assert ("Winograd" in page_said) is ("150" in said)


def test_environment_of_runs_is_summed_up(report: Any, write: Write, tmp_path: Path) -> None:
    """Equal facts stand once, numbers that differ as a range, other facts as a list."""
    facts = {"load": 0.5, "host": "a", "ok": True, "none": None}
    write(tmp_path / "campaign", "cpu", 4, workloads=FEW, environment=facts | {"load": 1.25, "host": "b"})
    rows = report({"cpu": {"environment": facts}}).markdown.read_text(encoding="utf-8").splitlines()
    assert {"| load | 0.5000 to 1.250 |", "| host | a; b |", "| ok | yes |", "| none | \N{EN DASH} |"} <= set(rows)


@pytest.mark.parametrize(
    ("cpus", "expected"), [(1, "1 core)"), (2.5, "2.5 cores)"), ("many", "EPYC)"), (None, "EPYC)")]
)
def test_cores_are_counted_in_words(report: Any, cpus: object, expected: str) -> None:
    """One core, parts of cores, and none where the record does not say."""
    environment = {"node": {"cpu_model": "AMD EPYC", "cpus": cpus}}
    assert (
        f"cpu (AMD EPYC{', ' if cpus in (1, 2.5) else ''}{expected.removeprefix('EPYC')} does"
        in report({"cpu": {"environment": environment}}, runs=(1,)).answer
    )


@pytest.mark.parametrize(
    ("on", "expected"),
    [(True, "64 hardware threads"), (False, "64 cores"), (None, "64 cores"), ({"unmeasurable": "x"}, "64 cores")],
)
def test_threads_of_one_core_are_not_called_cores(report: Any, on: object, expected: str) -> None:
    """Where hyperthreading is on, what was allotted is hardware threads; where it is off or not known, cores."""
    environment = {"node": {"cpu_model": "AMD EPYC", "cpus": 64, "hyperthreading": on}}
    assert f"cpu (AMD EPYC, {expected}) does" in report({"cpu": {"environment": environment}}, runs=(1,)).answer


def test_device_without_a_name_is_called_by_its_arm(report: Any) -> None:
    """An environment without facts leaves the arms' names."""
    assert "gpu is" in report({"cpu": {"environment": {}}, "gpu": {"environment": {}, "faster": 20}}).answer


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        pytest.param(["results/one"], "results/one", id="a campaign"),
        pytest.param(["results/one/cpu-1.json"], "results/one", id="a record"),
        pytest.param(["results/one/cpu-1.json", "results/one"], "results/one", id="one campaign twice"),
        pytest.param(["results/n/one", "results/n/two"], "results/n", id="a job's nodes"),
        pytest.param(["results/n/one", "results/two"], "results", id="here and there"),
        pytest.param(["one", "two"], "one", id="in the current folder"),
        pytest.param(["{}/results/n/one", "results/n/two"], "results/n", id="one of them absolute"),
        pytest.param(["{}/../a", "{}/../b"], "{}/..", id="elsewhere"),
        pytest.param(["/proc", "{}/results/one"], "/proc", id="nothing in common"),
    ],
)
def test_a_report_goes_where_its_campaigns_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], expected: str
) -> None:
    """The folder that holds several campaigns has their report, so that none of theirs is overwritten."""
    here = tmp_path / "here"
    for folder in ("results/n/one", "results/n/two", "results/one", "results/two", "one", "two", "../a", "../b"):
        (here / folder).mkdir(parents=True)
    monkeypatch.chdir(here)
    found = page.default_folder(source.format(here) for source in sources)
    assert found == Path(expected.format(here)) or found == Path(expected.format(here)).resolve()


def test_a_report_on_several_campaigns_leaves_theirs_alone(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pattern that names all nodes of a job works a second time, when the report's figures lie among them."""
    for day, node in enumerate(("node1", "node2"), start=1):
        write(tmp_path / "nodes-100" / node, campaign=node, day=day, workloads=FEW)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli.main(["report", *map(str, sorted(Path("nodes-100").glob("*/")))]) == 0
        assert (tmp_path / "nodes-100/report.html").exists()
    assert not (tmp_path / "nodes-100/node1/report.html").exists()
    assert len(list(Path("nodes-100").glob("*/"))) == 3


def test_a_report_without_space_names_its_folder_and_the_remedy(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that may not grow beyond 10 kB is like a full disk: nothing is left of it, and the folder is named."""
    write(tmp_path / "campaign", workloads={"training[feed=memory]": (5000, 2.8)})
    report, (soft, hard) = tmp_path / "report", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        assert cli.main(["report", str(tmp_path / "campaign"), "--out", str(report)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert f"the report could not be written into {report} (File too large): make room" in said
    assert [path for path in report.rglob("*") if path.is_file()] == []


def test_names_of_folders_are_text(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders, by which campaigns of one name are called, may have any name: it is shown, and obeyed nowhere."""
    names = ('a"><script>x\x1b[31m', "=1+1[b]`|", "[x](javascript:1)", "$x^{$")
    places = [tmp_path / name / "n" for name in names]
    for day, place in enumerate(places, start=1):
        write(place, campaign="n", day=day, workloads=FEW)
    assert cli.main(["report", *map(str, places), "--out", str(tmp_path / "report")]) == 0
    found = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "report").glob("*.*")}
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed + "".join(found.values())
    assert "<script" not in found["report.html"]
    (command,) = re.findall(r"^(``+) (.* )\1 writes this report again\.$", found["report.md"], re.MULTILINE)
    assert "<script" not in found["report.md"].replace(command[1], "")  # a code span is shown as it is
    assert "&lt;script>x\\\\x1b[31m" in found["report.md"]
    assert "[x](javascript" not in found["report.md"].replace(command[1], "")
    assert "'=1+1[b]`|/n" in found["results.csv"]
    assert "=1+1[b]`|/n" in printed.replace("\n", "")


def test_page_allows_nothing_but_its_own_style(report: Any) -> None:
    """Whatever got into the page, a browser would run no script and fetch nothing."""
    content = report({"cpu": {}}, runs=(1,)).html.read_text(encoding="utf-8")
    (policy,) = re.findall('<meta http-equiv="Content-Security-Policy" content="([^"]*)">', content)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert content.index("Content-Security-Policy") < content.index("<title>")


def test_links_in_the_place_of_files_are_replaced(report: Any, tmp_path: Path) -> None:
    """A link that was planted as a file of the report is replaced; what it led to stays as it was."""
    victim, names = tmp_path / "victim", ("report.html", "report.md", "results.csv", "figures/warmup.png")
    victim.write_text("precious")
    (tmp_path / "report" / "figures").mkdir(parents=True)
    for name in names:
        (tmp_path / "report" / name).symlink_to(victim)
    report({"cpu": {}}, runs=(1,))
    assert victim.read_text() == "precious"
    assert not any((tmp_path / "report" / name).is_symlink() for name in names)


def test_a_link_in_the_place_of_the_figures_is_refused(report: Any, tmp_path: Path) -> None:
    """Figures would go to where the link leads."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"figures is a link, .*: name another --out"):
        report({"cpu": {}}, runs=(1,))
    assert not any((tmp_path / "elsewhere").iterdir())


def test_runs_that_are_missing_from_a_campaign_are_said(report: Any, tmp_path: Path, capsys: Any) -> None:
    """What was planned and has no record stands under what was left out: the report is of an interrupted campaign."""
    report({"cpu": {}, "gpu": {"faster": 20}}, runs=(1, 2))
    plan = {"devices": ["cpu", "gpu", "cpu"], "runs": 3, "effort": "quick", "dataset": "/x", "digest": "5f" * 32}
    (tmp_path / "campaign" / "campaign.json").write_text(json.dumps(plan))
    assert cli.main(["report", str(tmp_path / "campaign")]) == 0
    printed = capsys.readouterr().out
    said = (tmp_path / "campaign" / "report.md").read_text(encoding="utf-8")
    for arm, count in (("cpu", "1 of 3 planned runs has"), ("cpu#2", "3 of 3 planned runs have")):
        reason = f"{count} no record: `cifar bench --resume --out {tmp_path}/campaign` measures what is missing"
        assert f"left out: a whole run on {arm}: {reason}\n" in printed
        assert f"| (whole run) | {arm} | {reason.replace('`', chr(92) + '`')} |" in said
    assert cli.main(["report", str(tmp_path / "campaign" / "cpu-1.json"), "--out", str(tmp_path / "one")]) == 0
    assert "planned" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"synthetic": False, "digest": answer.PUBLISHED}, "Dataset: CIFAR-10, digest c212c2c6de88."),
        (
            {"synthetic": False, "digest": "ab" * 32},
            "Dataset: data that are not CIFAR-10 as published, digest abababababab.",
        ),
        (
            {"synthetic": True, "digest": "5f" * 32},
            "Dataset: a made-up stand-in for CIFAR-10, digest 5f5f5f5f5f5f.",
        ),
        ({}, "Dataset: not named."),
    ],
)
def test_dataset_is_known_by_its_digest(write: Write, tmp_path: Path, facts: object, expected: str) -> None:
    """CIFAR-10 is what has the digest of CIFAR-10, whatever the record calls it."""
    environment = {"dataset": facts} if facts else {}
    assert answer.dataset(load(write(tmp_path, environment=environment, fingerprint={}))) == expected


def test_digest_of_cifar_10_is_that_of_the_published_arrays() -> None:
    """The report's literal is what `cifar prepare` writes into the file of the published arrays."""
    from cifar.data import dataset, published  # noqa: PLC0415 the other half of the house

    lines = "".join(f"{name} {published.CIFAR_10.arrays[name]}\n" for name in dataset.ARRAYS)
    assert hashlib.sha256(lines.encode()).hexdigest() == answer.PUBLISHED


def test_runs_of_one_arm_that_are_not_comparable(report: Any, tmp_path: Path, capsys: Any) -> None:
    """The speed of an arm whose runs differ in what must be equal is not given: the fields are, with exit code 3."""
    report({"cpu": {}}, runs=(1, 2, 3))
    path = tmp_path / "campaign" / "cpu-2.json"
    record = json.loads(path.read_text())
    record["machine_info"]["cifar"]["fingerprint"]["keras"] = "2.0"
    path.write_text(json.dumps(record))
    assert cli.main(["report", str(tmp_path / "campaign")]) == 3
    printed = capsys.readouterr()
    assert (
        "the other runs of cpu and run 1 of cpu are not comparable, for these differ: keras: 3.15.0 against"
        in printed.err
    )
    assert "images/s" not in printed.out
    assert cli.main(["report", str(tmp_path / "campaign"), "--allow", "keras"]) == 0


def test_report_asks_neither_pandas_nor_the_locale() -> None:
    """What the user's pandas and locale say changes no number: the report's pages and tables are made without them."""
    program = "import sys; from cifar.report import page; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
