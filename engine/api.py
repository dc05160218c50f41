"""The library, for notebooks and other programs. All arguments are checked, with messages that state what is wanted.

Poses are rotation matrices (n, 3, 3) as :mod:`geometry.rotations` defines them; ``rng`` is a generator or a seed.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .api_records import read_particles, read_run, run_experiment, write_star
from .base.errors import ArgumentError
from .base.inputs import require_memory
from .base.progress import Progress, silent
from .base.quantities import Range
from .geometry import rotations
from .geometry.arguments import Random, checked_choice, checked_rotations, generator
from .geometry.symmetry import group
from .imaging import fsc, limits, projection, reconstruction, simulation
from .imaging.choices import NoiseSpectrum, Projector, ReconstructionMethod
from .imaging.particles import ParticleSet
from .imaging.volume import Volume
from .io.loading import load_volume
from .poses import alignment, distance, pairs, recovery, symmetric_recovery
from .poses.alignment import Alignment
from .poses.choices import Initialisation
from .poses.limits import MAX_ITERATIONS, PERTURBATION_VARIANCE, RESTARTS
from .poses.pairs import PairDistances
from .poses.recovery import Recovery

__all__ = [
    "align_poses", "exact_distances", "fourier_shell_correlation", "load_volume", "perturb_distances", "project",
    "read_particles", "read_run", "reconstruct", "recover_poses", "run_experiment", "sample_orientations",
    "simulate", "write_star",
]  # fmt: skip

Array = NDArray[np.floating]

_BYTES_PER_POSE = 3 * 9 * 8  # angles, matrices and what is between


def sample_orientations(
    count: int,
    rng: Random,
    coverage: str | rotations.EulerRegion = "full",
    sampling: Literal["so3", "euler"] = "so3",
) -> Array:
    """Random poses.

    Parameters
    ----------
    count
        how many, at least 1.
    rng
        a generator or a seed.
    coverage
        ``full``, ``half``, ``quarter`` or three intervals of (rot, tilt, psi) in degrees.
    sampling
        ``so3``: uniform over rotations (Haar); ``euler``: uniform in the angles.

    Returns
    -------
    (count, 3, 3), float64.

    Raises
    ------
    InputError
        naming the argument.

    Examples
    --------
    >>> sample_orientations(5, rng=0).shape
    (5, 3, 3)
    """
    limits.IMAGES.check(count, "count")
    require_memory(_BYTES_PER_POSE * count, f"{count:,} poses", "lower {count}", "count")
    return rotations.sample_orientations(int(count), generator(rng), coverage, sampling)


def project(
    volume: Volume,
    poses: ArrayLike,
    size: int | None = None,
    pixel_size: float | None = None,
    projector: Projector = "fourier",
) -> NDArray[np.float32]:
    """Clean projections of a volume, sums of its density along the rays.

    Parameters
    ----------
    volume
        rotates about its ``center``, which is projected to pixel ``size // 2``.
    poses
        (n, 3, 3) or (3, 3).
    size
        pixels along a side; the volume's integer diagonal when not given.
    pixel_size
        Å per pixel; the volume's voxel size when not given.
    projector
        ``fourier``: by the Fourier slice theorem; ``astra``: ray sums on a CUDA device, linear between voxels.

    Returns
    -------
    (n, size, size), float32.

    Raises
    ------
    InputError
        for poses that are not rotation matrices, a size or pixel size that is not positive, and ``astra`` without CUDA.

    Examples
    --------
    >>> import numpy as np
    >>> volume = load_volume("1bd2", resolution=20)
    >>> project(volume, np.eye(3), size=32).shape
    (1, 32, 32)
    """
    checked_choice(projector, "projector", Projector)
    matrices = checked_rotations(poses, "poses")
    _check(pixel_size, limits.VOXEL_SIZE, "pixel_size")
    _require_memory(volume, len(matrices), size, pixel_size)
    return projection.project(volume, matrices, size, pixel_size, projector=projector)


def simulate(
    volume: Volume,
    count: int,
    rng: Random,
    coverage: str | rotations.EulerRegion = "full",
    sampling: Literal["so3", "euler"] = "so3",
    size: int | None = None,
    noise_variance: float | None = None,
    snr: float | None = None,
    max_shift: float = 0.0,
    projector: Projector = "fourier",
    defocus: float | tuple[float, float] | None = None,
    voltage: float = 300.0,
    spherical_aberration: float = 2.7,
    amplitude_contrast: float = 0.1,
    noise_spectrum: NoiseSpectrum = "white",
) -> ParticleSet:
    """Particles with ground truth: random poses, projected, multiplied by a CTF, shifted in plane, with noise.

    Parameters
    ----------
    volume, count, rng, coverage, sampling, size, projector
        as of :func:`project` and :func:`sample_orientations`.
    noise_variance, snr
        of Gaussian noise, one of the two at most: in the projections' units squared, or as signal over noise variance.
        The signal is that of the images with their CTF.
    max_shift
        pixels; shifts are triangular on [-max_shift, max_shift] along x and y.
    defocus
        Å, positive under focus: of all images, or (low, high), between which each has its own, uniformly; None: images
        are plain projections.
    voltage, spherical_aberration, amplitude_contrast
        kV, mm and a share: of the CTF, where there is one.
    noise_spectrum
        ``white``, or ``coloured``: five times as strong at low frequencies as at high ones.

    Returns
    -------
    images (count, size, size), float32, with ``truth.poses`` (count, 3, 3) and ``truth.shifts`` (count, 2) in pixels;
    ``ctf`` has the parameters of each image's CTF.

    Raises
    ------
    InputError
        naming the argument.

    Examples
    --------
    >>> simulate(load_volume("1bd2", resolution=20), 10, rng=0, size=32, snr=0.5)
    ParticleSet(10 images of 32 x 32 pixels of 6.667 Å, noise variance 0.05379, with truth)
    """
    checked_choice(projector, "projector", Projector)
    _check(noise_variance, limits.NOISE_VARIANCE, "noise_variance")
    _check(snr, limits.SNR, "snr")
    limits.MAX_SHIFT.check(max_shift, "max_shift")
    interval = limits.checked_defocus(defocus)
    limits.VOLTAGE.check(voltage, "voltage")
    limits.SPHERICAL_ABERRATION.check(spherical_aberration, "spherical_aberration")
    limits.AMPLITUDE_CONTRAST.check(amplitude_contrast, "amplitude_contrast")
    checked_choice(noise_spectrum, "noise_spectrum", NoiseSpectrum)
    limits.IMAGES.check(count, "count")
    _require_memory(volume, count, size)
    limits.check_shift(max_shift, size or volume.diagonal)
    acquisition = simulation.Acquisition(
        coverage, sampling, size, noise_variance, snr, max_shift, projector, interval, voltage, spherical_aberration,
        amplitude_contrast, noise_spectrum,
    )  # fmt: skip
    return simulation.simulate(volume, acquisition, int(count), generator(rng))


def exact_distances(poses: ArrayLike, symmetry: str = "C1") -> PairDistances:
    """The angles between all pairs of poses, modulo a symmetry group.

    Parameters
    ----------
    poses
        (n, 3, 3), at least two.
    symmetry
        C1, Cn, Dn, T, O or I in RELION's axes: the smallest angle over the group is taken.

    Returns
    -------
    distances of the n (n - 1) / 2 pairs in rad, float32, in SciPy's condensed order.

    Raises
    ------
    InputError
        for poses that are not rotation matrices, and an unknown group.

    Examples
    --------
    >>> exact_distances(sample_orientations(4, rng=0))
    PairDistances(6 of the 6 pairs of 4 projections)
    """
    matrices = checked_rotations(poses, "poses")
    if len(matrices) < 2:
        raise ArgumentError("{poses} are {count}; wanted at least 2", "poses", count=len(matrices))
    quaternions = rotations.to_quaternion(matrices)
    return distance.exact_distances(quaternions, pairs.all_pairs(len(matrices)), group(symmetry))


def perturb_distances(distances: PairDistances, variance: float, rng: Random) -> PairDistances:
    """Distances with Gaussian errors of a variance in rad², clipped to [0, pi].

    Raises InputError for a variance that is negative or not finite.

    Examples
    --------
    >>> given = exact_distances(sample_orientations(4, rng=0))
    >>> perturb_distances(given, 0.1, rng=1).values.dtype
    dtype('float32')
    """
    PERTURBATION_VARIANCE.check(variance, "variance")
    return distance.perturb_distances(distances, variance, generator(rng))


def recover_poses(
    distances: PairDistances,
    rng: Random,
    symmetry: str = "C1",
    restarts: int = 50,
    max_iterations: int = 200,
    calibrate: bool = True,
    initialisation: Initialisation = "spectral",
    progress: Progress = silent,
) -> Recovery:
    """Poses whose pairwise angles are as close as possible to given distances.

    They are determined up to a rotation of either frame and to handedness: :func:`align_poses` brings them into a known
    frame.

    Parameters
    ----------
    distances
        of pairs that connect all projections; of all pairs for a symmetric object.
    rng
        a generator or a seed.
    symmetry
        the object's group.
    restarts
        number of starts of the search that follows an embedding, or of random initialisations.
    max_iterations
        of each descent.
    calibrate
        estimate systematic errors of the distances during the recovery, and correct for them.
    initialisation
        ``spectral``, ``mds``, ``isomap`` or ``random``.

    Returns
    -------
    ``poses`` (n, 3, 3), their ``loss`` (mean squared difference of distances, rad²) and how it was reached.

    Raises
    ------
    InputError
        for distances that are not finite, and pairs that leave projections unconnected.

    Examples
    --------
    >>> given = exact_distances(sample_orientations(30, rng=0))
    >>> recover_poses(given, rng=1).loss < 1e-6
    True
    """
    RESTARTS.check(restarts, "restarts")
    MAX_ITERATIONS.check(max_iterations, "max_iterations")
    elements = group(symmetry)
    if len(elements) > 1:
        return symmetric_recovery.recover_symmetric_poses(distances, elements, generator(rng), max_iterations, progress)
    return recovery.recover_poses(
        distances, generator(rng), restarts, max_iterations, calibrate, progress, initialisation
    )


def align_poses(recovered: ArrayLike, true: ArrayLike, rng: Random, symmetry: str = "C1") -> Alignment:
    """The best alignment over O(4) of recovered poses with true ones, and the remaining errors.

    Parameters
    ----------
    recovered, true
        (n, 3, 3), as many of both.
    rng
        a generator or a seed, of the starts of the search.
    symmetry
        the object's group: errors are modulo it.

    Returns
    -------
    ``poses`` (n, 3, 3) in the true frame, ``errors`` (n,) in rad, and whether the handedness was flipped.

    Raises
    ------
    InputError
        for poses that are not rotation matrices, or different numbers of them.

    Examples
    --------
    >>> import numpy as np
    >>> true = sample_orientations(20, rng=0)
    >>> turned = true[3] @ true @ true[5]
    >>> bool(np.max(align_poses(turned, true, rng=1).errors) < 1e-6)
    True
    """
    first, second = checked_rotations(recovered, "recovered"), checked_rotations(true, "true")
    if len(first) != len(second):
        raise ArgumentError(
            "{recovered} are {one} poses and {true} are {other}; wanted as many of both", "recovered", "true",
            one=len(first), other=len(second),
        )  # fmt: skip
    return alignment.align_poses(first, second, generator(rng), elements=group(symmetry))


def reconstruct(
    images: NDArray[np.floating],
    poses: ArrayLike,
    grid: Volume,
    rng: Random,
    iterations: int | None = None,
    method: ReconstructionMethod = "normal_equations",
) -> reconstruction.Reconstruction:
    """The least-squares density of centred projections with known poses, and two from random halves of them.

    Parameters
    ----------
    images
        (n, size, size), pixels as large as the grid's voxels, content centred.
    poses
        (n, 3, 3).
    grid
        gives shape, voxel size and centre of the result; its density is not used.
    rng
        a generator or a seed, which draws the halves.
    iterations
        of conjugate gradients; 10, or 20 with ``cgls``, when not given.
    method
        ``normal_equations`` of the Fourier slices; ``cgls``: ASTRA's, on a CUDA device.

    Returns
    -------
    ``density`` (nz, ny, nx), float32, and ``halves``, two of the same.

    Raises
    ------
    InputError
        for images and poses that do not match, images that are not finite, and ``cgls`` without CUDA.

    Examples
    --------
    >>> volume = load_volume("1bd2", resolution=20)
    >>> particles = simulate(volume, 40, rng=0)
    >>> result = reconstruct(particles.images, particles.truth.poses, volume, rng=1, iterations=3)
    >>> result.density.shape == volume.density.shape
    True
    """
    images, matrices = np.asarray(images, dtype=np.float32), checked_rotations(poses, "poses")
    if images.ndim != 3 or images.shape[1] != images.shape[2]:
        raise ArgumentError("{images} have the shape {given}; wanted (n, size, size)", "images", given=images.shape)
    if len(images) != len(matrices) or len(images) < 2:
        raise ArgumentError(
            "{images} are {count} and {poses} {others}; wanted as many of both, and at least 2", "images", "poses",
            count=len(images), others=len(matrices),
        )  # fmt: skip
    checked_choice(method, "method", ReconstructionMethod)
    _check(iterations, limits.ITERATIONS, "iterations")
    return reconstruction.reconstruct(images, matrices, grid, generator(rng), iterations, method=method)


def fourier_shell_correlation(
    first: ArrayLike, second: ArrayLike, voxel_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fourier shell correlation of two densities (Harauz & van Heel, 1986), without a mask.

    Parameters
    ----------
    first, second
        (nz, ny, nx), of one shape.
    voxel_size
        in Å.

    Returns
    -------
    spatial frequencies (shells,) in 1/Å up to Nyquist's, correlations (shells,).

    Raises
    ------
    InputError
        for densities of different shapes.

    Examples
    --------
    >>> density = load_volume("1bd2", resolution=20).density
    >>> frequencies, correlation = fourier_shell_correlation(density, density, 6.7)
    >>> bool(abs(correlation - 1).max() < 1e-6)
    True
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.ndim != 3 or one.shape != other.shape:
        raise ArgumentError(
            "{first} has the shape {one} and {second} {other}; wanted two volumes (nz, ny, nx) of one shape", "first",
            "second", one=one.shape, other=other.shape,
        )  # fmt: skip
    limits.VOXEL_SIZE.check(voxel_size, "voxel_size")
    return fsc.fourier_shell_correlation(one, other, voxel_size)


def _check(value: float | None, limits: Range, name: str) -> None:
    if value is not None:
        limits.check(value, name)


def _require_memory(volume: Volume, count: int, size: int | None, pixel_size: float | None = None) -> None:
    """InputError for a size that is none, and for images that the memory does not hold."""
    _check(size, limits.SIZE, "size")
    size = size or volume.diagonal
    # A frame smaller than the object is cut out of one that holds it.
    whole = max(size, volume.diagonal * volume.voxel_size / (pixel_size or volume.voxel_size))
    require_memory(
        4 * (2 * count * size**2 + 8 * whole**2), f"{count:,} images of {size} x {size} pixels",
        "make fewer or smaller ones",
    )  # fmt: skip
