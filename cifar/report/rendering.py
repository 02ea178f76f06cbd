"""Rendering: the name of a page goes in; its template, which takes what the page shows, comes out."""

from __future__ import annotations

from pathlib import Path

import jinja2

from cifar.record.text import plain
from cifar.report import escape

TEMPLATES = Path(__file__).parent / "templates"
"""The report's own, and what all pages include: the style and the policy of what a browser may load."""


def template(name: str, folder: Path = TEMPLATES) -> jinja2.Template:
    """Return the template of a page in `folder` by its name, such as `report.html` or `report.md`.

    Only HTML is escaped here. What the template includes is in its folder or in `TEMPLATES`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=name.endswith(".html"),
        finalize=lambda value: plain(value) if type(value) is str else value,  # Markup stays Markup
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = escape.cell
    return environment.get_template(f"{name}.j2")
