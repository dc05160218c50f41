"""Runs on recorded particles: small stacks that are made here, with a CTF, coloured noise, shifts and known poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest
import starfile
from scipy import signal
from scipy.ndimage import fourier_shift

from engine.base.errors import InputError
from engine.config.settings import config_from_dict
from engine.experiment import pipeline
from engine.experiment.artefacts import read_arrays
from engine.experiment.stack_input import read_stack
from engine.experiment.stage import Source
from engine.experiment.stages import distance, frame, halves, training
from engine.experiment.stages.particles import ParticlesStage
from engine.geometry.rotations import from_euler, geodesic_distance, to_euler, to_quaternion
from engine.imaging import stack_model
from engine.imaging.simulation import Acquisition, simulate
from engine.imaging.volume import Volume
from engine.io import mrc
from engine.poses.distance import exact_distances, perturb_distances

COUNT, SIZE, PIXEL = 60, 24, 4.0


@dataclass(frozen=True)
class Made:
    """A folder with ``map.mrc``, ``particles.star`` and its stack, and what the images were made with."""

    folder: Path
    poses: np.ndarray
    shifts: np.ndarray

    def config(self, **particles) -> dict:
        return {
            "particles": {"source": str(self.folder / "particles.star")} | particles,
            "volume": {"source": str(self.folder / "map.mrc")},
            "training": {
                "projections": 80, "validation_projections": 20, "steps": 2, "batch_size": 8, "image_size": 16,
            },
            "recovery": {"restarts": 10},
        }  # fmt: skip

    def table(self) -> dict[str, pd.DataFrame]:
        return starfile.read(self.folder / "particles.star")

    def write(self, blocks: dict[str, pd.DataFrame]) -> None:
        starfile.write(blocks, self.folder / "particles.star", overwrite=True)


@pytest.fixture
def made(tmp_path, toy_density) -> Made:
    rng = np.random.default_rng(5)
    box = np.zeros((SIZE,) * 3, np.float32)
    box[2:24, 3:24, 1:24] = toy_density[:22, :21, :23]  # whose centre of mass is not voxel n // 2
    volume = Volume(box, PIXEL, np.zeros(3), "toy", center="box")
    recorded = simulate(
        volume, Acquisition(size=SIZE, snr=1.0, max_shift=1.5, defocus=(8000, 20000), noise_spectrum="coloured"), COUNT,
        rng,
    )  # fmt: skip
    mrc.write_map(tmp_path / "map.mrc", box, PIXEL, np.zeros(3))
    mrc.write_stack(tmp_path / "stack.mrcs", 7 + 3 * recorded.images, PIXEL)
    ctf, truth = recorded.ctf, recorded.truth
    table = pd.DataFrame(to_euler(truth.poses), columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    table[["rlnOriginXAngst", "rlnOriginYAngst"]] = -truth.shifts * PIXEL
    table["rlnImageName"] = [f"{number:06d}@stack.mrcs" for number in range(1, COUNT + 1)]
    table[["rlnDefocusU", "rlnDefocusV"]], table["rlnDefocusAngle"] = ctf.defocus_angstrom, 0.0
    table["rlnOpticsGroup"], table["rlnMicrographName"] = 1, "a.mrc"
    optics = pd.DataFrame({
        "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["one"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [PIXEL], "rlnImageSize": [SIZE],
        "rlnImageDimensionality": [2],
    })  # fmt: skip
    result = Made(tmp_path, truth.poses, truth.shifts)
    result.write({"optics": optics, "particles": table})
    return result


@pytest.fixture
def known_distances(monkeypatch, made) -> None:
    """In place of the network's: the exact distances of the poses, and some noise. Nothing else is known."""
    simulated, simulate_like_stack = [], stack_model.simulate_like_stack

    def watched(*settings):
        result = simulate_like_stack(*settings)
        simulated.append(result[0].validation_poses)  # the last ones are the anchors of these distances
        return result

    def learned(context, images, pairs):
        rows = context.stack.chosen[context["particles"].members[halves.estimated(context)]]
        on_particles = context.config.training.on == "particles"
        poses = np.concatenate([made.poses[rows], distance.anchors(context)[1] if on_particles else simulated[-1]])
        assert len(images) == len(poses)
        return perturb_distances(exact_distances(to_quaternion(poses), pairs), 0.01, np.random.default_rng(1))

    monkeypatch.setattr(stack_model, "simulate_like_stack", watched)
    for stage in (distance, frame):
        monkeypatch.setattr(stage, "learned", learned)


@pytest.fixture
def without_training(monkeypatch) -> None:
    """The training set is made, but nothing is learned from it: :func:`known_distances` needs no network."""

    def untrained(self, context, progress):
        data = training._training_set(context, progress)
        assert np.isfinite(data.images).all()
        with context.record.writing(self.file(training.MODEL)) as path:
            path.write_bytes(b"no network")
        nothing = np.zeros((0, 3))
        return training.TrainedNetwork(2, 1.0, False, 0.1, False, 2, np.zeros(1), nothing)

    monkeypatch.setattr(training.TrainingStage, "run", untrained)


def run(table: dict, folder: Path):
    return pipeline.run_experiment(config_from_dict(table), folder, ["test"])


@pytest.mark.slow
def test_poses_come_out_in_the_frame_of_the_map_and_in_the_table_they_came_in(
    made, known_distances, without_training, tmp_path
):
    record = run(made.config() | {"refinement": {"enabled": True, "reference": "volume"}}, tmp_path / "runs")
    figures = record.metrics
    assert figures["particles"] == COUNT
    assert figures["frame_angle_error_median"] < 0.05
    assert figures["shift_error_median_px"] < 0.6
    assert figures["refined_frame_angle_error_median"] < 0.1
    assert figures["refined_shift_error_median_px"] < 0.3
    kept = read_arrays(record.path / "frame.npz")
    errors = geodesic_distance(to_quaternion(kept["poses"]), to_quaternion(made.poses))
    assert np.median(errors) == pytest.approx(figures["frame_angle_error_median"], rel=1e-6)
    assert np.median(np.linalg.norm(kept["shifts"] - made.shifts, axis=1)) == pytest.approx(
        figures["shift_error_median_px"], rel=1e-4
    )
    assert ((kept["confidence"] > 0) & (kept["confidence"] <= 1)).all()

    before, after = made.table()["particles"], starfile.read(record.path / "poses.star")["particles"]
    assert list(after)[: len(before.columns)] == list(before)
    pd.testing.assert_frame_equal(after[["rlnImageName", "rlnDefocusU"]], before[["rlnImageName", "rlnDefocusU"]])
    written = from_euler(after[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy(float))
    assert geodesic_distance(to_quaternion(written), to_quaternion(kept["poses"])).max() < 1e-5
    origins = after[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float)
    np.testing.assert_allclose(origins, -kept["shifts"] * PIXEL, atol=1e-4)
    assert set(after["rlnRandomSubset"]) == {1, 2}
    log = (record.path / "log.txt").read_text()
    assert f"{COUNT} particles in 1 stack (RELION 3.1): 24 px of 4 Å" in log
    assert "images are taken as they are" in log


@pytest.mark.slow
def test_images_are_moved_back_and_embedded_once_more(made, known_distances, without_training, monkeypatch, tmp_path):
    """The network sees what it would see of a stack whose images SciPy has moved back."""
    embedded, estimates = [], []
    learned, recentred = frame.learned, frame._recentred
    monkeypatch.setattr(frame, "learned", lambda *settings: [embedded.append(settings[1]), learned(*settings)][1])
    monkeypatch.setattr(frame, "_recentred", lambda *settings: [estimates.append(settings[1]), recentred(*settings)][1])
    run(made.config(), tmp_path / "runs")
    (images,), (first,) = embedded, estimates
    assert len(images) == COUNT + distance.ANCHORS
    assert np.abs(first.shifts).max() > 0.5

    with mrcfile.open(made.folder / "stack.mrcs") as stack:
        spectra = np.fft.fft2(stack.data)
    moved = [fourier_shift(one, -shift[::-1]) for one, shift in zip(spectra, first.shifts, strict=True)]
    mrc.write_stack(made.folder / "stack.mrcs", np.fft.ifft2(moved).real.astype(np.float32), PIXEL)
    plain = run(made.config(recentre=False), tmp_path / "plain")
    assert len(embedded) == 1
    prepared = read_arrays(plain.path / "particles.npz")["prepared"]
    assert np.corrcoef(images[: len(prepared)].ravel(), prepared.ravel())[0, 1] > 0.99


@pytest.mark.slow
def test_without_reference_poses_the_poses_are_the_same_and_no_figure_pretends(
    made, known_distances, without_training, tmp_path
):
    table = made.config(max_shift=2.0) | {"reconstruction": {"enabled": False}}
    with_reference = run(table, tmp_path / "one")
    blocks = made.table()
    known = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    blocks["particles"] = blocks["particles"].drop(columns=known)
    made.write(blocks)
    without = run(table, tmp_path / "two")
    one, two = (read_arrays(record.path / "frame.npz") for record in (with_reference, without))
    for name in ("poses", "shifts", "confidence", "rows", "anchor_errors"):
        np.testing.assert_array_equal(one[name], two[name])
    assert one.keys() - two.keys() == {"reference", "errors"}
    gone = with_reference.metrics.keys() - without.metrics.keys()
    assert {"frame_angle_error_median", "angle_error_median", "shift_error_median_px"} <= gone
    assert not any("error" in name or "share" in name for name in without.metrics)


@pytest.mark.slow
@pytest.mark.parametrize("on", ["particles", "reconstruction"])
def test_each_half_is_estimated_by_what_the_other_taught(
    made, known_distances, without_training, monkeypatch, on, tmp_path
):
    taught, make = [], training.TrainingStage.run

    def watched(self, context, progress):
        taught.append((self.name, set(halves.teachers(context)), set(halves.estimated(context))))
        return make(self, context, progress)

    monkeypatch.setattr(training.TrainingStage, "run", watched)
    blocks = made.table()
    blocks["particles"]["rlnRandomSubset"] = np.arange(COUNT) % 3 % 2 + 1
    made.write(blocks)
    table = made.config()
    del table["volume"]
    table["training"] |= {"on": on}
    table["refinement"] = {"enabled": True, "rounds": 1}
    record = run(table, tmp_path / "runs")
    assert record.metrics["refined_frame_angle_error_median"] < 0.3
    assert "each half set was matched with its own map alone" in (record.path / "log.txt").read_text()
    assert [name for name, *_ in taught] == ["training", "training_half2"]
    for _, teachers, estimated in taught:
        assert teachers | estimated == set(range(COUNT))
        assert not teachers & estimated
    assert len(taught[0][2]) == 40
    assert record.metrics["frame_angle_error_median"] < 0.1
    assert "fsc_0.5_angstrom" not in record.metrics
    kept = read_arrays(record.path / "frame.npz")
    np.testing.assert_array_equal(kept["rows"], np.arange(COUNT))
    errors = geodesic_distance(to_quaternion(kept["poses"]), to_quaternion(made.poses))
    assert np.median(errors) == pytest.approx(record.metrics["frame_angle_error_median"], rel=1e-6)
    assert {"model.keras", "model_half2.keras"} <= {path.name for path in record.path.iterdir()}
    one_half = run(table | {"particles": table["particles"] | {"half": "2"}}, tmp_path / "one")
    rows = read_arrays(one_half.path / "frame.npz")["rows"]
    np.testing.assert_array_equal(rows, sorted(taught[1][2]))


@pytest.mark.slow
def test_images_cut_scaled_down_and_masked_give_the_same_poses_and_origins(made, known_distances, tmp_path):
    table = made.config(box=22, size=16, mask_radius=10, max_shift=2.0)
    table |= {"refinement": {"enabled": True, "reference": "volume"}}
    record = run(table, tmp_path / "runs")
    assert record.metrics["frame_angle_error_median"] < 0.05
    assert record.metrics["refined_frame_angle_error_median"] < 0.15
    assert record.metrics["shift_error_median_px"] < 0.6
    kept = read_arrays(record.path / "frame.npz")
    lengths = np.linalg.norm(kept["shifts"] * 22 / 16 - made.shifts, axis=1)
    assert record.metrics["shift_error_median_px"] == pytest.approx(np.median(lengths), rel=1e-4)
    origins = starfile.read(record.path / "poses.star")["particles"][["rlnOriginXAngst", "rlnOriginYAngst"]]
    np.testing.assert_allclose(-origins.to_numpy(float), kept["shifts"] * PIXEL * 22 / 16, atol=1e-4)
    assert mrc.read_map(record.path / "reconstruction.mrc")[0].shape == (16, 16, 16)
    log = (record.path / "log.txt").read_text()
    assert "images of 24 px are cut to the middle 22 and scaled down to 16, of 5.5 Å" in log


def test_images_used_are_the_recorded_ones_cut_and_scaled_down(made):
    """Against SciPy's resampling of the middle pixels, the origin moved to the first one and back."""
    stack = read_stack(config_from_dict(made.config(box=21, size=15, max_shift=2.1)))
    (rows, images) = next(stack.batches(np.array([3, 7])))
    np.testing.assert_array_equal(rows, [3, 7])
    recorded = mrc.read_map(made.folder / "stack.mrcs", stack_is_volume=True)[0][[3, 7]].astype(float)
    middle = np.fft.ifftshift(recorded[:, 2:23, 2:23], axes=(1, 2))  # of 24, pixel 12 is the middle one of 21
    expected = np.fft.fftshift(signal.resample(signal.resample(middle, 15, axis=1), 15, axis=2), axes=(1, 2))
    np.testing.assert_allclose(images, expected, atol=1e-4)
    assert (stack.size, stack.pixel_size, stack.max_shift) == pytest.approx((15, PIXEL * 21 / 15, 1.5))
    np.testing.assert_allclose(stack.reference_shifts, made.shifts * 15 / 21, atol=1e-4)


def test_what_is_done_to_images_is_in_the_keys(made):
    def key(**particles):
        config = config_from_dict(made.config(max_shift=2.0, **particles))
        source = Source("map", 24, 24**3, PIXEL, stack=read_stack(config).source())
        return repr(ParticlesStage().depends_on(config, source))

    keys = [key(), key(box=20), key(size=20), key(box=20, size=16), key(mask_radius=9.0), key(mask_radius=10.0)]
    assert len(set(keys)) == len(keys)
    assert key(box=24, size=24) == keys[0]


def test_particles_without_poses_teach_nothing(made, tmp_path):
    blocks = made.table()
    blocks["particles"] = blocks["particles"].drop(columns=["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"])
    made.write(blocks)
    table = made.config()
    table["training"] |= {"on": "particles"}
    with pytest.raises(InputError, match=r"training\.on is 'particles' and .*particles\.star has no poses; wanted"):
        run(table, tmp_path / "runs")


@pytest.mark.slow
def test_images_that_cannot_be_used_are_left_out_and_counted(made, known_distances, without_training, tmp_path):
    stack = mrc.read_map(made.folder / "stack.mrcs", stack_is_volume=True)[0]
    stack[3], stack[7, 2, 2] = 1.0, np.nan
    mrc.write_stack(made.folder / "stack.mrcs", -stack, PIXEL)
    record = run(made.config(limit=40) | {"reconstruction": {"enabled": False}}, tmp_path / "runs")
    kept = read_arrays(record.path / "frame.npz")
    assert not np.isin([3, 7], kept["rows"]).any()
    assert record.metrics["particles"] + record.metrics["particles_left_out"] == 40
    assert "images are multiplied by -1" in (record.path / "log.txt").read_text()
    assert len(starfile.read(record.path / "poses.star")["particles"]) == len(kept["rows"])


@pytest.mark.parametrize(
    ("particles", "others", "expected"),
    [
        ({"half": 3}, {}, "particles.half"),
        ({"limit": 2}, {}, "particles.limit is 2"),
        ({"max_shift": 20}, {}, "particles.max_shift is 20 px and images are 24 px wide"),
        ({"source": "no.star"}, {}, "no.star"),
        ({"box": 30}, {}, "particles.box is 30 px and images are 24 px wide; wanted at most that"),
        ({"box": 18, "size": 20}, {}, "particles.size is 20 px and the box is 18 px wide; wanted at most that"),
        ({"size": 4}, {}, "particles.size is 4"),
        ({"box": 18, "mask_radius": 10}, {}, "particles.mask_radius is 10 px and images are 18 px wide"),
        ({"mask_radius": 0.5}, {}, "particles.mask_radius is 0.5"),
        ({}, {"projections": {"count": 1000}}, "projections.count given beside particles.source"),
        ({}, {"distance": {"method": "exact"}}, "distance.method is 'exact'"),
        ({}, {"volume": {}}, "particles.source is given without volume.source"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_and_leaves_no_run(made, particles, others, expected, tmp_path):
    with pytest.raises(InputError, match=expected) as error:
        run(made.config(**particles) | others, tmp_path / "runs")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_half_without_particles_is_named(made, tmp_path):
    blocks = made.table()
    blocks["particles"]["rlnRandomSubset"] = 1
    made.write(blocks)
    with pytest.raises(InputError, match=r"has 0 particles in half 2 \(particles.half\)"):
        run(made.config(half=2), tmp_path / "runs")


def test_a_record_of_a_run_on_particles_reads_back(made):
    from engine.config.settings import config_to_toml, load_config

    config = config_from_dict(made.config(half=1))
    (made.folder / "config.toml").write_text(config_to_toml(config))
    assert load_config(made.folder / "config.toml") == config
    assert "[projections]" not in config_to_toml(config)
