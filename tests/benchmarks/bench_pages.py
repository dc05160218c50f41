"""How long pages take in a browser, and their scripts alone: ``python -m tests.benchmarks.bench_pages [PAGE ...]``.

Each page is opened in a browser, on a server of its own that somebody has visited before: from another page of the app
(by its link or, where its address has parameters, by the way back), and by its address in a new tab, where the app
itself has to be loaded first. The time ends when the page's slowest part is drawn. The third time is that of the page's
script alone, in this process.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.testing.v1 import AppTest

from engine.config.settings import config_from_dict, config_to_toml
from engine.experiment.pipeline import run_experiment
from engine.record.runlog import RunWriter
from engine.record.runrecord import RUN_ID
from tests.browser.serving import ROOT, browser, serving, settle

if TYPE_CHECKING:
    from playwright.sync_api import Page

REPEATS = 7
_PROTEINS, _COVERAGES, _SAMPLINGS = ("1bd2", "5a1a", "5j0n", "6msm"), ("full", "half", "quarter"), ("so3", "euler")
_NOISES, _METHODS = (0.0, 5.0, 10.0, 16.0, 20.0, 25.0), ("siamese", "perturbed", "exact")
_TAGS = ("noise study", "keep", "for the paper", "odd")


@dataclass(frozen=True)
class Case:
    """A page, its link in the menu, what its runs directory holds, its parameters given that directory, what is drawn.

    What is reached from the menu must be the same page as that of the address: a page with parameters has no ``link``.
    """

    name: str
    title: str
    prepare: Callable[[Path], None]
    parameters: Callable[[Path], dict[str, str]]
    drawn: str  # a JavaScript expression, true from then on
    limit_s: float
    link: str | None = None


def make_varied_runs(runs_dir: Path, count: int) -> None:
    """Fill ``runs_dir`` with records (without artefacts) of experiments of many kinds, four seeds of each."""
    with RunWriter.create(runs_dir, config_from_dict({}), ["benchmark"], run_id="20260101-000000-1bd2-000000") as run:
        for stage in ("volume", "projections", "training", "distance", "recovery", "alignment", "reconstruction"):
            with run.stage(stage):
                pass
        run.finish({})
    facts, result = (json.loads((run.path / name).read_text()) for name in ("run.json", "result.json"))
    shutil.rmtree(run.path)
    for number in range(count):
        kind, seed = divmod(number, 4)
        noise, method = _NOISES[kind % 6], _METHODS[kind // 6 % 3]
        config = config_from_dict(
            {
                "seed": seed,
                "volume": {"source": _PROTEINS[kind // 2 % 4]},
                "projections": {
                    "count": 1000 + 10 * (kind // 72), "coverage": _COVERAGES[kind // 3 % 3],
                    "sampling": _SAMPLINGS[kind % 2], "noise_variance": noise, "max_shift": float(kind % 4),
                },
                "distance": {"method": method},
            }
        )  # fmt: skip
        when = f"{number // 1440 % 28 + 1:02}", f"{number // 60 % 24:02}", f"{number % 60:02}"
        path = runs_dir / f"202601{when[0]}-{when[1]}{when[2]}00-{config.volume.source}-{number:06x}"
        error = 0.01 + 0.004 * noise + 0.002 * seed
        metrics = {
            "distance_mae": 1.1 * error, "distance_rmse": 1.5 * error, "recovery_loss": error**2,
            "angle_error_median": error, "angle_error_mean": 1.2 * error, "fsc_0.5_angstrom": 7 + 20 * error,
            "fsc_0.143_angstrom": 6.5 + 20 * error,
        }  # fmt: skip
        created = f"2026-01-{when[0]}T{when[1]}:{when[2]}:00Z"
        own = {"run_id": path.name, "created": created, "seed": seed, "name": f"{method}, noise {noise:g} #{number}"}
        ended = {"ended": created, "metrics": metrics, "total_seconds": 20 + 40 * error}
        if number % 29 == 7:
            ended |= {"status": "failed", "message": "the disk is full", "metrics": {}}
        noted = {"tags": [_TAGS[kind % 4]] if kind % 3 == 0 else [], "starred": number % 17 == 3}
        path.mkdir()
        (path / "config.toml").write_text(config_to_toml(config), encoding="utf-8")
        (path / "events.jsonl").touch()
        for filename, content in (
            ("run.json", facts | own), ("result.json", result | ended), ("annotations.json", noted),
        ):  # fmt: skip
            (path / filename).write_text(json.dumps(content), encoding="utf-8")


@functools.cache
def _six_runs() -> Path:
    """A directory with six finished runs of 1,650 projections, three levels of noise and two seeds: to be copied."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    for noise, seed in itertools.product((0.0, 5.0, 16.0), (0, 1)):
        tables = {
            "seed": seed,
            "projections": {"count": 1650, "noise_variance": noise},
            "distance": {"method": "perturbed", "perturbation_variance": 0.05 + noise / 100},
            "reconstruction": {"enabled": False},
        }
        run_experiment(config_from_dict(tables), folder, ["benchmark"], name=f"noise {noise:g}")
    return folder


_CHART = "document.querySelector('[data-testid=stPlotlyChart] .main-svg')"
_TABLES = "[...document.querySelectorAll('[data-testid=stDataFrame]')].filter(t => t.querySelector('canvas')).length"
_TABLES_AND_CHART = f"{_TABLES} > 1 && {_CHART}"


def _compared(tab: str, drawn: str = _CHART) -> Case:
    def parameters(runs_dir: Path) -> dict[str, str]:
        runs = ",".join(sorted(path.name for path in runs_dir.iterdir() if RUN_ID.fullmatch(path.name)))
        return {"runs": runs} | ({} if tab == "Overview" else {"section": tab})

    return Case(
        "compare", f"Compare, six runs of 1,650 projections: {tab.lower()}",
        lambda folder: shutil.copytree(_six_runs(), folder, dirs_exist_ok=True), parameters, drawn, limit_s=2.0,
    )  # fmt: skip


CASES = {
    "runs": Case(
        "runs",
        "Runs, 1,000 of them",
        lambda folder: make_varied_runs(folder, 1000),
        lambda folder: {},
        "document.querySelector('[data-testid=stDataFrame] canvas')",
        limit_s=1.0,
        link="Runs",
    ),
    "compare": _compared("Overview", _TABLES_AND_CHART),
    "compare-distances": _compared("Distances"),
    "compare-errors": _compared("Angle errors"),
    "compare-losses": _compared("Losses"),
    "compare-projections": _compared(
        "Projections", "document.querySelectorAll('[data-testid=stPlotlyChart] .main-svg image').length >= 12"
    ),
    "compare-directions": _compared(
        "Directions", "document.querySelectorAll('.main-svg .heatmaplayer image').length >= 6"
    ),
}


def browser_seconds(case: Case, runs_dir: Path) -> dict[str, list[float]]:
    """Until the page is drawn, by how it was opened; the first visits, which load the modules, are not counted."""
    query = urllib.parse.urlencode(case.parameters(runs_dir))
    times: dict[str, list[float]] = {"from another page": [], "by address": []}
    with serving(runs_dir) as address, browser() as chromium:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})

        def drawn(page: Page, open_it: Callable[[], object]) -> float:
            begun = time.perf_counter()
            open_it()
            page.wait_for_function(f"Boolean({case.drawn})", polling=10, timeout=60_000)
            return time.perf_counter() - begun

        for _ in range(REPEATS + 1):
            page = context.new_page()
            there = f"{address}/{case.name}?{query}"
            times["by address"].append(drawn(page, functools.partial(page.goto, there, wait_until="commit")))
            if case.link is not None:
                page.goto(f"{address}/run?run=none")
                settle(page)
                link = page.get_by_test_id("stTopNavLink").filter(has_text=case.link)
                times["from another page"].append(drawn(page, link.click))
            else:
                page.get_by_test_id("stTopNavLink").filter(has_text="Runs").click()
                page.wait_for_function(f"!({case.drawn})")
                settle(page)
                times["from another page"].append(drawn(page, lambda page=page: page.evaluate("history.back()")))
            page.close()
    return {how: measured[1:] for how, measured in times.items() if measured}


def script_seconds(case: Case, runs_dir: Path) -> list[float]:
    """Of the page's script alone, once the modules are loaded."""
    os.environ["POSELAB_RUNS_DIR"] = str(runs_dir)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.switch_page(f"pages/{case.name}.py")
    for key, value in case.parameters(runs_dir).items():
        app.query_params[key] = value
    times = []
    for _ in range(REPEATS + 1):
        begun = time.perf_counter()
        app.run()
        times.append(time.perf_counter() - begun)
        if app.exception:
            raise RuntimeError(app.exception[0].value)
    return times[1:]


def main() -> None:
    """Measure and print; exit status 1 where a page takes longer than it may."""
    late = False
    for name in sys.argv[1:] or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            runs_dir = Path(folder)
            case.prepare(runs_dir)
            times = browser_seconds(case, runs_dir) | {"script alone": script_seconds(case, runs_dir)}
        late |= max(map(statistics.median, times.values())) > case.limit_s
        print(f"{case.title} (wanted: under {case.limit_s:g} s), medians of {REPEATS}, worst in brackets")
        for what, measured in times.items():
            print(f"  {what:<20} {statistics.median(measured):.2f} s ({max(measured):.2f} s)")
    sys.exit(late)


if __name__ == "__main__":
    main()
