"""The command line: exit codes, and words that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cifar import cli
from cifar.backend import survey
from cifar.cli import terminal
from cifar.data import dataset


def cifar(*arguments):
    """Run the command in this process and return its exit code."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


def test_help_names_every_command(capsys):
    """`cifar --help` lists the commands and what each is for."""
    assert cifar("--help") == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("prepare", "bench", "compare", "report"))


def test_help_is_light():
    """`cifar --help` loads none of the packages that take long."""
    program = "import sys, cifar.cli; cli = cifar.cli._parser(); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in loaded for name in ("tensorflow", "keras", "pandas", "matplotlib", "h5py", "numpy"))


def test_bar_in_the_terminal_leaves_the_output_alone():
    """With stdout in a file and a bar in the terminal, what is printed meanwhile is in the file, and only there."""
    program = """from cifar.cli import terminal
with terminal.progress_bar() as progress:
    progress("work", 1, 2)
    print("a result")
    progress("work", 2, 2)
"""
    ours, theirs = os.openpty()
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    drawn = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.stdout == "a result\n"
    assert "work" in drawn
    assert "a result" not in drawn


@pytest.mark.parametrize("arguments", [[], ["fly"], ["bench", "--quick", "--thorough"], ["compare"]])
def test_wrong_usage(arguments, capsys):
    """Wrong words are exit code 2 and a usage line."""
    assert cifar(*arguments) == 2
    assert "usage:" in capsys.readouterr().err


def test_prepare_makes_the_stand_in(tmp_path, capsys, monkeypatch):
    """`cifar prepare --synthetic` says what it made, and where."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cifar("prepare", "--synthetic") == 0
    printed = capsys.readouterr().out
    assert "stand-in for CIFAR-10 (made up): 50,000 + 10,000 images" in printed
    assert str(tmp_path / "cifar-bench" / "standin.h5") in printed


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["prepare", "--source", "{}/none.tar.gz", "--out", "{}/x.h5"], "none.tar.gz"),
        (["bench", "--dataset", "{}/none.h5"], "none.h5"),
        (["bench", "--dataset", "{}/text.h5"], "text.h5"),
        (["bench", "--runs", "-1"], "--runs"),
        (["bench", "--resume", "--out", "{}"], "holds no campaign"),
        (["compare", "{}/none"], "none"),
        (["compare", "{}/text.h5"], "text.h5"),
        (["report", "{}/none"], "none"),
    ],
)
def test_bad_input(tmp_path, capsys, monkeypatch, arguments, word):
    """Bad input is exit code 2 and one sentence that names what is wrong; nothing is made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "text.h5").write_text("this is no dataset")
    assert cifar(*(argument.format(tmp_path) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
    assert not (tmp_path / "x.h5").exists()


def test_campaign_on_a_missing_gpu(small, tmp_path, capsys):
    """A GPU that was asked for and is missing ends the campaign with the reason: never skipped, never replaced."""
    if survey.take().missing_gpu is None:
        pytest.skip("this node has a GPU")
    assert cifar("bench", "--device", "gpu", "--dataset", small, "--out", tmp_path / "new") == 4
    assert "there is no gpu to measure: " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_campaign_on_a_gpu_too_many(small, tmp_path, capsys, monkeypatch):
    """A GPU beyond those of the node ends the campaign before it begins, and those that there are are named."""
    monkeypatch.setattr(survey, "take", lambda: survey.Survey(("cpu", "gpu"), None, ("gpu:1",)))
    assert cifar("bench", "--device", "gpu:2", "--dataset", small, "--out", tmp_path / "new") == 4
    assert "there is no gpu:2 to measure: there are cpu, gpu, gpu:1: name one of these" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.fixture
def begun(small, tmp_path):
    """A campaign of one run on the CPU, all of which was measured: there is nothing to do but the report."""
    plan = {"devices": ["cpu"], "runs": 1, "effort": "quick", "dataset": str(small), "only": "ours"}
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "campaign.json").write_text(json.dumps(plan | {"digest": dataset.describe(small).digest}))
    memory = {"host_peak_bytes": None, "device_peak_bytes": None, "meaning": "unknown"}
    extra = {"images": 10, "flop": None, "warmup_seconds": 1.0, "checks": ["ok"], "work": {}, "memory": memory}
    facts = {"arm": "cpu", "device": "cpu", "run": 1, "campaign": "campaign", "complete": True}
    times = dict.fromkeys(("started", "finished"), "2026-03-01T10:00:00+00:00")
    ours = facts | times | {"schema": 1, "failures": [], "fingerprint": {}, "environment": {}}
    timed = {"name": "test_training[feed=memory]", "extra_info": extra, "stats": {"data": [1.0], "iterations": 1}}
    (folder / "cpu-1.json").write_text(json.dumps({"machine_info": {"cifar": ours}, "benchmarks": [timed]}))
    return folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "gpu"], "--device gpu (it has cpu)"),
        (["--device", "cpu", "--device", "cpu"], "--device cpu, cpu (it has cpu)"),
        (["--thorough"], "--thorough (its effort is quick)"),
        (["--only", "peer"], "--only 'peer' (it has 'ours')"),
        (["--dataset", "{}/other.h5"], "other.h5 (it has "),
        (["--quick", "--only", "peer", "--device", "gpu"], "--device gpu (it has cpu), --only 'peer' (it has 'ours')"),
    ],
)
def test_resume_refuses_other_options(begun, tmp_path, capsys, options, said):
    """What the campaign did not begin with is neither measured nor ignored in silence: it is named, with the remedy."""
    dataset.prepare_synthetic(tmp_path / "other.h5", seed=1, train=1_003, valid=250)
    before = (begun / "campaign.json").read_bytes()
    assert cifar("bench", "--resume", "--out", begun, *(option.format(tmp_path) for option in options)) == 2
    printed = capsys.readouterr().err
    assert f"the campaign in {begun} did not begin with " in printed
    assert said in printed
    assert "leave that out to go on with it, or start a new one with another --out" in printed
    assert (begun / "campaign.json").read_bytes() == before
    assert not (begun / "report.html").exists()


def test_resume_takes_the_same_options(begun, small, tmp_path):
    """A job that a batch system starts again passes its options again; the same data may lie elsewhere by now."""
    same = ["--device", "cpu", "--quick", "--only", "ours", "--runs", 1]
    assert cifar("bench", "--resume", "--out", begun, *same, "--dataset", small) == 0
    (tmp_path / "copy.h5").write_bytes(small.read_bytes())
    assert cifar("bench", "--resume", "--out", begun, "--dataset", tmp_path / "copy.h5") == 0
    assert (begun / "report.html").exists()


@pytest.mark.parametrize(("field", "value"), [("effort", "thorough"), ("only", "training")])
def test_resume_refuses_a_plan_that_its_records_contradict(begun, capsys, field, value):
    """A plan whose effort or selection is not that of the runs that were measured is refused, with both."""
    record = json.loads((begun / "cpu-1.json").read_text())
    record["machine_info"]["cifar"]["environment"] |= {"effort": "quick", "only": "ours"}
    (begun / "cpu-1.json").write_text(json.dumps(record))
    plan = json.loads((begun / "campaign.json").read_text())
    (begun / "campaign.json").write_text(json.dumps(plan | {field: value}))
    assert cifar("bench", "--resume", "--out", begun) == 2
    assert f"was measured with {field} " in capsys.readouterr().err


def test_escapes_in_a_plan_are_not_obeyed(begun, capsys):
    """What a terminal would obey in campaign.json is written out."""
    plan = json.loads((begun / "campaign.json").read_text())
    (begun / "campaign.json").write_text(json.dumps(plan | {"missing_gpu": "\x1b[31mred\x07"}))
    assert cifar("bench", "--resume", "--out", begun) == 0
    printed = capsys.readouterr()
    assert "\\x1b[31mred" in printed.out
    assert "\x1b" not in printed.out + printed.err


def test_resume_takes_no_run_back(begun, capsys):
    """Runs can be added; fewer than the campaign has are refused with both numbers."""
    plan = json.loads((begun / "campaign.json").read_text()) | {"runs": 3}
    (begun / "campaign.json").write_text(json.dumps(plan))
    assert cifar("bench", "--resume", "--out", begun, "--runs", 2) == 2
    assert "has 3 runs an arm, not 2: runs can be added only" in capsys.readouterr().err


def test_resume_refuses_another_dataset(small, tmp_path, capsys):
    """A campaign goes on only with the dataset that it began with."""
    plan = {"devices": ["cpu"], "runs": 1, "effort": "quick", "dataset": str(small), "digest": "0" * 64}
    (tmp_path / "campaign.json").write_text(json.dumps(plan))
    assert cifar("bench", "--resume", "--out", tmp_path) == 2
    assert "not the dataset" in capsys.readouterr().err


# --- the terminal, whatever it is


def report_of(folder, **options):
    """`cifar report` on a campaign, in a process of its own."""
    command = [sys.executable, "-P", "-m", "cifar", "report", str(folder)]
    return subprocess.run(command, check=False, text=True, **({"capture_output": True} | options))


def test_terminal_without_our_characters(begun):
    """Where the terminal knows ASCII alone, what it lacks is written out; the report and the exit code are the same."""
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = report_of(begun, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "Report:" in done.stdout


def test_pipe_that_nobody_reads_any_more(begun):
    """`| head -1`: what nobody reads is dropped; the report is written and judged all the same."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = report_of(begun, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (begun / "report.html").exists()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(begun, closed):
    """Closed streams cost nothing: no file that is opened takes their place, so nothing is printed into one."""
    command = f'exec "{sys.executable}" -P -m cifar report "{begun}" {closed}'
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0
    assert (begun / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads((begun / "campaign.json").read_text())["devices"] == ["cpu"]


def test_stdout_on_a_full_disk(begun):
    """What cannot be printed is said, with exit code 2; the report is written."""
    with Path("/dev/full").open("w") as full:
        done = report_of(begun, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "what was printed is not whole (No space left on device): make room where stdout goes\n"
    assert (begun / "report.html").exists()


def test_no_colours_in_a_pipe(begun):
    """FORCE_COLOR makes no terminal of a pipe: tables keep their width, and no escapes are in them."""
    plain = report_of(begun).stdout
    assert report_of(begun, env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "40"}).stdout == plain


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("cuda:0", "gpu:0"), ("/GPU:0", "gpu:0"), ("GPU", "gpu"), ("0", "gpu:0"), ("/device:GPU:1", "gpu:1")),
        *(("CPU", "cpu"), ("/CPU:0", "cpu"), ("gpu:01", "gpu:1"), ("../../x", None), ("tpu", None), ("", None)),
    ],
)
def test_device_by_another_name(small, tmp_path, capsys, monkeypatch, name, meant):
    """A device that we call otherwise is refused before anything begins, with our name for it."""
    monkeypatch.chdir(tmp_path)
    assert cifar("bench", "--device", name, "--dataset", small) == 2
    said = capsys.readouterr().err
    assert "is no device: give cpu, gpu, or gpu:N" in said
    assert (f"; {meant} may be what is meant" in said) if meant else ("may be" not in said)
    assert not list(tmp_path.glob("results/*"))


@pytest.mark.parametrize("options", [["--margin", "0"], ["--margin", "nan"], ["--deadline", "0"], ["--runs", "10**9"]])
def test_slips_are_told_before_anything_begins(small, tmp_path, capsys, options):
    """An option that cannot be meant ends the command before anything is measured."""
    assert cifar("bench", *options, "--dataset", small, "--out", tmp_path / "new") == 2
    assert options[0] in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_two_commands_in_one_second(tmp_path, monkeypatch):
    """Each has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    folders = [terminal.new_folder("lesson") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() for folder in folders)


def test_nohup_outlives_its_terminal():
    """A SIGHUP that is ignored, as by `nohup`, stays ignored; else it interrupts as Ctrl-C does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminal.interruptible():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with pytest.raises(KeyboardInterrupt), terminal.interruptible():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        (["--allow", "zzz"], "no field of a fingerprint; there are backend"),
        (["--fail-on", "x"], "write slower:5%"),
        (["--margin", "nan"], "no margin above 0"),
        (["--margin", "5"], "no margin above 0"),
        (["--margin", "-1"], "no margin above 0"),
    ],
)
@pytest.mark.parametrize("command", [["report", "r"], ["compare", "r"], ["bench"]])
def test_slips_of_a_judgement_are_told_first(capsys, command, option, word):
    """A field, a gate or a margin that there cannot be is wrong usage, before anything is read, measured or written."""
    assert cifar(*command, *option) == 2
    assert word in capsys.readouterr().err


def test_package_that_cannot_be_imported(tmp_path):
    """A foreign package that breaks ours is a sentence that names the doctor."""
    (tmp_path / "numpy.py").write_text("raise ImportError('foreign numpy')")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "cifar", "data", "info"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, "foreign numpy" in done.stderr, "cifar doctor" in done.stderr) == (2, True, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["report", "compare"])
def test_damaged_plan_is_refused(tmp_path, capsys, command):
    """A plan that cannot be read stands beside records that nobody can hold against it."""
    archive = Path(__file__).parent.parent / "benchmarks" / "evidence" / "growth.zip"
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "growth")
    (tmp_path / "growth" / "campaign.json").write_text("{")
    assert cifar(command, tmp_path / "growth", *[tmp_path / "growth"] * (command == "compare")) == 2
    assert "campaign.json is damaged" in capsys.readouterr().err
