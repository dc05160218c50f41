"""Every page with no runs, a finished one, a failed one, and addresses that lead nowhere."""

from __future__ import annotations

import json
import time
import tomllib

import numpy as np
import pytest
from streamlit.runtime.pages_manager import PagesManager

from engine import catalogue, launch
from engine.config import Config, config_from_dict, load_config
from engine.runlog import RunWriter
from engine.runrecord import read_run
from pages import _record
from tests.app_testing import QUICK, TYPED, UNKNOWN_ID, failed_run, page, press, shown, texts

pytestmark = pytest.mark.usefixtures("visited_server")
_NEW_SERVER = PagesManager.__init__


# No runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "runs"])
def test_without_runs_a_page_says_what_to_do(runs_dir, name):
    app = page(name)
    assert "press **Run**" in texts(app.info)
    assert [link.label for link in app.get("page_link")] == ["New experiment"]


def test_the_default_experiment_is_ready(runs_dir):
    app = page("experiment")
    (button,) = (button for button in app.button if button.label == "Run")
    assert not button.disabled
    assert not app.error
    command, toml = app.code
    assert command.value == "python -m engine run"
    assert config_from_toml(toml.value) == Config()
    assert "1,000 projections" in texts(app.caption).replace("\\", "")


def config_from_toml(text: str) -> Config:
    return config_from_dict(tomllib.loads(text))


@pytest.mark.parametrize("name", ["experiment", "run", "runs"])
def test_a_page_is_shown_within_the_app_on_a_new_server_too(runs_dir, monkeypatch, name):
    monkeypatch.setattr(PagesManager, "__init__", _NEW_SERVER)
    page(name)
    assert PagesManager.uses_pages_directory is False


# New experiment ----------------------------------------------------------------------------------------------------


def test_what_is_chosen_is_what_runs(runs_dir, monkeypatch):
    started = []

    def start(config, folder, name):
        started.append((config, folder, name))
        return UNKNOWN_ID

    monkeypatch.setattr(launch, "start", start)
    app = page("experiment")
    app.number_input(key="projections.count").set_value(123)
    app.button_group(key="coverage").set_value("half")
    app.button_group(key="projections.sampling").set_value("euler")
    app.button_group(key="noise").set_value("variance")
    app.number_input(key="projections.max_shift").set_value(2.5)
    app.button_group(key="distance.method").set_value("perturbed")
    app.number_input(key="seed").set_value(4)
    app.number_input(key="recovery.max_distance").set_value(1.5)
    app.checkbox(key="reconstruction.enabled").uncheck()
    app.text_input(key="name").set_value(TYPED)
    shown(app)
    app.number_input(key="projections.noise_variance").set_value(9.0)
    app.number_input(key="distance.perturbation_variance").set_value(0.3)
    shown(app)
    wanted = config_from_dict(
        {
            "seed": 4,
            "projections": {
                "count": 123, "coverage": "half", "sampling": "euler", "noise_variance": 9, "max_shift": 2.5,
            },
            "distance": {"method": "perturbed", "perturbation_variance": 0.3},
            "recovery": {"max_distance": 1.5},
            "reconstruction": {"enabled": False},
        }
    )  # fmt: skip
    assert config_from_toml(app.code[1].value) == wanted
    press(app, "Run")
    assert started == [(wanted, runs_dir, TYPED)]
    assert app.query_params["run"] in (UNKNOWN_ID, [UNKNOWN_ID])


def test_own_intervals_are_asked_for_and_checked(runs_dir):
    app = page("experiment")
    app.button_group(key="coverage").set_value("own")
    shown(app)
    app.number_input(key="tilt to").set_value(40.0)
    shown(app)
    coverage = config_from_toml(app.code[1].value).projections.coverage
    assert coverage == ((0, 360), (0, 40), (0, 360))
    app.number_input(key="tilt from").set_value(50.0)
    shown(app)
    assert "tilt interval [50, 40] is empty or reversed" in texts(app.error).replace("\\", "")
    assert next(button for button in app.button if button.label == "Run").disabled
    assert not app.code


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "volume.source is ''"),
        ("nowhere/<i>map</i>.mrc", "nowhere/<i>map</i>.mrc: No such file"),
        ("1bd3", "the nearest built-in one is '1bd2'"),
    ],
)
def test_a_source_that_will_not_do_is_told_beside_the_form(runs_dir, source, message):
    app = page("experiment")
    app.radio(key="protein").set_value("other")
    shown(app)
    app.text_input(key="source").set_value(source)
    shown(app)
    if not app.error:
        press(app, "Run")
    (error,) = app.error
    assert message in error.value.replace("\\", "")
    assert "<i>" not in error.value
    assert not runs_dir.exists()


# A finished run ----------------------------------------------------------------------------------------------------


def test_a_finished_run_shows_its_results(finished):
    app = page("run", finished.run_id)
    values = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert values["E_OR, median angle error"][0] in ("0°", "< 0.001°")
    assert values["L_DE, distance error"] == ("0°", "0 rad")
    assert values["FSC 0.5"][0] == f"{finished.metrics['fsc_0.5_angstrom']:#.3g} Å"
    assert len(app.get("plotly_chart")) == 8
    assert not app.error
    assert not app.warning
    assert {button.label for button in app.get("download_button")} == {
        "Configuration (.toml)", "Poses (.star)", "Reconstruction (.mrc)", "Half map 1 (.mrc)", "Half map 2 (.mrc)",
        "Log (.txt)", "Errors (.csv)",
    }  # fmt: skip


def test_what_somebody_typed_is_shown_as_text(finished):
    app = page("run", finished.run_id)
    (title,) = app.subheader
    assert "<b>" not in title.value.replace("\\<b\\>", "")
    assert title.value.replace("\\", "") == TYPED


def test_without_an_id_the_newest_run_is_shown_and_put_into_the_address(finished):
    app = page("run")
    assert app.query_params["run"] in (finished.run_id, [finished.run_id])
    assert app.metric


def test_single_pairs_can_be_shown(finished):
    app = page("run", finished.run_id)
    app.toggle(key="points").set_value(True)
    shown(app)
    (spec,) = (chart.proto.spec for chart in app.get("plotly_chart") if "1,000 single pairs" in chart.proto.spec)
    assert "true distance" in spec


def test_a_damaged_artefact_costs_its_own_figure_only(finished):
    (finished.path / "distances.npz").write_bytes(b"PK\x03\x04 torn")
    app = page("run", finished.run_id)
    assert "distances.npz of this run is damaged" in texts(app.warning).replace("\\", "")
    assert len(app.get("plotly_chart")) == 7


def test_a_deleted_input_is_said_and_the_reconstruction_still_shown(finished):
    text = (finished.path / "config.toml").read_text().replace('"1bd2"', '"/gone/map.mrc"')
    (finished.path / "config.toml").write_text(text)
    app = page("run", finished.run_id)
    assert "The input is not shown: /gone/map.mrc" in texts(app.caption).replace("\\", "")
    assert len(app.get("plotly_chart")) == 8


def test_the_table_of_errors_has_what_the_run_kept(finished):
    lines = _record.errors_csv(finished.path / "poses.npz").decode().splitlines()
    header = lines[0].split(",")
    assert header[:4] == ["projection", "error_deg", "error_rad", "error_before_alignment_deg"]
    assert header[4:7] == ["true_rot_deg", "true_tilt_deg", "true_psi_deg"]
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])
    assert table.shape == (60, 12)
    poses = np.load(finished.path / "poses.npz")
    assert np.allclose(table[:, 3], np.degrees(poses["errors_before"]), rtol=1e-8)
    assert np.allclose(np.cos(np.radians(table[:, 5])), poses["true"][:, 2, 2], atol=1e-8)


def test_running_it_again_starts_the_same_experiment(finished, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "start", lambda *given: started.append(given) or UNKNOWN_ID)
    press(page("run", finished.run_id), "Run again")
    assert started == [(QUICK, finished.path.parent, TYPED)]


# Runs that did not finish ------------------------------------------------------------------------------------------


def test_a_failed_run_gives_its_reason_and_what_to_do(runs_dir):
    path = failed_run(runs_dir, "the disk <i>/x</i> is full; free some space")
    app = page("run", path.name)
    (error,) = app.error
    said = error.value.replace("\\", "")
    assert "the disk <i>/x</i> is full; free some space" in said
    assert "run again" in said
    assert "<i>" not in error.value
    assert "projections: stopped after" in texts(app.code)
    assert not app.metric


def test_an_interrupted_run_is_never_shown_as_running(runs_dir):
    run = RunWriter.create(runs_dir, Config(), ["engine"])
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(facts | {"pid": 2**22 + 1}))
    app = page("run", run.run_id)
    assert "its process ended without a result" in texts(app.error).replace("\\", "")
    assert not app.get("progress")
    run.cancelled("")


def test_a_running_run_shows_stages_losses_and_can_be_cancelled(runs_dir, monkeypatch):
    cancelled = []
    monkeypatch.setattr(launch, "cancel", lambda folder, run_id: cancelled.append((folder, run_id)))
    with RunWriter.create(runs_dir, Config(), ["engine"]) as run:
        with run.stage("projections") as stage:
            stage.progress(1.0, {})
        with run.stage("training") as stage:
            stage.record("training", step=10, loss=1.5)
            stage.record("training", step=20, loss=0.5, validation_mae=0.2)
            stage.progress(0.5, {"step": 20})
            app = page("run", run.run_id)
            bars = {bar.proto.text.partition(":")[0]: bar.proto for bar in app.get("progress")}
            assert list(bars)[:3] == ["Volume", "Projections", "Training"]
            assert [bars[name].value for name in ("Volume", "Projections", "Training", "Distance")] == [100, 100, 50, 0]
            assert "50%" in bars["Training"].text
            assert "step 20" in bars["Training"].text
            (chart,) = app.get("plotly_chart")
            assert "Training of the network" in chart.proto.spec
            press(app, "Cancel")
            assert cancelled == [(runs_dir, run.run_id)]
        run.cancelled("")


def test_what_a_cancelled_run_had_finished_is_kept(finished, monkeypatch):
    result = json.loads((finished.path / "result.json").read_text())
    result |= {"status": "cancelled", "message": "cancelled by SIGTERM", "metrics": {}}
    (finished.path / "result.json").write_text(json.dumps(result))
    (finished.path / "poses.npz").unlink()
    app = page("run", finished.run_id)
    assert "was cancelled" in texts(app.info).replace("\\", "")
    assert len(app.get("plotly_chart")) == 6  # all but angle errors and directions


@pytest.mark.parametrize(
    ("filename", "text", "message"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", '{"format": 99}', "update PoseLab"),
        ("config.toml", "[projections]\ncount = 'many'\n", "projections.count is 'many'"),
    ],
)
def test_a_directory_altered_by_hand_is_told_of(finished, filename, text, message):
    (finished.path / filename).write_text(text)
    app = page("run", finished.run_id)
    assert message in texts([*app.error, *app.warning]).replace("\\", "")
    shown(page("runs"))


# Addresses that lead nowhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["<script>alert(1)</script>", "../../etc", "'; DROP TABLE runs", "x" * 5000, "\0"])
def test_a_malformed_id_gets_a_friendly_page(finished, asked):
    app = page("run", asked)
    (warning,) = app.warning
    assert "is not a run id; wanted one like" in warning.value.replace("\\", "")
    assert "<script>" not in warning.value
    assert [link.label for link in app.get("page_link")] == ["All runs"]


def test_an_unknown_id_gets_a_friendly_page(finished):
    app = page("run", UNKNOWN_ID)
    assert f"no run {UNKNOWN_ID} in" in texts(app.warning).replace("\\", "")


@pytest.mark.parametrize("state", ["starting", "failed"])
def test_a_run_without_a_record_yet(runs_dir, monkeypatch, state):
    status = launch.StartStatus(state, "error: volume.source is 'x'; wanted y")
    monkeypatch.setattr(launch, "start_status", lambda folder, run_id: status)
    monkeypatch.setattr(launch, "output", lambda folder, run_id: "downloading <b>1</b> of 2")
    app = page("run", UNKNOWN_ID)
    if state == "starting":
        assert "the volume is being loaded" in texts(app.info)
        assert texts(app.code) == "downloading <b>1</b> of 2"
    else:
        said = texts(app.error).replace("\\", "")
        assert said == "The run could not start: volume.source is 'x'; wanted y"


# The table of runs -------------------------------------------------------------------------------------------------


def test_the_table_has_the_runs_newest_first(finished):
    failed = failed_run(finished.path.parent, "no")
    (table,) = page("runs").dataframe
    frame = table.value
    assert list(frame["run"]) == [failed.name, TYPED]
    assert list(frame["state"]) == ["✗ failed", "✓ finished"]
    assert list(frame["protein"]) == ["1bd2", "1bd2"]
    assert list(frame["count"]) == [1000, 60]
    assert frame["E_OR"][1] == pytest.approx(np.degrees(finished.metrics["angle_error_median"]))
    assert frame["FSC 0.5"][1] == finished.metrics["fsc_0.5_angstrom"]
    assert np.isnan(frame["L_DE"][0])


def test_a_catalogue_that_was_lost_is_made_anew_and_said(finished):
    failed_run(finished.path.parent, "no")
    (finished.path.parent / catalogue.FILENAME).write_bytes(b"this is no database")
    app = page("runs")
    assert len(app.dataframe[0].value) == 2
    assert "made anew" in texts(app.toast).replace("\\", "")


def test_a_started_run_is_the_one_that_was_configured(runs_dir):
    """From the button to the record, with a real process."""
    app = page("experiment")
    app.number_input(key="projections.count").set_value(30)
    app.button_group(key="distance.method").set_value("exact")
    app.checkbox(key="reconstruction.enabled").uncheck()
    press(shown(app), "Run")
    (folder,) = (runs_dir / launch.FOLDER).glob("2*")
    wanted = {"distance": {"method": "exact"}, "projections": {"count": 30}, "reconstruction": {"enabled": False}}
    assert load_config(folder / "config.toml") == config_from_dict(wanted)
    until = time.monotonic() + 60
    while launch.start_status(runs_dir, folder.name).state == "starting" or (
        read_run(runs_dir / folder.name).status == "running"
    ):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert read_run(runs_dir / folder.name).status == "finished"
    assert "E_OR, median angle error" in [metric.label for metric in page("run", folder.name).metric]
