"""The test projections: particles whose poses are to be recovered, simulated with their truth."""

from __future__ import annotations

from typing import Any

from ...base.errors import naming
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import projections_that_matter
from ...imaging.particles import ParticleSet
from ...record.arrays import Shape
from ..devices import ASTRA
from ..metrics import NOISE_VARIANCE, SNR
from ..stage import Artefact, Context, Cost, Source, Stage

SHOWN = 16
"""Projections that a run keeps, for display."""


class ProjectionsStage(Stage):
    """Simulates the particles."""

    name = "projections"
    result = ParticleSet
    finite = ("images",)
    metrics = (NOISE_VARIANCE, SNR)
    artefacts = (
        Artefact("projections.npz", f"the first {SHOWN} projections, clean and as recorded", {
            "clean": Shape(("n", "s", "s")), "images": Shape(("n", "s", "s")),
        }),
    )  # fmt: skip
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Unless the images were recorded."""
        return config.particles.source is None

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The density and every setting of the projections."""
        return (source.volume, projections_that_matter(config))

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """ASTRA's device, where that makes them."""
        return (ASTRA,) if config.projections.projector == "astra" else ()

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels; clean, noisy, standardised images and one temporary copy; with a CTF another, multiplied by it."""
        pixels, with_ctf = config.projections.count * source.frame(config) ** 2, config.projections.defocus is not None
        return Cost(0.05 + (1e-7 + 5e-8 * with_ctf) * pixels, 4 * (4 + with_ctf) * pixels)

    def run(self, context: Context, progress: Progress) -> ParticleSet:
        """Simulate with the configured settings."""
        from ...config.numeric import PROJECTIONS, acquisition_of
        from ...imaging.simulation import simulate

        settings = context.config.projections
        rng = context.stream("test projections")
        with naming(**PROJECTIONS):
            return simulate(context.volume, acquisition_of(settings), settings.count, rng, progress, SHOWN)

    def report(self, context: Context, result: ParticleSet) -> dict[str, Any]:
        """The noise, as variance and as SNR."""
        return {"noise_variance": result.noise.variance, "snr": result.noise.snr}

    def keep(self, context: Context, result: ParticleSet) -> None:
        """The first projections; the CTF and the colour of the noise go to the log."""
        if result.ctf is not None:
            context.record.log(f"projections: multiplied by their CTF, {result.ctf}")
            if error := context.config.projections.defocus_error:
                context.record.warn(
                    f"projections: the defocus that is known of them, and that all goes by, is {error:+,.0f} Å off"
                )
        if result.noise.spectrum is not None:
            context.record.log("projections: their noise is coloured, stronger at low frequencies")
        clean = {} if result.truth is None else {"clean": result.truth.clean}
        context.record.save_arrays("projections.npz", **clean, images=result.images[:SHOWN])
