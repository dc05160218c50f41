"""Where a new experiment starts from: studies, clones, addresses."""

from __future__ import annotations

import pytest

from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from engine.experiment import sweep
from engine.experiment.sweep import Sweep
from engine.service import notes
from engine.service.actor import Actor
from pages._experiment import form_values
from tests.app_testing import QUICK, UNKNOWN_ID, failed_run, page, press, shown
from tests.experiment_page_testing import address_of, at, config_of, plain, words

ME = Actor("somebody")


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


STUDY = Sweep("few", "Few & <b>noisy</b>", {"projections": {"count": 50}}, {"projections.noise_variance": [0, 5.5]})


@pytest.fixture
def studies(monkeypatch) -> None:
    known = {STUDY.name: STUDY}
    monkeypatch.setattr(sweep, "studies", lambda: known)


# Studies, clones, addresses ----------------------------------------------------------------------------------------


def test_a_study_can_be_picked_adjusted_and_launched(runs_dir, studies, submitted):
    app = page("experiment")
    app.selectbox(key="start").set_value("few")
    shown(app)
    assert "Few & <b>noisy</b>" in words(app)
    assert address_of(app) == {"study": ["few"]}
    assert app.text_input(key="projections.noise_variance values").value == "0, 5.5"
    app.number_input(key="projections.count").set_value(40)
    shown(app)
    assert "Study few, changed" in words(app)
    assert address_of(app) == {"set": ["projections.count=40"], "vary": ["projections.noise_variance=[0.0, 5.5]"]}
    press(app, "Run all 2")
    ((configs, *_),) = submitted
    assert [(c.projections.count, c.projections.noise_variance) for c in configs] == [(40, 0.0), (40, 5.5)]


def test_the_address_of_a_study_opens_it_and_the_default_leads_back(runs_dir, studies):
    app = at(study="few")
    assert "2 runs" in words(app)
    app.selectbox(key="start").set_value("the default experiment")
    shown(app)
    assert config_of(app) == Config()
    assert address_of(app) == {}


@pytest.mark.parametrize("name", sweep.studies())
def test_every_study_opens(runs_dir, tmp_path, monkeypatch, name):
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "none"))  # nothing is downloaded
    app = at(study=name)
    assert not app.error
    assert not app.warning
    wanted = [config for _, config in sweep.expand(sweep.studies()[name])]
    assert f"{len(wanted):,} runs" in words(app)


def test_a_run_is_cloned_and_edited(finished, submitted):
    app = at(clone=finished.run_id)
    assert config_of(app) == QUICK
    assert f"Cloned from {finished.run_id}." in words(app)
    assert address_of(app) == {"clone": [finished.run_id]}
    app.text_input(key="seed").set_value("3")
    shown(app)
    assert f"Cloned from {finished.run_id}, changed." in words(app)
    assert set(address_of(app)["set"]) == {
        "seed=3", "projections.count=60", "distance.method=exact", "recovery.restarts=10",
    }  # fmt: skip
    press(app, "Run")
    assert submitted[0][0] == [QUICK.model_copy(update={"seed": 3})]


def test_any_configuration_can_be_cloned(runs_dir):
    table = {
        "seed": 7,
        "volume": {"source": "6MSM", "resolution": 10.0},
        "projections": {"coverage": [[0, 90], [10, 45.5], [-180, 180]], "snr": 0.1, "max_shift": 2.5, "size": 64},
        "distance": {"method": "euclidean", "calibration": "polynomial"},
        "training": {"max_seconds": 5.0, "steps": 7},
        "recovery": {"max_distance": 1.5, "pairs": "knn+random"},
    }
    config = config_from_dict(table)
    app = at(**form_values.to_address(config, {}))
    expected = config_to_dict(config)
    expected["volume"]["source"] = "6msm"
    assert config_to_dict(config_of(app)) == expected
    assert not app.warning


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"clone": "<script>"}, "'<script>' is not a run id"),
        ({"clone": UNKNOWN_ID}, f"no run {UNKNOWN_ID} in"),
        ({"study": "<b>"}, "no study '<b>'; wanted one of"),
        ({"set": "nothing"}, "this address does not describe an experiment"),
        ({"set": "projections.count=-1"}, "projections.count is -1"),
        ({"set": "'; DROP TABLE runs"}, "this address does not describe an experiment"),
        ({"vary": "a.b=[1]"}, "this address does not describe an experiment: unknown key 'a.b'"),
        ({"vary": "seed=[1"}, "wanted a list such as [0, 16]"),
        ({"vary": "seed=7"}, "sweep over seed: 7; wanted a list of values"),
        ({"vary": 'seed=["x"]'}, "sweep over seed: ['x']; wanted values that this key can have"),
        ({"vary": ["seed=[1]", "seed=[2]", "seed=[3]"]}, "'seed' is given 3 times; wanted once"),
        ({"set": ["seed=1", "seed=2"]}, "'seed' is given 2 times; wanted once"),
        ({"set": f"seed={'9' * 5000}"}, "seed is '99999"),
        ({"set": "seed=9223372036854775808"}, "wanted a whole number from 0 to 9,223,372,036,854"),
        ({"set": "projections.snr=nan"}, "projections.snr is nan; wanted a number from 1e-14 to 1e14"),
        (
            {"set": "projections.noise_variance=1e300"},
            "projections.noise_variance is 1e+300; wanted a number",
        ),
        ({"set": ""}, "this address does not describe an experiment: --set ''"),
        ({"clone": ""}, "'' is not a run id"),
        ({"study": ""}, "no study ''; wanted one of"),
        ({"clone": [UNKNOWN_ID, UNKNOWN_ID]}, "this address has clone 2 times; wanted one run to clone, one study, or"),
        (
            {"clone": UNKNOWN_ID, "set": "seed=1"},
            "this address has clone 1 times, set 1 times; wanted one run to clone",
        ),
    ],
)
def test_an_invalid_address_is_reported_and_the_default_shown(finished, parameters, message):
    app = at(**parameters)
    (warning,) = app.warning
    assert message in plain([warning])
    assert "<" not in warning.value.replace("\\<", "")
    assert config_of(app) == Config()
    assert address_of(app) == {}


def test_what_validates_and_does_not_fit_the_volume_is_told_beside_the_form(runs_dir, submitted):
    app = at(set=["projections.max_shift=2000", "volume.resolution=20"])
    assert "projections.max_shift is 2000 pixels and the images are 37 wide; wanted at most 18.5" in plain(app.error)
    press(app, "Run")
    assert not submitted
    app = at(set=["projections.noise_variance=1e20", "volume.resolution=20"])
    assert "projections.noise_variance is 1e20 and the signal of these projections has a variance of" in plain(
        app.error
    )


def test_a_configuration_of_another_version_cannot_be_cloned(finished):
    (finished.path / "config.toml").write_text("[projections]\nflavour = 'sweet'\n")
    app = at(clone=finished.run_id)
    assert "cannot be cloned: config.toml: unknown key 'projections.flavour'" in plain(app.warning)
    assert config_of(app) == Config()


def test_a_run_that_failed_or_is_archived_can_be_cloned(finished):
    failed = failed_run(finished.path.parent, "no")
    notes.annotate(ME, finished.path.parent, failed.name, archived=True)
    app = at(clone=failed.name)
    assert not app.warning
    assert config_of(app) == Config()
