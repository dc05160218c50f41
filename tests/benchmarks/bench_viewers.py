"""How much a running experiment is slowed by those who watch it: ``python -m tests.benchmarks.bench_viewers``.

The same training runs by turns with nobody and with ten viewers on its page, all on this machine. A viewer speaks
Streamlit's protocol as the browser does (it runs the live parts again when told to and keeps messages that it is asked
to keep) but draws nothing, as a browser would draw on the machine of whoever looks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from engine.config.schema import Config
from engine.record.runrecord import new_run_id, read_run
from tests.browser.serving import ROOT, serving

SETTINGS = (
    "projections.count=100", "training.projections=2000", "training.validation_projections=200",
    "recovery.restarts=5", "reconstruction.enabled=false",
)  # fmt: skip
_START_S = 120.0


@dataclass
class Viewer:
    """One browser tab on a page of the app. ``runs`` are those of its live parts, ``received`` bytes."""

    address: str
    page: str
    query: str
    runs: int = 0
    received: int = 0
    problems: list[str] = field(default_factory=list)
    _kept: set[str] = field(default_factory=set)
    _page_hash: str = ""

    async def watch(self) -> None:
        """Until cancelled."""
        url = f"{self.address.replace('http', 'ws')}/_stcore/stream"
        origin = websockets.Origin(self.address)
        connected = websockets.connect(
            url, subprotocols=[websockets.Subprotocol("streamlit")], origin=origin, max_size=None, ping_interval=None
        )
        async with connected as socket, asyncio.TaskGroup() as tasks:
            await self._ask(socket, "")
            live: dict[str, asyncio.Task[None]] = {}
            async for data in socket:
                assert isinstance(data, bytes)
                self.received += len(data)
                message = ForwardMsg.FromString(data)
                kind = message.WhichOneof("type")
                if message.metadata.cacheable:
                    self._kept.add(message.hash)
                if kind == "new_session":
                    self._page_hash = message.new_session.page_script_hash
                elif kind == "auto_rerun":
                    part = message.auto_rerun.fragment_id
                    if part not in live:
                        live[part] = tasks.create_task(self._again(socket, part, message.auto_rerun.interval))
                elif kind == "stop_auto_rerun":
                    for part in message.stop_auto_rerun.fragment_ids:
                        if part in live:
                            live.pop(part).cancel()
                elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
                    self.problems.append(message.delta.new_element.exception.message)

    async def _again(self, socket: websockets.ClientConnection, part: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._ask(socket, part)
            self.runs += 1

    async def _ask(self, socket: websockets.ClientConnection, part: str) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        state.page_script_hash = self._page_hash
        state.page_name = "" if self._page_hash else self.page
        state.fragment_id = part
        state.is_auto_rerun = bool(part)
        state.cached_message_hashes.extend(self._kept)
        await socket.send(message.SerializeToString())


@contextmanager
def watching(count: int, address: str, page: str, query: str) -> Iterator[list[Viewer]]:
    """So many viewers, in a thread of their own, for as long as the context lasts."""
    viewers = [Viewer(address, page, query) for _ in range(count)]
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []
    failures: list[BaseException] = []
    begun = threading.Event()

    async def all_of_them() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        begun.set()
        await asyncio.gather(*(viewer.watch() for viewer in viewers))

    def work() -> None:
        try:
            asyncio.run(all_of_them())
        except asyncio.CancelledError:
            return
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield viewers
    finally:
        if thread.is_alive():
            loop, task = running[0]
            loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
    if failures:
        raise RuntimeError("a viewer was disconnected") from failures[0]


def server_seconds() -> float:
    """CPU time that the app has taken so far."""
    apps = [child for child in psutil.Process().children() if "streamlit" in child.cmdline()]
    return sum(sum(app.cpu_times()[:2]) for app in apps)


def train(runs_dir: Path, steps: int, address: str, viewers: int) -> tuple[float, list[Viewer]]:
    """Steps a second of a training that is watched by so many, who come when it begins."""
    run_id = new_run_id(Config())
    command = [sys.executable, "-m", "engine", "run", "--runs-dir", str(runs_dir), "--run-id", run_id]
    command += [part for setting in (*SETTINGS, f"training.steps={steps}") for part in ("--set", setting)]
    environ = {**os.environ, "POSELAB_CACHE_GB": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + _START_S
    while not (runs_dir / run_id).is_dir():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("the run did not start")
        time.sleep(0.05)
    with watching(viewers, address, "run", f"run={run_id}") as watchers:
        process.wait()
    record = read_run(runs_dir / run_id)
    if record.status != "finished":
        raise RuntimeError(f"the run was {record.status}: {record.message}")
    with np.load(record.path / "training.npz") as training:
        return float(training["steps"] / training["seconds"]), watchers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=3, help="trainings with nobody and with viewers, by turns")
    arguments = parser.parse_args()
    slowdowns = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as address:
        for number in range(1, arguments.pairs + 1):
            alone, _ = train(Path(folder), arguments.steps, address, 0)
            before = server_seconds()
            watched, viewers = train(Path(folder), arguments.steps, address, arguments.viewers)
            slowdowns.append(alone / watched - 1)
            runs = sum(viewer.runs for viewer in viewers)
            each = (server_seconds() - before) / max(1, runs)
            megabytes = sum(viewer.received for viewer in viewers) / 1e6
            print(
                f"pair {number}: {alone:.1f} steps/s with nobody, {watched:.1f} with {arguments.viewers} viewers "
                f"({runs} updates, {megabytes:.1f} MB, {1e3 * each:.1f} ms of CPU each): {slowdowns[-1]:+.1%}",
                flush=True,
            )
            if problems := {problem for viewer in viewers for problem in viewer.problems}:
                raise RuntimeError(f"the page failed: {problems}")
            if not all(viewer.runs for viewer in viewers) and arguments.viewers:
                raise RuntimeError("a viewer saw no live part; the figure says nothing")
    print(f"median slowdown by {arguments.viewers} viewers: {statistics.median(slowdowns):+.1%}")


if __name__ == "__main__":
    main()
