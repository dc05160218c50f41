"""A stage that nobody knew, in one file: what it takes to be run, estimated, cached, recorded and shown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.config.schema import Config
from engine.config.settings import config_from_dict
from engine.experiment import estimate, packing, pipeline, stagecache
from engine.experiment.stage import Source
from engine.experiment.stages import enabled, stage_keys, stages
from engine.experiment.stages.projections import ProjectionsStage
from engine.imaging.ctf import ContrastTransfer
from engine.imaging.noise import NoiseModel, Spectrum
from engine.imaging.particles import ParticleSet, Truth

ROOT = Path(__file__).parents[2]
QUICK = {
    "distance": {"method": "exact"}, "projections": {"count": 20, "size": 16},
    "volume": {"resolution": 20, "voxel_size": 10}, "recovery": {"restarts": 3},
}  # fmt: skip
PROTEIN = Source("1bd2", 73, 50 * 29 * 45, 8 / 3)

TOY = """
from dataclasses import dataclass
from pathlib import Path
import sys

from engine.base.metric import Metric
from engine.experiment.stage import Artefact, Cost, Stage
from engine.experiment.stages import register

ROUGHNESS = Metric("roughness", "roughness of the map", "R", "Å", meaning="how rough the map is")

@dataclass(frozen=True)
class Rough:
    value: float

class RoughnessStage(Stage):
    name = "roughness"
    needs = ("reconstruction",)
    result = Rough
    metrics = (ROUGHNESS,)
    artefacts = (Artefact("roughness.txt", "the roughness"),)

    def cost(self, config, source):
        return Cost(7.0)

    def run(self, context, progress):
        print("computed")
        return Rough(float(context["reconstruction"].density.std()))

    def report(self, context, result):
        return {"roughness": result.value}

    def keep(self, context, result):
        with context.record.writing("roughness.txt") as path:
            path.write_text(str(result.value))

register(RoughnessStage(), after="reconstruction")
"""

USE = """
import json
from engine.cli.main import main
from engine.config.settings import config_from_dict
from engine.experiment import estimate
from engine.experiment.stage import Source
from engine.experiment.stages import stages_of

quick, runs = config_from_dict(json.loads(sys.argv[1])), Path(sys.argv[2])
assert "roughness" in stages_of(quick)
print("estimated", estimate.estimate(quick, Source("x", 20, 8000, 10.0)).by_stage["roughness"])
settings = [f"{s}.{k}={v}" for s, t in json.loads(sys.argv[1]).items() for k, v in t.items()]
for changed in ([], [], ["reconstruction.iterations=3"]):
    arguments = [part for setting in settings + changed for part in ("--set", setting)]
    main(["run", "--runs-dir", str(runs), *arguments])
for path in sorted(runs.glob("2*")):
    main(["runs", "show", "--runs-dir", str(runs), path.name])
"""

LOOK = """
from tests.app_testing import page, texts
import os
os.environ["POSELAB_RUNS_DIR"] = str(Path(sys.argv[2]))
run_id = sorted(path.name for path in Path(sys.argv[2]).glob("2*"))[0]
app = page("run", run_id)
print([metric.label for metric in app.metric], [tab.label for tab in app.tabs])
app = page("run", run_id, tab="Record")
print(texts(app.markdown), texts(app.caption), [frame.value.to_dict() for frame in app.dataframe])
"""


def in_its_own_process(script: str, runs_dir: Path) -> str:
    import json

    command = [sys.executable, "-c", TOY + script, json.dumps(QUICK), str(runs_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Two runs of the same and one with another reconstruction, by a process with the stage; what it printed."""
    runs_dir = tmp_path_factory.mktemp("toy")
    return runs_dir, in_its_own_process(USE, runs_dir)


@pytest.mark.slow
def test_a_stage_in_one_file_is_run_estimated_cached_recorded_and_shown(toy):
    runs_dir, printed = toy
    assert "estimated 7.0" in printed
    assert printed.count("computed") == 2, "the second run reuses it; with another reconstruction it is made anew"
    assert printed.count("R, roughness of the map") == 6, "after each run, and by `runs show`"
    assert "reused from earlier runs" in printed
    first = sorted(runs_dir.glob("2*"))[0]
    value = float((first / "roughness.txt").read_text())
    assert f"{value:.4g} Å" in printed
    assert '"roughness"' in (first / "result.json").read_text()
    assert (runs_dir / ".cache" / "roughness").is_dir()


@pytest.mark.slow
def test_a_stage_is_listed_on_the_run_page(toy):
    printed = in_its_own_process(LOOK, toy[0])
    assert "R, roughness of the map" in printed
    assert "roughness.txt" in printed
    assert "the roughness" in printed


@pytest.mark.slow
def test_a_process_without_the_stage_shows_its_runs_all_the_same(toy):
    first = sorted(toy[0].glob("2*"))[0]
    command = [sys.executable, "-m", "engine", "runs", "show", "--runs-dir", str(toy[0]), first.name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Roughness " in done.stdout
    assert "roughness 0." in done.stdout, "its seconds"


# Keys -----------------------------------------------------------------------------------------------------------------


def keys(source=PROTEIN, **tables):
    return stage_keys(config_from_dict(tables), source)


def shared(one, other):
    return {stage for stage in one.keys() & other.keys() if one[stage] == other[stage]}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"reconstruction": {"iterations": 3}}, {"projections", "training", "distance", "recovery", "alignment"}),
        ({"recovery": {"restarts": 3}}, {"projections", "training", "distance"}),
        ({"projections": {"count": 500}}, {"training"}),
        ({"training": {"learning_rate": 0.001}}, {"projections"}),
        ({"volume": {"symmetry": "C2"}}, {"projections"}),
        ({"seed": 1}, set()),
    ],
)
def test_what_two_experiments_share(change, kept):
    assert shared(keys(), keys(**change)) == kept


def test_noise_that_is_measured_on_the_test_projections_makes_the_training_depend_on_their_number():
    few, many = ({"projections": {"snr": 0.1, "count": count}} for count in (300, 600))
    assert "training" not in shared(keys(**few), keys(**many))
    few, many = ({"projections": {"noise_variance": 2.0, "count": count}} for count in (300, 600))
    assert "training" in shared(keys(**few), keys(**many))


def test_a_network_that_never_sees_the_test_protein_depends_on_it_only_through_its_signal():
    other = replace(PROTEIN, volume="6msm")
    for noise, kept in ({}, True), ({"noise_variance": 2.0}, False), ({"snr": 0.5}, False):
        table = {"projections": {"size": 60} | noise, "training": {"volumes": "random:1:9"}}
        assert ("training" in shared(keys(**table), keys(other, **table))) == kept


def test_the_environment_is_part_of_every_key():
    one, two = (stage_keys(Config(), PROTEIN, versions) for versions in ({"numpy": "1"}, {"numpy": "2"}))
    assert shared(one, two) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{}, {"projections": {"count": 30}}, {"recovery": {"restarts": 4}}, {"reconstruction": {"iterations": 2}}]
)
def test_what_the_estimate_expects_to_be_reused_is_what_the_run_reuses(tmp_path, change):
    first = config_from_dict(QUICK)
    second = config_from_dict(
        {name: QUICK.get(name, {}) | change.get(name, {}) for name in QUICK.keys() | change.keys()}
    )
    pipeline.run_experiment(first, tmp_path, ["test"])
    reused = set(pipeline.run_experiment(second, tmp_path, ["test"]).reused)
    alone, both = estimate.total([second]), estimate.total([first, second])
    saved = estimate.total([first]).seconds + alone.seconds - both.seconds
    source = pipeline.load_inputs(second).source()
    expected = sum(stage.cost(second, source).seconds for stage in enabled(second) if stage.name in reused)
    assert saved == pytest.approx(expected, abs=0.15)


# The stages themselves ------------------------------------------------------------------------------------------------


def test_every_stage_says_what_it_needs_and_every_metric_is_one_stages(toy):
    names = [stage.name for stage in stages()]
    everything = {"refinement": {"enabled": True}}
    particles = {"particles": {"source": "a.star"}, "volume": {"source": "a.mrc"}}
    for config in (config_from_dict(everything), config_from_dict(everything | particles)):
        reported = [metric.name for stage in enabled(config) for metric in stage.metrics]
        assert len(reported) == len(set(reported))
    for place, stage in enumerate(stages()):
        assert set(stage.needs) <= set(names[:place])
        assert stage.cost(Config(), PROTEIN).seconds > 0 or not stage.enabled(Config())


@pytest.mark.slow
def test_the_artefacts_of_a_run_are_those_that_its_stages_declare(tmp_path):
    record = pipeline.run_experiment(config_from_dict(QUICK | {"refinement": {"enabled": True}}), tmp_path, ["test"])
    declared = {artefact.filename for stage in enabled(record.config) for artefact in stage.artefacts}
    of_the_record = {"config.toml", "run.json", "events.jsonl", "log.txt", "result.json"}
    assert {path.name for path in record.path.iterdir()} == declared | of_the_record


@pytest.mark.slow
def test_without_the_truth_what_needs_it_is_skipped_and_said(tmp_path, monkeypatch):
    simulate = ProjectionsStage.run
    monkeypatch.setattr(stagecache, "load", lambda *given: None)
    monkeypatch.setattr(
        ProjectionsStage, "run", lambda self, *given: replace(simulate(self, *given), truth=None, shifts=None)
    )
    settings = QUICK | {"distance": {"method": "euclidean"}}
    record = pipeline.run_experiment(config_from_dict(settings), tmp_path, ["test"])
    assert record.status == "finished"
    known = {metric for stage in enabled(record.config) for metric in stage.metrics if not metric.needs_truth}
    assert record.metrics.keys() == {metric.name for metric in known}
    assert "alignment is skipped: it needs the true poses, which are not known" in (record.path / "log.txt").read_text()
    assert not (record.path / "poses.npz").exists()
    with np.load(record.path / "distances.npz") as kept:
        assert "estimated" in kept
        assert "exact" not in kept


def test_exact_distances_without_the_truth_are_refused(tmp_path, monkeypatch):
    simulate = ProjectionsStage.run
    monkeypatch.setattr(ProjectionsStage, "run", lambda self, *given: replace(simulate(self, *given), truth=None))
    with pytest.raises(ValueError, match=r"distance.method is 'exact', which needs the true poses"):
        pipeline.run_experiment(config_from_dict(QUICK), tmp_path, ["test"])


# Packing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_particles_are_packed_and_unpacked_as_they_were(rng, known):
    images = rng.standard_normal((5, 8, 8)).astype(np.float32)
    truth = Truth(rng.standard_normal((5, 3, 3)), rng.standard_normal((5, 2)), images[:2]) if known else None
    particles = ParticleSet(images, 2.5, NoiseModel(2.0, 0.25), shifts=truth and truth.shifts, truth=truth)
    again = packing.unpack(ParticleSet, packing.pack(particles))
    assert (again.pixel_size, again.noise, again.ctf) == (2.5, particles.noise, None)
    np.testing.assert_array_equal(again.images, images)
    assert (again.truth is None) == (again.shifts is None) == (not known)
    if known:
        np.testing.assert_array_equal(again.truth.poses, truth.poses)
        np.testing.assert_array_equal(again.truth.clean, truth.clean)


def test_ctf_and_spectrum_are_packed_and_unpacked(rng):
    ctf = ContrastTransfer.of([10_000.0, 20_000.0], 30.0, b_factor=40.0, magnification=[[1.0, 0.01], [0.0, 1.0]])
    noise = NoiseModel(2.0, 0.25, Spectrum.coloured(3.0))
    particles = ParticleSet(rng.standard_normal((2, 8, 8)).astype(np.float32), 2.5, noise, ctf)
    again = packing.unpack(ParticleSet, packing.pack(particles))
    assert again.noise == noise
    for name, values in vars(ctf).items():
        np.testing.assert_array_equal(getattr(again.ctf, name), values)
    distorted = replace(ctf, magnification=None)
    assert packing.unpack(ContrastTransfer, packing.pack(distorted)).magnification is None


def test_what_has_no_arrays_is_not_packed():
    with pytest.raises(TypeError, match=r"ParticleSet.pixel_size is object; wanted array or number"):
        packing.pack(ParticleSet(np.zeros((1, 2, 2), np.float32), object(), NoiseModel()))


def test_a_missing_field_is_an_error():
    with pytest.raises(KeyError, match="variance"):
        packing.unpack(NoiseModel, {"snr": np.array(1.0)})
