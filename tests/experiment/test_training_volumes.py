"""Training on several proteins and testing on one that was not among them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.config.numeric import volume_of
from engine.config.schema import VolumeConfig
from engine.config.settings import load_config
from engine.experiment import pipeline, training_volumes
from engine.imaging import simulation
from engine.imaging.noise import NoiseModel
from engine.imaging.several import simulate_training_of_several
from engine.imaging.simulation import Acquisition
from engine.imaging.volume import Volume
from engine.io import mrc
from engine.io.loading import load_volume
from tests.conftest import gaussians
from tests.learning_testing import train_small_networks

BASE = [
    "projections.count=40", "projections.size=24", "volume.resolution=16", "volume.voxel_size=6",
    "training.projections=120", "training.validation_projections=24", "training.steps=10", "training.max_seconds=1000",
    "training.image_size=16", "training.batch_size=8", "reconstruction.enabled=false", "recovery.restarts=3",
]  # fmt: skip


def config(*overrides):
    return load_config(None, [*BASE, *overrides])


def run(folder, *overrides):
    return pipeline.run_experiment(config(*overrides), folder, ["test"])


# Configuration ------------------------------------------------------------------------------------------------------


# Resampling ---------------------------------------------------------------------------------------------------------

CENTRES, WIDTHS, HEIGHTS = [(-4.0, 1.0, 2.0), (3.0, -2.0, 0.5)], [3.0, 2.5], [1.0, 1.5]


# Volumes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tested():
    return volume_of(config().volume)


def loaded(test, *overrides):
    messages = []
    return training_volumes.load_training_volumes(config(*overrides), test, messages.append), messages


def test_without_training_volumes_there_are_none(tested):
    assert loaded(tested) == (None, [])


@pytest.mark.slow
def test_proteins_of_atoms_come_on_the_test_volumes_voxels(tested):
    volumes, messages = loaded(tested, "training.volumes=random:1:2, 1tii")
    assert [volume.name for volume in volumes] == ["random_1", "random_2", "1tii"]
    assert {volume.voxel_size for volume in volumes} == {6.0}
    assert (len(volumes), len(set(volumes.identities)), messages) == (3, 3, [])
    np.testing.assert_array_equal(
        list(volumes)[1].density, load_volume("random:2", resolution=16, voxel_size=6).density
    )
    finer, _ = loaded(tested, "training.volumes=random:1:2, 1tii", "volume.resolution=20")
    assert not set(volumes.identities) & set(finer.identities), "what a training was shown is in its key"


def test_maps_are_resampled_and_it_is_said(tested, tmp_path):
    path = tmp_path / "blobs.mrc"
    mrc.write_map(path, gaussians((30, 28, 26), CENTRES, WIDTHS, HEIGHTS), 3.0, np.zeros(3))
    volumes, messages = loaded(tested, f"training.volumes={path}, random:1")
    assert [volume.voxel_size for volume in volumes] == [6.0, 6.0]
    assert messages == ["training volume blobs: resampled in Fourier space from 3 to 6 Å per voxel, those of 1bd2"]


def test_one_training_volume_is_allowed_with_a_word(tested):
    _, messages = loaded(tested, "training.volumes=6msm")
    assert messages == ["training on 6msm alone: a network learns what proteins have in common from several"]


def test_the_test_volume_under_another_name_is_found(tested, tmp_path):
    path = tmp_path / "other.mrc"
    mrc.write_map(path, tested.density, tested.voxel_size, tested.origin)
    test = load_volume(str(path))
    copy = tmp_path / "copy.mrc"
    copy.write_bytes(path.read_bytes())
    asked = load_config(None, [f"volume.source={path}", f"training.volumes={copy}"])
    with pytest.raises(InputError, match=r"copy.mrc', which is the density of volume.source"):
        training_volumes.load_training_volumes(asked, test, lambda line: None)


def simulated(volumes, noise=0.0, signal=0.0, count=20, validation=16, say=lambda line: None, size=24):
    model = NoiseModel(noise, signal / noise) if noise else NoiseModel()
    return simulate_training_of_several(
        volumes, len(volumes), Acquisition(size=size), model, count, validation, 16, np.random.default_rng(0), say
    )


def test_every_protein_has_its_projections_in_one_frame(tested):
    volumes, _ = loaded(tested, "training.volumes=random:1:3")
    data = simulated(volumes)
    assert data.images.shape == (20, 16, 16)
    assert np.bincount(data.proteins).tolist() == [7, 7, 6]
    assert np.bincount(data.validation_proteins).tolist() == [8, 0, 8], "few validation projections, fewer proteins"
    # The first protein's are what it alone would have given.
    alone = simulation.simulate_training(
        next(iter(volumes)), Acquisition(size=24), NoiseModel(), 7, 8, 16, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(data.images[:7], alone.images)
    np.testing.assert_array_equal(data.validation_poses[:8], alone.validation_poses)


def test_of_ten_proteins_one_is_held_out_for_validation(tested):
    volumes, _ = loaded(tested, "training.volumes=random:1")
    (one,) = volumes
    sources = [f"random:{number}" for number in range(20)]
    strengths = {source: 2.0**power for power, source in enumerate(sources)}
    several = training_volumes.TrainingVolumes(
        tuple(VolumeConfig(source=source) for source in sources), tuple(sources),
        {name: replace(one, density=np.float32(by) * one.density, name=name) for name, by in strengths.items()},
    )  # fmt: skip
    messages = []
    data = simulated(several, count=180, validation=16, say=messages.append)
    assert messages == ["2 of 20 training volumes are held out for validation"]
    assert data.held_out
    assert np.bincount(data.validation_proteins, minlength=20).tolist() == [8, *[0] * 18, 8]
    # Which protein a training projection is of shows in how strong it is.
    seen = np.round(np.log2([data.images[data.proteins == owner].std() for owner in range(18)] / one.density.std()), 1)
    np.testing.assert_allclose(np.diff(seen), 1.0, atol=0.5)
    assert np.bincount(data.proteins).tolist() == [10] * 18
    weakest = simulated(training_volumes.TrainingVolumes(several.configs[1:2], ("1",), several._loaded), count=10)
    assert data.images[:10].std() == pytest.approx(weakest.images.std(), rel=0.2), "the first protein is held out"
    assert not weakest.held_out


@pytest.mark.slow
def test_what_a_network_says_of_unseen_proteins_is_calibrated_on_those_held_out(tmp_path):
    record = run(
        tmp_path, "training.volumes=random:1:10", "training.batch_size=4", "training.validation_projections=64"
    )
    with np.load(tmp_path / ".cache" / "training" / _only(tmp_path / ".cache" / "training") / "arrays.npz") as stored:
        assert stored["calibration"].shape == (math.comb(3 + 5, 3) - 1,)
    # A network of ten steps knows nothing: calibrated, it says little else than the mean, and errs as guessing does.
    assert record.metrics["distance_mae"] < 0.62


def _only(folder):
    (entry,) = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    return entry


def test_noise_means_the_same_for_every_protein(tested):
    """Two proteins whose densities differ a hundredfold in scale come with the test projections' signal variance."""
    volumes, _ = loaded(tested, "training.volumes=random:1:2")
    one, two = list(volumes)
    scaled = Volume(100 * two.density, two.voxel_size, two.origin, two.name)
    mixed = training_volumes.TrainingVolumes(
        volumes.configs, volumes.identities, {"random:1": one, "random:2": scaled}
    )  # fmt: skip
    data = simulated(mixed, noise=2.0, signal=5.0, count=200)
    variances = [data.images[data.proteins == owner].var() for owner in (0, 1)]
    # At 24 pixels; a frame of 16 over the same field keeps most of it and has pixels 1.5 times as large.
    np.testing.assert_allclose(variances, 5.0, rtol=0.25)
    assert data.noise.variance == pytest.approx(2.0 * (16 / 24) ** 2)


def test_what_reaches_beyond_the_frame_is_told(tested):
    volumes, _ = loaded(tested, "training.volumes=random:1, 6msm")
    messages = []
    simulated(volumes, say=messages.append, size=14)
    assert messages == ["1 of 2 training volumes reach beyond the projections' frame, cut off: 6msm"]


# Batches ------------------------------------------------------------------------------------------------------------


# Runs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_serves_all_test_proteins_of_one_frame(tmp_path, monkeypatch):
    train_small_networks(monkeypatch)
    volumes = "training.volumes=random:1:3"
    first = run(tmp_path, volumes)
    assert first.reused == ()
    assert np.isfinite(first.metrics["angle_error_median"])
    another_protein = run(tmp_path, volumes, "volume.source=1tii")
    assert another_protein.reused == ("training",)
    assert (another_protein.path / "model.keras").read_bytes() == (first.path / "model.keras").read_bytes()
    assert another_protein.metrics["distance_mae"] != first.metrics["distance_mae"]
    other_proteins = run(tmp_path, "training.volumes=random:1:2")
    assert "training" not in other_proteins.reused
    assert other_proteins.metrics["distance_mae"] != first.metrics["distance_mae"]


def test_what_is_wrong_leaves_no_run_behind(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.mrc"):
        run(tmp_path / "runs", f"training.volumes={tmp_path}/nothing.mrc, random:1")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_method_that_learns_nothing_needs_no_training_volumes(tmp_path):
    record = run(tmp_path, f"training.volumes={tmp_path}/nothing.mrc", "distance.method=exact")
    assert record.status == "finished"
