"""The protein of a new experiment: its source, symmetry, and uploads."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.geometry import symmetry
from engine.imaging import symmetric_density
from engine.io.mrc import write_map
from tests.app_testing import page, press, shown, texts
from tests.experiment_page_testing import at, config_of, plain, titles

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]


@pytest.fixture
def map_bytes(tmp_path, toy_density) -> bytes:
    write_map(tmp_path / "made.mrc", toy_density, 2.5, np.zeros(3))
    return (tmp_path / "made.mrc").read_bytes()


# Symmetry ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dimer(tmp_path, toy_volume) -> str:
    """The path of a map with a twofold axis."""
    density = symmetric_density.oligomer(toy_volume.density, toy_volume.center_index, symmetry.group("C2"))
    write_map(tmp_path / "dimer.mrc", density, 2.5, np.zeros(3))
    return str(tmp_path / "dimer.mrc")


def test_a_symmetric_map_without_its_symmetry_is_reported_as_ambiguous(runs_dir, dimer):
    app = at(set=f"volume.source='{dimer}'")
    assert "turned by 1/2 about z (correlation 1.000 at least), so poses are ambiguous" in plain(app.warning)
    app.text_input(key="volume.symmetry").set_value("c2")
    app = shown(app)
    assert config_of(app).volume.symmetry == "C2"
    assert not app.warning


def test_a_symmetry_that_the_map_lacks_is_reported(runs_dir, dimer):
    app = at(set=[f"volume.source='{dimer}'", "volume.symmetry=C5"])
    assert "so it is not symmetric; check volume.symmetry and the axes" in plain(app.warning)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("volume.symmetry", "X9", "volume.symmetry is 'X9'; wanted C1, Cn or Dn (n up to 60), T, O or I"),
        ("training.volumes", "1bd2, 6msm", "volume.source is '1bd2', which is among training.volumes"),
        ("training.volumes", "random:1:9000", "training.projections (8,000) are 0 of each of 9,000 training.volumes"),
    ],
)
def test_what_is_wrong_with_a_typed_setting_is_reported(runs_dir, key, value, message):
    app = at()
    app.text_input(key=key).set_value(value)
    assert message in plain(shown(app).error)


def test_a_symmetric_volume_excludes_settings_of_the_recovery(runs_dir):
    app = at(set="volume.symmetry=D2")
    app.selectbox(key="recovery.initialisation").set_value("isomap")
    app = shown(app)
    assert "recovery.initialisation is 'isomap' and volume.symmetry is D2; wanted spectral" in plain(app.error)
    app.selectbox(key="recovery.initialisation").set_value("spectral")
    app.number_input(key="recovery.max_distance").set_value(1.2)
    app = shown(app)
    assert "recovery.max_distance is 1.2 and volume.symmetry is D2; wanted all pairs" in plain(app.error)
    assert app.number_input(key="recovery.max_distance").proto.placeholder == "no limit"
    assert app.number_input(key="training.patience").proto.placeholder == "never"


def test_a_large_map_is_left_to_its_run(runs_dir, dimer, monkeypatch):
    monkeypatch.setattr("pages._experiment.ambiguity._MOST_TURNED", 10.0)
    assert not at(set=f"volume.source='{dimer}'").warning


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/<i>map</i>.mrc", "nowhere/<i>map</i>.mrc: No such file"),
        ("1bd3", "the nearest built-in one is '1bd2'"),
        ("emdb:x", "volume.source is 'emdb:x'; wanted an id such as emdb:3400"),
    ],
)
def test_a_source_that_is_invalid_is_reported_beside_the_form(runs_dir, submitted, source, message):
    app = page("experiment")
    app.radio(key="protein").set_value("other")
    shown(app)
    app.text_input(key="source").set_value(source)
    shown(app)
    (error,) = app.error
    assert message in plain([error])
    assert "<i>" not in error.value
    button = next(button for button in app.button if button.label == "Run")
    if not button.disabled and not source.startswith("emdb"):
        press(app, "Run")
        assert message in plain(app.error)
    assert not submitted
    assert not runs_dir.exists()


def test_without_a_protein_the_page_says_what_to_do(runs_dir):
    app = page("experiment")
    app.radio(key="protein").set_value("other")
    shown(app)
    assert "Choose a protein" in texts(app.info)
    assert not app.error
    assert next(button for button in app.button if button.label == "Run").disabled


def test_an_archived_protein_is_not_downloaded_until_asked_for(runs_dir, tmp_path, monkeypatch, submitted):
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "none"))
    app = at(set=["volume.source=emdb:3400"])
    assert "emdb:3400 is not on this machine yet" in plain(app.info)
    assert app.text_input(key="source").value == "emdb:3400"
    press(app, "Run")
    ((configs, *_),) = submitted
    assert configs[0].volume.source == "emdb:3400"


# Files -------------------------------------------------------------------------------------------------------------


def uploading(filename: str, data: bytes) -> AppTest:
    app = page("experiment")
    app.radio(key="protein").set_value("file")
    shown(app)
    app.file_uploader(key="upload").set_value((filename, data, "application/octet-stream"))
    return shown(app)


def test_an_upload_is_kept_chosen_and_previewed(runs_dir, map_bytes):
    app = uploading("my map.mrc", map_bytes)
    path = runs_dir / "volumes" / "my_map.mrc"
    assert path.read_bytes() == map_bytes
    assert config_of(app).volume.source == str(path)
    assert app.selectbox(key="file").value == str(path)
    assert "Central slices, 2.5 Å per voxel" in titles(app)
    assert not app.error


@pytest.mark.parametrize(
    ("filename", "keep", "message"),
    [
        ("<b>x</b>.mrc", 3000, "b>.mrc is cut short: the header promises 26 x 22 x 24 voxels"),
        ("x.mrc", 0, "x.mrc is empty"),
        ("x.exe", 3000, "'x.exe' is of no known kind"),
    ],
)
def test_an_upload_that_is_invalid_is_reported_in_a_line(runs_dir, map_bytes, filename, keep, message):
    app = uploading(filename, map_bytes[:keep])
    assert message in plain(app.error[:1])
    assert "<b>" not in app.error[0].value
    assert not list(runs_dir.glob("volumes/*"))


def test_an_oversized_upload_is_reported_in_a_line(runs_dir, map_bytes, monkeypatch):
    monkeypatch.setattr("engine.io.library.LARGEST_UPLOAD", 2**20)
    app = uploading("x.mrc", map_bytes + bytes(2**20))
    assert "x.mrc has 1 MiB; at most 1 MiB can be uploaded" in plain(app.error[:1])


def test_files_in_the_servers_folder_can_be_chosen(runs_dir, tmp_path, monkeypatch, map_bytes, submitted):
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "a.mrc").write_bytes(map_bytes)
    (folder / "b.mrc").write_bytes(map_bytes)
    monkeypatch.setenv("POSELAB_VOLUMES_DIR", str(folder))
    app = page("experiment")
    app.radio(key="protein").set_value("file")
    shown(app)
    assert config_of(app).volume.source == str(folder / "a.mrc")
    app.selectbox(key="file").set_value(str(folder / "b.mrc"))
    press(shown(app), "Run")
    assert submitted[0][0][0].volume.source == str(folder / "b.mrc")
