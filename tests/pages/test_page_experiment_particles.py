"""The form of a new experiment on recorded particles."""

from __future__ import annotations

import pytest

from engine.config.settings import config_from_dict
from engine.io import data_folders
from tests.app_testing import page, press, shown, texts
from tests.experiment_page_testing import config_of, titles, words
from tests.particle_testing import on_stack

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


@pytest.fixture
def source(particle_runs):
    return particle_runs / "data" / "with" / "particles.star"


def settings_of(source) -> list[str]:
    return [f'particles.source="{source}"', f'volume.source="{source.parent / "map.mrc"}"']


def test_a_clone_of_a_run_on_particles_fills_the_form_and_runs_again(on_particles, submitted):
    record = on_particles["with"]
    app = page("experiment", clone=record.run_id)
    assert not app.error
    assert not app.warning
    assert config_of(app) == record.config
    assert app.button_group(key="images").value == "particles"
    press(app, "Run")
    ((configs, _, _, _),) = submitted
    assert configs == [record.config]


def test_a_stack_is_found_by_browsing_and_seen_before_anything_runs(on_particles, source):
    app = page("experiment", set=[f'volume.source="{source.parent / "map.mrc"}"'])
    app.button_group(key="images").set_value("particles")
    shown(app)
    assert "Choose a table or a stack of particles" in texts(app.info)
    (folders,) = (box for box in app.selectbox if box.label == "Open a folder")
    assert folders.options == ["with/", "without/"]
    folders.select("with/")
    shown(app)
    (files,) = (box for box in app.selectbox if box.label == "Choose a file")
    assert files.options == ["map.mrc", "particles.star", "stack.mrcs"]
    files.select("particles.star")
    shown(app)
    assert not app.error
    assert titles(app)[:5] == [
        "Particles, as recorded", "Mean of 40 particles", "Power spectrum of 40 images", titles(app)[3],
        "Viewing directions of the poses in the table",
    ]  # fmt: skip
    assert titles(app)[3].startswith("Defocus, 0.8")
    assert "40 particles in 1 stack (RELION 3.1): 24 px of 4 Å" in words(app)
    assert "of memory" in words(app)
    assert config_of(app).particles.source == str(source)


def test_what_has_no_meaning_for_the_images_is_hidden(on_particles, source):
    app = page("experiment", set=settings_of(source))
    keys = {
        widget.key for kind in ("number_input", "text_input", "selectbox", "checkbox") for widget in getattr(app, kind)
    }
    assert not [key for key in keys if key and key.startswith("projections.")]
    assert "particles.limit" in keys
    (vary,) = (toggle for toggle in app.toggle if toggle.label.startswith("Sweep"))
    vary.set_value(True)
    shown(app)
    (settings,) = app.multiselect
    assert not [option for option in settings.options if option.startswith(("Projections", "Distance: method"))]
    simulated = page("experiment")
    keys = {widget.key for kind in ("number_input", "text_input") for widget in getattr(simulated, kind)}
    assert not [key for key in keys if key and key.startswith("particles.")]


def test_switching_to_simulations_and_back_keeps_both(on_particles, source):
    app = page("experiment", set=settings_of(source))
    app.number_input(key="particles.limit").set_value(20)
    shown(app)
    app.button_group(key="images").set_value("simulate")
    shown(app)
    assert config_of(app).particles.source is None
    app.button_group(key="images").set_value("particles")
    shown(app)
    config = config_of(app)
    assert (config.particles.source, config.particles.limit) == (str(source), 20)


@pytest.mark.parametrize("outside", ["/etc/passwd.star", "{folder}/../../secret.star", "secret.star"])
def test_an_address_cannot_lead_out_of_the_named_folders(on_particles, source, submitted, outside):
    path = outside.format(folder=source.parent)
    app = page("experiment", set=[f'particles.source="{path}"', settings_of(source)[1]])
    assert "is in none of the folders of which this app may read particles" in texts(app.error)
    assert "which cannot be read" in words(app)
    press(app, "Run")
    assert submitted == []


def test_a_stack_that_is_no_longer_allowed_is_not_run(on_particles, monkeypatch, submitted):
    monkeypatch.delenv(data_folders.VARIABLE)
    app = page("experiment", clone=on_particles["with"].run_id)
    assert "may read particles" in texts(app.error)
    press(app, "Run")
    assert submitted == []


def test_an_uploaded_stack_is_chosen(on_particles, source):
    app = page("experiment", set=settings_of(source))
    (uploader,) = (one for one in app.get("file_uploader") if one.label == "Upload a small stack")
    uploader.set_value([(name, (source.parent / name).read_bytes(), "") for name in ("particles.star", "stack.mrcs")])
    shown(app)
    assert not app.error
    assert "/runs/particles/particles-" in config_of(app).particles.source


def test_a_sweep_over_particles_keeps_its_settings(on_particles, source):
    app = page("experiment", set=settings_of(source), vary=["seed=[0, 1]", 'particles.half=["1", "2"]'])
    assert not app.error
    assert "4 runs" in words(app)
    assert (
        config_from_dict(on_stack(source).model_dump(exclude={"projections"}, exclude_none=True)).particles.half
        == "both"
    )
