"""The density that the projections give with the recovered poses, and two from halves of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import naming
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...record.arrays import Shape
from ..devices import ASTRA
from ..metrics import FSC_HALF, FSC_HALVES
from ..stage import Artefact, Context, Cost, Source, Stage

CURVES = dict.fromkeys(("frequencies_per_angstrom", "to_input", "between_halves"), Shape(("f",)))


@dataclass(frozen=True, eq=False)
class ReconstructedMaps:
    """Densities (nz, ny, nx), float32, on the grid of the volume: of all projections, and of two random halves."""

    density: NDArray[np.float32]
    half1: NDArray[np.float32]
    half2: NDArray[np.float32]


class ReconstructionStage(Stage):
    """Reconstructs by least squares."""

    name = "reconstruction"
    needs = ("projections", "recovery", "alignment")
    result = ReconstructedMaps
    finite = ("density", "half1", "half2")
    metrics = (FSC_HALF, FSC_HALVES)
    artefacts = (
        Artefact("reconstruction.mrc", "the density"),
        Artefact("half1.mrc", "the density of half of the projections"),
        Artefact("half2.mrc", "the density of the other half"),
        Artefact("fsc.npz", "Fourier shell correlations with the input and between the half maps", CURVES),
    )
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Unless it is switched off, of simulations."""
        return config.reconstruction.enabled and config.particles.source is None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The settings of the reconstruction."""
        return (config_to_dict(config)["reconstruction"],)

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """ASTRA's device, where that makes the densities."""
        return (ASTRA,) if config.reconstruction.method == "cgls" else ()

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels times iterations."""
        pixels = source.count(config) * source.frame(config) ** 2
        return Cost(0.2 + 1.6e-8 * pixels * config.reconstruction.iterations_or_default)

    def run(self, context: Context, progress: Progress) -> ReconstructedMaps:
        """Reconstruct from the aligned poses or, without truth, from the recovered ones in their own frame."""
        poses = context["alignment"].poses if "alignment" in context.results else context["recovery"].poses
        return reconstructed(context, poses, context["projections"].shifts, progress)

    def report(self, context: Context, result: ReconstructedMaps) -> dict[str, Any]:
        """Resolutions."""
        return resolutions(context, result)

    def keep(self, context: Context, result: ReconstructedMaps) -> None:
        """Densities and correlations."""
        keep_maps(context, result)


def reconstructed(
    context: Context, poses: NDArray[np.floating], shifts: NDArray[np.floating] | None, progress: Progress
) -> ReconstructedMaps:
    """Densities from all particles with these poses (n, 3, 3) and shifts (n, 2) in pixels, where they are known."""
    from ...geometry.symmetry import group
    from ...imaging.filters import shift_images
    from ...imaging.reconstruction import reconstruct
    from ...imaging.symmetric_density import symmetrised

    particles, volume = context["projections"], context.volume
    images = particles.images
    if shifts is not None and context.config.projections.max_shift > 0:
        images = shift_images(images, -shifts)
    # The same halves each time, so that densities before and after refinement can be compared.
    rng, settings = context.stream("half sets"), context.config.reconstruction
    # Amplitudes near the CTF's zeros would be divided by next to nothing: the ridge is that of the noise.
    snr = particles.noise.snr if particles.ctf is not None and particles.noise.variance > 0 else None
    with naming(method="reconstruction.method"):
        result = reconstruct(
            images, poses, volume, rng, settings.iterations, progress, settings.method,
            transfer=particles.transfers(), noise_power=particles.noise_power(), snr=snr,
        )  # fmt: skip
    densities = [result.density, *result.halves]
    elements = group(context.config.volume.symmetry)
    if len(elements) > 1:
        densities = [symmetrised(density, volume.center_index, elements) for density in densities]
    return ReconstructedMaps(*densities)


def resolutions(context: Context, maps: ReconstructedMaps, prefix: str = "") -> dict[str, float]:
    """Resolution in Å between the half maps and, with the truth, against the input map."""
    from ...imaging.fsc import resolution_at

    frequencies, to_input, between_halves = _correlations(context, maps)
    figures = {}
    if context.volume_is_known:
        figures[f"{prefix}fsc_0.5_angstrom"] = resolution_at(frequencies, to_input, 0.5)
    return figures | {f"{prefix}fsc_0.143_angstrom": resolution_at(frequencies, between_halves, 0.143)}


def keep_maps(context: Context, maps: ReconstructedMaps, prefix: str = "") -> None:
    """The densities as .mrc, their correlations as ``fsc.npz``."""
    from ...io.mrc import write_map

    volume, record = context.volume, context.record
    for density, stem in ((maps.density, "reconstruction"), (maps.half1, "half1"), (maps.half2, "half2")):
        write_map(record.path / f"{prefix}{stem}.mrc", density, volume.voxel_size, volume.origin)
    frequencies, to_input, between_halves = _correlations(context, maps)
    against = {"to_input": to_input} if context.volume_is_known else {}
    record.save_arrays(
        f"{prefix}fsc.npz", frequencies_per_angstrom=frequencies, **against, between_halves=between_halves
    )


def _correlations(context: Context, maps: ReconstructedMaps) -> tuple[NDArray[np.floating], ...]:
    """Spatial frequencies in 1/Å, correlation with the input map and between the half maps."""
    from ...imaging.fsc import fourier_shell_correlation

    volume = context.volume
    frequencies, to_input = fourier_shell_correlation(maps.density, volume.density, volume.voxel_size)
    return frequencies, to_input, fourier_shell_correlation(maps.half1, maps.half2, volume.voxel_size)[1]
