"""Files that somebody else may have written, changed or planted: read within bounds, replaced whole, locked.

Every command that reads a JSON file, or writes one beside others, does it by these functions.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cifar.record import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGEST = 16 << 20
"""Bytes of the largest JSON file that is read; parsed, such a file takes some hundred MB of memory at most."""
LOCK = ".lock"
"""The file in a folder that is locked while a process works there."""

_DEEPEST = 100
_LARGEST_INTEGER = 2**63
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524)
"""What file systems without locks answer: Lustre, NFS, and the kernel's own ENOTSUPP, which Python has no name for."""


# --- reading


def read_json(path: Path) -> Any:
    """Return the JSON in the file `path`; NaN and Infinity, which are no JSON, come back as text.

    Raises OSError where it cannot be read, and ValueError, which says why in words that follow the file's name, where
    it is no regular file, is larger than `LARGEST`, is no complete JSON in UTF-8, is nested deeper than 100, names a
    key twice, or holds a number that is beyond 64 bits or a text that is no Unicode.
    """
    text = read_text(path)
    _check_depth(text)
    try:
        content = json.loads(
            text, parse_constant=str, parse_int=_integer, parse_float=_float, object_pairs_hook=_object
        )
    except _RefusedError:
        raise
    except (ValueError, RecursionError) as error:
        message = f"is no complete JSON ({error})"
        raise ValueError(message) from error
    if re.search(r"\\u[dD][89a-fA-F]", text):
        _check_unicode(content)
    return content


class _RefusedError(ValueError):
    """JSON, but none that is taken."""


def opened(path: Path) -> BinaryIO:
    """Return the regular file `path`, open for reading; a pipe that nobody writes to is not waited for.

    Raises OSError where it cannot be opened, and ValueError, in words that follow the file's name, for a folder, a pipe
    or a device.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        message = "is no regular file"
        raise ValueError(message)
    return open(number, "rb")  # noqa: PTH123 a descriptor


def read_text(path: Path) -> str:
    """Return the text of a regular file, or of one in an archive, of no more than `LARGEST` bytes.

    Raises OSError where it cannot be read, and ValueError, which says why in words that follow the file's name.
    """
    packed = archive.split(path)
    if packed:
        data = archive.read(*packed, LARGEST + 1)
    else:
        with opened(path) as file:
            data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        message = f"is larger than {LARGEST >> 20} MiB, far more than any file of ours"
        raise ValueError(message)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"is no text in UTF-8 ({error})"
        raise ValueError(message) from error


def _check_depth(text: str) -> None:
    """Raise ValueError where lists and objects are nested too deep; brackets inside of strings do not count."""
    depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.DOTALL):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        if depth > _DEEPEST:
            message = f"is nested deeper than {_DEEPEST} lists and objects"
            raise _RefusedError(message)


def _integer(digits: str) -> int:
    """A whole number of 64 bits."""
    number = int(digits) if len(digits) <= len(str(_LARGEST_INTEGER)) else _LARGEST_INTEGER
    if not -_LARGEST_INTEGER < number < _LARGEST_INTEGER:
        message = f"holds the number {digits[:30]}{'...' * (len(digits) > 30)}, which is beyond 64 bits"  # noqa: PLR2004
        raise _RefusedError(message)
    return number


def _float(digits: str) -> float:
    """A finite number."""
    number = float(digits)
    if not math.isfinite(number):
        message = f"holds the number {digits[:30]}, which is beyond 64 bits"
        raise _RefusedError(message)
    return number


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, each of whose keys stands there once."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"names the key {twice[:100]!r} twice in one object, so neither value can be trusted"
        raise _RefusedError(message)
    return content


def _check_unicode(content: Any) -> None:
    """Raise ValueError for a text with half of a surrogate pair, which can be neither written nor printed."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        message = f"holds a text that is no Unicode ({error})"
        raise _RefusedError(message) from error


def inside(folder: Path, name: object) -> Path:
    """Return the file `name` of `folder`; ValueError for what is no plain name and so could lead out of the folder."""
    if not isinstance(name, str) or not re.fullmatch(r"[^/\x00-\x1f\x7f]{1,255}", name) or name in {".", ".."}:
        message = f"{str(name)[:100]!r} is no name of a file in {folder}"
        raise ValueError(message)
    return folder / name


def cache_folder() -> Path:
    """Return the folder for what can be made again: `cifar-bench` in `$XDG_CACHE_HOME`, else in `~/.cache`.

    Raises FileNotFoundError for a user without any home folder.
    """
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "cifar-bench"
    try:
        return Path.home() / ".cache" / "cifar-bench"
    except RuntimeError as error:  # a container may be run by a user whom it does not know
        message = "this user has no home folder, where data would be kept: set HOME or XDG_CACHE_HOME"
        raise FileNotFoundError(message) from error


# --- writing


def json_text(content: Any, default: Callable[[Any], Any] | None = None) -> str:
    r"""Return `content` as JSON that `read_json` reads; `default` is as in `json.dumps`.

    What is no Unicode, such as a folder's name in Latin-1, is written out: `\udce9`.  ValueError for NaN and Infinity.
    """
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=default)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\\\u{ord(half[0]):04x}", text) + "\n"


def is_unused(folder: Path) -> bool:
    """Whether `folder` is not there, or holds nothing but what a process that was killed has left of our own."""
    if not os.path.lexists(folder):
        return True
    ours = re.compile(rf"{re.escape(LOCK)}|\..+\.[0-9a-f]{{8}}\.part")
    return folder.is_dir() and all(ours.fullmatch(path.name) for path in folder.iterdir())


def replace(path: Path, content: str | bytes) -> None:
    """Write `path` whole and in one step: whoever reads it finds the old content or the new one, on the disk.

    A link that stands there is replaced and not followed.  OSError leaves what was there before.
    """
    data = content.encode() if isinstance(content, str) else content
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        message = f"{path} could not be written ({error.strerror}); what was there before is still there"
        raise OSError(error.errno, message) from error
    finally:
        with contextlib.suppress(OSError):  # what could not be made has been reported
            part.unlink(missing_ok=True)  # has its final name by now, unless something went wrong


def sweep(folder: Path) -> None:
    """Remove what `replace` has left in `folder` where its process was killed; to be called by who holds the folder."""
    for part in folder.glob(".*.????????.part"):
        if not part.is_dir():
            part.unlink(missing_ok=True)


# --- holding


@contextlib.contextmanager
def held(folder: Path, doing: str) -> Iterator[int]:
    """Hold `folder` for this process; gives the descriptor of the lock.

    The lock falls with the process, however it ends, and with the last of those that were started with the descriptor
    (`subprocess`'s `pass_fds`).  Where the file system keeps no locks, one in this node's folder for temporary files
    stands in, which other nodes do not see.  BlockingIOError where another process holds it, who is `doing` something.
    """
    number = _locked_file(folder, folder / LOCK, doing)
    if number is None:
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        number = _locked_file(folder, Path(tempfile.gettempdir()) / f"cifar-bench-{os.getuid()}-{name}.lock", doing)
    if number is None:
        message = f"neither {folder} nor {tempfile.gettempdir()} keeps locks: name another TMPDIR, on a local disk"
        raise OSError(errno.ENOLCK, message)
    try:
        yield number
    finally:
        os.close(number)


def keeps_locks(folder: Path) -> bool:
    """Return whether the file system of `folder` keeps locks; OSError where no file can be made there."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
    return True


def _locked_file(folder: Path, path: Path, doing: str) -> int | None:
    """The descriptor of the locked file; None where its file system keeps no locks."""
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR}:
            message = f"{path} is a link or a folder, where a file stands that is locked: move it away"
            raise OSError(error.errno, message) from error
        raise
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(number)
        message = f"another process is {doing} in {folder}; wait for it, or name another --out"
        raise BlockingIOError(message) from error
    except OSError as error:
        os.close(number)
        if error.errno in _NO_LOCKS:
            return None
        raise
    return number
