"""Downloading a file that is known by its SHA-256; an interrupted download goes on later."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import time
import urllib.request
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cifar.record import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ELSEWHERE = "Get the archive elsewhere and name it by --source PATH"
REMEDY = f"{_ELSEWHERE}, or use the stand-in by --synthetic"


def archive(
    url: str,
    sha256: str,
    folder: Path,
    *,
    tries: int = 3,
    progress: Callable[[str, int, int], None],
) -> Path:
    """Return the path of the downloaded file in the folder, complete and right.

    A file that is there already and right is taken as it is. Two processes at once: the second
    waits for the first. `progress` receives (what, bytes done, bytes in total or 0 while unknown).
    Raises ConnectionError where the server cannot be reached or the connection breaks `tries`
    times, ValueError where the file has another SHA-256 (it is removed), OSError where the folder
    cannot be written, or is full.
    """
    target = folder / PurePosixPath(urlsplit(url).path).name
    part = _part(target)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, progress):
        if not target.exists() or _sha256(target) != sha256:
            _fetch(url, part, tries, progress)
            found = _sha256(part)
            if found != sha256:
                _remove(part)
                what = f"{url}: SHA-256 {found} instead of {sha256}"
                msg = f"{what}; the file was removed. Try again. {REMEDY}"
                raise ValueError(msg)
            part.replace(target)
        _remove(part)
    return target


def sweep(url: str, folder: Path) -> None:
    """Remove what failed downloads have left in the folder; the data came by another way."""
    part = _part(folder / PurePosixPath(urlsplit(url).path).name)
    if any(left.exists() for left in _left(part)):
        with contextlib.suppress(BlockingIOError), files.held(folder, "downloading"):
            _remove(part)


def _part(target: Path) -> Path:
    """What has come of the target so far."""
    return target.with_name(f"{target.name}.part")


def _left(part: Path) -> tuple[Path, ...]:
    """What a download leaves when it does not end well.

    That is the bytes, pypdl's only segment of them, and its note.
    """
    return part, part.with_name(f"{part.name}.0"), part.with_name(f"{part.name}.json")


def _remove(part: Path) -> None:
    for left in _left(part):
        left.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _alone(folder: Path, progress: Callable[[str, int, int], None]) -> Iterator[None]:
    """Hold the folder; where another process downloads into it, wait until that has ended."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(files.held(folder, "downloading"))
                break
            except BlockingIOError:
                progress("wait for another process that downloads", 0, 0)
                time.sleep(0.2)
        yield


class _Reasons(logging.Handler):
    """Keeps why downloads failed: pypdl says it to its log only."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.reasons: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the sentence of the record."""
        self.reasons.append(record.getMessage())


def _fetch(url: str, part: Path, tries: int, progress: Callable[[str, int, int], None]) -> None:
    """Download to `part`, beside which pypdl keeps what it needs to go on after an interruption."""
    import aiohttp
    from pypdl import Pypdl

    _mend(part)
    handler = _Reasons()
    logger = logging.Logger(__name__)  # noqa: LOG001 (pypdl's own writes into the working folder)
    logger.addHandler(handler)
    loader = Pypdl(logger=logger)
    try:
        loader.start(
            url,
            str(part),
            segments=1,
            retries=tries - 1,
            etag_validation=False,  # the SHA-256 decides, and not every server sends one
            block=False,
            display=False,
            proxy=_proxy(url),
            timeout=aiohttp.ClientTimeout(sock_connect=20, sock_read=60),
        )
        while not loader.completed:
            progress(f"download {part.stem}", loader.current_size, loader.size or 0)
            time.sleep(0.1)
    finally:
        loader.shutdown()
    if loader.failed:
        why = "; ".join(dict.fromkeys(handler.reasons)) or "no reason given"
        if os.strerror(errno.ENOSPC) in why:
            _remove(part)
            remedy = "make room, or set XDG_CACHE_HOME to a larger disk"
            msg = f"{part.parent} is full, and nothing was left behind: {remedy}"
            raise OSError(errno.ENOSPC, msg)
        kept = "What has come is kept: another try goes on from there"
        msg = f"{url}: could not be downloaded ({why}). {kept}. {REMEDY}"
        raise ConnectionError(msg)
    progress(f"download {part.stem}", part.stat().st_size, part.stat().st_size)


def _mend(part: Path) -> None:
    """Remove pypdl's note on a download where it was cut itself or is not ours.

    pypdl would never get beyond it.
    """
    note = part.with_name(f"{part.name}.json")
    if not note.exists():
        return
    try:
        segments = files.read_json(note)["segments"]
    except (ValueError, TypeError, KeyError):
        segments = None
    if segments != 1:
        note.unlink()


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for the address: pypdl itself does not look."""
    address = urlsplit(url)
    if urllib.request.proxy_bypass(address.hostname or ""):
        return None
    return urllib.request.getproxies().get(address.scheme)
