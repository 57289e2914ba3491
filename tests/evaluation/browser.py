"""A headless Chromium, driven over the WebDriver protocol with nothing but requests."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_SECONDS = 60
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


@dataclass(frozen=True)
class Browser:
    """One open window."""

    session: str

    def _post(self, path: str, body: dict[str, object]) -> object:
        answer = requests.post(f"{self.session}/{path}", json=body, timeout=_SECONDS).json()
        value: object = answer["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(value["message"])
        return value

    def open(self, page: Path) -> None:
        self._post("url", {"url": page.as_uri()})

    def run(self, script: str) -> object:
        """Run JavaScript and return what it returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def press(self, selector: str, keys: str) -> None:
        """Type ``keys`` into the first element that matches."""
        found = self._post("element", {"using": "css selector", "value": selector})
        assert isinstance(found, dict)
        self._post(f"element/{found[_ELEMENT]}/value", {"text": keys})

    def until(self, script: str) -> None:
        """Wait until the JavaScript expression is true."""
        deadline = time.monotonic() + _SECONDS
        while not self.run(f"return Boolean({script})"):
            if time.monotonic() > deadline:
                raise TimeoutError(script)
            time.sleep(0.05)

    def messages(self) -> object:
        """Return what the page wrote to the console, errors of the browser included."""
        return self._post("se/log", {"type": "browser"})

    def screenshot(self) -> bytes:
        answer = requests.get(f"{self.session}/screenshot", timeout=_SECONDS).json()
        return base64.b64decode(answer["value"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _started(port: int) -> str:
    address = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            if requests.get(f"{address}/status", timeout=_SECONDS).json()["value"]["ready"]:
                return address
        except requests.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError("chromedriver did not start")


@contextmanager
def browser(profile: Path, width: int, height: int, *, dark: bool = False) -> Iterator[Browser]:
    """Start Chromium with an empty profile and a page of ``width`` x ``height`` CSS pixels."""
    assert DRIVER is not None
    port = _free_port()
    flags = [*_FLAGS, f"--user-data-dir={profile}"]
    if dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    options = {
        "binary": CHROMIUM,
        "args": flags,
        "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}},
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    with subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL) as driver:
        try:
            address = _started(port)
            made = requests.post(
                f"{address}/session",
                json={"capabilities": {"alwaysMatch": wanted}},
                timeout=_SECONDS,
            ).json()["value"]
            session = f"{address}/session/{made['sessionId']}"
            try:
                yield Browser(session)
            finally:
                requests.delete(session, timeout=_SECONDS)
        finally:
            driver.terminate()
