"""Particles in half sets: which are estimated by what the others taught, and the maps that teach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ..stage import Artefact, Context, Cost, Source, Stage, second_half
from . import lazily
from .particles import noise_of, signal_to_noise

if TYPE_CHECKING:
    from ...imaging.volume import Volume

_MOST_ANCHORS = 500
FEWEST = 8
"""Particles that a half set has at least, so that others can learn from it."""


def of_second_half(stage: Stage) -> Stage:
    """The stage as that of the second half set: with a name and files of its own."""
    kind = type(stage)
    stage.second = True
    stage.name = second_half(kind.name)  # type: ignore[misc]
    stage.files = tuple(map(second_half, kind.files))  # type: ignore[misc]
    stage.artefacts = tuple(  # type: ignore[misc]
        replace(one, filename=second_half(one.filename), description=f"{one.description}; of half set 2")
        for one in kind.artefacts
    )
    stage.needs = tuple(second_half(name) if name in _OWN else name for name in kind.needs)  # type: ignore[misc]
    stage.metrics = ()  # type: ignore[misc]
    return stage


_OWN = ("training", "distance", "recovery")


def has_second(config: Config) -> bool:
    """Whether both half sets are estimated, each by what the other one taught."""
    return config.particles.source is not None and config.training.on != "reference" and config.particles.half == "both"


def estimated(context: Context) -> NDArray[np.intp]:
    """Which of the usable particles get their poses: those of the context's half, or all."""
    half = context.half
    return np.flatnonzero(_halves(context) == half) if half else np.arange(len(context["particles"].members))


def teachers(context: Context) -> NDArray[np.intp]:
    """Which of the usable particles the others learn from."""
    return np.flatnonzero(_halves(context) == 3 - context.half)


def anchoring(context: Context) -> NDArray[np.intp]:
    """Which of the teachers are not learned from: a tenth, for validation and as anchors with known poses."""
    others = teachers(context)
    rng = context.stream(f"anchors of half set {context.half}")
    return np.sort(rng.choice(others, min(_MOST_ANCHORS, max(FEWEST, len(others) // 10)), replace=False))


def _halves(context: Context) -> NDArray[np.int64]:
    stack = context.stack
    assert stack is not None
    return stack.halves[context["particles"].members]


def teaching_map(context: Context) -> Volume:
    """The map that the network learns from: the experiment's, or the other half's."""
    if not context.half:
        return context.volume
    maps: HalfMaps = context["half_maps"]
    return replace(context.volume, density=maps.of_half1 if context.half == 2 else maps.of_half2)


@dataclass(frozen=True, eq=False)
class HalfMaps:
    """The densities (nz, ny, nx) of both half sets with the poses that they came with, filtered by their own quarters.

    They share no particle, but the poses they came with may have been refined together.
    """

    of_half1: NDArray[np.float32]
    of_half2: NDArray[np.float32]


class HalfMapsStage(Stage):
    """Reconstructs each half set with the poses that came with it."""

    name = "half_maps"
    needs = ("particles",)
    result = HalfMaps
    finite = ("of_half1", "of_half2")
    artefacts = (
        Artefact("teaching_half1.mrc", "the map of half set 1 that half set 2 is estimated with"),
        Artefact("teaching_half2.mrc", "the map of half set 2 that half set 1 is estimated with"),
    )
    depends_on_frame = True

    def enabled(self, config: Config) -> bool:
        """Where the particles themselves teach."""
        return config.particles.source is not None and config.training.on != "reference"

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """Poses and half sets that came with the particles, and the settings of reconstructions."""
        assert source.stack is not None
        return (
            source.stack.reference,
            source.stack.halves,
            config_to_dict(config)["reconstruction"],
            config.volume.symmetry,
        )

    def cost(self, config: Config, source: Source) -> Cost:
        """Pixels."""
        return Cost(0.5 + 4e-7 * source.count(config) * source.frame(config) ** 2, 70 * 8 * source.frame(config) ** 3)

    def run(self, context: Context, progress: Progress) -> HalfMaps:
        """Reconstruct."""
        progress(0.0, {})
        first = self._map(context, 1, lambda done, values: progress(0.5 * done, values))
        return HalfMaps(first, self._map(context, 2, lambda done, values: progress(0.5 + 0.5 * done, values)))

    def keep(self, context: Context, result: HalfMaps) -> None:
        """The maps."""
        from ...io.mrc import write_map

        volume = context.volume
        for number, density in enumerate((result.of_half1, result.of_half2), start=1):
            write_map(
                context.record.path / f"teaching_half{number}.mrc", density, volume.voxel_size, volume.origin
            )  # fmt: skip

    def _map(self, context: Context, half: int, progress: Progress) -> NDArray[np.float32]:
        from ...geometry.symmetry import group
        from ...imaging.reconstruction import reconstruct
        from ...imaging.reference import REFERENCE_RADIUS, filtered_reference
        from ...imaging.symmetric_density import symmetrised

        stack, prepared, volume = context.stack, context["particles"], context.volume
        assert stack is not None
        assert stack.reference_poses is not None
        own = np.flatnonzero(_halves(context) == half)
        if len(own) < FEWEST:
            raise InputError(f"half set {half} has {len(own)} usable particles; wanted at least {FEWEST} to learn from")
        order = context.stream(f"quarters of half set {half}").permutation(own)
        shifts = np.zeros((len(prepared.members), 2))
        if stack.reference_shifts is not None:
            shifts = stack.reference_shifts[prepared.members]
        made = reconstruct(
            lazily.images(context), stack.reference_poses[prepared.members], volume, context.stream("half sets"),
            context.config.reconstruction.iterations, progress, shifts=shifts, transfer=lazily.transfers(context),
            noise_power=noise_of(prepared).power(stack.size), halves=(np.sort(order[::2]), np.sort(order[1::2])),
            snr=signal_to_noise(context),
        )  # fmt: skip
        densities: list[Any] = [made.density, *made.halves]
        elements = group(context.config.volume.symmetry)
        if len(elements) > 1:
            densities = [symmetrised(density, volume.center_index, elements) for density in densities]
        whole, one, other = densities
        return filtered_reference(whole, (one, other), "all", REFERENCE_RADIUS * stack.size, volume.center_index)
