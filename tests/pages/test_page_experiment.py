"""The form of a new experiment: what is chosen is what runs."""

from __future__ import annotations

import time

import pytest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.record.runrecord import read_run
from engine.service import runs
from tests.app_testing import TYPED, UNKNOWN_ID, page, press, shown, texts
from tests.experiment_page_testing import address_of, config_of, plain, titles, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


# One experiment ----------------------------------------------------------------------------------------------------


def test_the_default_experiment_is_ready(runs_dir):
    app = page("experiment")
    (button,) = (button for button in app.button if button.label == "Run")
    assert not button.disabled
    assert not app.error
    assert app.code[0].value == "python -m engine run"
    assert config_of(app) == Config()
    assert "1,000 projections" in words(app)
    assert "of memory" in words(app)
    assert "no noise (signal variance 0.2" in words(app)
    assert address_of(app) == {}
    assert titles(app)[:3] == ["Projections", "Volume", "Central slices, 2.67 Å per voxel"]
    assert len(titles(app)) == 5


def test_what_is_chosen_is_what_runs(runs_dir, submitted):
    app = page("experiment")
    app.number_input(key="projections.count").set_value(123)
    app.button_group(key="coverage").set_value("half")
    app.button_group(key="projections.sampling").set_value("euler")
    app.button_group(key="noise").set_value("variance")
    app.number_input(key="projections.max_shift").set_value(2.5)
    app.button_group(key="distance.method").set_value("perturbed")
    app.text_input(key="seed").set_value("4")
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
    assert config_of(app) == wanted
    assert "SNR 0.02" in words(app)  # 0.21 / 9
    press(app, "Run")
    assert submitted == [([wanted], runs_dir, [TYPED], None)]
    assert app.query_params["run"] in (UNKNOWN_ID, [UNKNOWN_ID])


def test_device_projector_and_method_are_asked_for(runs_dir, submitted):
    """The device belongs to no table of the configuration; what needs CUDA can be queued on a machine without."""
    app = page("experiment")
    device = app.button_group(key="device")
    assert (device.label, device.value, list(device.options)) == (
        "Device", "auto", ["auto", "cpu", "gpu"],
    )  # fmt: skip
    assert "****" not in texts(app.markdown), "no heading without words"
    assert app.number_input(key="training.max_seconds").placeholder == "no limit"
    assert app.number_input(key="reconstruction.iterations").placeholder == "the method's"
    device.set_value("cpu")
    shown(app)
    assert config_of(app) == Config(device="cpu")
    app.selectbox(key="projections.projector").set_value("astra")
    shown(app)
    assert "projections.projector is 'astra', which needs a CUDA device, and device is 'cpu'" in texts(
        app.error
    ).replace("\\", "")
    app.button_group(key="device").set_value("auto")
    app.selectbox(key="reconstruction.method").set_value("cgls")
    shown(app)
    assert not app.error, "the preview is by Fourier slices"
    assert config_of(app).astra_keys == ("projections.projector", "reconstruction.method")


def test_own_intervals_are_asked_for_and_checked(runs_dir):
    app = page("experiment")
    app.button_group(key="coverage").set_value("own")
    shown(app)
    app.number_input(key="tilt to").set_value(40.0)
    shown(app)
    assert config_of(app).projections.coverage == ((0, 360), (0, 40), (0, 360))
    app.number_input(key="tilt from").set_value(50.0)
    shown(app)
    assert "tilt interval [50, 40] is empty or reversed" in plain(app.error)
    assert next(button for button in app.button if button.label == "Run").disabled
    assert not app.code


def test_a_queue_that_cannot_be_written_is_reported(runs_dir, monkeypatch):
    def submit(*given, **named):
        raise InputError("cannot write to <b>there</b>")

    monkeypatch.setattr(runs, "submit", submit)
    app = press(page("experiment"), "Run")
    assert plain(app.error) == "cannot write to <b>there</b>"


def test_what_was_entered_outlives_leaving_the_page(runs_dir):
    app = page("experiment")
    app.number_input(key="projections.count").set_value(321)
    app.toggle(key="sweep").set_value(True)
    shown(app)
    app.multiselect(key="varied").set_value(["seed"])
    shown(app)
    address = address_of(app)
    assert address == {"set": ["projections.count=321"], "vary": ["seed=[0, 1, 2]"]}
    app.switch_page("pages/volumes.py")
    app.query_params.clear()
    shown(app)
    app.switch_page("pages/experiment.py")
    app.query_params.clear()
    shown(app)
    assert address_of(app) == address
    assert "3 runs" in words(app)


# From the button to the record, with a real process -----------------------------------------------------------------


def test_a_started_run_is_the_one_that_was_configured(runs_dir):
    app = page("experiment")
    app.number_input(key="projections.count").set_value(30)
    app.button_group(key="distance.method").set_value("exact")
    app.checkbox(key="reconstruction.enabled").uncheck()
    press(shown(app), "Run")
    (run_id,) = address_of(app)["run"]
    wanted = {"distance": {"method": "exact"}, "projections": {"count": 30}, "reconstruction": {"enabled": False}}
    until = time.monotonic() + 120
    while not (runs_dir / run_id / "result.json").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
    record = read_run(runs_dir / run_id)
    assert record.status == "finished"
    assert record.config == config_from_dict(wanted)
