"""A web server that behaves as badly as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Site:
    """What the server serves and how; tests change it while it runs.

    Attributes:
        files: path -> content.
        plan: what to do with the next requests, in order: "ok", "cut", an HTTP status, ...
        ranges: whether Range is honoured.
        etag: sent with every answer, or None.
        requests: (path, Range header) of every request so far.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    plan: list[str | int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"v1"'
    requests: list[tuple[str, str | None]] = field(default_factory=list)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.requests.append((self.path, wanted))
            act = site.plan.pop(0) if site.plan else "ok"
            data = site.files.get(self.path)
            if isinstance(act, int) or data is None:
                self.send_response(act if isinstance(act, int) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if act == "redirect":
                self.send_response(302)
                self.send_header("Location", site.address + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(data, act, wanted)

        def _send(self, data: bytes, act: str, wanted: str | None) -> None:
            start = 0
            fresh = self.headers.get("If-Range") in {None, site.etag}
            if wanted and site.ranges and fresh:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                shown = start + 1 if act == "wrong range" else start
                self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if site.etag:
                self.send_header("ETag", site.etag)
            body = data[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if act == "silent":
                self.wfile.flush()
                threading.Event().wait(1.0)
                return
            self.wfile.write(body[: len(body) // 2] if act == "cut" else body)

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a site on the loopback address."""
    served = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
