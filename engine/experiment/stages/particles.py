"""The particles of a stack: looked through, their noise measured, prepared for the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError
from ...base.progress import Progress
from ...config.schema import Config
from ...record.arrays import Shape
from ..metrics import PARTICLES, PARTICLES_LEFT_OUT
from ..stage import Artefact, Context, Cost, Source, Stage

if TYPE_CHECKING:
    from ...imaging.noise import NoiseModel
    from ...imaging.stack_model import StackModel

SHOWN = 16
"""Images that a run keeps, for display."""
_JUDGED = 2000  # images by which the sign of the contrast and the signal's power are judged
_SURE = 3.0  # standard errors of the evidence for a sign
_FEWEST = 4
_LEAST_SNR = 1e-4


@dataclass(frozen=True, eq=False)
class PreparedParticles:
    """Usable images of a stack at the network's size, and what was measured on all of them.

    Attributes
    ----------
    members
        (n,) positions among the stack's chosen images; the others were left out.
    images
        (n, m, m), float32: signed, Fourier-cropped, phase-flipped, whitened, masked, standardised.
    frequencies, noise_power
        (rings,): cycles per pixel of the original images, and the noise's power there, after normalisation.
    sign
        1 or -1, by which recorded images are multiplied so that they agree with CTF times projection.
    sign_evidence
        by how many standard errors the evidence for the sign differs from none; NaN where it was not judged.
    power
        (m, m // 2 + 1): mean of ``|rfft2|^2`` of prepared images before they are masked and standardised.
    """

    members: NDArray[np.int64]
    images: NDArray[np.float32]
    frequencies: NDArray[np.float64]
    noise_power: NDArray[np.float64]
    sign: int
    sign_evidence: float
    power: NDArray[np.float64]


class ParticlesStage(Stage):
    """Reads a stack, three times at most, in parts, so that memory holds images of the network's size alone."""

    name = "particles"
    result = PreparedParticles
    finite = ("images", "noise_power", "power")
    metrics = (PARTICLES, PARTICLES_LEFT_OUT)
    artefacts = (
        Artefact("particles.npz", f"the first {SHOWN} particles as recorded and as prepared, the noise's spectrum", {
            "recorded": Shape(("n", "s", "s")), "prepared": Shape(("n", "m", "m")), "frequencies": Shape(("f",)),
            "noise_power": Shape(("f",)),
        }),
    )  # fmt: skip
    depends_on_frame = True
    memory_keys = ("particles.limit", "training.image_size")

    def enabled(self, config: Config) -> bool:
        """With a stack."""
        return config.particles.source is not None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """Table and stacks, which images are chosen, how they are prepared; the map, by which the sign is judged."""
        settings = config.particles
        preparation = [
            settings.normalise, settings.contrast, settings.phase_flip, settings.whiten, settings.mask_radius,
        ]  # fmt: skip
        assert source.stack is not None
        return (source.stack.images, preparation, config.training.image_size, source.volume)

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels of the stack; images of the network's size."""
        frame = source.frame(config)
        small = min(config.training.image_size, frame)
        count = source.count(config)
        return Cost(0.1 + 1e-7 * count * frame**2, 3e8 + 2 * 4 * count * small**2)

    def run(self, context: Context, progress: Progress) -> PreparedParticles:
        """Measure the noise, judge the sign, prepare the images."""
        from ...imaging.filters import fourier_crop
        from ...imaging.preparation import prepared, within
        from ...imaging.stack_model import mean_power
        from ...imaging.whitening import noise_spectrum

        stack, settings, size = context.stack, context.config.particles, context.network_size
        assert stack is not None
        usable = np.zeros(len(stack), dtype=bool)

        def noisy() -> Iterator[NDArray[np.float32]]:
            for members, images in stack.batches():
                fine = np.isfinite(images).all(axis=(1, 2)) & (np.ptp(images, axis=(1, 2)) > 0)
                usable[members[fine]] = True
                progress(0.4 * members.max() / len(stack), {})
                if fine.any():
                    yield normalised(images[fine], settings.normalise)
            if usable.sum() < _FEWEST:  # said here, before anything is computed from none
                raise InputError(
                    f"{stack.table.source}: {usable.sum()} of {len(stack)} images are usable, the others have values "
                    f"that are not finite or all the same; wanted at least {_FEWEST}"
                )

        spectrum = noise_spectrum(noisy())
        members = np.flatnonzero(usable)
        sign, evidence = _sign(context, members)
        ratio = stack.size / size
        whitening = spectrum.whitening(size, ratio) if settings.whiten else None
        mask = _mask(context)
        images_of_network = np.empty((len(members), size, size), dtype=np.float32)
        powers, flips = [], settings.phase_flip and not stack.is_flipped
        for some, images in stack.batches(members):
            small = fourier_crop(np.float32(sign) * normalised(images, settings.normalise), size)
            ctf = None if stack.ctf is None else stack.ctf[some]
            small = prepared(small, ctf, stack.pixel_size * ratio, flips, whitening)
            powers.append((len(small), mean_power(small)))
            images_of_network[np.searchsorted(members, some)] = within(mask, small)
            progress(0.4 + 0.6 * sum(count for count, _ in powers) / len(members), {})
        power = sum(count * mean for count, mean in powers) / len(members)
        return PreparedParticles(
            members, images_of_network, np.asarray(spectrum.frequencies), np.asarray(spectrum.power), sign, evidence,
            np.asarray(power),
        )  # fmt: skip

    def report(self, context: Context, result: PreparedParticles) -> dict[str, Any]:
        """How many."""
        assert context.stack is not None
        return {"particles": len(result.members), "particles_left_out": len(context.stack) - len(result.members)}

    def keep(self, context: Context, result: PreparedParticles) -> None:
        """A few images; what was left out and which sign they have goes to the log."""
        stack, record = context.stack, context.record
        assert stack is not None
        first = result.members[:SHOWN]
        recorded = np.empty((len(first), stack.size, stack.size), dtype=np.float32)
        for some, images in stack.batches(first):
            recorded[np.searchsorted(first, some)] = images
        record.save_arrays(
            "particles.npz", recorded=recorded, prepared=result.images[:SHOWN], frequencies=result.frequencies,
            noise_power=result.noise_power,
        )  # fmt: skip
        missing = np.setdiff1d(np.arange(len(stack)), result.members)
        if len(missing):
            record.warn(
                f"particles: {len(missing):,} images are left out, whose values are not finite or all the same, first "
                f"{stack.table.image_name(int(stack.chosen[missing[0]]))}"
            )
        if np.isfinite(result.sign_evidence):
            line = (
                f"particles: images are {'taken as they are' if result.sign > 0 else 'multiplied by -1'}, to agree "
                f"with CTF times projection (evidence of {result.sign_evidence:.1f} standard errors)"
            )
            (record.log if result.sign_evidence >= _SURE else record.warn)(
                line if result.sign_evidence >= _SURE else f"{line}: it is not known; set particles.contrast"
            )


def normalised(images: NDArray[np.float32], how: str) -> NDArray[np.float32]:
    """Images (n, size, size) as ``particles.normalise`` has them."""
    from ...imaging.preparation import by_background

    return by_background(images) if how == "background" else images


def signed(context: Context, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Recorded images (n, size, size), normalised, with the sign with which they agree with CTF times projection."""
    return np.float32(context["particles"].sign) * normalised(images, context.config.particles.normalise)


def _mask(context: Context) -> NDArray[np.float32] | None:
    """What images of the network's size are multiplied with; None without a mask."""
    from ...imaging.preparation import disc

    stack, radius, size = context.stack, context.config.particles.mask_radius, context.network_size
    assert stack is not None
    return None if radius is None else disc(size, radius / stack.framing.reduction * size / stack.size)


def _sign(context: Context, members: NDArray[np.int64]) -> tuple[int, float]:
    """The sign of the contrast, and the evidence for it."""
    from ...geometry.rotations import sample_orientations
    from ...imaging.ctf import transfer
    from ...imaging.fourier import half_plane_frequencies
    from ...imaging.projection import project
    from ...imaging.whitening import contrast

    stack, settings = context.stack, context.config.particles
    assert stack is not None
    if settings.contrast != "auto":
        return (1 if settings.contrast == "keep" else -1), float("nan")
    rng = context.stream("sign of the contrast")
    some = np.sort(rng.choice(members, min(_JUDGED, len(members)), replace=False))
    template = None
    if context.volume.density.any():
        template = project(context.volume, sample_orientations(64, rng), stack.size).mean(axis=0, dtype=np.float64)
    plane = half_plane_frequencies(stack.size, stack.pixel_size)

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.floating] | None]]:
        for rows, images in stack.batches(some):
            values = None if stack.ctf is None else transfer(stack.ctf[rows], plane)
            if values is not None and stack.is_flipped:
                values = np.abs(values)
            yield normalised(images, settings.normalise), values

    judged = contrast(batches(), template=template)
    return judged.sign, float(judged.standard_errors)


def model_of(context: Context) -> StackModel:
    """How this stack's images come about and are prepared, at the network's size."""
    from ...imaging.stack_model import StackModel, settings_of
    from ...imaging.whitening import NoiseSpectrum

    stack, settings, size, prepared = (
        context.stack,
        context.config.particles,
        context.network_size,
        context["particles"],
    )
    assert stack is not None
    ratio = stack.size / size
    spectrum = NoiseSpectrum(prepared.frequencies, prepared.noise_power, 0, 0)
    ctf = None if stack.ctf is None else stack.ctf[prepared.members]
    return StackModel(
        size, stack.pixel_size * ratio, settings_of(ctf, context.stream("settings of the CTF")),
        noise_of(prepared).on_larger_pixels(ratio), stack.max_shift / ratio,
        settings.phase_flip and not stack.is_flipped, spectrum.whitening(size, ratio) if settings.whiten else None,
        prepared.power, _mask(context),
    )  # fmt: skip


def noise_of(prepared: PreparedParticles) -> NoiseModel:
    """The noise of normalised images in their original pixels."""
    from ...imaging.noise import CORNER, NoiseModel, Spectrum

    grid = np.linspace(0, CORNER, 513)
    spectrum = Spectrum(tuple(np.interp(grid, prepared.frequencies, prepared.noise_power)), CORNER)
    return NoiseModel(spectrum.mean, spectrum=spectrum)


def signal_to_noise(context: Context) -> float:
    """Variance of the signal over that of the noise in whole images, from the power at the network's frequencies."""
    model = model_of(context)
    noise = model.noise.variance * model.noise.power(model.size) * model.size**2
    if model.whitening is not None:
        noise = noise * model.whitening**2
    share = (model.size / context.frame) ** 2
    return max(_LEAST_SNR, share * float((model.power / noise - 1).mean()))
