from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.base.errors import ArgumentError
from engine.geometry import rotations
from engine.geometry.rotations import geodesic_distance, to_quaternion
from engine.imaging import filters, fourier
from engine.imaging.noise import NoiseModel
from engine.imaging.volume import Volume
from engine.poses import refinement
from tests.conftest import reference_projection

SIZE = 42


@pytest.fixture
def volume(toy_density) -> Volume:
    """Off the middle of its box, so that the centre matters."""
    return Volume(density=np.pad(toy_density, ((0, 3), (2, 0), (0, 4))), voxel_size=2.5, origin=np.zeros(3), name="toy")


def turned(poses, angle, rng):
    axes = rng.standard_normal((len(poses), 3))
    return poses @ Rotation.from_rotvec(angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)).as_matrix()


def images_of(volume, poses):
    """Projections by splines, which share no code with the refinement's model of a projection."""
    projections = [reference_projection(volume.density, pose, volume.center_index, SIZE) for pose in poses]
    return np.array(projections, dtype=np.float32)


def errors(found, poses):
    return geodesic_distance(to_quaternion(found), to_quaternion(poses))


def test_poses_some_degrees_off_are_brought_back(volume, rng):
    poses = rotations.sample_orientations(40, rng)
    found = refinement.refine_poses(
        images_of(volume, poses), turned(poses, 0.12, rng), volume.density, volume.center_index
    )
    assert np.max(errors(found.poses, poses)) < 1e-3
    np.testing.assert_array_equal(found.shifts, 0)


@pytest.mark.slow
def test_unknown_shifts_and_contrast_are_found_too(volume, rng):
    poses = rotations.sample_orientations(40, rng)
    shifts = rng.uniform(-4, 4, (40, 2))
    images = filters.shift_images(images_of(volume, poses), shifts)
    images *= rng.uniform(0.5, 2, (40, 1, 1)).astype(np.float32)
    found = refinement.refine_poses(images, turned(poses, 0.1, rng), volume.density, volume.center_index, max_shift=5)
    assert np.median(errors(found.poses, poses)) < 1e-3
    assert np.median(np.abs(found.shifts - shifts)) < 0.01


@pytest.mark.slow
def test_with_noise_errors_come_near_the_cramer_rao_bound(volume, rng):
    """The bound from the Fisher information of the pixels, by finite differences of projections by splines."""
    poses = rotations.sample_orientations(60, rng)
    clean = images_of(volume, poses)
    variance = 0.3 * float(clean.var())
    images = NoiseModel(variance).apply(clean, rng)
    found = refinement.refine_poses(images, turned(poses, 0.05, rng), volume.density, volume.center_index)
    bound = cramer_rao(volume, poses[::3], variance, rng)
    assert 0.8 * bound < np.median(errors(found.poses, poses)) < 1.3 * bound


def cramer_rao(volume, poses, variance, rng):
    """Median angle (rad) of errors with the covariance that the Fisher information allows at best."""
    step = 0.01  # the splines are exact to about 2e-4 of an image
    slopes = []
    for axis in np.eye(3):
        ahead, behind = (
            images_of(volume, poses @ Rotation.from_rotvec(sign * step * axis).as_matrix()) for sign in (1, -1)
        )
        slopes.append((ahead.astype(float) - behind).reshape(len(poses), -1) / (2 * step))
    slope = np.stack(slopes, axis=1)
    covariance = np.linalg.inv(slope @ slope.transpose(0, 2, 1) / variance)
    draws = np.linalg.cholesky(covariance)[:, None] @ rng.standard_normal((len(poses), 400, 3, 1))
    return np.median(np.linalg.norm(draws[..., 0], axis=-1))


def transfers(count, rng):
    """Functions (count, SIZE, SIZE // 2 + 1) of the kind that a microscope has, of 20 defoci: they change sign."""
    square = (fourier.half_plane_frequencies(SIZE) ** 2).sum(axis=-1)
    defocus = rng.choice(np.linspace(40, 120, 20), count)
    return -np.sin(np.arcsin(0.1) + defocus[:, None, None] * square)


def seen_through(transfer, images):
    return np.fft.irfft2(np.fft.rfft2(images) * transfer, s=(SIZE, SIZE)).astype(np.float32)


def test_images_with_contrast_transfer_are_matched_with_slices_that_have_it(volume, rng):
    poses = rotations.sample_orientations(8, rng)
    transfer = transfers(8, rng)
    images = seen_through(transfer, images_of(volume, poses))
    start, center = turned(poses, 0.1, rng), volume.center_index
    with_it = refinement.refine_poses(images, start, volume.density, center, transfer=transfer)
    without = refinement.refine_poses(images, start, volume.density, center)
    assert np.max(errors(with_it.poses, poses)) < 2e-3
    assert np.median(errors(without.poses, poses)) > 0.03


def test_no_transfer_and_white_noise_are_the_default(volume, rng):
    poses = rotations.sample_orientations(5, rng)
    images = NoiseModel(1.0).apply(images_of(volume, poses), rng)
    arguments = images, turned(poses, 0.1, rng), volume.density, volume.center_index, 2.0
    ones = np.ones((5, SIZE, SIZE // 2 + 1))
    plain = refinement.refine_poses(*arguments)
    stated = refinement.refine_poses(*arguments, transfer=ones, noise_power=7 * ones[0])
    np.testing.assert_allclose(stated.poses, plain.poses, atol=1e-5)
    np.testing.assert_allclose(stated.shifts, plain.shifts, atol=1e-4)


@pytest.mark.slow
def test_with_contrast_transfer_and_coloured_noise_errors_come_near_the_cramer_rao_bound(volume, rng):
    """Of rotation and shift, from 0.1 rad beside the truth. To weight all frequencies alike would lose some."""
    poses = rotations.sample_orientations(200, rng)
    transfer, shifts = transfers(200, rng), rng.uniform(-2, 2, (200, 2))
    clean = seen_through(transfer, images_of(volume, poses))
    radius = np.linalg.norm(fourier.half_plane_frequencies(SIZE), axis=-1)
    power = 0.2 * float(clean.var()) * (0.3 + 12 * np.exp(-((radius / 0.08) ** 2)))
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(clean.shape)) * np.sqrt(power), s=(SIZE, SIZE))
    images = filters.shift_images(clean, shifts) + noise.astype(np.float32)
    arguments = images, turned(poses, 0.1, rng), volume.density, volume.center_index, 3.0
    error = np.median(errors(refinement.refine_poses(*arguments, transfer=transfer, noise_power=power).poses, poses))
    some = slice(None, None, 10)
    bound = coloured_cramer_rao(volume, poses[some], transfer[some], power, rng)
    assert 0.8 * bound < error < 1.3 * bound
    unweighted = refinement.refine_poses(*arguments, transfer=transfer)
    assert np.median(errors(unweighted.poses, poses)) > 1.2 * error


def coloured_cramer_rao(volume, poses, transfer, power, rng):
    """:func:`cramer_rao` with an unknown shift, a transfer function for each image, and noise of this spectrum."""
    covariance = least_covariance(volume, poses, transfer, power)
    draws = np.linalg.cholesky(covariance)[:, None] @ rng.standard_normal((len(poses), 400, 3, 1))
    return np.median(np.linalg.norm(draws[..., 0], axis=-1))


def least_covariance(volume, poses, transfer, power):
    """Of the rotation vector (n, 3, 3), rad^2, with an unknown shift: from finite differences of splines."""
    step = 0.01
    k_u, k_v = np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)[:, None]
    columns = np.abs(np.arange(SIZE) - SIZE * (np.arange(SIZE) > SIZE // 2))
    whole = np.where(np.arange(SIZE) <= SIZE // 2, power[:, columns], power[(-np.arange(SIZE)) % SIZE][:, columns])

    def spectra(poses):
        return np.fft.fft2(seen_through(transfer, images_of(volume, poses)).astype(float)) / SIZE / np.sqrt(whole)

    turns = [Rotation.from_rotvec(step * axis).as_matrix() for axis in np.eye(3)]
    slopes = [(spectra(poses @ turn) - spectra(poses @ turn.T)) / (2 * step) for turn in turns]
    slopes += [-2j * np.pi * k * spectra(poses) for k in (k_u, k_v)]
    slope = np.stack(slopes, axis=1).reshape(len(poses), 5, -1)
    return np.linalg.inv((slope.conj() @ slope.transpose(0, 2, 1)).real)[:, :3, :3]


@pytest.mark.slow
def test_the_variance_is_the_least_possible_one_and_tells_noise(volume, rng):
    """The Cramér-Rao bound of each image, up to what noise does to one estimate; and it is the size of the errors."""
    poses = rotations.sample_orientations(60, rng)
    transfer, shifts = transfers(60, rng), rng.uniform(-2, 2, (60, 2))
    clean = seen_through(transfer, images_of(volume, poses))
    radius = np.linalg.norm(fourier.half_plane_frequencies(SIZE), axis=-1)
    power = 0.1 * float(clean.var()) * (0.3 + 12 * np.exp(-((radius / 0.08) ** 2)))
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(clean.shape)) * np.sqrt(power), s=(SIZE, SIZE))
    images = (filters.shift_images(clean, shifts) + noise).astype(np.float32)
    images[50:] = noise[50:]
    arguments = images, turned(poses, 0.05, rng), volume.density, volume.center_index, 3.0
    found = refinement.refine_poses(*arguments, transfer=transfer, noise_power=power)
    bound = np.trace(least_covariance(volume, poses[:50], transfer[:50], power), axis1=1, axis2=2)
    assert np.median(found.variance[:50] / bound) == pytest.approx(1, abs=0.1)
    assert np.std(np.log(found.variance[:50] / bound)) < 0.4
    right = errors(found.poses, poses)[:50]
    assert np.sqrt(np.median(right**2 / found.variance[:50])) == pytest.approx(0.9, abs=0.3)
    assert found.variance[50:].min() > np.quantile(found.variance[:50], 0.9)
    assert found.variance.max() <= np.pi**2 / 3 + 2


def test_what_fits_without_noise_is_certain_and_nothing_is_as_uncertain_as_a_random_pose(volume, rng):
    poses = rotations.sample_orientations(4, rng)
    images = images_of(volume, poses)
    images[2:] = 0
    found = refinement.refine_poses(images, poses, volume.density, volume.center_index)
    assert found.variance[:2].max() < 1e-5
    np.testing.assert_allclose(found.variance[2:], np.pi**2 / 3 + 2)


def test_transfer_and_noise_of_other_shapes_are_refused(volume, rng):
    poses = rotations.sample_orientations(3, rng)
    arguments = images_of(volume, poses), poses, volume.density, volume.center_index
    ones = np.ones((3, SIZE, SIZE // 2 + 1))
    with pytest.raises(ArgumentError, match=r"^transfer has the shape \(2, 42, 22\); wanted \(3, 42, 22\)"):
        refinement.refine_poses(*arguments, transfer=ones[:2])
    with pytest.raises(ArgumentError, match=r"^noise_power has the shape \(42, 22\) and values from 0; wanted"):
        refinement.refine_poses(*arguments, noise_power=0 * ones[0])


def data_of(volume, images, highest, transfer=None):
    """Images (n, size, size) at the frequencies up to ``highest``, as the search takes them."""
    plane = fourier.half_plane_frequencies(SIZE)
    inside = (np.linalg.norm(plane, axis=-1) < highest) & (np.linalg.norm(plane, axis=-1) > 0)
    spectra = np.fft.rfft2(np.fft.ifftshift(images, axes=(1, 2)))[:, inside]
    moments = refinement._moments(volume.density, volume.center_index)
    off_middle = volume.center_index - np.array([n // 2 for n in volume.density.shape[::-1]])
    weight = refinement._multiplicity(plane, SIZE)[inside]
    factor = None if transfer is None else transfer[:, inside]
    return refinement._Data(spectra, plane[inside], weight, weight.sum(), moments, off_middle, factor)


@pytest.mark.parametrize(("with_shifts", "with_transfer"), [(False, False), (True, False), (True, True)])
def test_derivatives_agree_with_finite_differences(volume, rng, with_shifts, with_transfer):
    poses = rotations.sample_orientations(3, rng)
    shifts = rng.uniform(-2, 2, (3, 2))
    transfer = transfers(3, rng) if with_transfer else None
    data = data_of(volume, images_of(volume, turned(poses, 0.2, rng)), 0.3, transfer)
    at = refinement._evaluate(data, poses, shifts, with_shifts)
    power = (data.weight * np.abs(data.spectra) ** 2).sum(axis=1)
    step = 2e-3
    for number in range(5 if with_shifts else 3):
        ends = []
        for sign in (1, -1):
            change = np.zeros(5)
            change[number] = sign * step * (1 if number < 3 else 10)
            moved = poses @ Rotation.from_rotvec(change[:3]).as_matrix()
            ends.append(refinement._evaluate(data, moved, shifts + change[3:], with_shifts).misfit)
        # With the best scale, the misfit's derivative is that of the residual alone: minus twice the right-hand side.
        numeric = (ends[0] - ends[1]) / (2 * step * (1 if number < 3 else 10))
        np.testing.assert_allclose(-2 * at.right[:, number] / power, numeric, rtol=0.02, atol=2e-3)


def test_a_step_never_makes_a_projection_fit_worse(volume, rng):
    poses, shifts = rotations.sample_orientations(40, rng), rng.uniform(-2, 2, (40, 2))
    # Nothing but noise: the steps lead nowhere, and many would make it worse.
    data = data_of(volume, rng.standard_normal((40, SIZE, SIZE)), 0.3)
    before = refinement._evaluate(data, poses, shifts, True)
    tried = refinement._evaluate(data, *refinement._stepped(before, np.full(40, refinement._DAMPING), 3.0), True)
    assert np.count_nonzero(tried.misfit > before.misfit) > 5
    last = before.misfit
    for iterations in (1, 2, 4):
        best = refinement._search(data, poses, shifts, 3.0, iterations)
        after = refinement._evaluate(data, best.poses, best.shifts, True).misfit
        assert np.all(after <= last + 1e-6)
        last = after
    assert np.median(before.misfit - last) > 1e-3


def test_images_of_nothing_leave_rotations_and_shifts_within_their_bounds(volume, rng):
    poses = rotations.sample_orientations(20, rng)
    images = rng.standard_normal((20, SIZE, SIZE)).astype(np.float32)
    found = refinement.refine_poses(images, poses, volume.density, volume.center_index, max_shift=3)
    np.testing.assert_allclose(
        found.poses @ found.poses.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-9
    )
    assert np.all(np.abs(found.shifts) <= 3)
    assert np.any(found.shifts != 0)


def test_progress_ends_at_one(volume, rng):
    told = []
    poses = rotations.sample_orientations(5, rng)
    images = images_of(volume, poses)
    refinement.refine_poses(
        images, poses, volume.density, volume.center_index, progress=lambda fraction, values: told.append(fraction)
    )
    assert told == sorted(told)
    assert told[-1] == 1.0
