"""Files of an archive: those that are wanted, however it is packed, and nothing that has no end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from typing import TYPE_CHECKING

import pytest

from cifar.data import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CONTENT = {"a": b"first" * 300, "b": b"", "c": b"third"}


def tar(names: Iterable[str] = CONTENT, folder: str = "folder") -> bytes:
    """Return an archive of the named members, all in one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as writer:
        for name in names:
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(CONTENT[name])
            writer.addfile(info, io.BytesIO(CONTENT[name]))
    return buffer.getvalue()


def members(path: Path, data: bytes, *wanted: str) -> dict[str, bytes]:
    """Return what is read of an archive's bytes."""
    path.write_bytes(data)
    with path.open("rb") as raw:
        return archive.members(raw, wanted, lambda _done, _size: None)


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)],
    ids=["tar", "gzip", "bzip2", "xz", "lzma"],
)
def test_wanted_members_are_read_however_it_is_packed(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Members are found by their names, whatever their folder, and others are left out."""
    found = members(tmp_path / "a.tar", pack(tar()), "a", "b", "missing")
    assert found == {"a": CONTENT["a"], "b": CONTENT["b"]}


def test_parts_are_one_content(tmp_path: Path) -> None:
    """An archive that was packed in several parts, with zeros behind them, is one."""
    whole = tar()
    data = gzip.compress(whole[:700]) + gzip.compress(whole[700:]) + bytes(512)
    assert members(tmp_path / "a.tar.gz", data, *CONTENT) == CONTENT


def test_progress_ends_with_the_file(tmp_path: Path) -> None:
    """Progress counts the file's bytes, and never more than there are."""
    path = tmp_path / "a.tar"
    path.write_bytes(tar())
    told: list[tuple[int, int]] = []
    with path.open("rb") as raw:
        archive.members(raw, CONTENT, lambda done, size: told.append((done, size)))
    size = path.stat().st_size
    assert {total for _, total in told} == {size}
    assert sorted(told) == told
    assert told[-1][0] <= size


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive at all", "it cannot be read as a tar archive"),
        (gzip.compress(tar())[:-30], "it cannot be read as a tar archive .it ends too early"),
        (gzip.compress(b"") * 10_001, "it cannot be read as a tar archive .it is packed in more than 10,000 parts"),
    ],
    ids=["text", "cut short", "empty parts"],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, data: bytes, reason: str) -> None:
    """A refusal is a ValueError whose words follow the archive's name."""
    with pytest.raises(ValueError, match=f"^{reason}"):
        members(tmp_path / "a", data, *CONTENT)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large a member is refused by its header, too many members by their number, too large a file by its size."""
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 1_000)
    with pytest.raises(ValueError, match="a has 1,500 bytes, far more than an official file"):
        members(tmp_path / "a", tar(), *CONTENT)
    monkeypatch.setattr(archive, "_ENTRIES", 2)
    with pytest.raises(ValueError, match="more than 2 members"):
        members(tmp_path / "a", tar(), "c")
    monkeypatch.setattr(archive, "_CONTENT", 1_000)
    with pytest.raises(ValueError, match="far more than the official archive"):
        members(tmp_path / "a", tar(), "c")
