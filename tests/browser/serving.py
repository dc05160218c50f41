"""The app on a free port of this machine, and a Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_START_S = 60
_PATIENCE_MS = 30_000  # the first visit reads the app's files from a disk that may be cold


@contextmanager
def serving(runs_dir: Path, working_directory: Path = ROOT, terminal: Path = Path(os.devnull)) -> Iterator[str]:
    """The address of an app of its own whose runs are in ``runs_dir``; it ends with the context.

    What whoever started it would read goes to the file ``terminal``.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), f"--server.port={port}"]
    with terminal.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--server.headless=true"],
            cwd=working_directory,
            env={**os.environ, "POSELAB_RUNS_DIR": str(runs_dir)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://localhost:{port}"
        _wait_until_healthy(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                return
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the app did not start") from None
            time.sleep(0.1)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium; tests of its pages wait ``_PATIENCE_MS`` for what they expect, unless they say otherwise."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


def settle(page: Page) -> None:
    """Wait until the page's script has ended and its charts are drawn."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    page.wait_for_function(
        "[...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(c => c.querySelector('.main-svg'))"
    )
    page.wait_for_timeout(500)  # charts and tables are drawn in a few more frames
