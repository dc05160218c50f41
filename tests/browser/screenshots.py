"""Pictures of every page: ``python -m tests.browser.screenshots DIRECTORY [--runs-dir RUNS] [--readme]``.

Wide and narrow, light and dark, of the runs in RUNS; without RUNS the default experiment is run first, in a directory
of its own. ``--readme`` makes only the README's picture.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from engine import catalogue
from tests.browser.serving import ROOT, browser, serving, settle

_WIDTHS = (1440, 390)
_SCHEMES = ("light", "dark")
_HIGHEST = 6000


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--runs-dir", type=Path)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if arguments.runs_dir is not None:
        take(arguments.directory, arguments.runs_dir, arguments.readme)
        return
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "engine", "run", "--runs-dir", scratch], cwd=ROOT, check=True)
        take(arguments.directory, Path(scratch), arguments.readme)


def take(directory: Path, runs_dir: Path, readme: bool) -> None:
    """Write the pictures of all pages, or the README's ``run.png`` alone, into ``directory``."""
    rows = catalogue.list_runs(runs_dir)
    newest = {row["status"]: row["run_id"] for row in reversed(rows)}
    if readme:
        with serving(runs_dir) as address, browser() as chromium:
            page = chromium.new_page(viewport={"width": 1280, "height": 980})
            page.goto(f"{address}/run?run={newest['finished']}")
            settle(page)
            page.screenshot(path=directory / "run.png", clip={"x": 0, "y": 0, "width": 1280, "height": 920})
        return
    paths = {"experiment": "/", "runs": "/runs"}
    paths |= {f"run-{status}": f"/run?run={run_id}" for status, run_id in newest.items()}
    paths["run-malformed"] = "/run?run=<b>nonsense"
    with serving(runs_dir) as address, browser() as chromium:
        for width in _WIDTHS:
            for scheme in _SCHEMES:
                context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                for name, path in paths.items():
                    page = context.new_page()
                    page.goto(address + path)
                    settle(page)
                    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                    page.set_viewport_size({"width": width, "height": min(height + 70, _HIGHEST)})
                    settle(page)
                    page.screenshot(path=directory / f"{name}-{width}-{scheme}.png")
                    page.close()


if __name__ == "__main__":
    main()
