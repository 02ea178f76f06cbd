"""Text that came from a file, made fit to be shown."""

from __future__ import annotations

import re

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, changes of the direction of writing, and halves of surrogate pairs."""


def plain(text: str) -> str:
    r"""Return `text` with each character that a terminal would obey instead of showing written out: `\x1b`."""
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
