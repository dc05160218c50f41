"""Resolutions that are only bounds: the same as the imaging wing says of the same curve."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis import resolutions
from engine.experiment import metrics
from engine.experiment.stages import stages
from engine.imaging.fsc import resolution_at

FREQUENCIES = np.arange(1, 9) / 80
RESOLUTIONS = [metric for metric in metrics.known() if metric.threshold is not None]


@pytest.mark.parametrize("metric", RESOLUTIONS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("last", [-0.1, 0.0, 0.142, 0.143, 0.2, 0.499, 0.5, 0.9])
def test_a_resolution_is_a_bound_just_where_it_is_nyquists(metric, last):
    curve = np.linspace(1.0, last, 8)
    nyquist = 1 / FREQUENCIES[-1]
    at = resolution_at(FREQUENCIES, curve, float(metric.name.split("fsc_")[1].split("_")[0]))
    assert resolutions.is_bound(metric, curve) == (at == nyquist and not curve[-1] < metric.threshold)
    assert resolutions.is_bound(metric, curve) == (last >= metric.threshold)


def test_a_dip_below_the_threshold_counts():
    assert not resolutions.is_bound(metrics.FSC_HALVES, np.array([1.0, 0.1, 0.9]))
    assert not resolutions.is_bound(metrics.RECOVERY_LOSS, np.ones(3)), "it is no resolution"


def test_every_resolution_names_the_file_that_a_stage_keeps():
    kept = {artefact.filename for stage in stages() for artefact in stage.artefacts}
    assert set(resolutions.CURVES) == {metric.name for metric in RESOLUTIONS}
    assert {curve.filename for curve in resolutions.CURVES.values()} <= kept


def test_a_bound_is_shown_with_its_sign():
    assert resolutions.shown(metrics.FSC_HALF, 5.3333, {metrics.FSC_HALF.name}) == "≤ 5.33"
    assert resolutions.shown(metrics.FSC_HALF, 5.3333, {metrics.FSC_HALVES.name}) == "5.33"
