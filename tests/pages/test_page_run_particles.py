"""The Run page of runs on recorded particles."""

from __future__ import annotations

import json

import numpy as np
import pytest
import streamlit as st

from engine.experiment.artefacts import read_arrays
from pages._run import run_data, run_figures
from pages._run.report import html_report
from tests.app_testing import charts, page, press
from tests.figure_testing import assert_csv_holds

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]

READING = run_data.direct_reading()
TABS = {
    "Overview": 3, "Particles": 5, "Sphere": 3, "Reconstruction": 3, "Refinement": 1, "Manifold": 1, "Losses": 2,
    "Record": 0,
}  # fmt: skip
OF_ERRORS = {"angle-errors", "error-map"}


def titles(app) -> list[str]:
    return [json.loads(chart)["layout"]["title"]["text"] for chart in charts(app)]


@pytest.mark.parametrize(("tab", "count"), TABS.items())
def test_every_tab_shows_its_figures_and_no_error(on_particles, tab, count):
    app = page("run", on_particles["with"].run_id, tab=tab)
    assert [tab.label for tab in app.tabs] == list(TABS)
    assert len(charts(app)) == count
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize("tab", TABS)
def test_without_reference_poses_nothing_pretends_to_have_errors(on_particles, tab):
    app = page("run", on_particles["without"].run_id, tab=tab)
    assert len(charts(app)) == TABS[tab] - {"Overview": 1, "Sphere": 1}.get(tab, 0)
    assert not app.error
    assert not app.warning
    shown = [*titles(app), *(metric.label for metric in app.metric)]
    assert not [text for text in shown if "error" in text.lower() or "reference" in text.lower()]


def test_the_figures_of_merit_are_those_in_the_frame_and_say_against_what(on_particles):
    record = on_particles["with"]
    app = page("run", record.run_id)
    first = app.metric[0]
    assert first.label == "Median angle error in the frame"
    assert float(first.delta.split()[0]) == pytest.approx(record.metrics["frame_angle_error_median"], rel=1e-2)
    assert "not the truth" in first.help
    assert not [metric.label for metric in app.metric if "refined" in metric.label.lower()]
    refined = page("run", record.run_id, tab="Refinement")
    assert "Median angle error in the frame, refined" in [metric.label for metric in refined.metric]


@pytest.mark.parametrize("key", sorted(run_data.DATA))
def test_every_figure_of_particles_has_data_and_is_drawn(on_particles, key):
    in_sections = {
        key for rows in run_data.OF_PARTICLES.values() for columns in rows for some in columns for key in some
    }
    for name, record in on_particles.items():
        data = run_data.figure_data(key, record, READING)
        if key in in_sections - (OF_ERRORS if name == "without" else set()):
            assert_csv_holds(data)
            assert data.caption.endswith(".")
            assert run_figures.draw(key, record, READING).layout.title.text == data.title
        elif name == "without" and key in OF_ERRORS:
            assert data is None


def test_the_errors_shown_are_those_recorded(on_particles):
    record = on_particles["with"]
    alone, refined = run_data.figure_data("angle-errors", record, READING).panels
    for panel, filename in ((alone, "frame.npz"), (refined, "refined_frame.npz")):
        errors = read_arrays(record.path / filename)["errors"]
        assert panel["median"].columns["x"][0] == pytest.approx(np.degrees(np.median(errors)))


def test_the_least_confident_particle_stands_first_among_the_least_confident(on_particles):
    record = on_particles["with"]
    confidence = read_arrays(record.path / "frame.npz")["confidence"]
    least = run_data.figure_data("least-confident", record, READING)
    most = run_data.figure_data("most-confident", record, READING)
    assert least.values["confidence of 1"] == confidence.min()
    assert most.values["confidence of 1"] == confidence.max()


def test_particles_are_selected_and_saved(on_particles, monkeypatch):
    record, offered = on_particles["with"], {}
    app = page("run", record.run_id, tab="Particles")
    monkeypatch.setattr(st, "download_button", lambda label, data, name, *_, **named: offered.update({name: data}))
    app.slider(key="selected-tilt").set_value((0, 90))
    app.run()
    count = next(text.value for text in app.text if "particles" in text.value)
    press(app, "Selected particles …")
    content = offered[f"{record.run_id}-refined-selected.star"]
    assert content.decode().count("@stack.mrcs") == int(count.split()[0])


def test_the_report_has_what_the_page_has(on_particles):
    for name, record in on_particles.items():
        report = html_report(record).decode()
        assert 'class="problem"' not in report
        assert ("to their reference poses" in report) == (name == "with")
        assert "Least confident particles" in report
