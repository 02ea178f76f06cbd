"""JSON of any shape: read as Python reads it, or refused in words."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from cifar.record import files

CONTENT = {"number": 1.5, "count": 3, "texts": ["a", "\u20ac"], "nested": {"list": [[1], [2, 3]], "none": None}}


def test_changed_json(mutations, tally, tmp_path_factory):
    """Whatever was changed, it is the JSON that Python's own reader finds, or a sentence."""
    path = tmp_path_factory.mktemp("fuzz") / "some.json"

    @given(mutations(CONTENT))
    def one(data):
        path.write_bytes(data)
        try:
            read = files.read_json(path)
        except ValueError:
            tally["JSON, refused"] += 1
            return
        tally["JSON, read"] += 1
        assert repr(read) == repr(json.loads(data, parse_constant=str))

    one()


def test_any_bytes(tally, tmp_path_factory):
    """Bytes that are no JSON at all are refused in words."""
    path = tmp_path_factory.mktemp("fuzz") / "some.json"

    @given(st.binary(max_size=200))
    def one(data):
        path.write_bytes(data)
        tally["bytes"] += 1
        with contextlib.suppress(ValueError):
            files.read_json(path)

    one()
