"""The density that recorded particles give with the estimated poses and shifts, and those of their half sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Progress, silent
from ...config.schema import Config
from ...config.settings import config_to_dict
from ..metrics import FSC_HALF, FSC_HALVES
from ..stage import Artefact, Context, Cost, Source, Stage
from . import lazily
from .frame import PosesInFrame
from .particles import noise_of, signal_to_noise
from .reconstruction import CURVES, ReconstructedMaps, keep_maps, resolutions


class ParticleReconstructionStage(Stage):
    """Reconstructs by weighted least squares with the CTF; half sets are those of the stack."""

    name = "particle_reconstruction"
    needs = ("particles", "frame")
    result = ReconstructedMaps
    finite = ("density", "half1", "half2")
    metrics = (FSC_HALF, FSC_HALVES)
    artefacts = (
        Artefact("reconstruction.mrc", "the density"),
        Artefact("half1.mrc", "the density of the particles of half set 1"),
        Artefact("half2.mrc", "the density of the particles of half set 2"),
        Artefact("fsc.npz", "Fourier shell correlations with the input and between the half maps", CURVES),
    )
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Unless it is switched off, of particles."""
        return config.reconstruction.enabled and config.particles.source is not None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The settings of the reconstruction, and the half sets."""
        assert source.stack is not None
        return (config_to_dict(config)["reconstruction"], source.stack.halves)

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels."""
        return Cost(0.5 + 4e-7 * source.count(config) * source.frame(config) ** 2, 70 * 8 * source.frame(config) ** 3)

    def run(self, context: Context, progress: Progress) -> ReconstructedMaps:
        """Reconstruct from the poses in the map's frame."""
        return reconstructed_particles(context, context["frame"], progress)

    def report(self, context: Context, result: ReconstructedMaps) -> dict[str, Any]:
        """Resolutions."""
        return resolutions(context, result)

    def keep(self, context: Context, result: ReconstructedMaps) -> None:
        """Densities and correlations."""
        keep_maps(context, result)
        if context.config.training.on == "reference":
            context.record.log(
                f"{self.name}: the half maps share the network and the anchors that gave their poses, so their FSC is "
                "no gold standard"
            )


def half_sets(context: Context, places: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The usable particles at these places in two sets: those of the stack, or halves of the one that there is."""
    stack = context.stack
    assert stack is not None
    sets = stack.halves[context["particles"].members[places]]
    halves = places[sets == 1], places[sets == 2]
    return halves if len(halves[0]) and len(halves[1]) else (places[::2], places[1::2])


def reconstructed_particles(context: Context, estimate: PosesInFrame, progress: Progress = silent) -> ReconstructedMaps:
    """Densities from the particles that have poses."""
    from ...geometry.symmetry import group
    from ...imaging.reconstruction import reconstruct
    from ...imaging.symmetric_density import symmetrised

    stack, prepared = context.stack, context["particles"]
    assert stack is not None
    count, places = len(prepared.members), estimate.places
    poses, shifts = np.broadcast_to(np.eye(3), (count, 3, 3)).copy(), np.zeros((count, 2))
    poses[places], shifts[places] = estimate.poses, estimate.shifts
    halves, settings = half_sets(context, places), context.config.reconstruction
    result = reconstruct(
        lazily.images(context), poses, context.volume, context.stream("half sets"), settings.iterations, progress,
        shifts=shifts, transfer=lazily.transfers(context), noise_power=noise_of(prepared).power(stack.size),
        halves=halves, snr=signal_to_noise(context),
    )  # fmt: skip
    densities = [result.density, *result.halves]
    elements = group(context.config.volume.symmetry)
    if len(elements) > 1:
        densities = [symmetrised(density, context.volume.center_index, elements) for density in densities]
    return ReconstructedMaps(*densities)
