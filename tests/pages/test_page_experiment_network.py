"""The form of an experiment that applies the network of an earlier run."""

from __future__ import annotations

import shlex

import pytest

from engine.config.settings import load_config
from engine.experiment.pipeline import run_experiment
from tests.app_testing import UNKNOWN_ID, applying, page, press, shown, texts
from tests.experiment_page_testing import at, config_of, plain, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
_FITTING = ["volume.resolution=12", "volume.voxel_size=5", "projections.size=40", "training.image_size=20"]


def widget_keys(app) -> set[str]:
    kinds = ("number_input", "text_input", "selectbox", "checkbox", "button_group")
    return {widget.key for kind in kinds for widget in getattr(app, kind) if widget.key}


def test_a_network_takes_the_place_of_the_settings_of_a_training(with_network, submitted):
    app = at(set=_FITTING)
    assert {"training.steps", "pairs.strategy", "training.model"} <= widget_keys(app)
    app.text_input(key="training.model").set_value(with_network.run_id)
    shown(app)
    assert not app.error
    keys = widget_keys(app)
    assert {"training.image_size", "training.model"} <= keys
    assert not [key for key in keys if key.startswith("pairs.") or key in ("training.steps", "training.volumes")]
    config = config_of(app)
    assert config.training.model == with_network.run_id
    command = shlex.split(app.code[0].value.replace("\\\n", " "))
    settings = [command[place + 1] for place, word in enumerate(command) if word == "--set"]
    assert load_config(None, settings) == config, "the command does the same"
    assert f"network of run {with_network.run_id}" in words(app)
    press(app, "Run")
    assert [configs for configs, _, _, _ in submitted] == [[config]]


def test_a_network_that_cannot_be_applied_is_said_beside_the_form_and_nothing_is_queued(with_network, submitted):
    app = at(set=[*_FITTING, f"training.model={UNKNOWN_ID}"])
    assert f"training.model: no run {UNKNOWN_ID} in" in plain(app.error)
    press(app, "Run")
    assert submitted == []
    app = at(set=[*_FITTING[:-1], f"training.model={with_network.run_id}"])
    assert "takes images of 20 px, and here they would be 40 px wide" in plain(app.error)


def test_networks_can_be_varied_from_an_address(with_network):
    app = page("experiment", set=_FITTING, vary=[f'training.model=["{with_network.run_id}"]', "seed=[0, 1]"])
    assert not app.error
    assert "2 runs" in words(app)
    assert not [key for key in widget_keys(app) if key.startswith("pairs.")]
    app = page("experiment", set=_FITTING)
    (vary,) = (toggle for toggle in app.toggle if toggle.label.startswith("Sweep"))
    vary.set_value(True)
    shown(app)
    (settings,) = app.multiselect
    assert "Training: model" not in settings.options
    assert "Training: noise factor" in settings.options


def test_a_run_with_a_network_of_another_is_cloned(with_network, runs_dir, submitted):
    record = run_experiment(applying(with_network.run_id), runs_dir, ["test"])
    app = page("experiment", clone=record.run_id)
    assert not app.error
    assert config_of(app) == record.config
    app = page("run", record.run_id)
    assert not app.error
    assert f"network of run {with_network.run_id}" in texts(app.markdown).replace("\\", "")
