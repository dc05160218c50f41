"""The network of an earlier run, applied without training: to the same images, to others, and where it cannot be."""

from __future__ import annotations

import json
import shutil
import socket
import tomllib
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.cli.main import main
from engine.config.settings import config_from_dict, config_to_dict, config_to_toml
from engine.experiment import estimate
from engine.experiment.kept_network import digest_of, find_network
from engine.experiment.pipeline import load_inputs, run_experiment
from engine.experiment.stage import Source
from engine.experiment.stages import stage_keys
from engine.record.events import read_events, warnings_in
from engine.record.runrecord import read_run
from tests.app_testing import TRAINED, UNKNOWN_ID, applying, failed_run
from tests.particle_testing import on_stack

PROTEIN = Source("1bd2", 40, 20_000, 5.0, network="weights")


def run(config, runs_dir):
    return run_experiment(config, runs_dir, ["test"])


def arrays_of(record, filename: str) -> dict[str, np.ndarray]:
    with np.load(record.path / filename) as kept:
        return dict(kept)


def without_facts(record) -> None:
    """As runs of versions were that kept no more of a network than its weights."""
    (record.path / "model.json").unlink()


# Applied -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False], ids=["with its facts", "of an earlier version"])
def test_the_same_experiment_gives_the_digits_of_the_run_that_trained(with_network, runs_dir, kept):
    if not kept:
        without_facts(with_network)
    config = applying(with_network.run_id)
    record = run(config, runs_dir)
    assert record.status == "finished"
    assert record.metrics == with_network.metrics
    for name in ("distances.npz", "poses.npz"):
        mine, theirs = arrays_of(record, name), arrays_of(with_network, name)
        assert mine.keys() == theirs.keys()
        for key in mine:
            np.testing.assert_array_equal(mine[key], theirs[key])
    assert not (record.path / "training.npz").exists()
    assert record.seconds["training"] < 60
    events, _ = read_events(record.path)
    assert not [event for event in events if event["kind"] == "training"], "nothing was trained"
    log = (record.path / "log.txt").read_text()
    assert f"training: none, the network is that of run {with_network.run_id}, 12 steps, validation L_DE" in log
    if kept:
        assert warnings_in(record.path) == []
        assert "these images are like those that the network was trained on" in log
    else:
        assert warnings_in(record.path) == [
            "training.model: pixel size, shifts: not compared, its run is of a version that did not keep them"
        ]
    written = tomllib.loads((record.path / "config.toml").read_text())
    assert written["training"] == {"on": "reference", "image_size": 20, "model": with_network.run_id}
    assert "pairs" not in written
    assert read_run(record.path).config == record.config == config


@pytest.mark.slow
def test_what_was_reused_is_what_the_estimate_expects_and_a_network_can_be_passed_on(with_network, runs_dir):
    first = run(applying(with_network.run_id), runs_dir)
    assert first.reused == ("projections",)
    again = run(applying(with_network.run_id), runs_dir)
    assert set(again.reused) == {"projections", "training", "distance", "recovery"}
    passed_on = run(applying(first.run_id), runs_dir)
    assert set(passed_on.reused) == set(again.reused), "the network counts, not who has it"
    facts = [json.loads((one.path / "model.json").read_text()) for one in (with_network, passed_on)]
    assert facts[0] == facts[1]
    assert facts[0]["trained_by"] == with_network.run_id


@pytest.mark.slow
def test_other_images_get_finite_poses_and_what_differs_is_told_and_kept(with_network, runs_dir, capsys):
    others = {"source": "6msm", "voxel_size": 4.0}
    projections = {"size": 50, "snr": 0.5, "defocus": [8000, 20_000], "max_shift": 2.0, "noise_spectrum": "coloured"}
    record = run(applying(with_network.run_id, volume=others, projections=projections, seed=3), runs_dir)
    assert record.status == "finished"
    assert all(np.isfinite(value) for value in record.metrics.values())
    assert np.isfinite(arrays_of(record, "poses.npz")["aligned"]).all()
    doubts = warnings_in(record.path)
    start = "the network was trained on"
    assert [line.removeprefix("training.model: ") for line in doubts[:3]] == [
        f"reference: {start} projections of 1bd2 at 12 Å, these images have 6msm at 12 Å",
        f"CTF: {start} no CTF, these images have a CTF",
        f"noise: {start} a signal-to-noise ratio of 2, these images have a signal-to-noise ratio of 0.5",
    ]
    assert doubts[3].startswith(f"training.model: noise spectrum: {start} white noise (1 times as strong")
    assert doubts[4] == f"training.model: shifts: {start} shifts of up to 0 Å, these images have shifts of up to 8 Å"
    assert len(doubts) == 5
    log = (record.path / "log.txt").read_text()
    same_field = "40 px of 5 Å (10 Å for the network), these images have 50 px of 4 Å (10 Å for the network)"
    assert f"training.model: pixel size: {start} {same_field}" in log, "told, and no reason for doubt"
    assert main(["runs", "show", record.run_id, "--runs-dir", str(runs_dir)]) == 0
    assert [line[45:] for line in capsys.readouterr().out.splitlines() if line.startswith("  warning ")] == doubts
    assert main(["runs", "show", record.run_id, "--json", "--runs-dir", str(runs_dir)]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == doubts


@pytest.mark.slow
def test_a_further_stack_gets_its_poses_without_training(on_particles, particle_runs, runs_dir):
    """The two stacks have the same images; the table of one has no poses."""
    trained, other = on_particles["with"], on_particles["without"]
    config = other.config.model_dump(mode="json", exclude_none=True, exclude={"projections", "pairs"})
    config["training"] = {"image_size": 16, "model": trained.run_id}
    record = run(config_from_dict(config), runs_dir)
    assert record.status == "finished"
    assert warnings_in(record.path) == warnings_in(other.path)
    assert "particles" in record.reused
    for key, values in arrays_of(other, "frame.npz").items():
        np.testing.assert_array_equal(arrays_of(record, "frame.npz")[key], values)
    assert record.metrics == other.metrics


@pytest.mark.slow
def test_a_network_of_simulations_is_applied_to_a_stack_and_how_they_differ_is_told(
    with_network, particle_runs, runs_dir
):
    source = particle_runs / "data" / "without" / "particles.star"
    training = {"image_size": 20, "model": with_network.run_id}
    record = run(on_stack(source, training=training, refinement={"enabled": False}), runs_dir)
    assert record.status == "finished"
    doubts = " ".join(warnings_in(record.path))
    assert (
        "pixel size: the network was trained on 40 px of 5 Å (10 Å for the network), these images have 24 px of 4 Å "
        in (doubts)
    )
    assert "CTF: the network was trained on no CTF, these images have a CTF" in doubts
    assert "whitening: the network was trained on noise as it is, these images have noise that is whitened" in doubts
    poses = arrays_of(record, "frame.npz")["poses"]
    assert poses.shape == (40, 3, 3)
    assert np.isfinite(poses).all()


# Refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run_id", "message"),
    [
        (UNKNOWN_ID, rf"^training\.model: no run {UNKNOWN_ID} in .*; `runs list` shows those there are$"),
        ("../20260101-000000-1bd2-ffffff", r"^training\.model: '\.\./2.* is not a run id; wanted one like"),
        ("/etc", r"^training\.model: '/etc' is not a run id"),
        (".cache", r"^training\.model: '\.cache' is not a run id"),
        ("20260101-000000-1bd2-ffffff/..", r"^training\.model: .* is not a run id"),
    ],
)
def test_an_id_that_leads_to_no_run_is_refused_before_there_is_one(runs_dir, run_id, message):
    with pytest.raises(InputError, match=message):
        run(applying(run_id), runs_dir)
    with pytest.raises(InputError, match=message):
        estimate.total([applying(run_id)], runs_dir=runs_dir)
    assert not list(runs_dir.glob("2*"))


def test_a_run_without_a_network_is_refused(finished, runs_dir):
    with pytest.raises(InputError, match=r"has no network, its distance\.method is 'exact'; wanted a run with"):
        find_network(applying(finished.run_id), runs_dir)
    failed = failed_run(runs_dir, "no volume")
    with pytest.raises(InputError, match=f"run {failed.name} is failed; wanted a finished run"):
        find_network(applying(failed.name), runs_dir)


def rewritten(path, **members: bytes) -> None:
    """Another archive in the place of a stored network: of a later time, with other content of some members."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2030, 1, 1, 0, 0, 0)), members.get(name.split(".")[0], content))


@pytest.mark.slow
def test_a_damaged_network_is_refused(with_network, runs_dir):
    config, path = applying(with_network.run_id), with_network.path / "model.keras"
    intact = path.read_bytes()
    path.write_bytes(intact[:5000])
    with pytest.raises(InputError, match=r"model\.keras is damaged \(.*\); wanted a network as a run leaves it"):
        find_network(config, runs_dir)
    path.write_bytes(intact)
    rewritten(path, config=b"{}")
    with pytest.raises(InputError, match=r"model\.keras is not the network that model\.json describes"):
        find_network(config, runs_dir)
    path.unlink()
    with pytest.raises(InputError, match=r"has left no network \(model\.keras\)"):
        find_network(config, runs_dir)
    path.write_bytes(intact)
    (with_network.path / "model.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match=r"model\.json is damaged: trained_by: Field required"):
        find_network(config, runs_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"image_size": 24}}, r"takes images of 20 px, and here they would be 24 px wide .* = 20$"),
        ({"projections": {"size": 18}}, r"here they would be 18 px wide .*; wanted images of at least 20 px$"),
        ({"distance": {"head": "euclidean"}}, r"distance\.head is 'euclidean', .*; wanted distance\.head = cosine$"),
        ({"distance": {"feature_dim": 9}}, r"distance\.feature_dim is 9, .*; wanted distance\.feature_dim left out$"),
        (
            {"volume": {"symmetry": "D2", "symmetrize": "oligomer"}},
            r"volume\.symmetry is 'D2', and the network of run .* for another; wanted volume\.symmetry = C1$",
        ),
    ],
)
def test_what_a_network_takes_and_gives_has_to_agree(with_network, runs_dir, changes, message):
    config = applying(with_network.run_id, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_inputs(config, runs_dir)
    assert str(caught.value).startswith("training.model: ")


@pytest.mark.slow
def test_a_network_of_another_architecture_is_refused(with_network, runs_dir):
    path = with_network.path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"feature_dim": 9}))
    with pytest.raises(
        InputError, match=r"^training\.model: the network of run .* gives \d+ features; wanted 9, as of"
    ):
        run(applying(with_network.run_id, distance={"feature_dim": 9}), runs_dir)


@pytest.mark.slow
def test_a_network_that_half_a_stack_taught_is_refused(with_network, runs_dir):
    path = with_network.path / "model.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"on": "particles"}))
    with pytest.raises(
        InputError, match=r"half set of particles taught .*; wanted a run with training\.on = reference"
    ):
        find_network(applying(with_network.run_id), runs_dir)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"training": {"model": UNKNOWN_ID, "steps": 5, "batch_size": 64}, "pairs": {"neighbours": 10}},
            r"^pairs\.neighbours, training\.batch_size, training\.steps given beside training\.model; wanted none",
        ),
        ({"training": {"model": UNKNOWN_ID, "volumes": []}}, r"^training\.volumes given beside training\.model"),
        ({"training": {"model": UNKNOWN_ID, "noise_factor": 2}}, r"^training\.noise_factor given beside"),
        (
            {"training": {"model": UNKNOWN_ID}, "distance": {"method": "exact"}},
            r"^training\.model is given and distance\.method is 'exact'; wanted siamese",
        ),
        (
            {"training": {"model": UNKNOWN_ID, "on": "particles"}, "particles": {"source": "/a.star"}},
            r"^training\.model is given and training\.on is 'particles'; wanted training\.on = reference and a map",
        ),
        ({"training": {"model": ""}}, r"^training\.model is ''; wanted a text that is not empty"),
        ({"training": {"model": 5}}, r"^training\.model is 5; wanted text"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused_by_name(tables, message):
    with pytest.raises(InputError, match=message):
        config_from_dict(tables)


# Keys and costs ----------------------------------------------------------------------------------------------------


def test_the_network_is_in_the_key_of_what_is_made_with_it_and_the_run_is_not():
    one, other = applying(UNKNOWN_ID), applying("20260101-000000-1bd2-000000")
    assert stage_keys(one, PROTEIN) == stage_keys(other, PROTEIN)
    changed = stage_keys(one, replace(PROTEIN, network="other weights"))
    differing = {name for name, key in stage_keys(one, PROTEIN).items() if changed[name] != key}
    assert differing == {"training", "distance", "recovery", "alignment"}
    another_protein = stage_keys(one, replace(PROTEIN, volume="6msm"))
    assert another_protein["training"] == stage_keys(one, PROTEIN)["training"]
    assert another_protein["distance"] != stage_keys(one, PROTEIN)["distance"]


@pytest.mark.slow
def test_the_digest_is_of_weights_and_calibration_alone(with_network, runs_dir):
    config, path = applying(with_network.run_id), with_network.path / "model.keras"
    network = find_network(config, runs_dir)
    rewritten(path)
    assert find_network(config, runs_dir).digest == network.digest, "the time of the writing is no part of a network"
    assert load_inputs(config, runs_dir).source().network == network.digest
    assert digest_of(path, [0.0, 1.5]) != network.digest
    with zipfile.ZipFile(path) as archive:
        weights = bytearray(archive.read("model.weights.h5"))
    weights[-1] ^= 1
    rewritten(path, model=bytes(weights))
    assert find_network(config, runs_dir).digest != network.digest


@pytest.mark.slow
def test_the_estimate_says_that_nothing_is_trained(with_network, runs_dir):
    config = applying(with_network.run_id)
    source = load_inputs(config, runs_dir).source()
    mine, theirs = estimate.estimate(config, source), estimate.estimate(TRAINED, source)
    assert mine.by_stage["training"] < 5 < 10 < theirs.by_stage["training"]
    assert mine.memory_bytes <= theirs.memory_bytes
    alone = estimate.total([config], runs_dir=runs_dir)
    assert alone.seconds == pytest.approx(mine.seconds, abs=0.2)
    twice = estimate.total([config, config], runs_dir=runs_dir)
    assert twice.seconds < 1.6 * alone.seconds, "the second reuses what the first has made"
    row = {"status": "finished", "host": socket.gethostname(), "config": config_to_dict(config), "reused": []}
    history = [row | {"seconds": {"training": 2.0}}]
    slower = estimate.estimate(TRAINED, source, history).by_stage["training"]
    assert slower == pytest.approx(0.5 * theirs.by_stage["training"], rel=0.01)
    with pytest.raises(InputError, match=r"wanted training\.image_size = 20$"):
        estimate.total([applying(with_network.run_id, training={"image_size": 22})], runs_dir=runs_dir)


def test_a_configuration_with_a_network_is_written_without_a_training():
    config = applying(UNKNOWN_ID)
    assert config_to_dict(config)["training"] == {"on": "reference", "image_size": 20, "model": UNKNOWN_ID}
    assert config_from_dict(tomllib.loads(config_to_toml(config))) == config


@pytest.mark.slow
def test_an_exported_network_belongs_to_the_directory_it_is_in(with_network, runs_dir, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(InputError, match=f"no run {with_network.run_id} in "):
        find_network(applying(with_network.run_id), elsewhere)
    shutil.copytree(with_network.path, elsewhere / with_network.run_id)
    assert find_network(applying(with_network.run_id), elsewhere).path.parent.parent == elsewhere
