"""Stacks of particles as a microscope records them: with a CTF, noise, shifts; the table and the truth in two files.

The table, ``x.star`` beside ``x.mrcs``, has what a recorded stack comes with before its refinement: optics, defocus,
names of images, half sets. Poses and origins are in ``x_truth.star`` alone, so that nothing that is given the table can
see them. The map turns about voxel ``n // 2`` of its box, as RELION has it. Images and noise are made and written a
part at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError, naming
from ..base.files import saying_full_disk
from ..base.progress import Progress
from ..imaging.limits import check_shift
from ..imaging.simulation import Acquisition
from ..imaging.stack_simulation import SimulatedStack, simulated_stack
from ..imaging.volume import Volume
from ..io import mrc, star
from .generate_arguments import Request, region_degrees
from .generate_projections import require_free_names, require_room

_ARGUMENTS = {name: f"generate: --{name.replace('_', '-')}" for name in Acquisition.__dataclass_fields__}


def generate_particles(request: Request, volume: Volume, progress: Progress) -> str:
    """Make the stack and its tables; what they are, for people. Noise, CTF and shifts do not alter the poses.

    Raises
    ------
    InputError
        for an output that exists, is too large for the disk, or cannot be written; and for impossible settings.
    """
    recording = request.particles
    assert recording is not None
    size = volume.diagonal if recording.size is None else recording.size
    require_free_names(request)
    require_room(request, size)
    with naming(**_ARGUMENTS):
        check_shift(recording.max_shift, size)
        acquisition = Acquisition(
            region_degrees(request.shift, request.coverage), request.sampling, size,
            request.noise_variance or None, recording.snr, recording.max_shift, defocus=recording.defocus,
            voltage=recording.voltage, spherical_aberration=recording.spherical_aberration,
            amplitude_contrast=recording.amplitude_contrast, noise_spectrum=recording.noise_spectrum,
            defocus_groups=recording.defocus_groups, shift_distribution=recording.shift_distribution,
        )  # fmt: skip
    rng, half_rng, noise_rng = np.random.default_rng(request.seed).spawn(3)
    measuring = 0.5 if recording.snr is not None else 0.0  # of the time
    made = simulated_stack(
        replace(volume, center="box"), acquisition, request.count, rng, _part_of(progress, 0.0, measuring)
    )
    halves = 1 + half_rng.permutation(request.count) % 2
    stack, table, truth = request.paths
    try:
        with saying_full_disk(request.output.parent):
            mrc.write_stack(stack, made.parts(noise_rng, _part_of(progress, measuring, 1.0)), volume.voxel_size)
            known: dict[str, NDArray[np.floating]]
            for path, known in ((table, {}), (truth, {"poses": made.poses, "shifts_px": made.shifts})):
                star.write_particles(path, stack.name, volume.voxel_size, size, halves, made.ctf, **known)
    except OSError as error:
        raise InputError(f"{request.output} cannot be written: {error.strerror or error}") from error
    return _description(request, made)


def _part_of(progress: Progress, start: float, end: float) -> Progress:
    def report(fraction: float, values: Mapping[str, float]) -> None:
        progress(start + (end - start) * fraction, values)

    return report


def _description(request: Request, made: SimulatedStack) -> str:
    parts = [f"{request.count} particles of {made.size} x {made.size} pixels, {made.volume.voxel_size:g} Å per pixel"]
    assert request.particles is not None
    if made.ctf is None:
        parts.append("no CTF")
    else:
        defoci = made.ctf.defocus_angstrom
        parts.append(f"defocus {defoci.min():.0f} to {defoci.max():.0f} Å")
    spectrum = request.particles.noise_spectrum
    parts.append(f"{spectrum} noise of variance {made.noise.variance:.4g}" if made.noise.variance else "no noise")
    parts.append(f"shifts of up to {request.particles.max_shift:g} px")
    if request.particles.symmetry != "C1":
        parts.append(f"an oligomer, {request.particles.symmetry}")
    return ", ".join(parts)
