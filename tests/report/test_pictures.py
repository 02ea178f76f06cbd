"""Pictures: what stands beside a figure in a page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from matplotlib.figure import Figure

from cifar.report.pictures import Picture, shown

HOSTILE = 'x"><script>alert(1)</script>'


def test_no_script_gets_into_a_drawing() -> None:
    """Names in the words that describe a drawing cannot end the attribute in which they stand."""
    picture = Picture("ratios", f"{HOSTILE} against cpu", "text", Figure())
    drawing = SimpleNamespace(name="ratios.svg", read_text=lambda encoding: "<?xml?><svg></svg>")  # noqa: ARG005
    content = shown(picture, Path("ratios.png"), drawing)  # type: ignore[arg-type]
    assert "<script" not in content["svg"]
    assert "&#34;&gt;&lt;script&gt;" in content["svg"]
