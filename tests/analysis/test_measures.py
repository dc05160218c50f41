from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from engine.analysis.measures import MEASURES, Measure, recorded
from engine.base.metric import Metric
from engine.experiment import metrics
from tests.analysis_testing import close, row

ROOT = Path(__file__).parents[2]


def test_angles_are_shown_in_degrees_unless_as_recorded():
    run = row(1) | {"metrics": {"angle_error_median": 0.5, "recovery_loss": 0.25}}
    assert MEASURES["E_OR"].value(run) == pytest.approx(28.64788975654116)
    assert (MEASURES["E_OR"].label, MEASURES["E_OR"].column(" sd")) == ("E_OR (°)", "E_OR sd (°)")
    assert MEASURES["E_OR rad"].value(run) == 0.5
    assert MEASURES["E_OR rad"].label == "E_OR (rad)"
    assert MEASURES["L_OR"].value(run) == 0.25
    assert Measure(Metric("count", "how many")).label == "how many"


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, "12"])
def test_what_is_no_finite_number_is_not_known(unknown):
    run = row(1) | {"metrics": {"angle_error_median": unknown}}
    assert MEASURES["E_OR"].value(run) is None
    assert MEASURES["FSC"].value(run) is None
    assert MEASURES["FSC"].value(run | {"metrics": None}) is None


def test_times_and_memory_are_found_where_records_keep_them():
    run = close(1, 0, None, 6.5, 40) | {"total_seconds": 90.0, "peak_memory_mb": 512.0}
    assert (MEASURES["took"].value(run), MEASURES["memory"].value(run)) == (90.0, 512.0)
    assert recorded(run, metrics.RECOVERY_SECONDS.name) == 6.5
    assert recorded(run | {"reused": ["recovery"]}, metrics.RECOVERY_SECONDS.name) is None


OTHER_WORDS = """
import json
from dataclasses import replace
from pathlib import Path

from engine.base.metric import Metric
from engine.experiment import metrics

for name, metric in list(vars(metrics).items()):
    if isinstance(metric, Metric):
        words = f"other words for {name}".replace("FSC", "resolution")
        setattr(metrics, name, replace(metric, label=words, symbol="", column=words, meaning=words))
        metrics._REGISTRY[metric.name] = getattr(metrics, name)

from engine.analysis import comparison_table, factors, level_table
from engine.analysis.figures import compare, levels
from engine.cli import console
from engine.record.runrecord import RunRecord
from pages._shared import runtable, summary
from tests.analysis_testing import row

values = {"distance_mae": 0.5, "angle_error_median": 0.25, "recovery_loss": 0.125}
record = RunRecord("run", "finished", Path("record"), metrics=values)
rows = [row(1) | {"metrics": values}, row(2, projections={"coverage": "half"}) | {"metrics": values}]
of_levels = level_table.lines(factors.study(rows, factors.COVERAGE), factors.COVERAGE)
runs = comparison_table.compared(rows)
compared = comparison_table.metric_lines(runs, False)
merits = summary.merits(record, {})
compared_figure = compare.measures(compared, runs[0], ["L_DE", "L_OR", "E_OR"])
print(json.dumps({
    "runs show": console.describe(record),
    "runs list": console.table(rows),
    "Runs table": [column.label for column in runtable.COLUMNS.values()],
    "tooltips of Runs": [column.help for column in runtable.COLUMNS.values()],
    "Run page": [merit.label for merit in merits],
    "tooltips of the Run page": [merit.explained for merit in merits],
    "factor table": list(level_table.table(of_levels, factors.COVERAGE)[0]),
    "factor CSV": level_table.to_csv(of_levels, factors.COVERAGE).decode().splitlines()[0],
    "factor chart": [panel.y.title for panel in levels.measures(of_levels, "coverage").panels],
    "Compare CSV": comparison_table.metric_csv(compared, compared[0], {}).decode().splitlines()[0],
    "Compare chart": [panel.y.title for panel in compared_figure.panels],
}))
"""


def test_whoever_shows_a_metric_has_its_words_from_the_registry():
    """In a process whose registry calls its metrics otherwise so does everything, and nothing calls them as before."""
    done = subprocess.run(
        [sys.executable, "-c", OTHER_WORDS], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    for place, shown in json.loads(done.stdout).items():
        text = str(shown).casefold()
        for name in ("DISTANCE_MAE", "ANGLE_ERROR_MEDIAN", *(["RECOVERY_LOSS"] if place != "runs list" else [])):
            assert f"other words for {name}".casefold() in text, (place, name)
        for before in ("L_DE", "L_OR", "E_OR", "FSC"):
            assert before.casefold() not in text, (place, before)
