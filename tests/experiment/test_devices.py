"""Where what runs: refused before a run begins where it is not there, recorded, part of the keys of what it changes."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from engine.base import environment
from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.schema import Config
from engine.config.settings import config_from_dict, load_config
from engine.experiment import devices, pipeline
from engine.experiment.stage import Source
from engine.experiment.stages import enabled, stage_keys
from engine.imaging import astra_gpu
from engine.record.runrecord import read_run
from pages._shared import summary

H100 = "NVIDIA H100 80GB HBM3"
PROTEIN = Source("a protein", 40, 20_000, 4.0)
QUICK = ["projections.count=20", "distance.method=exact", "volume.resolution=20", "reconstruction.enabled=false"]


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(astra_gpu, "available", lambda: False)
    monkeypatch.setattr(environment, "may_have_gpu", lambda: False)


@pytest.fixture
def with_gpu(monkeypatch):
    """A machine whose GPU ASTRA sees, and TensorFlow, which is not loaded."""
    monkeypatch.setattr(astra_gpu, "available", lambda: True)
    monkeypatch.setattr(astra_gpu, "device_name", lambda: H100)
    monkeypatch.setattr(environment, "may_have_gpu", lambda: True)
    seen = [H100]
    monkeypatch.setitem(sys.modules, "engine.learning.libraries", SimpleNamespace(gpus=lambda: list(seen)))
    return seen


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("device=gpu", "device is 'gpu' and this machine has none; wanted device = auto or cpu"),
        ("projections.projector=astra", r"projections.projector is 'astra', which needs .*projector = fourier"),
        ("reconstruction.method=cgls", r"reconstruction.method is 'cgls', which needs .*method = normal_equations"),
    ],
)
def test_what_is_not_there_is_refused_before_the_run_in_one_line(without, tmp_path, capsys, setting, message):
    settings = [setting, "reconstruction.enabled=true", "volume.source=/no/such/file.mrc"]  # which is not even opened
    with pytest.raises(InputError, match=f"^{message}$"):
        pipeline.run_experiment(load_config(None, [*QUICK, *settings]), tmp_path / "runs", ["test"])
    assert main(["run", "--runs-dir", str(tmp_path / "runs"), *(f"--set={each}" for each in settings)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_the_defaults_ask_for_nothing(with_gpu, without):
    """Also where CUDA is seen, the projector and the reconstruction are the CPU's."""
    config = Config()
    assert (config.projections.projector, config.reconstruction.method, config.device) == (
        "fourier", "normal_equations", "auto",
    )  # fmt: skip
    assert devices.devices_of(config) == {"network": "cpu"}
    assert devices.devices_of(load_config(None, QUICK)) == {}


def test_the_network_runs_where_it_is_told_to(with_gpu):
    assert devices.devices_of(Config()) == {"network": H100}
    assert devices.devices_of(Config(device="gpu")) == {"network": H100}
    assert devices.devices_of(Config(device="cpu")) == {"network": "cpu"}
    with_gpu.clear()  # a GPU that TensorFlow does not see
    assert devices.devices_of(Config()) == {"network": "cpu"}
    with pytest.raises(InputError, match=r"^device is 'gpu' and TensorFlow sees none; wanted device = auto or cpu, or"):
        devices.devices_of(Config(device="gpu"))
    both = config_from_dict({"projections": {"projector": "astra"}, "reconstruction": {"method": "cgls"}})
    assert devices.devices_of(both) == {"network": "cpu", "ASTRA": H100}


@pytest.mark.parametrize("tables", [{"projections": {"projector": "astra"}}, {"reconstruction": {"method": "cgls"}}])
def test_a_cpu_that_is_to_do_what_needs_a_gpu_is_refused(tables):
    with pytest.raises(InputError, match=r"which needs a CUDA device, and device is 'cpu'; wanted device = auto"):
        config_from_dict(tables | {"device": "cpu"})
    unused = {"reconstruction": {"method": "cgls", "enabled": False}}
    assert config_from_dict(unused | {"device": "cpu"}).astra_keys == ()


def changed_by(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {stage for stage in one if one[stage] != other.get(stage)}


def keys(used, environ="here", **tables):
    return stage_keys(config_from_dict(tables), PROTEIN, environ, used)


def test_a_device_is_in_the_keys_of_what_it_changes():
    everything = {stage.name for stage in enabled(Config()) if stage.name != "volume"}
    cpu, gpu = keys({"network": "cpu"}), keys({"network": H100})
    assert changed_by(cpu, gpu) == everything - {"projections"}
    assert keys({"network": H100}, device="gpu") == gpu, "what was asked for does not matter, what was used does"
    assert changed_by(keys(None), keys(None, device="cpu")) == everything - {"projections"}, "and what may be used"
    assert changed_by(cpu, keys({"network": "cpu"}, "another machine")) == everything
    exact = {"distance": {"method": "exact"}}
    assert keys({}, **exact) == keys({"network": H100}, **exact), "no network, no device"


def test_a_projector_and_a_method_are_in_the_keys_of_what_they_change():
    everything = {stage.name for stage in enabled(Config()) if stage.name != "volume"}
    used = {"network": "cpu", "ASTRA": H100}
    rays, cgls = {"projections": {"projector": "astra"}}, {"reconstruction": {"method": "cgls"}}
    assert changed_by(keys(used), keys(used, **rays)) == everything
    assert changed_by(keys(used), keys(used, **cgls)) == {"reconstruction"}
    assert changed_by(keys(used, **cgls), keys(used | {"ASTRA": "another"}, **cgls)) == {"reconstruction"}
    assert "projections" in changed_by(keys(used, **rays), keys(used | {"ASTRA": "another"}, **rays))
    refined = {"refinement": {"enabled": True}}
    assert changed_by(keys(used, **refined), keys(used, **refined, **cgls)) == {"reconstruction", "refinement"}


def test_keys_know_the_libraries_the_code_and_the_arithmetic(monkeypatch):
    here = pipeline._environment()
    assert pipeline._environment() == here
    packages = environment.packages()
    for name in ("numpy", "scipy", "finufft", "keras", "tensorflow", "tensorflow_cpu", "tf_nightly", "astra-toolbox"):
        monkeypatch.setattr(environment, "packages", lambda name=name: packages | {name: "99"})
        assert pipeline._environment() != here, name
    monkeypatch.setattr(environment, "packages", lambda: packages | {"a-page-maker": "99"})
    assert pipeline._environment() == here
    monkeypatch.setattr(pipeline.isolation, "arithmetic", lambda: "another rounding")
    assert pipeline._environment() != here
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "SCIENCE", 99)
    assert pipeline._environment() != here


def test_the_device_in_use_is_recorded_and_shown(without, tmp_path, capsys):
    record = pipeline.run_experiment(load_config(None, QUICK), tmp_path, ["test"])
    assert record.facts.devices == {}
    file = record.path / "run.json"
    facts = json.loads(file.read_text())
    for used, words in (
        (None, "not recorded"),
        ({}, "cpu"),
        ({"network": "cpu"}, "cpu"),
        ({"network": H100}, f"GPU {H100}"),
        ({"network": "cpu", "ASTRA": H100}, f"network on cpu, ASTRA on GPU {H100}"),
    ):
        file.write_text(json.dumps(facts | {"devices": used}))
        read = read_run(record.path)
        assert main(["runs", "show", record.run_id, "--runs-dir", str(tmp_path)]) == 0
        assert f"{words}\n" in capsys.readouterr().out
        assert any(line.endswith(f"the run used: {words}") for line in summary.environment(read.facts))
    del facts["devices"]
    file.write_text(json.dumps(facts))
    assert read_run(record.path).facts.devices is None
