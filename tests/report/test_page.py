"""The report: its answer in each case, what its files hold, and how fast it is written."""

from __future__ import annotations

import json
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cifar import cli
from cifar.record.reading import load
from cifar.report import page, pairing

from .handmade import WORKLOADS, grouped
from .pages import text

if TYPE_CHECKING:
    from conftest import Write  # type: ignore[import-not-found]


def test_dataset_stands_in_the_second_line(report: Any) -> None:
    """The reader knows at once whether it was CIFAR-10 or a stand-in, and which by digest."""
    assert "Dataset: a made-up stand-in for CIFAR-10, digest 5f5f5f5f5f5f." in text(report({"cpu": {}}))


@pytest.mark.parametrize(("skipped", "code"), [(False, 1), (True, 0)])
def test_failed_workloads_are_counted_and_hit_the_gate(
    report: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], skipped: object, code: int
) -> None:
    """Both commands say how many workloads failed, and the gate's exit code follows; a skip is no failure."""
    failures = [{"workload": "training[by=lesson]", "reason": "the loss is NaN", "skipped": skipped}]
    few = {name: WORKLOADS[name] for name in ("training[feed=memory]", "startup[stage=import]")}
    report({"cpu": {}, "gpu": {"faster": 20, "workloads": few, "failures": failures}})
    for command in ("compare", "report"):
        assert cli.main([command, str(tmp_path / "campaign"), "--fail-on", "slower:5%"]) == code
        printed = capsys.readouterr().out
        assert ("1 workload failed on gpu: training[by=lesson]\n" in printed) is not skipped
        assert (
            "is hit: training[by=lesson]: failed on gpu, and cpu has a number for it: every" in printed
        ) is not skipped


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
    options = {"allow": ["numpy", "keras"], "margin": 0.0725}
    found = report({"cpu": {}, "gpu": {"fingerprint": {"keras": "3.16"}}}, runs=(1,), **options)
    assert found.refused
    command = f"cifar report {tmp_path}/campaign --allow=numpy --allow=keras --margin=0.0725 --out={tmp_path}/report"
    content = found.markdown.read_text(encoding="utf-8")
    assert f"`{command}` writes this report again." in content
    found.markdown.unlink()
    assert cli.main(shlex.split(command)[1:]) == 3
    assert found.markdown.read_text(encoding="utf-8") == content
    folder = write(tmp_path / "all alone", workloads=WORKLOADS).parent
    plain = page.write(load(folder), folder)
    assert f"`cifar report '{folder}'` writes this report again." in plain.markdown.read_text(encoding="utf-8")


def test_before_and_after_are_compared_with_themselves(write: Write, tmp_path: Path) -> None:
    """Two campaigns of the same devices: each arm against its own past, and the devices within each campaign."""
    for day, campaign in enumerate(("before", "after"), start=1):
        for arm, faster in (("cpu", 1.0), ("gpu", 10.0 * day)):
            for run in (1, 2, 3):
                write(tmp_path / campaign, arm, run, campaign=campaign, day=day, faster=faster, workloads=WORKLOADS)
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


def test_no_records_are_refused(tmp_path: Path) -> None:
    """There is no report on nothing."""
    with pytest.raises(ValueError, match="no records to report on: measure some"):
        page.write([], tmp_path)


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
        write(tmp_path / "nodes-100" / node, campaign=node, day=day, workloads=WORKLOADS)
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
        write(place, campaign="n", day=day, workloads=WORKLOADS)
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
