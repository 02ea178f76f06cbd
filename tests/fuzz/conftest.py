"""What every fuzz test shares: changed copies of a good file, how many of them are tried, and the count of the right.

A test here takes a good input, changes it in one place, and lets the product read it.  Right is: refused with
OSError or ValueError in a sentence, or read with every number as it was.  Wrong is all else: another exception, a
hang, a file outside of the folder, a changed number that passes for a good one.
"""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("FUZZ_TRIES", "25")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

TALLY = pytest.StashKey[Counter[str]]()

NASTY = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**19, 10**400, 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        ".",
        "..",
        "../victim",
        "/etc/passwd",
        "a/b",
        "x" * 100_000,
        "\0",
        "\n; touch victim #",
        "$(touch victim)",
    ),
    *('x"><script>alert(1)</script>', "\x1b[31m\x07", "\u202e", "cpu", "gpu:1", "0" * 64, "-k", "--out=/elsewhere"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], {"unmeasurable": "x"}, {"a": {"b": {"c": []}}}),
)
"""What stands in the place of a value."""


def pytest_configure(config):
    """Begin to count."""
    config.stash[TALLY] = Counter()


def pytest_terminal_summary(terminalreporter, config):
    """Say how many changed inputs each kind of input was tried with; all of them were right where no test failed."""
    for kind, count in sorted(config.stash[TALLY].items()):
        terminalreporter.write_line(f"fuzz: {kind}: {count:,} tried")


@pytest.fixture(scope="session")
def tally(pytestconfig):
    """Counts what was tried: `tally["records, refused"] += 1`."""
    return pytestconfig.stash[TALLY]


@pytest.fixture(autouse=True)
def _profile():
    """As many tries as FUZZ_TRIES says, in tests of this folder only."""
    settings.load_profile("fuzz")
    yield
    settings.load_profile("default")


def places(content, place=()):
    """The path of every value in nested lists and dictionaries, the outermost first."""
    yield place
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*place, key))


def changed(content, place, change):
    """A copy of `content` in which `change(container, key)` was made at `place`, which is not the whole."""
    copy = json.loads(json.dumps(content))
    container = copy
    for key in place[:-1]:
        container = container[key]
    change(container, place[-1])
    return copy


def scaled(factor):
    """A change of a number by `factor`, of a text by itself again, of a list by its first half."""

    def change(container, key):
        value = container[key]
        if isinstance(value, bool) or value is None or isinstance(value, dict):
            container[key] = not value
        elif isinstance(value, int):
            container[key] = int(value * factor) if int(value * factor) != value else value + 1
        elif isinstance(value, float):
            container[key] = value * factor or factor
        else:
            container[key] = value[: len(value) // 2] if factor < 1 else value + value

    return change


@st.composite
def mutated(draw, content):
    """The bytes of `content` as JSON, changed in one place: a value, a key, a byte, or the end cut off."""
    text = json.dumps(content, indent=1)
    kind = draw(st.sampled_from(("value", "value", "scale", "scale", "delete", "double", "byte", "cut", "insert")))
    if kind in {"byte", "cut", "insert"}:
        data, where = bytearray(text.encode()), draw(st.integers(0, len(text) - 1))
        if kind == "byte":
            data[where] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[where:]
        else:
            data[where:where] = draw(
                st.sampled_from((b"0", b"9", b'"', b"[", b"{", b",", b"-", b"e9", b"\\ud800", b"\0"))
            )
        return bytes(data)
    every = list(places(content))
    place = every[draw(st.integers(1, len(every) - 1))]
    if kind == "value":
        new = draw(st.sampled_from(NASTY))
        return json.dumps(changed(content, place, lambda holder, key: holder.__setitem__(key, new))).encode()
    if kind == "scale":
        return json.dumps(changed(content, place, scaled(draw(st.sampled_from((0.9, 1.001, 3)))))).encode()
    if kind == "delete":
        return json.dumps(changed(content, place, lambda holder, key: holder.__delitem__(key))).encode()
    if isinstance(place[-1], int):  # an entry of a list stands there twice
        return json.dumps(changed(content, place, lambda holder, key: holder.insert(key, holder[key]))).encode()
    marker = json.dumps(changed(content, place, lambda holder, key: holder.__setitem__(key, "@twice@")))
    name = json.dumps(place[-1])
    return marker.replace('"@twice@"', f"1, {name}: 2", 1).encode()


@pytest.fixture(scope="session")
def mutations():
    """The strategy `mutations(content)`: the bytes of a JSON file, changed in one place."""
    return mutated
