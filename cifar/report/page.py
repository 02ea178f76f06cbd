"""Page: records of any number of arms go in; a report as HTML, Markdown, CSV and figures comes out, in one folder."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar.record import archive
from cifar.record.files import replace
from cifar.record.reading import nothing_collected
from cifar.report import answer, escape, nodes, results_csv, view
from cifar.report.comparison import MARGIN
from cifar.report.figures.style import save
from cifar.report.gaps import gaps
from cifar.report.grouping import group
from cifar.report.pairing import compared
from cifar.report.pictures import pictures, shown
from cifar.report.rendering import template
from cifar.report.tables.explain import explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cifar.record.model import Record
    from cifar.report.arms import Arms
    from cifar.report.comparison import Comparison, LeftOut
    from cifar.report.nodes import Spread
    from cifar.report.pairing import Refused
    from cifar.report.pictures import Picture


@dataclass(frozen=True, slots=True)
class Report:
    """The files that were written, and what they say; `refused` are pairs of arms that are not comparable.

    `notes` are those that were given, and a sentence for each node that is off; `spreads` say how nodes scatter.
    """

    html: Path
    markdown: Path
    csv: Path
    figures: tuple[Path, ...]
    comparisons: tuple[Comparison, ...]
    refused: tuple[Refused, ...]
    answer: str
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    spreads: tuple[Spread, ...]


@nothing_collected()
def write(  # noqa: PLR0913 - the options of `cifar report`
    records: Sequence[Record],
    folder: str | os.PathLike[str],
    *,
    margin: float = MARGIN,
    baseline: str | None = None,
    allow: Iterable[str] = (),
    notes: Sequence[str] = (),
    missing_gpu: Sequence[tuple[str, str]] = (),
    missing: Sequence[LeftOut] = (),
) -> Report:
    """Write report.html, report.md, results.csv and figures/ into `folder` and return where they are.

    Each arm is compared with `baseline` (default: see `pairing.pairs`); `allow` are fingerprint fields that may differ,
    `notes` sentences to show, `missing_gpu` the reasons why there is no GPU, each with its remedy, `missing` what was
    planned and has no record. Unless a baseline is named, arms that several nodes measured are compared over all nodes
    first, where these are comparable (see `pooling.pools`), then within each node.
    Raises ValueError without records, for a baseline that is no arm and where `figures` is a link, which leads out
    of the folder, and OSError where `folder` is not writable. Links in the place of files are replaced.
    """
    if not records:
        message = "there are no records to report on: measure some with `cifar bench`"
        raise ValueError(message)
    folder, allow = Path(folder), tuple(allow)
    arms = group(records, pool=baseline is None)
    comparisons, refused = compared(arms, baseline, margin, frozenset(allow))
    spreads = nodes.spreads(arms.records)
    notes = [*answer.no_gpu(missing_gpu), *notes, *nodes.sentences(spreads), *nodes.apart(arms.records)]
    sentence = answer.answer(arms, comparisons, refused, missing_gpu)
    left_out = (*missing, *_left_out(arms, comparisons))
    content = view.view(arms, comparisons, refused)
    content |= {"answer": sentence, "notes": notes, "left_out": view.missing(left_out)}
    content["tables"] = explain(arms, spreads)
    content["command"] = _command(records, folder, margin, allow)
    drawn = pictures(arms, spreads, view.shown_first(comparisons))
    files = _save(folder, content, drawn, results_csv.text(arms))
    return Report(*files, comparisons, refused, sentence, tuple(notes), left_out, tuple(spreads))


def _left_out(arms: Arms, comparisons: Sequence[Comparison]) -> tuple[LeftOut, ...]:
    """All that the tables do not hold, each once."""
    left_out = [gap for arm in arms.each.values() for gap in gaps(arm)]
    for comparison in comparisons:
        left_out += comparison.left_out
    return tuple(dict.fromkeys(left_out))


def _command(records: Sequence[Record], folder: Path, margin: float, allow: Sequence[str]) -> str:
    """The command that writes this report again, with the options that are not the default."""
    folders = list(dict.fromkeys(str(record.path.parent) for record in records))
    options = [f"--allow={field}" for field in allow]
    if margin != MARGIN:
        options.append(f"--margin={margin}")
    if folder.resolve() != default_folder(folders).resolve():
        options.append(f"--out={folder}")
    return shlex.join(["cifar", "report", *folders, *options])


def default_folder(sources: Iterable[str | os.PathLike[str]]) -> Path:
    """Return where the report of `sources`, campaigns' folders or records, goes if nobody says: into their folder.

    That of an archive, such as `kept.zip`, goes beside it, into a folder `kept`.
    That of several goes into the folder that holds them all, so that each keeps its own; into the first where that is
    the current or the root folder, which are nobody's.
    """
    folders = list(dict.fromkeys(_folder_of(Path(source)) for source in sources))
    common, here = Path(os.path.commonpath([folder.resolve() for folder in folders])), Path.cwd()
    if len(folders) == 1 or common in (here, Path(common.anchor)):
        return folders[0]
    return common.relative_to(here) if common.is_relative_to(here) else common


def _folder_of(source: Path) -> Path:
    """The folder of one source: a campaign's own, that of a record, or one with the name of an archive."""
    packed = archive.split(source)
    if packed:
        return packed[0].with_suffix("")
    return source if source.is_dir() else source.parent


def _save(
    folder: Path, content: dict[str, Any], drawn: Sequence[Picture], results: str
) -> tuple[Path, Path, Path, tuple[Path, ...]]:
    """Write the figures, both pages and the table; return their paths, in the order of `Report`."""
    figures = folder / "figures"
    if figures.is_symlink():
        message = f"{figures} is a link, and the figures would go where it leads: name another --out"
        raise ValueError(message)
    figures.mkdir(parents=True, exist_ok=True)
    files = [save(picture.figure, figures, picture.name) for picture in drawn]
    content["figures"] = [shown(picture, *paths) for picture, paths in zip(drawn, files, strict=True)]
    in_markdown = {**escape.markdown(content), "command": escape.code(content["command"])}
    html, markdown, csv = folder / "report.html", folder / "report.md", folder / "results.csv"
    replace(html, template(html.name).render(content))
    replace(markdown, template(markdown.name).render(in_markdown))
    replace(csv, results)
    return html, markdown, csv, tuple(path for pair in files for path in pair)
