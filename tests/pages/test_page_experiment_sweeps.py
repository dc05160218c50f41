"""The form of a new experiment with values that are varied."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.app_testing import page, press, shown
from tests.experiment_page_testing import address_of, at, plain, words

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


# Sweeps ------------------------------------------------------------------------------------------------------------


def two_by_two() -> AppTest:
    app = page("experiment")
    app.button_group(key="distance.method").set_value("exact")
    app.toggle(key="sweep").set_value(True)
    shown(app)
    app.multiselect(key="varied").set_value(["projections.coverage", "seed"])
    shown(app)
    app.multiselect(key="projections.coverage values").set_value(["full", "half"])
    app.text_input(key="seed values").set_value("0:1")
    return shown(app)


def test_a_sweep_says_how_many_runs_it_is_and_submits_them(runs_dir, submitted):
    app = two_by_two()
    assert not app.error
    assert "4 runs" in words(app)
    assert "of memory" in words(app)
    assert len(app.dataframe[0].value) == 4
    app.text_input(key="name").set_value("My sweep!")
    press(shown(app), "Run all 4")
    ((configs, folder, names, sweep_id),) = submitted
    assert folder == runs_dir
    assert [(config.projections.coverage, config.seed) for config in configs] == [
        ("full", 0), ("full", 1), ("half", 0), ("half", 1),
    ]  # fmt: skip
    assert {config.distance.method for config in configs} == {"exact"}
    assert len(set(names)) == 4
    assert sweep_id.startswith("my-sweep-")
    assert address_of(app)["only-sweep"] == [sweep_id]


def test_the_address_of_a_sweep_opens_the_same_sweep(runs_dir):
    app = two_by_two()
    address = address_of(app)
    assert address == {
        "set": ["distance.method=exact"],
        "vary": ['projections.coverage=["full", "half"]', "seed=[0, 1]"],
    }
    again = at(**address)
    assert [code.value for code in again.code] == [code.value for code in app.code]
    assert again.text_input(key="seed values").value == "0, 1"
    assert address_of(again) == address


def test_paths_of_an_address_are_those_of_the_servers_folder_and_stay_so(runs_dir, tmp_path, monkeypatch, submitted):
    monkeypatch.chdir(tmp_path)
    address = {"set": ["volume.source=maps/a.mrc"], "vary": ['training.volumes=["maps/b.mrc", "random:1"]']}
    app = at(**address)
    whole = address_of(app)
    assert whole["set"] == [f'volume.source="{tmp_path}/maps/a.mrc"']
    assert whole["vary"] == [f'training.volumes=["{tmp_path}/maps/b.mrc", "random:1"]']
    assert f"{tmp_path}/maps/a.mrc" in app.code[0].value
    monkeypatch.chdir("/")
    assert address_of(at(**whole)) == whole


def test_what_is_varied_cannot_be_set_beside_it(runs_dir):
    app = at(set=["projections.snr=0.5"])
    app.toggle(key="sweep").set_value(True)
    shown(app)
    app.multiselect(key="varied").set_value(["projections.noise_variance"])
    shown(app)
    assert app.button_group(key="noise").disabled
    assert "6 runs" in words(app)
    assert not app.error
    app.multiselect(key="varied").set_value(["projections.noise_variance", "projections.snr"])
    shown(app)
    assert "both set the noise; vary only one of them" in plain(app.error)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("0, many", "sweep over seed: 'many'; wanted whole numbers such as 0, 5, 10"),
        ("", "sweep over seed: no values; wanted at least one"),
        ("-1", "seed is -1; wanted"),
        ("0:9:0", "sweep over seed: '0:9:0'"),
        ("0:99999999", "sweep over seed: '0:99999999'"),
    ],
)
def test_invalid_values_are_reported(runs_dir, typed, message):
    app = page("experiment")
    app.toggle(key="sweep").set_value(True)
    shown(app)
    app.multiselect(key="varied").set_value(["seed"])
    shown(app)
    app.text_input(key="seed values").set_value(typed)
    shown(app)
    assert message in plain(app.error)
    assert not app.code
