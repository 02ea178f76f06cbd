"""Disagreement: two records that cannot both be true are refused with both files."""

from __future__ import annotations

import json

import pytest

from cifar.record import reading

from .whole import NETWORK, complete, content, ours


@pytest.fixture
def pair(tmp_path):
    """Two runs of a campaign in a folder, the second changed by a function of its content, and loaded."""

    def pair(edit):
        (tmp_path / "campaign.json").write_text(json.dumps({"devices": ["cpu"], "runs": 2}))
        for run in (1, 2):
            whole = content(run=run)
            if run == 2:
                edit(whole)
            (tmp_path / f"cpu-{run}.json").write_text(json.dumps(whole))
        return reading.load(tmp_path)

    return pair


def more_images(whole):
    """Twice the images of a workload that says it consistently."""
    whole["benchmarks"][4] = complete(
        *("generator[by=lesson,batch=250]", [0.05]),
        images=1000,
        work={"batches": "rows 0 to 999"},
        warmup_seconds=1.5,
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(
            lambda c: c.update(benchmarks=content(run=1)["benchmarks"]), "have the same rounds to the bit", id="copy"
        ),
        pytest.param(
            lambda c: c["benchmarks"].__setitem__(0, content(run=1)["benchmarks"][0]),
            f"have the same rounds to the bit of {NETWORK}, so one is a copy of the other",
            id="copy of a part",
        ),
        pytest.param(
            more_images, "a call of generator[by=lesson,batch=250] has 1000 images, and 500 in", id="other work"
        ),
        pytest.param(lambda c: ours(c).update(campaign="b"), "is of campaign b, and", id="other campaign"),
    ],
)
def test_records_against_each_other_are_refused(pair, tmp_path, edit, said):
    """Two runs that cannot both be true are a ValueError with both files."""
    assert len(pair(lambda _: None)) == 2
    with pytest.raises(ValueError, match=r"cpu-1\.json") as caught:
        pair(edit)
    assert said in str(caught.value)
    assert str(tmp_path / "cpu-2.json") in str(caught.value)


def test_a_run_of_single_rounds_is_known_by_all_of_them(pair):
    """Start-up has one round a stage: two runs of it that agree in all are copies, and in one they may agree."""

    def single(run):
        return [complete(f"startup[stage=a{place}]", [0.01 * place * run]) for place in (1, 2)]

    def only_single(whole, second):
        whole["benchmarks"] = single(second)

    with pytest.raises(ValueError, match="the same rounds to the bit of all workloads"):
        pair_of(pair, lambda whole: only_single(whole, 1), single(1))
    assert len(pair_of(pair, lambda whole: only_single(whole, 1.01), single(1))) == 2


def pair_of(pair, edit, first):
    """The pair whose first run has these benchmarks."""
    pair(lambda _: None)
    records = pair(edit)
    path = records[0].path
    whole = json.loads(path.read_text())
    whole["benchmarks"] = first
    path.write_text(json.dumps(whole))
    return reading.load(path.parent)


def test_another_unit_of_one_version_is_refused(tmp_path):
    """Seconds and images/s of one workload are not put beside each other, in whatever campaign they were measured."""
    for day, images in ((1, 100), (2, None)):
        whole = content(day=day, campaign=f"day{day}")
        ours(whole)["fingerprint"]["workload"] = "ab" * 32
        whole["benchmarks"] = [complete("new", [0.1 * day], images=images, warmup_seconds=1.0)]
        (tmp_path / f"{day}.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"2\.json: new is in s, and in images/s in .*1\.json"):
        reading.load(tmp_path)
