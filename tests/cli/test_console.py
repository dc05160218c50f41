"""What the command line says about runs, whatever they report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine.base.metric import Metric
from engine.cli import console
from engine.cli.main import main
from engine.config.history import SCIENCE
from engine.config.schema import Config
from engine.experiment import metrics
from engine.record.runlog import RunWriter
from engine.record.runrecord import RunRecord, read_run
from pages._shared import summary
from tests.analysis_testing import row
from tests.record_testing import finished


def record(**values) -> RunRecord:
    return RunRecord("20260101-000000-1bd2-000001", "finished", Path("a record"), metrics=values)


def lines(described: str) -> dict[str, str]:
    """What stands behind each heading."""
    return {line[2:44].rstrip(): line[45:] for line in described.splitlines()[1:]}


def test_metrics_come_in_the_order_of_the_registry_with_their_units():
    described = lines(console.describe(record(recovery_pairs=4950, angle_error_median=0.01, distance_mae=0.5)))
    assert described == {
        "L_DE, distance error": "0.5 rad = 28.65°", "E_OR, median angle error": "0.01 rad = 0.57°",
        "Pairs used by the recovery": "4,950", "record": "a record",
    }  # fmt: skip
    assert list(described) == [
        "L_DE, distance error", "Pairs used by the recovery", "E_OR, median angle error", "record",
    ]  # fmt: skip


def test_plain_progress_says_how_long_a_stage_will_still_be(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    reporter = console.Reporter()
    reporter.on_event({"kind": "stage_started", "stage": "training"})
    for seconds, fraction in ((15, 0.01), (40, 0.25), (80, 0.5)):
        now[0] = 100.0 + seconds
        reporter.on_event({"kind": "progress", "stage": "training", "fraction": fraction, "values": {"step": 9}})
    printed = capsys.readouterr().err.splitlines()
    assert [line.endswith("left") for line in printed] == [False, True, True]
    assert [line.rpartition(", ")[2] for line in printed[1:]] == ["about 2 min left", "about 80 s left"]


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_a_metric_that_was_not_finite_is_a_dash(unknown):
    described = lines(console.describe(record(angle_error_median=0.01, **{"fsc_0.5_angstrom": unknown})))
    assert described["FSC 0.5, against input"] == "–"


def test_a_run_whose_true_poses_are_not_known_says_so():
    described = console.describe(record(recovery_loss=0.25, noise_variance=2.0))
    assert lines(described)["errors"] == "not known without the true poses"
    assert "nan" not in described.lower()
    assert "errors" not in lines(console.describe(record(angle_error_median=0.1)))
    assert "errors" not in lines(console.describe(record()))


def test_a_metric_of_a_plugged_in_stage_is_shown_by_its_words_and_one_of_another_version_by_its_name(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(metrics, "_REGISTRY", dict(metrics._REGISTRY))
    metrics.register(Metric("sharpness", "sharpness of the map", "Q", "Å", better="higher"))
    run = finished(tmp_path, angle_error_median=0.01, handedness_score=0.75, sharpness=1.5, of_words="left")
    at = ["--runs-dir", str(tmp_path)]
    assert main(["runs", "show", run.path.name, *at]) == 0
    shown = lines(capsys.readouterr().out)
    assert shown["Q, sharpness of the map"] == "1.5 Å"
    assert shown["Handedness score"] == "0.75"
    assert shown["Of words"] == "left"
    assert list(shown)[:4] == ["E_OR, median angle error", "Q, sharpness of the map", "Handedness score", "Of words"]
    assert main(["runs", "show", run.path.name, "--json", *at]) == 0
    values = json.loads(capsys.readouterr().out)["metrics"]
    assert values == {"angle_error_median": 0.01, "handedness_score": 0.75, "sharpness": 1.5, "of_words": "left"}
    merits = {merit.label: merit.value for merit in summary.merits(read_run(run.path), {})}
    assert merits["Q, sharpness of the map"] == "1.50 Å"
    assert merits["Handedness score"] == "0.750"
    assert merits["Of words"] == "left"


def test_a_metric_is_registered_once(monkeypatch):
    monkeypatch.setattr(metrics, "_REGISTRY", dict(metrics._REGISTRY))
    metrics.register(metrics.ANGLE_ERROR_MEDIAN)
    with pytest.raises(ValueError, match="'angle_error_median' is registered already, with another meaning"):
        metrics.register(Metric("angle_error_median", "something else"))


def test_the_list_of_runs_has_a_dash_for_what_is_not_known():
    known, unknown = (
        row(1) | {"metrics": {"distance_mae": value, "angle_error_median": 0.25}} for value in (0.5, math.nan)
    )
    head, first, second = console.table([known, unknown]).splitlines()
    assert head.split()[-5:] == ["L_DE", "rad", "E_OR", "rad", "seconds"]
    assert first.split()[-3:] == ["0.5", "0.25", "–"]
    assert second.split()[-3:] == ["–", "0.25", "–"]


def test_who_launched_a_run_and_the_science_of_its_code_are_told(tmp_path):
    with RunWriter.create(tmp_path, Config(), ["test"], launched_by="ada@lab") as run:
        run.finish({})
    described = lines(console.describe(read_run(run.path)))
    assert (described["launched by"], described["science version of the code"]) == ("ada@lab", str(SCIENCE))
    summary = console.summary(read_run(run.path))
    assert (summary["launched_by"], summary["science"]) == ("ada@lab", SCIENCE)
