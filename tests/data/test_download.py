"""A download goes on after an interruption, and what is wrong never gets the name of the right file."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.server
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cifar.data import dataset, download
from cifar.record import files

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(range(256)) * 12_000  # 3 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT on the loopback interface; `cuts` says after how many bytes to break the next answers."""

    daemon_threads = True

    def __init__(self) -> None:
        """Serve on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.cuts: list[int] = []
        self.asked: list[str] = []  # the ranges that were asked for, probes apart
        self.url = f"http://127.0.0.1:{self.server_port}/set.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers HEAD and GET, with ranges of bytes where the server has them."""

    server: Server

    def do_HEAD(self) -> None:
        """Send the headers."""
        self.answer(0, len(self.server.content))

    def do_GET(self) -> None:
        """Send the bytes asked for, and break off where the server is told to."""
        size = len(self.server.content)
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = asked.partition("-") if self.server.ranges else ("", "", "")
        start, stop = int(first or 0), min(int(last or size - 1) + 1, size)
        self.answer(start, stop)
        if asked != "0-0":
            self.server.asked.append(asked)
            if self.server.cuts:
                stop = start + self.server.cuts.pop(0)
        self.wfile.write(self.server.content[start:stop])

    def answer(self, start: int, stop: int) -> None:
        """Send status and headers for these bytes."""
        whole = (start, stop) == (0, len(self.server.content))
        self.send_response(200 if whole else 206)
        self.send_header("Content-Length", str(stop - start))
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if not whole:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(self.server.content)}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a server that runs during the test; no proxy lies between."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server: Server, folder: Path, tries: int = 1) -> Path:
    """Return the path of the file downloaded from the server."""
    return download.archive(server.url, SHA256, folder, tries=tries, progress=dataset.silent)


def test_a_download_gives_the_file_alone(server: Server, tmp_path: Path) -> None:
    """The file lies in the folder, which is made, and nothing but the lock beside it."""
    seen: list[tuple[str, int, int]] = []
    path = download.archive(server.url, SHA256, tmp_path / "a" / "b", progress=lambda *told: seen.append(told))
    assert path.read_bytes() == CONTENT
    assert sorted(path.name for path in path.parent.iterdir()) == [".lock", "set.tar.gz"]
    assert seen[-1] == ("download set.tar.gz", len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    """The second call asks the server for nothing."""
    fetch(server, tmp_path)
    server.asked.clear()
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_a_cut_connection_is_taken_up_within_the_call(server: Server, tmp_path: Path) -> None:
    """With tries left, the rest is asked for at once, from where the connection broke."""
    server.cuts = [1 << 20]
    assert fetch(server, tmp_path, tries=2).read_bytes() == CONTENT
    first, second = (int(asked.partition("-")[0]) for asked in server.asked)
    assert (first, second > 0) == (0, True)


def test_a_cut_connection_is_taken_up_by_the_next_call(server: Server, tmp_path: Path) -> None:
    """Without tries left it is an error with the remedy; another call goes on from there."""
    server.cuts = [1 << 20]
    with pytest.raises(ConnectionError, match=r"set\.tar\.gz: could not be downloaded.*goes on from there.*--source"):
        fetch(server, tmp_path)
    assert not (tmp_path / "set.tar.gz").exists()
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    first, second = (int(asked.partition("-")[0]) for asked in server.asked)
    assert (first, second > 0) == (0, True)


def test_a_cut_note_does_not_stop_downloads_for_ever(server: Server, tmp_path: Path) -> None:
    """A download killed while it wrote its note is begun anew."""
    (tmp_path / "set.tar.gz.part.json").write_text('{"url": ')
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_serves_too(server: Server, tmp_path: Path) -> None:
    """Where parts cannot be asked for, the whole file is taken."""
    server.ranges = False
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_wrong_content_is_removed(server: Server, tmp_path: Path) -> None:
    """A file with another SHA-256 is an error with both digests, and the next call does not meet it again."""
    server.content = CONTENT[::-1]
    with pytest.raises(
        ValueError, match=f"{hashlib.sha256(CONTENT[::-1]).hexdigest()} instead of {SHA256}.*--synthetic"
    ):
        fetch(server, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    server.content = CONTENT
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_no_server_is_an_error_that_names_the_ways_out(tmp_path: Path, server: Server) -> None:
    """Where nothing answers, the address, the reason and both remedies are said."""
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1.*Cannot connect.*--source PATH.*--synthetic"):
        fetch(server, tmp_path)


def test_two_at_once_download_once(server: Server, tmp_path: Path) -> None:
    """The second waits for the first and takes its file."""
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(server, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / "set.tar.gz"] * 2
    assert len(server.asked) == 1


def test_the_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of clusters often reach the network through a proxy only: here the server plays one."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    path = download.archive("http://elsewhere.invalid/set.tar.gz", SHA256, tmp_path, tries=1, progress=dataset.silent)
    assert path.read_bytes() == CONTENT


def test_a_broken_file_in_its_place_is_downloaded_anew(server: Server, tmp_path: Path) -> None:
    """The folder is our cache: what has the name there and is wrong makes nobody stuck."""
    (tmp_path / "set.tar.gz").write_bytes(b"cut")
    assert fetch(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("note", ['{"segments": 1000000000, "etag": null}', "[]", "{}"])
def test_a_planted_note_is_not_believed(server: Server, tmp_path: Path, note: str) -> None:
    """A note that speaks of a billion parts is none of ours."""
    (tmp_path / "set.tar.gz.part.json").write_text(note)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "set.tar.gz"]


def test_what_failed_downloads_left_goes_when_it_is_not_needed(server: Server, tmp_path: Path) -> None:
    """It stays to go on from, and goes when the file is there, or the data are by another way."""
    left = [tmp_path / f"set.tar.gz.part{end}" for end in ("", ".0", ".json")]
    for sweep in (lambda: fetch(server, tmp_path), lambda: download.sweep(server.url, tmp_path)):
        fetch(server, tmp_path)
        for path in left:
            path.write_text("left")
        sweep()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "set.tar.gz"]


def test_what_another_process_downloads_is_left_alone(server: Server, tmp_path: Path) -> None:
    """Somebody who downloads holds the folder, and nobody sweeps it meanwhile."""
    part = tmp_path / "set.tar.gz.part.0"
    with files.held(tmp_path, "downloading"):
        part.touch()
        download.sweep(server.url, tmp_path)
    assert part.exists()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, 524])
def test_file_system_without_locks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where Lustre or NFS keeps no locks, two downloads at once still are one."""
    flock, folder = fcntl.flock, tmp_path / "cache"

    def no_locks_in_the_folder(file: int, how: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().is_relative_to(folder):
            raise OSError(number, os.strerror(number))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", no_locks_in_the_folder)
    test_two_at_once_download_once(server, folder)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_full_disk_leaves_nothing(server: Server, small_disk: Path, ranges: bool) -> None:  # noqa: FBT001
    """On a really full disk (of 1 MB) the error says so and what to do, and nothing is left that fills it."""
    server.ranges = ranges
    with pytest.raises(OSError, match="disk is full, and nothing was left behind: make room"):
        fetch(server, small_disk)
    assert [path.name for path in small_disk.iterdir()] == [".lock"]
