from __future__ import annotations

import socket
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from engine.experiment import estimate, schedule
from engine.experiment.estimate import START
from engine.experiment.pipeline import run_experiment
from engine.experiment.stack_source import StackSource
from engine.experiment.stage import Source
from engine.experiment.stages import stages_of
from engine.imaging import simulation
from engine.imaging.simulation import Acquisition
from engine.io.loading import load_volume

PROTEIN = Source("1bd2", 73, 50 * 29 * 45, 8 / 3)


def config(**tables) -> Config:
    return config_from_dict(tables)


def row(of: Config, seconds: dict[str, float], **changes) -> dict:
    facts = {"status": "finished", "host": socket.gethostname(), "reused": [], "total_seconds": sum(seconds.values())}
    return {"config": config_to_dict(of), "seconds": seconds} | facts | changes


def test_the_default_experiment_takes_what_it_took():
    """89.7 s and 1,219 MiB when the machine had nothing else to do."""
    expected = estimate.estimate(Config(), replace(PROTEIN, signal_variance=0.217))
    assert expected.seconds == pytest.approx(90, rel=0.1)
    assert expected.by_stage["training"] == pytest.approx(86, rel=0.1)
    assert expected.memory_bytes / 2**20 == pytest.approx(1219, rel=0.1)
    assert expected.runs == 0
    assert tuple(expected.by_stage) == (START, *stages_of(Config()))
    assert sum(expected.by_stage.values()) == pytest.approx(expected.seconds, abs=0.1)


@pytest.mark.parametrize(
    ("tables", "seconds"),
    [
        # 5J0N on two cores, other work beside
        ({"projections": {"count": 1650, "size": 116}}, 95),
        ({"projections": {"count": 1650, "size": 116, "noise_variance": 16}, "training": {"steps": 5000}}, 320),
        ({"projections": {"count": 5000}, "distance": {"method": "exact"}, "reconstruction": {"enabled": False}}, 17),
    ],
)
def test_other_experiments_take_what_they_took(tables, seconds):
    assert estimate.estimate(config_from_dict(tables), PROTEIN).seconds == pytest.approx(seconds, rel=0.25)


@pytest.mark.slow
def test_a_run_of_this_machine_is_what_the_next_is_expected_to_take(tmp_path):
    wanted = config(distance={"method": "exact"}, projections={"count": 300}, recovery={"restarts": 10})
    record = run_experiment(wanted, tmp_path, ["test"])
    measured = sum(record.seconds.values())
    again = estimate.estimate(wanted, PROTEIN, [row(wanted, dict(record.seconds))])
    assert again.seconds - again.by_stage[START] == pytest.approx(measured, rel=0.1, abs=0.3)


def test_a_stage_too_small_to_measure_says_nothing_about_a_large_one():
    toy = config(distance={"method": "exact"}, projections={"count": 10, "size": 16}, recovery={"restarts": 1})
    expected = estimate.estimate(toy, PROTEIN).by_stage["distance"]
    assert expected < 0.05
    slow_start = row(toy, {"distance": 1000 * expected + 0.1})
    assert estimate.estimate(Config(), PROTEIN, [slow_start]).seconds == estimate.estimate(Config(), PROTEIN).seconds


def test_noise_and_shifts_lengthen_the_training_they_need():
    def steps_and_seconds(**projections):
        estimated = config(projections={"size": 116} | projections)
        return estimate.estimate(estimated, replace(PROTEIN, diagonal=116, voxels=300_000)).by_stage["training"]

    clean = steps_and_seconds()
    assert clean < steps_and_seconds(noise_variance=5) < steps_and_seconds(noise_variance=16)
    assert steps_and_seconds(noise_variance=1000) == steps_and_seconds(snr=0.001)
    assert clean < steps_and_seconds(max_shift=5) < steps_and_seconds(max_shift=20)
    assert schedule.training_steps(0, 0) == 1800
    assert schedule.training_steps(2.6, 0) == 6000
    assert schedule.training_steps(0.0, 20 / 116) == 6000
    assert schedule.training_steps(0.0, 10 / 116) == pytest.approx(4000, rel=0.02)


@pytest.mark.parametrize(
    ("start", "seconds"),
    [("spectral", 2.9), ("mds", 4.5), ("isomap", 8.5), ("random", 9.7)],  # 1,650 projections on one core
)
def test_starts_take_what_they_took(start, seconds):
    estimated = config(
        distance={"method": "perturbed"}, projections={"count": 1650}, recovery={"initialisation": start}
    )  # fmt: skip
    assert estimate.estimate(estimated, PROTEIN).by_stage["recovery"] == pytest.approx(seconds, rel=0.4)


def test_many_starts_take_long():
    """Measured on two cores: 10,000 starts of 16 projections 60 s, 200 of 1,650 15 s."""

    def recovery(count, restarts):
        estimated = config(distance={"method": "exact"}, projections={"count": count}, recovery={"restarts": restarts})
        return estimate.estimate(estimated, PROTEIN).by_stage["recovery"]

    assert recovery(16, 10_000) == pytest.approx(60, rel=0.5)
    assert recovery(1650, 200) - recovery(1650, 50) == pytest.approx(11, rel=0.5)


def test_a_symmetric_recovery_takes_longer_with_the_order_of_its_group():
    def recovery(symmetry):
        estimated = config(volume={"symmetry": symmetry}, distance={"method": "exact"})
        return estimate.estimate(estimated, PROTEIN).by_stage["recovery"]

    assert recovery("C1") < recovery("C2") < recovery("D2") < recovery("D7")
    assert recovery("D7") == pytest.approx(19, rel=0.3)


def test_random_proteins_are_made_before_the_training_not_on_its_clock():
    def training(**tables):
        return estimate.estimate(config(**tables), replace(PROTEIN, signal_variance=0.2)).by_stage["training"]

    alone = training(training={"max_seconds": 20, "projections": 20000})
    among = training(training={"max_seconds": 20, "projections": 20000, "volumes": "random:1:200, 6msm"})
    assert among - alone == pytest.approx(80)
    assert training(training={"volumes": "6msm, 1tii"}) == training()


def test_proteins_that_a_network_never_sees_share_its_training():
    shared = [
        config(volume={"source": source}, projections={"size": 60}, training={"volumes": "random:1:9"})
        for source in ("1bd2", "6msm")
    ]
    one = estimate.total(shared[:1]).seconds
    assert estimate.total(shared).seconds < 1.4 * one
    apart = [each.model_copy(update={"training": Config().training}) for each in shared]
    assert estimate.total(apart).seconds > 1.8 * estimate.total(apart[:1]).seconds


def test_a_training_is_cut_short_in_time_only_where_that_is_asked_for():
    limited = config(training={"max_seconds": 7})
    assert estimate.estimate(limited, PROTEIN).by_stage["training"] == 7
    slow = [row(Config(), {"training": 100_000.0})]
    expected = estimate.estimate(Config(), replace(PROTEIN, signal_variance=0.2), slow).by_stage["training"]
    assert expected == pytest.approx(100_000)


def test_this_machines_runs_correct_the_stages_they_had():
    before = estimate.estimate(Config(), PROTEIN)
    took = {"projections": 3 * before.by_stage["projections"], "recovery": 2 * before.by_stage["recovery"]}
    rows = [row(Config(), took | {"recovery": took["recovery"] * factor}) for factor in (1, 1, 50)]
    rows.append(row(Config(), {"recovery": 1e6}, host="elsewhere"))
    rows.append(row(Config(), {"recovery": 1e6}, status="cancelled"))
    rows.append(row(Config(), {"recovery": 1e6}, reused=["recovery"]))
    rows.append(row(Config(), {"recovery": 0.0, "training": 0.0}))
    rows.append(row(Config(), {"recovery": 1e6}, config={"of": "another version"}))
    # Its frame is unknown, so its pixels are too.
    rows.append(row(config(volume={"source": "6msm"}), {"projections": 1e6}))
    after = estimate.estimate(Config(), PROTEIN, rows)
    assert after.runs == 6
    assert after.by_stage["projections"] == pytest.approx(took["projections"], rel=0.02)
    assert after.by_stage["recovery"] == pytest.approx(took["recovery"], rel=0.02)
    unchanged = before.by_stage.keys() - took.keys()
    assert {stage: after.by_stage[stage] for stage in unchanged} == {s: before.by_stage[s] for s in unchanged}


def test_what_two_runs_share_is_computed_once():
    one = estimate.total([Config()])
    restarts = [config(recovery={"restarts": number}) for number in (10, 20, 30)]
    shared = estimate.total(restarts)
    alone = estimate.estimate(Config(), PROTEIN).by_stage
    repeated = sum(alone[stage] for stage in (START, "volume", "recovery", "alignment", "reconstruction"))
    assert shared.seconds == pytest.approx(one.seconds + 2 * repeated, rel=0.01)
    seeds = estimate.total([config(seed=seed) for seed in range(3)])
    assert seeds.seconds == pytest.approx(3 * one.seconds, rel=0.01)
    assert seeds.memory_bytes == one.memory_bytes
    assert seeds.assumed == ()


def test_a_volume_that_would_have_to_be_downloaded_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path))
    monkeypatch.setenv("POSELAB_PDB_URL", "http://127.0.0.1:9/nowhere")
    estimated = estimate.total(
        [config(volume={"source": "pdb:5j0n"}), config(volume={"source": str(tmp_path / "no.mrc")})]
    )
    assert estimated.assumed == (str(tmp_path / "no.mrc"), "pdb:5j0n")
    assert estimated.seconds > 100


@pytest.mark.slow
def test_memory_grows_with_what_is_held():
    def memory(**tables) -> float:
        return estimate.memory_bytes(config(**tables), PROTEIN)

    exact = {"distance": {"method": "exact"}}
    assert memory(**exact) < memory() - 5e8
    # 1,905 MiB were measured
    assert memory(**exact, projections={"count": 5000}) / 2**20 == pytest.approx(1905, rel=0.1)
    # What simulating them with shifts and noise holds at once, as Python's allocations are traced.
    volume, peaks = load_volume("1bd2"), []
    for count in (2000, 4000):  # of fewer, the most is held while they are projected
        tracemalloc.start()
        acquisition = Acquisition(size=73, noise_variance=1.0, max_shift=2.0)
        simulation.simulate(volume, acquisition, count, np.random.default_rng(0))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    images = memory(**exact, projections={"count": 102_000}) - memory(**exact, projections={"count": 100_000})
    assert 1 < images / (peaks[1] - peaks[0]) < 2


PARTICLES = {"particles": {"source": "a.star"}, "volume": {"source": "map.mrc"}}


def stack(count: int = 1000, size: int = 64) -> StackSource:
    return StackSource("images", "poses", "halves", count, size, 3.0)


def test_particles_take_longer_and_more_memory_with_their_number_and_size():
    on_particles = config(**PARTICLES)
    few, many, wide = (
        estimate.total([on_particles], (), lambda volume: PROTEIN, lambda config, one=one: one)
        for one in (stack(), stack(count=20_000), stack(size=256))
    )
    assert many.seconds > few.seconds
    assert many.memory_bytes > few.memory_bytes
    assert wide.seconds > few.seconds
    assert few.unread == ()


def test_particles_that_cannot_be_read_are_named_and_assumed():
    on_particles = config(**PARTICLES)
    expected = estimate.total([on_particles], (), lambda volume: PROTEIN)
    assert expected.unread == ("a.star",)
    assumed = estimate.total([on_particles], (), lambda volume: PROTEIN, lambda config: estimate.UNREAD)
    assert expected.seconds == assumed.seconds


def test_runs_on_particles_correct_those_on_the_same_alone():
    on_particles, others = (config(**PARTICLES | {"particles": {"source": name}}) for name in ("a.star", "b.star"))
    source = replace(PROTEIN, stack=stack())
    alone = estimate.estimate(on_particles, source)
    slow = {stage: 3 * seconds for stage, seconds in alone.by_stage.items() if stage != START}
    assert estimate.estimate(on_particles, source, [row(on_particles, slow)]).runs == 1
    assert estimate.estimate(on_particles, source, [row(on_particles, slow)]).seconds > 2 * alone.seconds
    for before, after, given in ((others, on_particles, source), (on_particles, Config(), PROTEIN)):
        assert estimate.estimate(after, given, [row(before, slow)]) == estimate.estimate(after, given)
