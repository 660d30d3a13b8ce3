"""Chromium without a window, driven over a pipe by the DevTools protocol: it needs no driver and no package."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SECONDS = 60  # that one step may take on a busy machine

_OPTIONS = (
    "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
_START = """
import fcntl, os, sys
for name, end in zip((3, 4), [fcntl.fcntl(int(end), fcntl.F_DUPFD, 5) for end in sys.argv[1:3]]):
    os.dup2(end, name)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts a browser that reads commands from descriptor 3 and writes answers to 4: the arguments say which are to be."""


class BrowserError(Exception):
    """The browser refused a command, or code in the page failed."""


def find_chromium() -> str | None:
    """Return the browser's program, or None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """A browser with one page.

    Attributes:
        errors: What the page wrote to its console as a warning or an error, and what was thrown and not caught.
        requests: Every address that the page asked for.
    """

    def __init__(self, program: str, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        arguments = [str(commands), str(answers), program, *_OPTIONS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._last, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        page = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": self._last, "method": method, "params": parameters} | session).encode() + b"\0"
        while message:
            message = message[os.write(self._commands, message) :]
        for answer in self._messages():
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
        raise BrowserError(f"{method}: no answer")

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Yield what the browser says, and keep what it reports unasked."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            while b"\0" in self._buffer:
                text, _, self._buffer = self._buffer.partition(b"\0")
                message = json.loads(text)
                self._note(message.get("method", ""), message.get("params", {}))
                yield message
            if select.select([self._answers], [], [], 1.0)[0]:
                data = os.read(self._answers, 1 << 20)
                if not data:
                    raise BrowserError("the browser ended")
                self._buffer += data

    def _note(self, event: str, content: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = content["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(each.get("value", each)) for each in content["args"]))
        elif event == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.errors.append(content["entry"]["text"])

    def open(self, address: str, *, width: int, height: int = 900, dark: bool = False, touch: bool = False) -> None:
        """Open a page in a window of a size, and wait until it has been read."""
        self.errors.clear()
        self.requests.clear()
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, code: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Return what an expression in the page comes to, once it is there."""
        policy = {"allowUnsafeEvalBlockedByCSP": False}  # what the page may not do, this may not either
        answer = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, **policy)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"]["exception"].get("description", code))
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + SECONDS
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise BrowserError(f"{condition} stays untrue; errors: {self.errors}")
            time.sleep(0.05)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            code = f"Key{key.upper()}" if len(key) == 1 else key
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=8 * shift, **_codes(key))
            if key == "Enter" and kind == "rawKeyDown":
                self.send("Input.dispatchKeyEvent", type="char", key=key, text="\r")  # by which buttons are pressed

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.send("Input.insertText", text=text)

    def click(self, x: float, y: float) -> None:
        """Click at a place in the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def scroll(self, x: float, y: float, *, down: float) -> None:
        """Turn the wheel at a place in the window."""
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=down)

    def tap(self, x: float, y: float) -> None:
        """Tap on a place in the window."""
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, selector: str = "") -> np.ndarray:
        """Take a picture of the window, or of an element, which is brought into it: [rows, columns, RGB]."""
        clip = {}
        if selector:
            self.evaluate(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
            box = f"JSON.stringify(document.querySelector({selector!r}).getBoundingClientRect())"
            sides = json.loads(self.evaluate(box))
            scrolled = self.evaluate("[scrollX, scrollY]")
            place = {"x": sides["x"] + scrolled[0], "y": sides["y"] + scrolled[1]}
            clip = {"clip": place | {"width": sides["width"], "height": sides["height"], "scale": 1}}
        data = self.send("Page.captureScreenshot", format="png", **clip)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._commands)
        os.close(self._answers)


def _codes(key: str) -> dict[str, Any]:
    """Return the number of a key, without which some do nothing."""
    number = {"Tab": 9, "Enter": 13, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
    number |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
    return {"windowsVirtualKeyCode": number.get(key, 0)}


@contextmanager
def browser(profile: Path) -> Iterator[Chromium]:
    """Run a browser with an empty profile."""
    program = find_chromium()
    assert program
    running = Chromium(program, profile)
    try:
        yield running
    finally:
        running.close()
