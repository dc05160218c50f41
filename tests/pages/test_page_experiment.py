"""The form of a new experiment: what is chosen is what runs; sweeps, studies, clones, addresses, uploads."""

from __future__ import annotations

import json
import time
import tomllib

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from engine.experiment import sweep
from engine.experiment.sweep import Sweep
from engine.geometry import symmetry
from engine.imaging import symmetric_density
from engine.io.mrc import write_map
from engine.record.runrecord import read_run
from engine.service import notes, runs
from engine.service.actor import Actor
from pages._experiment import form_values
from tests.app_testing import QUICK, TYPED, UNKNOWN_ID, failed_run, page, press, shown, texts

ME = Actor("somebody")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("visited_server")]
STUDY = Sweep("few", "Few & <b>noisy</b>", {"projections": {"count": 50}}, {"projections.noise_variance": [0, 5.5]})


@pytest.fixture
def submitted(monkeypatch) -> list:
    """What was put into the queue: (configurations, folder, names, sweep)."""
    calls = []

    def submit(actor, runs_dir, configs, names=None, sweep=None):
        calls.append((configs, runs_dir, names, sweep))
        return [UNKNOWN_ID] * len(configs)

    monkeypatch.setattr(runs, "submit", submit)
    return calls


@pytest.fixture
def studies(monkeypatch) -> None:
    known = {STUDY.name: STUDY}
    monkeypatch.setattr(sweep, "studies", lambda: known)


@pytest.fixture
def map_bytes(tmp_path, toy_density) -> bytes:
    write_map(tmp_path / "made.mrc", toy_density, 2.5, np.zeros(3))
    return (tmp_path / "made.mrc").read_bytes()


def config_of(app: AppTest) -> Config:
    """The experiment that the page says it would run."""
    return config_from_dict(tomllib.loads(app.code[1].value))


def said(elements) -> str:
    return texts(elements).replace("\\", "")


def said_of(app: AppTest) -> str:
    """What the page says in words, without its marks."""
    return said([*app.caption, *app.markdown]).replace("*", "")


def titles(app: AppTest) -> list[str]:
    return [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in app.get("plotly_chart")]


def address_of(app: AppTest) -> dict[str, list[str]]:
    return {key: value if isinstance(value, list) else [value] for key, value in app.query_params.items()}


def at(**parameters: str | list[str]) -> AppTest:
    return page("experiment", **parameters)


# Symmetry ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dimer(tmp_path, toy_volume) -> str:
    """The path of a map with a twofold axis."""
    density = symmetric_density.oligomer(toy_volume.density, toy_volume.center_index, symmetry.group("C2"))
    write_map(tmp_path / "dimer.mrc", density, 2.5, np.zeros(3))
    return str(tmp_path / "dimer.mrc")


def test_a_symmetric_map_without_its_symmetry_is_reported_as_ambiguous(runs_dir, dimer):
    app = at(set=f"volume.source='{dimer}'")
    assert "turned by 1/2 about z (correlation 1.000 at least), so poses are ambiguous" in said(app.warning)
    app.text_input(key="volume.symmetry").set_value("c2")
    app = shown(app)
    assert config_of(app).volume.symmetry == "C2"
    assert not app.warning


def test_a_symmetry_that_the_map_lacks_is_reported(runs_dir, dimer):
    app = at(set=[f"volume.source='{dimer}'", "volume.symmetry=C5"])
    assert "so it is not symmetric; check volume.symmetry and the axes" in said(app.warning)


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
    assert message in said(shown(app).error)


def test_a_symmetric_volume_excludes_settings_of_the_recovery(runs_dir):
    app = at(set="volume.symmetry=D2")
    app.selectbox(key="recovery.initialisation").set_value("isomap")
    app = shown(app)
    assert "recovery.initialisation is 'isomap' and volume.symmetry is D2; wanted spectral" in said(app.error)
    app.selectbox(key="recovery.initialisation").set_value("spectral")
    app.number_input(key="recovery.max_distance").set_value(1.2)
    app = shown(app)
    assert "recovery.max_distance is 1.2 and volume.symmetry is D2; wanted all pairs" in said(app.error)
    assert app.number_input(key="recovery.max_distance").proto.placeholder == "no limit"
    assert app.number_input(key="training.patience").proto.placeholder == "never"


def test_a_large_map_is_left_to_its_run(runs_dir, dimer, monkeypatch):
    monkeypatch.setattr("pages._experiment.ambiguity._MOST_TURNED", 10.0)
    assert not at(set=f"volume.source='{dimer}'").warning


# One experiment ----------------------------------------------------------------------------------------------------


def test_the_default_experiment_is_ready(runs_dir):
    app = page("experiment")
    (button,) = (button for button in app.button if button.label == "Run")
    assert not button.disabled
    assert not app.error
    assert app.code[0].value == "python -m engine run"
    assert config_of(app) == Config()
    assert "1,000 projections" in said_of(app)
    assert "of memory" in said_of(app)
    assert "no noise (signal variance 0.2" in said_of(app)
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
    assert "SNR 0.02" in said_of(app)  # 0.21 / 9
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
    assert "tilt interval [50, 40] is empty or reversed" in said(app.error)
    assert next(button for button in app.button if button.label == "Run").disabled
    assert not app.code


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
    assert message in said([error])
    assert "<i>" not in error.value
    button = next(button for button in app.button if button.label == "Run")
    if not button.disabled and not source.startswith("emdb"):
        press(app, "Run")
        assert message in said(app.error)
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
    assert "emdb:3400 is not on this machine yet" in said(app.info)
    assert app.text_input(key="source").value == "emdb:3400"
    press(app, "Run")
    ((configs, *_),) = submitted
    assert configs[0].volume.source == "emdb:3400"


def test_a_queue_that_cannot_be_written_is_reported(runs_dir, monkeypatch):
    def submit(*given, **named):
        raise InputError("cannot write to <b>there</b>")

    monkeypatch.setattr(runs, "submit", submit)
    app = press(page("experiment"), "Run")
    assert said(app.error) == "cannot write to <b>there</b>"


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
    assert message in said(app.error[:1])
    assert "<b>" not in app.error[0].value
    assert not list(runs_dir.glob("volumes/*"))


def test_an_oversized_upload_is_reported_in_a_line(runs_dir, map_bytes, monkeypatch):
    monkeypatch.setattr("engine.io.library.LARGEST_UPLOAD", 2**20)
    app = uploading("x.mrc", map_bytes + bytes(2**20))
    assert "x.mrc has 1 MiB; at most 1 MiB can be uploaded" in said(app.error[:1])


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
    assert "4 runs" in said_of(app)
    assert "of memory" in said_of(app)
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
    assert "6 runs" in said_of(app)
    assert not app.error
    app.multiselect(key="varied").set_value(["projections.noise_variance", "projections.snr"])
    shown(app)
    assert "both set the noise; vary only one of them" in said(app.error)


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
    assert message in said(app.error)
    assert not app.code


# Studies, clones, addresses ----------------------------------------------------------------------------------------


def test_a_study_can_be_picked_adjusted_and_launched(runs_dir, studies, submitted):
    app = page("experiment")
    app.selectbox(key="start").set_value("few")
    shown(app)
    assert "Few & <b>noisy</b>" in said_of(app)
    assert address_of(app) == {"study": ["few"]}
    assert app.text_input(key="projections.noise_variance values").value == "0, 5.5"
    app.number_input(key="projections.count").set_value(40)
    shown(app)
    assert "Study few, changed" in said_of(app)
    assert address_of(app) == {"set": ["projections.count=40"], "vary": ["projections.noise_variance=[0.0, 5.5]"]}
    press(app, "Run all 2")
    ((configs, *_),) = submitted
    assert [(c.projections.count, c.projections.noise_variance) for c in configs] == [(40, 0.0), (40, 5.5)]


def test_the_address_of_a_study_opens_it_and_the_default_leads_back(runs_dir, studies):
    app = at(study="few")
    assert "2 runs" in said_of(app)
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
    assert f"{len(wanted):,} runs" in said_of(app)


def test_a_run_is_cloned_and_edited(finished, submitted):
    app = at(clone=finished.run_id)
    assert config_of(app) == QUICK
    assert f"Cloned from {finished.run_id}." in said_of(app)
    assert address_of(app) == {"clone": [finished.run_id]}
    app.text_input(key="seed").set_value("3")
    shown(app)
    assert f"Cloned from {finished.run_id}, changed." in said_of(app)
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
    assert message in said([warning])
    assert "<" not in warning.value.replace("\\<", "")
    assert config_of(app) == Config()
    assert address_of(app) == {}


def test_what_validates_and_does_not_fit_the_volume_is_told_beside_the_form(runs_dir, submitted):
    app = at(set=["projections.max_shift=2000", "volume.resolution=20"])
    assert "projections.max_shift is 2000 pixels and the images are 37 wide; wanted at most 18.5" in said(app.error)
    press(app, "Run")
    assert not submitted
    app = at(set=["projections.noise_variance=1e20", "volume.resolution=20"])
    assert "projections.noise_variance is 1e20 and the signal of these projections has a variance of" in said(app.error)


def test_a_configuration_of_another_version_cannot_be_cloned(finished):
    (finished.path / "config.toml").write_text("[projections]\nflavour = 'sweet'\n")
    app = at(clone=finished.run_id)
    assert "cannot be cloned: config.toml: unknown key 'projections.flavour'" in said(app.warning)
    assert config_of(app) == Config()


def test_a_run_that_failed_or_is_archived_can_be_cloned(finished):
    failed = failed_run(finished.path.parent, "no")
    notes.annotate(ME, finished.path.parent, failed.name, archived=True)
    app = at(clone=failed.name)
    assert not app.warning
    assert config_of(app) == Config()


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
    assert "3 runs" in said_of(app)


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
