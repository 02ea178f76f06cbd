"""Facts that cannot be had: read, written, and told in a sentence."""

from __future__ import annotations

import json

import pytest

from cifar.record.unmeasurable import Unmeasurable, as_json


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"reason": "a: b", "remedy": "c"}, Unmeasurable("a: b", "c")),
        (["a", "c"], Unmeasurable("a", "c")),
        (Unmeasurable("a", "c"), Unmeasurable("a", "c")),
        ("no driver: load one.", Unmeasurable("no driver: load one.")),
    ],
)
def test_read(value, why):
    """A reason with its remedy is read as it is written, and as older files have it: one text."""
    assert Unmeasurable.read(value) == why


@pytest.mark.parametrize(
    "value", [None, 7, [], ["a"], {"reason": "a"}, {"reason": 1, "remedy": "b"}, {"unmeasurable": "x"}]
)
def test_nothing_to_read(value):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="no reason and remedy"):
        Unmeasurable.read(value)


def test_sentence():
    """As text it says both, with one full stop."""
    assert str(Unmeasurable("a: b.", "c.")) == "a: b: c."
    assert str(Unmeasurable("a.")) == "a."


def test_json():
    """In a record it is its reason, and its remedy where there is one, wherever among other facts it stands."""
    facts = {"gpus": [Unmeasurable("lost", "reset it"), {"ecc": Unmeasurable("Not Supported")}], "cpus": 2, "on": False}
    assert as_json(facts) == {
        "gpus": [{"unmeasurable": "lost", "remedy": "reset it"}, {"ecc": {"unmeasurable": "Not Supported"}}],
        "cpus": 2,
        "on": False,
    }
    assert as_json(Unmeasurable("h\udce9", "\x1b[31m")) == {"unmeasurable": r"h\udce9", "remedy": r"\x1b[31m"}


def test_no_json_by_accident():
    """Where nobody has said how it stands in a record, it cannot be written at all."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(Unmeasurable("lost"))
