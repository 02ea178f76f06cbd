"""Escape: text that came from a file goes in; what Markdown, a code span or a spreadsheet shows as that text comes out.

HTML is escaped by Jinja; see `rendering.template`.
"""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup

from cifar.record.text import plain

_SPECIAL = re.compile(r"""[\\`]|<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=\#?\w+;)""")
"""What begins an escape, code, a tag, the target of a link, or an entity."""
_FORMULA = re.compile(r"[=+\-@\t\r]")


def markdown(value: Any) -> Any:
    """Return `value`, in whose nested lists and dictionaries every text is escaped for a line of Markdown."""
    if isinstance(value, dict):
        return {key: markdown(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [markdown(part) for part in value]
    if isinstance(value, str) and not isinstance(value, Markup):
        return _SPECIAL.sub(_escaped, plain(" ".join(value.splitlines())))
    return value


def cell(text: str) -> str:
    """Return a line of Markdown as the cell of a table, in which a pipe would begin the next one."""
    return str(text).replace("|", "\\|")


def code(text: str) -> str:
    """Return `text` as a code span of Markdown, in which nothing is escaped, so that its fence must be longer."""
    line = plain(" ".join(text.splitlines()))
    longest = max((len(ticks) for ticks in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def spreadsheet(text: str) -> str:
    """Return `text` as a cell that no spreadsheet takes for a formula: it then begins with an apostrophe."""
    line = plain(text)
    return f"'{line}" if _FORMULA.match(line) else line


def _escaped(special: re.Match[str]) -> str:
    """One character as Markdown shows it."""
    return {"<": "&lt;", "&": "&amp;"}.get(special[0], f"\\{special[0]}")
