"""Text from files, shown in a terminal."""

from __future__ import annotations

import pytest

from cifar.record.text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cpu#2, 95 %, \u20ac, \u4e2d, a\tb\nc", "cpu#2, 95 %, \u20ac, \u4e2d, a\tb\nc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\r\x9b2J\x7f", "\\r\\x9b2J\\x7f"),
        ("gpu\u202egnp", "gpu\\u202egnp"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    """Escapes, bells, carriage returns and changes of direction are seen and not obeyed; all else stays as it is."""
    assert plain(text) == shown
