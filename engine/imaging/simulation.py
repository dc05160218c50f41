"""Simulated projections: the test set, whose poses are to be recovered, and the training and validation sets.

Every set has its own stream of random numbers, so that no two share a pose and the size of one does not
change the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ArgumentError
from ..base.progress import Progress, silent
from ..base.quantities import digits
from ..geometry.rotations import EulerRegion, sample_orientations
from . import filters
from .choices import NoiseSpectrum, Projector, ShiftDistribution
from .ctf import ContrastTransfer, applied, phase_flipped
from .limits import SNR, check_contrast, off_by
from .noise import NoiseModel, Spectrum
from .particles import ParticleSet, Truth
from .projection import project
from .shape import binned
from .volume import Volume

_PROJECTING = 0.8  # of the time of a simulation; the rest shifts and adds noise
_PREVIEWED = 160  # pixels, the frame above which a preview uses a coarser volume
_SETTINGS = 256  # defoci of a range that training images have
_MEASURED = 500  # training projections on which the variance of their signal is measured


@dataclass(frozen=True)
class Acquisition:
    """How projections are simulated: orientations, size, shifts, the microscope's CTF, noise.

    Attributes
    ----------
    coverage
        ``full``, ``half``, ``quarter`` or three intervals of (rot, tilt, psi) in degrees.
    sampling
        ``so3``: uniform over rotations; ``euler``: uniform in the angles.
    size
        pixels along a side; the volume's integer diagonal when None.
    noise_variance, snr
        of noise, one of the two at most: in the projections' units squared, or as signal over noise variance. The
        signal is that of the images with their CTF.
    max_shift
        pixels; in-plane shifts along x and y are within [-max_shift, max_shift].
    projector
        ``fourier`` or ``astra``, of all sets alike: a network is to meet images like those that it learned from.
    defocus
        Å, positive under focus: of all images, or the ends (low, high) of the range from which each has its own,
        uniformly. None: images are plain projections.
    voltage, spherical_aberration, amplitude_contrast
        kV, mm and a share: of the CTF, where there is one (:mod:`imaging.ctf`).
    noise_spectrum
        ``white`` or ``coloured``, as of :meth:`imaging.noise.Spectrum.coloured`.
    defocus_groups
        so many defoci, equally spaced from end to end of the range, one of which each image has; None: any.
    shift_distribution
        ``triangular`` or ``uniform``.
    defocus_error
        Å; the defocus that is known of each image less the true one.
    """

    coverage: str | EulerRegion = "full"
    sampling: str = "so3"
    size: int | None = None
    noise_variance: float | None = None
    snr: float | None = None
    max_shift: float = 0.0
    projector: Projector = "fourier"
    defocus: float | tuple[float, float] | None = None
    voltage: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.1
    noise_spectrum: NoiseSpectrum = "white"
    defocus_groups: int | None = None
    shift_distribution: ShiftDistribution = "triangular"
    defocus_error: float = 0.0

    def __post_init__(self) -> None:
        for defocus in (self.defocus, off_by(self.defocus, self.defocus_error)):
            check_contrast(defocus, self.spherical_aberration, self.amplitude_contrast)
        if self.noise_variance is not None and self.snr is not None:
            raise ArgumentError(
                "{noise_variance} and {snr} are both given; they specify the same, give one", "noise_variance", "snr"
            )

    def as_known(self) -> Acquisition:
        """What is known of the acquisition: the same, with the defocus that is taken for the true one."""
        return replace(self, defocus=off_by(self.defocus, self.defocus_error), defocus_error=0.0)

    def contrast(self, count: int, rng: np.random.Generator) -> ContrastTransfer | None:
        """The CTF of each of ``count`` images; None without defocus. Only of a range something is drawn."""
        if self.defocus is None:
            return None
        if isinstance(self.defocus, tuple):
            if self.defocus_groups is not None:
                groups = np.linspace(*self.defocus, self.defocus_groups)
                return self._contrast_at(groups[rng.integers(len(groups), size=count)])
            return self._contrast_at(rng.uniform(*self.defocus, count))
        return self._contrast_at(np.full(count, self.defocus))

    def contrasts(self) -> ContrastTransfer | None:
        """The settings that training images have, one of them drawn each time: the defocus, or 256 within the range."""
        if self.defocus is None:
            return None
        low, high = self.defocus if isinstance(self.defocus, tuple) else (self.defocus, self.defocus)
        if low == high:
            return self._contrast_at(np.array([low]))
        if self.defocus_groups is not None:
            return self._contrast_at(np.linspace(low, high, self.defocus_groups))
        return self._contrast_at(low + (high - low) * (np.arange(_SETTINGS) + 0.5) / _SETTINGS)

    def _contrast_at(self, defoci: NDArray[np.float64]) -> ContrastTransfer:
        return ContrastTransfer.of(
            defoci, voltage_kv=self.voltage, spherical_aberration_mm=self.spherical_aberration,
            amplitude_contrast=self.amplitude_contrast,
        )  # fmt: skip

    def spectrum(self, pixel_size: float) -> Spectrum | None:
        """The noise's spectrum in images with pixels of ``pixel_size`` Å; None where it is white."""
        return Spectrum.coloured(pixel_size) if self.noise_spectrum == "coloured" else None


def simulate(
    volume: Volume,
    acquisition: Acquisition,
    count: int,
    rng: np.random.Generator,
    progress: Progress = silent,
    shown: int = 16,
) -> ParticleSet:
    """Particles with their truth: orientations sampled, projected, multiplied by the CTF, shifted, noise added. Not
    standardised, which would lose the units. ``shown`` of the clean projections, before the CTF, are kept. Their CTF is
    the one that is known of them.
    """
    poses = sample_orientations(count, rng, acquisition.coverage, acquisition.sampling)
    clean = project(
        volume, poses, acquisition.size, progress=lambda fraction, values: progress(_PROJECTING * fraction, values),
        projector=acquisition.projector,
    )  # fmt: skip
    ctf = acquisition.contrast(count, rng)
    signal = clean if ctf is None else applied(clean, ctf, volume.voxel_size)
    spectrum = acquisition.spectrum(volume.voxel_size)
    noise = NoiseModel.for_signal(signal, acquisition.noise_variance, acquisition.snr, spectrum)
    if acquisition.noise_variance and noise.snr < SNR.least:
        raise ArgumentError(
            "{noise_variance} is {given} and the signal of these projections has a variance of {signal:.3g}, so {snr} "
            "is {ratio:.3g}; wanted {range}{reason}", "noise_variance", "snr", given=digits(noise.variance),
            signal=noise.signal_variance, ratio=noise.snr, range=SNR, reason=SNR.reason(noise.snr),
        )  # fmt: skip
    shifts = filters.draw_shifts(count, acquisition.max_shift, rng, acquisition.shift_distribution)
    shifted = filters.shift_images(signal, shifts) if acquisition.max_shift > 0 else signal
    images = noise.apply(shifted, rng)
    progress(1.0, {"projections": count})
    truth = Truth(poses, shifts, clean[:shown].copy())
    if ctf is not None and acquisition.defocus_error:
        ctf = replace(ctf, defocus_angstrom=ctf.defocus_angstrom + acquisition.defocus_error)
    return ParticleSet(images, volume.voxel_size, noise, ctf, shifts, truth)


def preview(volume: Volume, acquisition: Acquisition, count: int, rng: np.random.Generator) -> ParticleSet:
    """A few particles, quickly, by Fourier slices: those of a large volume on coarser pixels, with the noise of these.

    Noise model and shifts are in the original pixels; ``noise.snr`` is what these few projections estimate. The CTF is
    that at the frequencies that coarser pixels have.
    """
    step = -(-max(volume.diagonal, acquisition.size or 0) // _PREVIEWED)
    coarse = binned(volume, step)
    # A ray meets fewer of the larger voxels.
    coarse = replace(coarse, density=coarse.density * np.float32(step))
    spectrum = acquisition.spectrum(volume.voxel_size)
    share = 1.0 if spectrum is None else spectrum.share(step)
    coarsely = replace(
        acquisition,
        size=acquisition.size and max(8, acquisition.size // step),
        noise_variance=acquisition.noise_variance and acquisition.noise_variance * share / step**2,
        snr=acquisition.snr and acquisition.snr * step**2 / share,
        max_shift=acquisition.max_shift / step,
        projector="fourier",
    )
    particles = simulate(coarse, coarsely, count, rng, shown=count)
    noise, truth = particles.noise, particles.truth
    assert truth is not None
    shifts = truth.shifts * step
    noise = NoiseModel(noise.variance * step**2 / share, noise.snr / step**2 * share, noise.spectrum and spectrum)
    return replace(particles, noise=noise, shifts=shifts, truth=replace(truth, shifts=shifts))


@dataclass(frozen=True)
class TrainingSet:
    """Clean projections (n, m, m) at the network's size with their poses, and a validation set with CTF, shifts and
    noise, prepared as the network's images are.

    ``noise`` and ``max_shift`` are those of the test set, converted to the network's larger pixels, which are
    ``pixel_size`` Å wide. ``ctf`` are the settings that images have, each time another of them; None for plain
    projections. Images are multiplied by the sign of their CTF if ``flips``, by ``whitening`` (m, m // 2 + 1), in the
    order of ``rfft2``, and by ``mask`` (m, m), where there are such.
    ``proteins`` (n,) and ``validation_proteins`` give the number of each projection's protein, in ascending order; None
    where all are of one. ``held_out``: the validation projections are of proteins that are not trained on.
    """

    images: NDArray[np.float32]
    poses: NDArray[np.floating]
    validation_images: NDArray[np.float32]
    validation_poses: NDArray[np.floating]
    noise: NoiseModel
    max_shift: float
    proteins: NDArray[np.intp] | None = None
    validation_proteins: NDArray[np.intp] | None = None
    held_out: bool = False
    ctf: ContrastTransfer | None = None
    pixel_size: float = 1.0
    flips: bool = True
    whitening: NDArray[np.floating] | None = None
    mask: NDArray[np.float32] | None = None

    @property
    def signal_variance(self) -> float:
        """Variance of the projections' signal, with the CTF where there is one: then that of some of them."""
        if self.ctf is None:
            return filters.signal_variance(self.images)
        some = self.images[:_MEASURED]
        settings = self.ctf[np.arange(len(some)) % len(self.ctf)]
        return filters.signal_variance(applied(some, settings, self.pixel_size))


def simulate_training(
    volume: Volume,
    acquisition: Acquisition,
    noise: NoiseModel,
    count: int,
    validation_count: int,
    image_size: int,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> TrainingSet:
    """Training and validation projections, band-limited to ``image_size`` pixels over the test projections' field.

    The same as Fourier cropping full projections (the tests compare the two), with Fourier slices at a fraction of the
    cost. ``noise`` is that of the test projections, in their pixels. The CTF has its values at the frequencies of the
    network's pixels; it is applied to the same field of view.
    """
    size = acquisition.size or volume.diagonal
    ratio = size / image_size
    pixel_size = volume.voxel_size * ratio
    images, poses = [], []
    for number in (count, validation_count):
        poses.append(sample_orientations(number, rng, acquisition.coverage, acquisition.sampling))
        images.append(project(volume, poses[-1], image_size, pixel_size, projector=acquisition.projector))
        progress(1.0 if len(poses) == 2 else count / (count + validation_count), {"projections": number})
    cropped, max_shift = noise.on_larger_pixels(ratio), acquisition.max_shift / ratio
    ctf = acquisition.contrast(validation_count, rng)
    validation = images[1] if ctf is None else applied(images[1], ctf, pixel_size)
    validation = filters.shift_images(
        validation, filters.draw_shifts(validation_count, max_shift, rng, acquisition.shift_distribution)
    )
    validation = cropped.apply(validation, rng)
    if ctf is not None:
        validation = phase_flipped(validation, ctf, pixel_size)
    return TrainingSet(
        images[0], poses[0], filters.standardise(validation), poses[1], cropped, max_shift,
        ctf=acquisition.contrasts(), pixel_size=pixel_size,
    )  # fmt: skip


def support_radius(images: NDArray[np.float32], energy: float = 0.999) -> float:
    """Radius in pixels, around pixel ``size // 2``, of the disc with this share of the images' mean square."""
    size = images.shape[-1]
    offset = np.arange(size) - size // 2
    radius = np.hypot(*np.meshgrid(offset, offset)).ravel()
    order = np.argsort(radius)
    held = np.cumsum(np.mean(images.astype(np.float64) ** 2, axis=0).ravel()[order])
    return float(min(radius[order][np.searchsorted(held, energy * held[-1])] + 1.0, size / 2))
