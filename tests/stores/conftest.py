"""A web server that behaves as badly as it is told, and a zoo of weights to fetch from it."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from memnet_cli.stores import zoo as listed
from memnet_cli.stores.manifest import write_manifest


@dataclass
class Site:
    """What the server serves and how; tests change it while it runs.

    Attributes:
        files: path -> content.
        plan: what to do with the next requests, in order: an HTTP status, or "ok", "redirect",
            "cut" (half of the body), "silent" (no body in time), "slow" (drop by drop), "hang up"
            (no answer), "no length" (the end of the connection ends the body), "no length, cut",
            "endless" (likewise, with far too much), "gzip" (against the request), "wrong range".
        ranges: whether Range is honoured.
        etag: sent with every answer, or None.
        retry_after: sent with every status.
        location: where a redirect leads, or None for the same file.
        length: told of every body, or None for its own.
        requests: (path, Range header) of every request so far.
        connections: opened so far.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    plan: list[str | int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"v1"'
    retry_after: str | None = None
    location: str | None = None
    length: str | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    connections: int = 0


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            site.connections += 1
            super().setup()

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.requests.append((self.path, wanted))
            act = site.plan.pop(0) if site.plan else "ok"
            data = site.files.get(self.path)
            if act == "hang up":
                self.close_connection = True
            elif isinstance(act, int) or data is None:
                self._refuse(act if isinstance(act, int) else 404)
            elif act == "redirect":
                self.send_response(302)
                self.send_header("Location", site.location or site.address + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send(data, act, wanted)

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            if site.retry_after is not None:
                self.send_header("Retry-After", site.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, data: bytes, act: str, wanted: str | None) -> None:
            start = 0
            fresh = self.headers.get("If-Range") in {None, site.etag}
            if wanted and site.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self._refuse(416)
                    return
                self.send_response(206)
                shown = start + 1 if act == "wrong range" else start
                self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if site.etag:
                self.send_header("ETag", site.etag)
            body = data[start:]
            if act == "gzip":
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            if act in {"no length", "no length, cut", "endless"}:
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", site.length or str(len(body)))
            self.end_headers()
            self._send_body(body, act)

        def _send_body(self, body: bytes, act: str) -> None:
            self.close_connection = act not in {"ok", "slow", "gzip", "wrong range"}
            if act == "silent":
                self.wfile.flush()
                threading.Event().wait(1.0)
            elif act in {"cut", "no length, cut"}:
                self.wfile.write(body[: len(body) // 2])
            elif act == "slow":
                for at in range(0, len(body), len(body) // 5):
                    self.wfile.write(body[at : at + len(body) // 5])
                    threading.Event().wait(0.1)
            elif act == "endless":
                with contextlib.suppress(OSError):
                    for _ in range(500):
                        self.wfile.write(body)
            else:
                self.wfile.write(body)

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: stderr is what the tests look at."""


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a site on the loopback address."""
    served = Site()
    server = _Server(("127.0.0.1", 0), _handler(served))
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def zoo(
    tmp_path: Path, tiny_weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch, site: Site
) -> Path:
    """Make a zoo of tiny weights: sr and denoise bundled, jpeg to be downloaded."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for file in tiny_weights.values():
        shutil.copy(file, folder)
    manifest = write_manifest(folder)
    document = json.loads(manifest.read_text())
    document["weights"]["tiny-jpeg"]["bundled"] = False
    manifest.write_text(json.dumps(document))
    site.files["/tiny-jpeg.safetensors"] = (folder / "tiny-jpeg.safetensors").read_bytes()
    (folder / "tiny-jpeg.safetensors").unlink()
    monkeypatch.setattr(listed, "weights_dir", lambda: folder)
    monkeypatch.setattr(listed, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setenv("MEMNET_WEIGHTS_MIRROR", site.address)
    return folder
