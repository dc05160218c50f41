"""What an experiment's images are like, and what others, that a network was trained on, had that these have not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config.numeric import acquisition_of
from ..record.network import ImagesFile, Interval
from .kept_network import reference_in_words
from .stage import Context
from .stages.particles import model_of, noise_of, signal_to_noise

if TYPE_CHECKING:
    from ..imaging.ctf import ContrastTransfer
    from ..imaging.noise import NoiseModel

_SAME_SNR = 1.2  # ratio: the noise of a stack is not measured better
_SAME_COLOUR = 1.25
_SAME_LENGTH = 1.01
_LOW, _HIGH = 0.125, 0.375  # cycles per pixel of the network's images, up to which and from which on


@dataclass(frozen=True)
class Difference:
    """What differs, in a line; ``doubtful`` where the network was not trained for it."""

    line: str
    doubtful: bool = True


def image_facts(context: Context) -> ImagesFile:
    """What the images are like that this experiment's network is trained on, or that another's is applied to.

    Viewing directions of recorded particles are not known, those of projections that are made like them are.
    """
    config = context.config
    noise, ctf = _noise(context), _ctf(context)
    size, pixel_size = context.frame, _pixel_size(context)
    preparation = {"phase_flip": True, "whiten": False}
    views: dict[str, Any] = {} if context.network is not None else {"coverage": "full", "sampling": "so3"}
    if context.stack is not None:
        settings, shift = config.particles, context.stack.max_shift
        preparation = {"phase_flip": settings.phase_flip, "whiten": settings.whiten}
        snr: float | None = signal_to_noise(context)
        spectrum = "measured"
    else:
        shift = config.projections.max_shift
        views = {"coverage": str(config.projections.coverage), "sampling": config.projections.sampling}
        snr = noise.snr if np.isfinite(noise.snr) else None
        spectrum = "none" if not noise.variance else "white" if noise.spectrum is None else "coloured"
    return ImagesFile(
        volume=reference_in_words(config),
        density=_density(context),
        pixel_size=pixel_size,
        size=size,
        has_ctf=ctf is not None,
        defocus=None if ctf is None else _extent(ctf.defocus_angstrom),
        voltage=None if ctf is None else _extent(ctf.voltage_kv),
        spherical_aberration=None if ctf is None else _extent(ctf.spherical_aberration_mm),
        amplitude_contrast=None if ctf is None else _extent(ctf.amplitude_contrast),
        snr=snr,
        spectrum=spectrum,
        colour=_colour(noise, size / context.network_size, context.network_size),
        max_shift=shift * pixel_size,
        **views,
        **preparation,
    )


def differences(trained: ImagesFile, here: ImagesFile, image_size: int) -> list[Difference]:
    """What the images that a network was trained on have, and these have not. ``image_size``: the network's, in pixels.

    A range that lies within the trained one, or a smaller shift, differs without being doubtful.
    """
    return [*_of_reference(trained, here), *_of_pixels(trained, here, image_size), *_of_ctf(trained, here),
            *_of_noise(trained, here), *_of_poses(trained, here), *_of_preparation(trained, here),
            *_unknown(trained)]  # fmt: skip


def _differs(what: str, both: Iterable[str], doubtful: bool = True) -> Difference:
    theirs, ours = both
    return Difference(f"{what}: the network was trained on {theirs}, these images have {ours}", doubtful)


def _of_reference(trained: ImagesFile, here: ImagesFile) -> Iterator[Difference]:
    same_grid = (trained.pixel_size, trained.size) == (here.pixel_size, here.size)
    comparable = trained.density is not None and here.density is not None
    if comparable and trained.density == here.density:
        return
    if trained.volume != here.volume:
        yield _differs("reference", (f"projections of {trained.volume}", here.volume))
    elif comparable and same_grid:
        yield _differs("reference", (f"another density of {trained.volume} than it is now", "the present one"))


def _of_pixels(trained: ImagesFile, here: ImagesFile, image_size: int) -> Iterator[Difference]:
    if trained.pixel_size is None or trained.size is None or here.pixel_size is None or here.size is None:
        return
    theirs, ours = (one * size for one, size in ((trained.pixel_size, trained.size), (here.pixel_size, here.size)))
    if (trained.pixel_size, trained.size) == (here.pixel_size, here.size):
        return
    words = (
        f"{one.size} px of {one.pixel_size:.4g} Å ({field / image_size:.4g} Å for the network)"
        for one, field in ((trained, theirs), (here, ours))
    )
    yield _differs("pixel size", words, not _alike(theirs, ours, _SAME_LENGTH))


def _of_ctf(trained: ImagesFile, here: ImagesFile) -> Iterator[Difference]:
    if trained.has_ctf is None:
        return
    if trained.has_ctf != here.has_ctf:
        yield _differs("CTF", ("a CTF" if one.has_ctf else "no CTF" for one in (trained, here)))
        return
    for name, unit, slack in (
        ("defocus", "Å", 50.0), ("voltage", "kV", 0.01), ("spherical_aberration", "mm", 0.001),
        ("amplitude_contrast", "", 0.001),
    ):  # fmt: skip
        theirs, ours = getattr(trained, name), getattr(here, name)
        if theirs is None or ours is None or np.allclose(theirs, ours, rtol=0.01, atol=slack):
            continue
        inside = theirs[0] - slack <= ours[0] and ours[1] <= theirs[1] + slack
        words = (f"{_range_text(one)} {unit}".rstrip() for one in (theirs, ours))
        yield _differs(name.replace("_", " "), words, not inside)


def _of_noise(trained: ImagesFile, here: ImagesFile) -> Iterator[Difference]:
    if trained.spectrum is None:
        return
    noisy = [one.spectrum not in (None, "none") for one in (trained, here)]
    levels = ["no noise" if one.snr is None else f"a signal-to-noise ratio of {one.snr:.3g}" for one in (trained, here)]
    if noisy[0] != noisy[1]:
        yield _differs("noise", levels)
        return
    if not noisy[0]:
        return
    if trained.snr is not None and here.snr is not None and not _alike(trained.snr, here.snr, _SAME_SNR):
        yield _differs("noise", levels)
    alike = trained.colour is None or here.colour is None or _alike(trained.colour, here.colour, _SAME_COLOUR)
    if trained.spectrum != here.spectrum or not alike:
        yield _differs("noise spectrum", (_spectrum_text(trained), _spectrum_text(here)), not alike)


def _of_poses(trained: ImagesFile, here: ImagesFile) -> Iterator[Difference]:
    views = [
        "directions that are not known" if one.coverage is None else f"{one.coverage} coverage, {one.sampling} sampling"
        for one in (trained, here)
    ]
    comparable = here.coverage is not None or trained.coverage != "full"
    if trained.coverage is not None and views[0] != views[1] and comparable:
        yield _differs("viewing directions", views, trained.coverage not in ("full", here.coverage))
    if trained.max_shift is None or here.max_shift is None:
        return
    if not np.isclose(trained.max_shift, here.max_shift, rtol=_SAME_LENGTH - 1, atol=0.01):
        words = [f"shifts of up to {one.max_shift:.3g} Å" for one in (trained, here)]
        yield _differs("shifts", words, here.max_shift > trained.max_shift)


def _of_preparation(trained: ImagesFile, here: ImagesFile) -> Iterator[Difference]:
    if trained.phase_flip is not None and trained.has_ctf and here.has_ctf and trained.phase_flip != here.phase_flip:
        words = ("phases that are flipped" if one.phase_flip else "phases as recorded" for one in (trained, here))
        yield _differs("phase flip", words)
    if trained.whiten is not None and trained.whiten != here.whiten:
        words = ("noise that is whitened" if one.whiten else "noise as it is" for one in (trained, here))
        yield _differs("whitening", words)


def _unknown(trained: ImagesFile) -> Iterator[Difference]:
    names = {"pixel_size": "pixel size", "has_ctf": "CTF", "spectrum": "noise", "max_shift": "shifts"}
    missing = [words for name, words in names.items() if getattr(trained, name) is None]
    if missing:
        yield Difference(f"{', '.join(missing)}: not compared, its run is of a version that did not keep them")


def _density(context: Context) -> str:
    if context.training_volumes is None:
        lacking = context.config.training.reference_missing
        return context.volume.fingerprint + (f" {lacking!r}" if lacking else "")
    return hashlib.sha256(repr(context.training_volumes.identities).encode()).hexdigest()


def _pixel_size(context: Context) -> float:
    return float(context.volume.voxel_size if context.stack is None else context.stack.pixel_size)


def _noise(context: Context) -> NoiseModel:
    if context.stack is not None:
        return noise_of(context["particles"])
    noise: NoiseModel = context["projections"].noise
    return noise.times(context.config.training.noise_factor)


def _ctf(context: Context) -> ContrastTransfer | None:
    if context.stack is not None:
        return model_of(context).ctf
    return acquisition_of(context.config.projections).as_known().contrasts()


def _colour(noise: NoiseModel, ratio: float, size: int) -> float | None:
    """Mean power at the network's low frequencies over that at its high ones."""
    from ..imaging.fourier import half_plane_frequencies

    if not noise.variance:
        return None
    power, radius = noise.on_larger_pixels(ratio).power(size), np.linalg.norm(half_plane_frequencies(size), axis=-1)
    high = power[(radius >= _HIGH) & (radius <= 0.5)].mean()
    return float(power[(radius > 0) & (radius <= _LOW)].mean() / high) if high > 0 else None


def _extent(values: np.ndarray) -> Interval:
    return float(values.min()), float(values.max())


def _alike(one: float, other: float, ratio: float) -> bool:
    low, high = sorted((abs(one), abs(other)))
    return high <= ratio * low


def _range_text(ends: Interval) -> str:
    low, high = (f"{end:,.0f}" if abs(end) >= 1000 else f"{end:.4g}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _spectrum_text(one: ImagesFile) -> str:
    kind = {"measured": "a measured spectrum", "white": "white noise", "coloured": "coloured noise"}
    words = kind.get(str(one.spectrum), "no noise")
    return words if one.colour is None else f"{words} ({one.colour:.2g} times as strong at low frequencies as at high)"
