"""Names of workloads: in words, and in the order in which they are shown."""

from __future__ import annotations

import pytest

from cifar.record.names import in_order, words


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("training[feed=memory]", "Training, fed from memory"),
        ("generator[by=ours,batch=32]", "Our generator, batch 32"),
        ("peer_generator[by=tf.data]", "Generators to choose from: tf.data"),
        ("peer_tensors[by=grain]", "Generators to choose from, bytes as tensors: grain"),
        ("peer_training[by=torch]", "Frameworks to choose from, training: torch"),
        ("peer_forward[batch=1,by=jax]", "Frameworks to choose from, forward, batch 1: jax"),
        ("growth_images[images=10000,order=whole]", "Growth: images 10,000, order whole"),
        ("growth_runs[runs=10000]", "Growth: runs 10,000"),
        ("ladder_training[rung=lesson]", "Ladder, training: lesson"),
        ("peak[what=copy]", "Limit: memory, copied"),
        ("generator[by=lesson,batch=250]", "The lesson's generator, batch 250"),
        ("generator[by=lesson,batch=250,workers=2]", "generator[by=lesson,batch=250,workers=2]"),
        ("forward[batch=1,input=host]", "Forward, batch 1, input on the host"),
        ("forward[batch=250,by=predict]", "Forward, batch 250, by predict"),
        ("forward[batch=250,by=predict,jit=1]", "forward[batch=250,by=predict,jit=1]"),
        ("startup[stage=import]", "Start-up: interpreter and imports"),
        ("new", "new"),
    ],
)
def test_workloads_have_names_in_words(workload: str, expected: str) -> None:
    """Known workloads read as words, unknown ones as they are."""
    assert words(workload) == expected


def test_workloads_have_an_order() -> None:
    """Families in order, series as they came, batches by size, unknown families last."""
    names = [
        *("new[batch=all]", "startup[stage=import]", "forward[batch=250,input=host]"),
        *("forward[batch=32,input=host]", "forward[batch=1,input=device]", "training[feed=memory]"),
    ]
    assert in_order(names) == [names[5], names[3], names[2], names[4], names[1], names[0]]


@pytest.mark.parametrize(
    "workload",
    ["peer_training[by=jax,size=3]", "new[batch=all]", "new[batch=\N{SUPERSCRIPT TWO}]", f"new[batch={'9' * 200}]"],
)
def test_names_that_nobody_has_seen(workload: str) -> None:
    """A workload of somebody's own has its name in words, and a place in the order."""
    assert words(workload) == workload
    assert in_order([workload, "forward[batch=1,input=host]"]) == ["forward[batch=1,input=host]", workload]
