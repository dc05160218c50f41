"""The Run page: the results of a run that finished, and what people note about it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from scipy.spatial.distance import squareform

from engine.config.schema import Config
from engine.poses.manifold import embed
from engine.record import annotations
from engine.record.runlog import RunWriter
from engine.record.runrecord import read_run
from engine.service import notes, runs
from engine.service.actor import Actor
from pages._run import record_tab, results
from pages._run.report import html_report
from pages._shared import tables, text
from tests.app_testing import QUICK, TYPED, UNKNOWN_ID, charts, page, press, shown, texts

ME = Actor("somebody")


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


DRAWN = {
    "Overview": 2, "Sphere": 3, "Reconstruction": 3, "Manifold": 2, "Neighbours": 3, "Losses": 1, "Projections": 2,
    "Record": 0,
}  # fmt: skip


# A finished run ----------------------------------------------------------------------------------------------------


def test_a_finished_run_shows_what_matters_most_first(finished):
    app = page("run", finished.run_id)
    values = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert values["E_OR, median angle error"][0] in ("0°", "< 0.001°")
    assert values["L_DE, distance error"] == ("0°", "0 rad")
    nyquist = f"≤ {finished.metrics['fsc_0.5_angstrom']:#.3g} Å"
    assert values["FSC 0.5, against input"] == (nyquist, "never falls below")
    assert [tab.label for tab in app.tabs] == list(DRAWN)
    first, second = charts(app)
    assert "Distances of 1,770 pairs of test projections" in first
    assert "Angle errors of 60 projections" in second
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize(("tab", "count"), DRAWN.items())
def test_the_tab_is_in_the_address_and_only_it_is_drawn(finished, tab, count):
    app = page("run", finished.run_id, tab=tab)
    assert len(charts(app)) == count
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize(("tab", "count"), DRAWN.items())
def test_beneath_each_figure_are_its_data_to_download(finished, monkeypatch, tab, count):
    offered = {}

    def button(label, data, file_name, *_, **named):
        if label == "Data (CSV)":
            offered[file_name] = data

    monkeypatch.setattr(st, "download_button", button)
    app = page("run", finished.run_id, tab=tab)
    assert len(offered) == len(charts(app)) == count
    tables = {name: make() for name, make in offered.items()}
    assert all(name.startswith(finished.run_id) and name.endswith(".csv") for name in tables)
    assert all(table.startswith("panel,series,") and table.count("\n") > 2 for table in tables.values())


def test_the_data_to_download_are_of_the_figure_that_is_shown(finished, monkeypatch):
    offered = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, name, *_, **named: offered.update({name: data}))
    page("run", finished.run_id, points="true")
    table = offered[f"{finished.run_id}-distances-points.csv"]()
    assert table.count("1,000 single pairs") == 1000
    page("run", finished.run_id, tab="Manifold", embedding="spectral", dimensions="3D")
    rows = list(csv.DictReader(io.StringIO(offered[f"{finished.run_id}-embedding.csv"]())))
    heads = ("x: first dimension", "y: second dimension", "z: third dimension")
    points = np.array([[float(row[head]) for head in heads] for row in rows])
    kept = squareform(np.load(finished.path / "distances.npz")["among_first"])
    np.testing.assert_array_equal(points, embed(kept, 3, "spectral"))


def test_a_figure_of_a_run_without_its_metrics_is_not_kept_for_its_end(finished):
    """The record was read before the last file came, what the run has left was listed after it."""
    before = replace(finished, status="running", metrics={})
    shown_text = [results._figure(record, "distances").layout.annotations[0].text for record in (before, finished)]
    assert "in a sample of 1,770 pairs" in shown_text[0]
    assert "sample" not in shown_text[1]


def test_an_embedding_is_chosen_and_kept_in_the_address(finished):
    app = page("run", finished.run_id, tab="Manifold")
    assert "MDS of the estimated distances, 60 projections" in charts(app)[0]
    app.segmented_control(key="embedding").set_value("Isomap")
    app.segmented_control(key="dimensions").set_value("3D")
    app.segmented_control(key="colour").set_value("error")
    shown(app)
    assert "Isomap of the estimated distances" in charts(app)[0]
    assert "scatter3d" in charts(app)[0]
    by_address = page("run", finished.run_id, tab="Manifold", embedding="spectral", of="true", colour="tilt")
    assert "Spectral embedding of the true distances" in charts(by_address)[0]
    assert "tilt (" in charts(by_address)[0]
    assert "MDS of" in charts(page("run", finished.run_id, tab="Manifold", embedding="<b>tsne</b>"))[0]


@pytest.mark.parametrize("tab", ["Manifold", "Neighbours"])
def test_a_run_without_the_first_distances_explains_that(finished, tab):
    kept = dict(np.load(finished.path / "distances.npz"))
    kept.pop("among_first")
    np.savez(finished.path / "distances.npz", **kept)
    app = page("run", finished.run_id, tab=tab)
    assert not charts(app)
    assert "which older versions, and runs of more than 5,000 projections, do not record" in texts(app.caption)
    assert not app.warning


def test_an_embedding_that_cannot_be_computed_is_reported(finished):
    kept = dict(np.load(finished.path / "distances.npz"))
    np.savez(finished.path / "distances.npz", **kept | {"among_first": np.float32([1, 1, 1])})
    app = page("run", finished.run_id, tab="Manifold")
    assert "an embedding in 2 dimensions of 3 projections; wanted at least 4" in texts(app.warning).replace("\\", "")
    assert len(charts(app)) == 1


def test_what_makes_results_doubtful_is_reported_above_them(finished):
    assert not page("run").warning
    with (finished.path / "events.jsonl").open("a") as file:
        event = {"time": 1.0, "kind": "warning", "stage": None, "message": f"poses are ambiguous {TYPED}"}
        file.write(json.dumps(event) + "\n")
    (warning,) = page("run").warning
    assert warning.value == text.escaped(f"poses are ambiguous {TYPED}")


def diverged(runs_dir):
    """A run whose training ended at a step whose loss was not finite."""
    run = RunWriter.create(runs_dir, Config(), ["engine"])
    with run.stage("training"):
        for step in range(10, 60, 10):
            run.record("training", step=step, loss=10.0**step, **({"validation_mae": 0.7} if step == 30 else {}))
    run.fail("the training diverged at step 57 of 1,800: the loss is no longer finite")
    return run


def test_a_training_that_diverged_shows_its_losses_at_once_and_among_the_losses(runs_dir):
    run = diverged(runs_dir)
    for parameters in ({}, {"tab": "Losses"}):
        app = page("run", run.run_id, **parameters)
        (chart,) = charts(app)
        assert "Training of the network" in chart
        assert "the training diverged at step 57 of 1,800" in texts(app.error).replace("\\", "")
    report = html_report(read_run(run.path)).decode()
    assert report.count('id="training"') == 1
    assert "the training diverged at step 57" in report


def test_an_unknown_tab_leads_to_the_first(finished):
    assert len(charts(page("run", finished.run_id, tab="<b>Nowhere</b>"))) == DRAWN["Overview"]


def test_the_record_offers_everything_to_download(finished):
    app = page("run", finished.run_id, tab="Record")
    assert {button.label for button in app.get("download_button")} == {
        "Report (.html)", "Configuration (.toml)", "Poses (.star)", "Reconstruction (.mrc)", "Half map 1 (.mrc)",
        "Half map 2 (.mrc)", "Log (.txt)", "Errors (.csv)", "Sample of pairs (.csv)",
    }  # fmt: skip
    press(app, "Particles (.mrcs) …")
    (offer,) = (button for button in app.get("download_button") if button.label.startswith("Save"))
    assert offer.label.startswith("Save particles.mrcs, 1 MB")


def test_particles_that_cannot_be_made_again_are_reported(finished):
    text = (finished.path / "config.toml").read_text().replace('"1bd2"', '"/gone/map.mrc"')
    (finished.path / "config.toml").write_text(text)
    app = press(page("run", finished.run_id, tab="Record"), "Particles (.mrcs) …")
    assert "/gone/map.mrc" in texts(app.error).replace("\\", "")


def test_particles_too_many_for_a_browser_are_left_to_the_command_line(finished, monkeypatch):
    monkeypatch.setattr(record_tab, "_MOST_BYTES", 1000)
    app = press(page("run", finished.run_id, tab="Record"), "Particles (.mrcs) …")
    assert f"runs export {finished.run_id} DIRECTORY --particles" in texts(app.code)


def test_what_somebody_typed_is_shown_as_text(finished):
    app = page("run", finished.run_id)
    (title,) = app.title
    assert "<b>" not in title.value.replace("\\<b\\>", "")
    assert title.value.replace("\\", "") == TYPED


def test_without_an_id_the_newest_run_is_shown_and_put_into_the_address(finished):
    app = page("run")
    assert app.query_params["run"] in (finished.run_id, [finished.run_id])
    assert app.metric


def test_single_pairs_can_be_shown(finished):
    app = page("run", finished.run_id)
    assert not [spec for spec in charts(app) if "1,000 single pairs" in spec]
    app.toggle(key="points").set_value(True)
    shown(app)
    (spec,) = (spec for spec in charts(app) if "1,000 single pairs" in spec)
    assert "true distance" in spec
    by_address = page("run", finished.run_id, points="true")
    assert [spec for spec in charts(by_address) if "1,000 single pairs" in spec]


def test_a_damaged_artefact_costs_its_own_figure_only(finished):
    (finished.path / "distances.npz").write_bytes(b"PK\x03\x04 torn")
    app = page("run", finished.run_id)
    assert "distances.npz of this run is damaged" in texts(app.warning).replace("\\", "")
    (spec,) = charts(app)
    assert "Angle errors" in spec


def test_a_file_of_another_version_costs_its_own_figure_only(finished):
    np.savez(finished.path / "distances.npz", something=np.zeros(3))
    app = page("run", finished.run_id)
    assert "the run's file lacks 'exact'" in texts(app.warning).replace("\\", "")
    assert len(charts(app)) == 1


def test_a_damaged_reconstruction_is_reported(finished):
    (finished.path / "reconstruction.mrc").write_bytes(b"torn")
    app = page("run", finished.run_id, tab="Reconstruction")
    assert "reconstruction.mrc is no MRC map" in texts(app.warning).replace("\\", "")
    assert len(charts(app)) == 1


def test_a_deleted_input_is_reported_and_the_reconstruction_still_shown(finished):
    text = (finished.path / "config.toml").read_text().replace('"1bd2"', '"/gone/map.mrc"')
    (finished.path / "config.toml").write_text(text)
    app = page("run", finished.run_id, tab="Reconstruction")
    assert "The input is not shown: /gone/map.mrc" in texts(app.caption).replace("\\", "")
    assert len(charts(app)) == DRAWN["Reconstruction"]


def test_the_table_of_errors_has_what_the_run_kept(finished):
    lines = tables.errors_csv(finished.path / "poses.npz").decode().splitlines()
    header = lines[0].split(",")
    assert header[:4] == ["projection", "error_deg", "error_rad", "error_before_alignment_deg"]
    assert header[4:7] == ["true_rot_deg", "true_tilt_deg", "true_psi_deg"]
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert table.shape == (60, 12)
    poses = np.load(finished.path / "poses.npz")
    assert np.allclose(table[:, 3], np.degrees(poses["errors_before"]), rtol=1e-8)
    assert np.allclose(np.cos(np.radians(table[:, 5])), poses["true"][:, 2, 2], atol=1e-8)


def test_the_table_of_pairs_has_the_sample_that_the_run_kept(finished):
    lines = tables.distances_csv(finished.path / "distances.npz").decode().splitlines()
    assert lines[0] == "first,second,true_deg,estimated_deg,true_rad,estimated_rad"
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    kept = np.load(finished.path / "distances.npz")
    assert np.array_equal(table[:, :2], np.column_stack([kept["first"], kept["second"]]))
    assert np.allclose(table[:, 2], np.degrees(kept["exact"].astype(float)), rtol=1e-8)
    assert np.allclose(table[:, 5], kept["estimated"].astype(float), rtol=1e-8)


def test_running_it_again_queues_the_same_experiment(finished, monkeypatch):
    queued = []
    monkeypatch.setattr(runs, "submit", lambda actor, *given: queued.append(given) or [UNKNOWN_ID])
    press(page("run", finished.run_id), "Run again")
    assert queued == [(finished.path.parent, [QUICK], [TYPED])]


def test_a_run_can_be_cloned(finished):
    (link,) = page("run", finished.run_id).get("page_link")
    assert link.label == "Clone and edit"
    assert link.proto.query_string == f"clone={finished.run_id}"


# What people note --------------------------------------------------------------------------------------------------


def test_what_was_noted_is_shown_as_text(finished):
    note = "<b>line one</b>\n:tada: $x$"
    notes.annotate(ME, finished.path.parent, finished.run_id, tags=["<i>a</i>"], note=note, archived=True)
    app = page("run", finished.run_id)
    assert texts(app.text) == note
    shown_text = texts(app.markdown)
    assert "\\<i\\>a\\<\\/i\\>" in shown_text
    assert "archived" in shown_text
    assert [button.label for button in app.button if button.label in ("Archive", "Restore")] == ["Restore"]


def test_a_run_is_starred_archived_and_restored(finished):
    app = page("run", finished.run_id)
    app.button(key="star").click()
    shown(app)
    assert annotations.read_annotations(finished.path).starred
    press(app, "Archive")
    assert annotations.read_annotations(finished.path).archived
    press(app, "Restore")
    assert annotations.read_annotations(finished.path).starred
    assert not annotations.read_annotations(finished.path).archived


def test_a_run_is_renamed_and_tagged(finished):
    app = page("run", finished.run_id)
    app.text_input(key=f"name {finished.run_id}").set_value("Second <b>name</b>")
    app.text_area(key=f"note {finished.run_id}").set_value("why")
    press(app, "Save")
    noted = annotations.read_annotations(finished.path)
    assert (noted.name, noted.note) == ("Second <b>name</b>", "why")
    (title,) = app.title
    assert title.value.replace("\\", "") == "Second <b>name</b>"


# The verdict and the last run seen ---------------------------------------------------------------------------------


def test_a_finished_run_is_green_only_where_its_poses_are_recovered(finished):
    assert badges(page("run", finished.run_id)) == {"finished": "gray", "recovered": "green"}
    result = json.loads((finished.path / "result.json").read_text())
    result["metrics"]["angle_error_median"] = 2.06  # 118 degrees
    (finished.path / "result.json").write_text(json.dumps(result))
    app = page("run", finished.run_id)
    assert badges(app) == {"finished": "gray", "near chance": "red"}
    del result["metrics"]["angle_error_median"]
    (finished.path / "result.json").write_text(json.dumps(result))
    assert badges(page("run", finished.run_id)) == {"finished": "gray"}


def badges(app):
    """Word and colour of each badge of the page, which Streamlit writes as Markdown."""
    result = re.findall(r":(\w+)-badge\[:material/\w+: ([\w ]+)\]", texts(app.markdown))
    return {word: colour for colour, word in result}


def test_without_an_id_the_run_last_seen_is_shown_as_long_as_there_is_one(finished):
    newer = finished.path.with_name("20991231-000000-1bd2-000000")
    shutil.copytree(finished.path, newer)
    app = page("run", finished.run_id)
    for _ in range(2):  # by the navigation, which has no parameter
        del app.query_params["run"]
        shown(app)
        assert app.query_params["run"] in (finished.run_id, [finished.run_id])
    shutil.rmtree(finished.path)
    del app.query_params["run"]
    shown(app)
    assert app.query_params["run"] in (newer.name, [newer.name])
