"""Pictures of every page: ``python -m tests.browser.screenshots DIRECTORY [--runs-dir RUNS] [--readme | --docs]``.

Wide and narrow, light and dark, of the runs in RUNS. Without RUNS the default experiment is run first, at three levels
of noise and in a directory of its own, which takes about ten minutes. ``--readme`` makes only the README's pictures,
``--docs`` only those of docs/, whose small runs it makes itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.record import catalogue
from tests.browser import gallery
from tests.browser.serving import ROOT, browser, serving, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_WIDTHS = (1440, 390)
_SCHEMES = ("light", "dark")
_HIGHEST = 6000
_LARGEST_BYTES = 400_000
_NOISE_VARIANCES = (4, 1, 0)  # the last is the one that is shown by itself
_TABS = ("Overview", "Sphere", "Reconstruction", "Losses", "Projections", "Record")


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--runs-dir", type=Path)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--readme", action="store_true")
    only.add_argument("--docs", action="store_true")
    parser.add_argument("--only", default="", metavar="WORD", help="only pictures with this in their name")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        runs_dir = arguments.runs_dir
        if arguments.docs:
            runs_dir = Path(scratch)
            documented = gallery.addresses(runs_dir)
        elif runs_dir is None:
            runs_dir = Path(scratch)
            for variance in _NOISE_VARIANCES:
                setting = f"projections.noise_variance={variance}"
                command = [sys.executable, "-m", "engine", "run", "--runs-dir", scratch, "--set", setting]
                subprocess.run(command, cwd=ROOT, check=True)
        with serving(runs_dir) as address, browser() as chromium:
            if arguments.docs:
                take_some(chromium, address, arguments.directory, documented)
            elif arguments.readme:
                take_some(chromium, address, arguments.directory, readme_paths(runs_dir))
            else:
                take_all(chromium, address, arguments.directory, runs_dir, arguments.only)


def paths(runs_dir: Path) -> dict[str, str]:
    """The address, without the host, of each picture."""
    rows = catalogue.list_runs(runs_dir)
    newest = {row["status"]: row["run_id"] for row in reversed(rows)}
    finished = [row["run_id"] for row in rows if row["status"] == "finished"]
    addresses = {"runs": "/", "experiment": "/experiment", "compare": f"/compare?runs={','.join(finished[:4])}"}
    addresses |= {name: f"/{name}" for name in ("coverage", "noise", "sampling", "recovery", "mismatch", "volumes")}
    addresses |= {f"run-{status}": f"/run?run={run_id}" for status, run_id in newest.items() if status != "finished"}
    if finished:
        addresses |= {f"run-{tab.lower()}": f"/run?run={newest['finished']}&tab={tab}" for tab in _TABS}
    return addresses | {"run-malformed": "/run?run=<b>nonsense"}


def take_all(chromium: Browser, address: str, directory: Path, runs_dir: Path, only: str) -> None:
    """Every page as a whole, in each width and scheme."""
    for width in _WIDTHS:
        for scheme in _SCHEMES:
            context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for name, path in paths(runs_dir).items():
                if only not in name:
                    continue
                page = context.new_page()
                page.goto(address + path)
                settle(page)
                whole(page, width)
                page.screenshot(path=directory / f"{name}-{width}-{scheme}.png")
                page.close()
            context.close()


def whole(page: Page, width: int) -> None:
    """Make the window as high as the page."""
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(height + 70, _HIGHEST)})
    settle(page)


def readme_paths(runs_dir: Path) -> dict[str, str]:
    """What the README shows: the results of a run, several runs side by side, an effect against its cause."""
    addresses = paths(runs_dir)
    return {"run": addresses["run-overview"], "compare": addresses["compare"], "noise": addresses["noise"]}


def take_some(chromium: Browser, address: str, directory: Path, wanted: dict[str, str]) -> None:
    """What a window shows of these pages, in files small enough to be committed."""
    for name, path in wanted.items():
        page = chromium.new_page(viewport={"width": 1280, "height": 920})
        page.goto(address + path)
        settle(page)
        picture = directory / f"{name}.png"
        page.screenshot(path=picture)
        if (size := picture.stat().st_size) > _LARGEST_BYTES:
            raise SystemExit(f"{picture} has {size:,} bytes; wanted at most {_LARGEST_BYTES:,}")
        page.close()


if __name__ == "__main__":
    main()
