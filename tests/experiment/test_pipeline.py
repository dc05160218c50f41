from __future__ import annotations

import itertools
import json
import math
import struct
import tomllib
from functools import partial
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform

from engine.base.errors import InputError
from engine.config.settings import config_from_dict, load_config
from engine.experiment import pipeline
from engine.experiment.stages import stages_of, training
from engine.geometry import symmetry
from engine.geometry.rotations import geodesic_distance, to_quaternion
from engine.imaging import simulation, symmetric_density
from engine.imaging.noise import NoiseModel
from engine.imaging.particles import ParticleSet
from engine.io.mrc import write_map
from engine.io.particles import read_particles
from engine.poses import distance, neighbourhood, pairs
from engine.record.events import read_events
from engine.record.runlog import RunWriter
from tests.learning_testing import train_small_networks

QUICK = [
    "projections.count=60", "projections.size=40", "distance.method=exact", "volume.resolution=12",
    "volume.voxel_size=5",
]  # fmt: skip
SIAMESE = [
    *(override for override in QUICK if not override.startswith("distance")), "training.projections=200",
    "training.validation_projections=32", "training.steps=12", "training.image_size=20", "training.batch_size=16",
    "training.max_seconds=1000",  # however busy the machine is,
]  # fmt: skip


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def run(runs_dir, *overrides, base=QUICK, **kwargs):
    return pipeline.run_experiment(load_config(None, [*base, *overrides]), runs_dir, ["test"], **kwargs)


@pytest.fixture(scope="module")
def exact(runs_dir):
    return run(runs_dir)


@pytest.fixture(scope="module")
def learned(runs_dir):
    return run(runs_dir, base=SIAMESE)


def test_exact_distances_recover_the_poses(exact):
    assert exact.status == "finished"
    assert exact.metrics["angle_error_median"] < 1e-3
    assert exact.metrics["distance_mae"] == 0
    assert exact.metrics["recovery_loss"] < 1e-9
    assert exact.metrics["angle_error_median_unaligned"] > 0.3
    assert tuple(exact.seconds) == stages_of(exact.config)


@pytest.mark.slow
def test_everything_that_explains_a_run_is_in_its_directory(learned):
    names = {path.name for path in learned.path.iterdir()}
    assert names == {
        "config.toml", "run.json", "events.jsonl", "log.txt", "result.json", "projections.npz", "training.npz",
        "model.keras", "model.json", "distances.npz", "recovery.npz", "poses.npz", "poses.star", "reconstruction.mrc",
        "half1.mrc", "half2.mrc", "fsc.npz",
    }  # fmt: skip
    facts = json.loads((learned.path / "run.json").read_text())
    assert facts["packages"]["numpy"] == np.__version__
    assert {"hardware", "command", "seed", "git"} <= set(facts)
    again = config_from_dict(tomllib.loads((learned.path / "config.toml").read_text()))
    assert again == learned.config
    events, _ = read_events(learned.path)
    steps = [event["values"]["step"] for event in events if event["kind"] == "training"]
    assert steps == sorted(steps)
    assert steps[-1] == 12


def test_the_record_agrees_with_the_metrics(exact):
    with np.load(exact.path / "poses.npz") as poses:
        errors = geodesic_distance(to_quaternion(poses["aligned"]), to_quaternion(poses["true"]))
        np.testing.assert_allclose(errors, poses["errors"], atol=1e-9)
        assert np.median(poses["errors"]) == exact.metrics["angle_error_median"]
        in_star = read_particles(exact.path / "poses.star", warn=[].append)
        np.testing.assert_allclose(in_star.poses, poses["aligned"], atol=1e-7)
    with np.load(exact.path / "distances.npz") as distances:
        assert distances["counts"].sum() == 60 * 59 // 2
    with mrcfile.open(exact.path / "reconstruction.mrc") as map_:
        assert map_.voxel_size.x == pytest.approx(5.0)


@pytest.mark.slow
def test_distances_among_the_first_projections_are_kept(learned):
    with np.load(learned.path / "distances.npz") as kept, np.load(learned.path / "poses.npz") as poses:
        assert kept["among_first"].dtype == np.float32
        full = squareform(kept["among_first"])
        np.testing.assert_array_equal(full[kept["first"], kept["second"]], kept["estimated"])
        exact = distance.exact_distances(to_quaternion(poses["true"]), pairs.all_pairs(60)).values
        recall = neighbourhood.neighbour_recall(exact, kept["among_first"], 60)
    assert learned.metrics["neighbour_recall_at_10"] == pytest.approx(recall)
    assert 10 / 59 < recall < 1


@pytest.mark.slow
def test_of_many_projections_only_the_first_ones_distances_are_kept(runs_dir, exact, monkeypatch):
    monkeypatch.setattr("engine.experiment.stages.distance.EMBEDDED_PROJECTIONS", 20)
    again = run(runs_dir)
    with np.load(again.path / "distances.npz") as some, np.load(exact.path / "distances.npz") as all_:
        np.testing.assert_array_equal(squareform(some["among_first"]), squareform(all_["among_first"])[:20, :20])
    assert again.metrics["neighbour_recall_at_10"] == exact.metrics["neighbour_recall_at_10"] == 1


@pytest.mark.slow
def test_where_not_all_pairs_are_held_neighbours_are_not_told(tmp_path, monkeypatch):
    few = partial(pairs.candidate_pairs, most=1000)
    monkeypatch.setattr(pairs, "candidate_pairs", few)
    record = run(tmp_path, "reconstruction.enabled=false")
    assert "neighbour_recall_at_10" not in record.metrics
    with np.load(record.path / "distances.npz") as kept:
        assert "among_first" not in kept


@pytest.mark.slow
@pytest.mark.parametrize("initialisation", ["mds", "isomap", "random"])
def test_the_recovery_can_start_elsewhere(runs_dir, exact, initialisation):
    other = run(runs_dir, f"recovery.initialisation={initialisation}", "reconstruction.enabled=false")
    assert other.reused == ("projections", "distance")
    assert other.metrics["angle_error_median"] < 1e-3
    with np.load(other.path / "recovery.npz") as one, np.load(exact.path / "recovery.npz") as spectral:
        assert one["loss_curve"][0] != spectral["loss_curve"][0]


@pytest.mark.slow
def test_reuse_gives_the_same_numbers_as_no_reuse(runs_dir, learned, tmp_path):
    later = run(runs_dir, "recovery.restarts=40", base=SIAMESE)
    assert later.reused == ("projections", "training", "distance")
    fresh = run(tmp_path / "fresh", "recovery.restarts=40", base=SIAMESE)
    assert fresh.reused == ()
    assert later.metrics == fresh.metrics
    np.testing.assert_array_equal(
        np.load(later.path / "poses.npz")["recovered"], np.load(fresh.path / "poses.npz")["recovered"]
    )
    assert (later.path / "model.keras").read_bytes() == (learned.path / "model.keras").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "reused"),
    [
        ("recovery.max_iterations=3", {"projections", "distance"}),
        ("distance.method=perturbed", {"projections"}),
        ("reconstruction.iterations=3", {"projections", "distance", "recovery"}),
        ("projections.noise_variance=0.5", set()),
        ("projections.count=61", set()),
        ("seed=1", set()),
    ],
)
def test_only_what_does_not_depend_on_a_change_is_reused(runs_dir, exact, override, reused):
    assert set(run(runs_dir, override).reused) == reused


@pytest.mark.slow
def test_the_number_of_test_projections_does_not_touch_the_training(runs_dir, learned):
    assert "training" in run(runs_dir, "projections.count=50", base=SIAMESE).reused


def orientations_drawn(folder, monkeypatch, *overrides):
    """The test, training and validation poses of a run, each (n, 9), in the order in which they are drawn."""
    drawn, sample = [], simulation.sample_orientations

    def noted(*settings):
        drawn.append(sample(*settings))
        return drawn[-1]

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "sample_orientations", noted)
        train_small_networks(patch)
        run(folder, "training.steps=1", "reconstruction.enabled=false", *overrides, base=SIAMESE)
    test, training_poses, validation = (poses.reshape(-1, 9) for poses in drawn)
    return test, training_poses, validation


@pytest.mark.slow
def test_no_projection_of_the_test_is_trained_or_validated_on_and_their_number_moves_no_other(tmp_path, monkeypatch):
    alike = "projections.count=64", "training.projections=64", "training.validation_projections=64"
    sets = orientations_drawn(tmp_path / "alike", monkeypatch, *alike)
    assert [len(poses) for poses in sets] == [64, 64, 64]
    for one, other in itertools.combinations(sets, 2):
        assert cdist(one, other).min() > 1e-3
    larger = orientations_drawn(tmp_path / "larger", monkeypatch, *alike, "projections.count=70")
    assert len(larger[0]) == 70
    np.testing.assert_array_equal(larger[1], sets[1])
    np.testing.assert_array_equal(larger[2], sets[2])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_another(exact, tmp_path):
    again, other = run(tmp_path), run(tmp_path, "seed=5")
    assert again.metrics == exact.metrics
    assert other.metrics["angle_error_median_unaligned"] != exact.metrics["angle_error_median_unaligned"]


ALL = 60 * 59 // 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        # The mean of |e| is sqrt(2 v / pi) where nothing is clipped to [0, pi], and less where something is.
        (
            ["distance.method=perturbed", "distance.perturbation_variance=0.2"],
            {"distance_mae": (0.3, 0.357), "angle_error_median": (0.01, 0.3), "recovery_pairs": (ALL, ALL)},
        ),
        (
            ["projections.max_shift=3", "projections.snr=0.5", "projections.sampling=euler"],
            {"snr": (0.5, 0.5), "angle_error_median": (0, 1e-3)},
        ),
        (
            ["recovery.pairs=knn+random", "recovery.pairs_per_projection=30", "reconstruction.enabled=false"],
            {"recovery_pairs": (60 * 15, ALL - 1), "angle_error_median": (0, 1e-3)},
        ),
        (
            ["recovery.max_distance=2.0", "volume.source=1tii"],
            {"recovery_pairs": (0.2 * ALL, 0.6 * ALL), "angle_error_median": (0, 1e-3)},
        ),
        (["projections.count=4"], {"recovery_pairs": (6, 6), "recovery_loss": (0, 1e-6)}),
    ],
)
def test_every_stage_has_its_variants(runs_dir, overrides, expected):
    record = run(runs_dir, *overrides)
    for name, (least, most) in expected.items():
        assert least <= record.metrics[name] <= most, (name, record.metrics[name])
    enabled = "reconstruction.enabled=false" not in overrides
    assert (record.path / "reconstruction.mrc").exists() == ("fsc_0.5_angstrom" in record.metrics) == enabled


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "powers"),
    [([], [1]), (["distance.calibration=polynomial", "projections.coverage=half"], [0, 1, 2, 3, 4, 5])],
)
def test_euclidean_distances_are_a_curve_of_the_differences_of_pixels(runs_dir, overrides, powers):
    """Against SciPy's distances between standardised images; the curve itself is that of other projections."""
    record = run(runs_dir, "distance.method=euclidean", *overrides)
    with np.load(record.path / "projections.npz") as kept:
        images = kept["images"].reshape(len(kept["images"]), -1).astype(float)
    images = (images - images.mean(axis=1, keepdims=True)) / images.std(axis=1, keepdims=True)
    pixels = pdist(images) / np.sqrt(images.shape[1])
    with np.load(record.path / "distances.npz") as kept:
        among = squareform(kept["among_first"])[: len(images), : len(images)]
    estimated = squareform(among, checks=False)
    inside = (estimated > 0) & (estimated < np.float32(np.pi))  # the others are clipped
    assert inside.sum() > 0.7 * len(estimated)
    curve = pixels[inside, None] ** powers
    coefficients = np.linalg.lstsq(curve, estimated[inside], rcond=None)[0]
    np.testing.assert_allclose(curve @ coefficients, estimated[inside], atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["volume", "reconstruction"])
def test_refinement_is_a_stage_of_its_own_and_reported_apart(runs_dir, exact, reference):
    noisy = ["distance.method=perturbed", "projections.max_shift=2", "projections.snr=1"]
    plain = run(runs_dir, *noisy)
    refined = run(runs_dir, *noisy, "refinement.enabled=true", f"refinement.reference={reference}")
    gained = {name: value for name, value in refined.metrics.items() if name.startswith("refined_")}
    assert {name: refined.metrics[name] for name in plain.metrics} == plain.metrics, "the two steps' figures stay"
    assert gained["refined_angle_error_median"] < 0.5 * plain.metrics["angle_error_median"]
    assert gained["refined_fsc_0.5_angstrom"] <= plain.metrics["fsc_0.5_angstrom"]
    assert set(refined.seconds) - set(plain.seconds) == {"refinement"}
    with np.load(refined.path / "refined.npz") as arrays:
        assert np.median(arrays["errors"]) == gained["refined_angle_error_median"]
    in_star = read_particles(refined.path / "refined.star", warn=[].append)
    assert len(in_star.poses) == 60
    assert (refined.path / "refined_reconstruction.mrc").exists()


@pytest.mark.slow
@pytest.mark.parametrize("group", ["C2", "D2"])
def test_a_symmetric_object_is_recovered_modulo_its_group(runs_dir, group):
    record = run(
        runs_dir, f"volume.symmetry={group}", "volume.symmetrize=oligomer", "volume.resolution=20",
        "volume.voxel_size=7", "projections.size=48",
    )  # fmt: skip
    assert record.metrics["angle_error_median"] < 0.005
    assert record.metrics["recovery_loss"] < 1e-9
    assert record.metrics["fsc_0.5_angstrom"] < 20
    log = (record.path / "log.txt").read_text()
    assert f"symmetry {group}: correlation of the density with its rotated copies is" in log


@pytest.mark.slow
def test_a_density_that_looks_symmetric_is_warned_of(runs_dir, tmp_path, toy_volume):
    density = symmetric_density.oligomer(toy_volume.density, toy_volume.center_index, symmetry.group("C2"))
    write_map(tmp_path / "dimer.mrc", density, 2.5, np.zeros(3))
    base = (
        f"volume.source={tmp_path / 'dimer.mrc'}", "distance.method=exact", "projections.count=30",
        "projections.size=40", "reconstruction.enabled=false",
    )  # fmt: skip
    record = run(runs_dir, base=base)
    (messages,) = [event["message"] for event in read_events(record.path)[0] if event["kind"] == "warning"]
    assert messages.startswith(
        "the density looks the same turned by 1/2 about z (correlation 1.000 at least), so poses are"
    )
    # Told the symmetry, it has nothing to warn of.
    record = run(runs_dir, "volume.symmetry=C2", base=base)
    assert not [event for event in read_events(record.path)[0] if event["kind"] == "warning"]


@pytest.mark.slow
def test_a_network_learns_the_distance_modulo_the_group(runs_dir):
    record = run(
        runs_dir, "volume.symmetry=D2", "volume.symmetrize=oligomer", "volume.voxel_size=5", "volume.resolution=15",
        "training.steps=60", base=SIAMESE,
    )  # fmt: skip
    with np.load(record.path / "distances.npz") as arrays:
        assert arrays["exact"].max() < 2.1, "no two poses are further apart modulo D2"
        guessing = np.mean(np.abs(arrays["exact"] - np.median(arrays["exact"])))
        assert record.metrics["distance_mae"] < 0.95 * guessing
    with np.load(record.path / "training.npz") as arrays:
        assert len(arrays["calibration"]) == math.comb(3 + 5, 3) - 1, "three kernels, to the fifth power together"


def test_refining_against_a_reconstruction_needs_one(runs_dir):
    with pytest.raises(InputError, match=r"reconstruction.enabled is false; wanted a reconstruction"):
        run(runs_dir, "refinement.enabled=true", "reconstruction.enabled=false")


@pytest.mark.slow
def test_noise_is_told_in_both_ways(runs_dir):
    by_variance = run(runs_dir, "projections.noise_variance=2.0").metrics
    by_ratio = run(runs_dir, f"projections.snr={by_variance['snr']}").metrics
    assert by_ratio["noise_variance"] == pytest.approx(2.0)
    assert by_ratio["snr"] == pytest.approx(by_variance["snr"])


def logged(record):
    return [event["message"] for event in read_events(record.path)[0] if event["kind"] == "log"]


@pytest.mark.slow
def test_projections_with_a_ctf_are_logged_and_the_density_is_corrected_for_it(runs_dir, tmp_path, monkeypatch):
    """Projections of other defoci contradict each other where nothing corrects for them: a density shows it."""
    settings = ["projections.defocus=[10000, 40000]", "refinement.enabled=true"]
    record = run(runs_dir, *settings)
    lines = logged(record)
    (said,) = [line for line in lines if line.startswith("projections: multiplied by their CTF")]
    assert "ContrastTransfer(60 images, defocus " in said
    reused = run(runs_dir, *settings)
    assert [line for line in logged(reused) if "CTF" in line] == [line for line in lines if "CTF" in line]
    monkeypatch.setattr(ParticleSet, "transfers", lambda particles: None)
    uncorrected = run(tmp_path, *settings)
    assert record.metrics["fsc_0.5_angstrom"] < 20
    assert (uncorrected.metrics["fsc_0.5_angstrom"] or np.inf) > 25, "unknown where nothing agrees with the input"


@pytest.mark.slow
def test_a_network_is_trained_and_applied_with_ctf_and_coloured_noise(runs_dir):
    settings = ["projections.defocus=[8000, 30000]", "projections.snr=2", "projections.noise_spectrum=coloured"]
    record = run(runs_dir, *settings, base=SIAMESE)
    assert record.metrics["snr"] == 2
    assert any("noise is coloured" in line for line in logged(record))


def test_wrong_input_leaves_no_run_behind(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.mrc"):
        run(tmp_path / "runs", f"volume.source={tmp_path}/nothing.mrc")
    assert not (tmp_path / "runs").exists()


def test_an_experiment_too_large_for_memory_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"needs about .* GB of memory .* lower projections.count \(200000\)"):
        run(tmp_path / "runs", "projections.count=200000", "projections.size=1000")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (["training.projections=1000000", "training.image_size=512", "projections.size=4096", "projections.count=4"],
         r"lower training\.projections \(1000000\) or training\.image_size \(512\) or training\.validation_"),
        (["distance.method=euclidean", "projections.count=200000", "projections.size=16"],
         r"lower projections\.count \(200000\)$"),
    ],
)  # fmt: skip
def test_what_needs_the_memory_is_named(tmp_path, settings, remedy, monkeypatch):
    monkeypatch.setattr(pipeline.psutil, "virtual_memory", lambda: SimpleNamespace(available=32e9))
    with pytest.raises(InputError, match=rf"needs about .* GB of memory and 32\.0 GB are free; {remedy}"):
        pipeline.load_inputs(load_config(None, ["volume.resolution=20", *settings]))


def test_shifts_out_of_a_frame_that_is_the_volumes_are_refused_before_the_run(tmp_path):
    with pytest.raises(
        InputError, match=r"^projections\.max_shift is 2000 pixels and the images are 37 wide; wanted at"
    ):
        run(tmp_path / "runs", "projections.max_shift=2000", base=["volume.resolution=20"])
    assert not (tmp_path / "runs").exists()


def test_noise_that_drowns_the_signal_names_its_key(tmp_path):
    with pytest.raises(InputError, match=r"^projections\.noise_variance is 1e20 .* so projections\.snr is "):
        run(tmp_path / "runs", "projections.count=10", "projections.noise_variance=1e20")


@pytest.mark.slow
def test_a_failure_on_the_way_is_recorded_with_its_reason(runs_dir):
    with pytest.raises(InputError, match="unconnected"):
        run(runs_dir, "recovery.max_distance=0.05", run_id="20260101-000000-fails-000000")
    from engine.record.runrecord import read_run

    record = read_run(runs_dir / "20260101-000000-fails-000000")
    assert record.status == "failed"
    assert "unconnected" in record.message


@pytest.mark.parametrize(
    ("noise_variance", "least", "most"), [(0.0, 1800, 1800), (1.0, 1801, 5999), (100.0, 6000, 6000)]
)
def test_noise_makes_the_default_training_longer(toy_volume, noise_variance, least, most):
    noise, acquisition = NoiseModel(noise_variance), simulation.Acquisition(size=32)
    data = simulation.simulate_training(toy_volume, acquisition, noise, 20, 4, 24, np.random.default_rng(0))
    assert least <= training._default_steps(data) <= most


@pytest.mark.slow
def test_a_training_that_the_clock_shortened_is_told_beside_the_results(tmp_path, monkeypatch):
    train_small_networks(monkeypatch)
    record = run(tmp_path, "training.steps=100000", "training.max_seconds=1", base=SIAMESE)
    (messages,) = [event["message"] for event in read_events(record.path)[0] if event["kind"] == "warning"]
    assert messages.startswith("training met training.max_seconds and was shortened")


def test_what_is_doubtful_in_the_files_stays_with_the_run(runs_dir, tmp_path, toy_density):
    """Of the volume and of what is trained on."""
    for name, factor in (("test", 1.0), ("other", 2.0)):
        path = tmp_path / f"{name}.mrc"
        write_map(path, factor * toy_density, 2.5, np.zeros(3))
        content = path.read_bytes()
        path.write_bytes(content[:76] + struct.pack("<3f", -9, 9, 0) + content[88:])
    config = load_config(None, [f"volume.source={tmp_path / 'test.mrc'}", f"training.volumes={tmp_path / 'other.mrc'}"])
    inputs = pipeline.load_inputs(config)
    with RunWriter.create(runs_dir, config, ["test"]) as writer:
        pipeline._describe(inputs, config, writer)
        writer.finish({})
    messages = [event["message"] for event in read_events(writer.path)[0] if event["kind"] == "warning"]
    assert [line.partition(": ")[0] for line in messages] == [str(tmp_path / "test.mrc"), str(tmp_path / "other.mrc")]
    assert all("are not those of the data" in line for line in messages)
    assert (writer.path / "log.txt").read_text().count(" warning: ") == 2
