"""The particles of an experiment, as far as they are known before it runs: their table, and where their images are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..base.errors import InputError, naming
from ..base.randomness import stream
from ..config.numeric import volume_of
from ..config.particles import ParticlesConfig
from ..config.schema import Config, VolumeConfig
from ..imaging.ctf import ContrastTransfer
from ..imaging.filters import fourier_crop
from ..imaging.preparation import cut_out, resized
from ..imaging.resampling import on_box, same_voxels
from ..imaging.volume import Volume
from ..io.particle_table import ParticleTable
from ..io.particles import read_particles
from ..io.stacks import ImageSource, open_images
from ..poses.choices import MOST_HELD
from .stack_source import StackSource

_KEYS = {name: f"particles.{name}" for name in ParticlesConfig.model_fields}
_USUAL_SHIFT = 0.05  # of the box, where no origins tell
_FEWEST = 4  # each of the two half sets needs two


@dataclass(frozen=True)
class Framing:
    """How images become those that are used: all have the same field of view and pixels then.

    Attributes
    ----------
    full, full_pixel_size
        pixels along a side, and Å, of the images with the largest pixels, to which others are brought first.
    box
        how many of these pixels, in the middle, are cut out.
    size
        pixels to which the box is scaled down.
    """

    full: int
    full_pixel_size: float
    box: int
    size: int

    @property
    def reduction(self) -> float:
        """How many times as wide the pixels become."""
        return self.box / self.size

    def __call__(self, images: NDArray[np.float32], pixel_size: float) -> NDArray[np.float32]:
        """Images (n, size, size), of recorded ones with pixels of ``pixel_size`` Å."""
        if images.shape[-1] != self.full or not same_voxels(pixel_size, self.full_pixel_size):
            images, _ = resized(images, pixel_size, self.full, self.full_pixel_size)
        return fourier_crop(cut_out(images, self.box), self.size)


@dataclass(frozen=True, eq=False)
class Stack:
    """Particles that were read from a table.

    Attributes
    ----------
    table, images
        all that the table says, and where its images are.
    chosen
        (n,) rows of the table whose images are used, ascending.
    halves
        (n,) 1 or 2: the table's, or drawn.
    size, pixel_size
        pixels along a side, and Å, of all images as they are used.
    framing
        how images are brought to these.
    scales
        (n,) the pixel size of an image as recorded over ``pixel_size``: its shifts are as many times larger there.
    max_shift
        pixels as used, the largest shift along x and y.
    ctf
        of the chosen images; None where the table has none.
    reference_poses, reference_shifts
        (n, 3, 3) and (n, 2) in pixels as used: those that came with the stack, which are not the truth; None where
        there are none.
    is_flipped
        whether images were multiplied by the sign of their CTF before.
    fingerprint
        a text that is the same only for equal tables and stacks that were not changed since.
    remarks, doubts
        lines for the log: what was read, and what is doubtful.
    """

    table: ParticleTable
    images: ImageSource
    chosen: NDArray[np.int64]
    halves: NDArray[np.int64]
    size: int
    pixel_size: float
    framing: Framing
    scales: NDArray[np.float64]
    max_shift: float
    ctf: ContrastTransfer | None
    reference_poses: NDArray[np.float64] | None
    reference_shifts: NDArray[np.float64] | None
    is_flipped: bool
    fingerprint: str
    remarks: tuple[str, ...]
    doubts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def source(self) -> StackSource:
        """What keys and costs depend on."""
        digest = hashlib.sha256()
        for values in (self.reference_poses, self.reference_shifts):
            digest.update(b"none" if values is None else values.astype("<f8").tobytes())
        halves = hashlib.sha256(self.halves.astype("<i8").tobytes()).hexdigest()
        chosen = hashlib.sha256(self.chosen.astype("<i8").tobytes()).hexdigest()
        return StackSource(
            f"{self.fingerprint} {chosen} {self.framing}",
            digest.hexdigest(),
            halves,
            len(self),
            self.size,
            self.max_shift,
        )

    def batches(
        self, members: NDArray[np.integer] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Positions among the chosen, of all when not given, and their images (m, size, size).

        As recorded, but brought to one pixel size and frame where the stack has several, cut out and scaled down.
        """
        rows = self.chosen if members is None else self.chosen[members]
        for part, images in self.images.chunks(rows):
            sizes = self.images.pixel_size[part]
            for pixel_size in np.unique(sizes):
                own = sizes == pixel_size
                yield np.searchsorted(self.chosen, part[own]), self.framing(images[own], float(pixel_size))


def read_stack(config: Config) -> Stack:
    """The particles of a configuration; InputError, in one line, for what cannot be used."""
    settings = config.particles
    assert settings.source is not None
    doubts: list[str] = []
    with naming(**_KEYS):
        table = read_particles(settings.source, settings.data_dir, settings.pixel_size, warn=doubts.append)
        images = open_images(table)
    doubts += [f"{table.source}: {remark}" for remark in images.remarks]
    rng = stream(config.seed, "chosen particles")
    chosen = np.arange(len(table))
    if settings.limit is not None and settings.limit < len(chosen):
        chosen = np.sort(rng.choice(chosen, settings.limit, replace=False))
    remarks = [table.summary()]
    halves = table.halves
    if halves is None:
        halves = 1 + np.argsort(np.argsort(stream(config.seed, "half sets of particles").random(len(table)))) % 2
        remarks.append("the table has no half sets (rlnRandomSubset): they are drawn from the seed")
    if config.training.on != "reference" and table.poses is None:
        raise InputError(
            f"training.on is {config.training.on!r} and {table.source} has no poses; wanted a table with poses, or "
            "training.on = reference and a map"
        )
    if settings.half != "both" and config.training.on == "reference":  # else the other half teaches
        chosen = chosen[halves[chosen] == int(settings.half)]
    if len(chosen) < _FEWEST:
        raise InputError(
            f"{table.source} has {len(chosen)} particles "
            + (f"in half {settings.half} (particles.half); " if settings.half != "both" else "; ")
            + f"wanted at least {_FEWEST}"
        )
    largest = chosen[np.argmax(images.pixel_size[chosen])]
    size, pixel_size = int(images.image_size[largest]), float(images.pixel_size[largest])
    framing = _framing(settings, size, pixel_size)
    if len(kinds := np.unique(np.stack([images.image_size[chosen], images.pixel_size[chosen]]), axis=1).T) > 1:
        remarks.append(
            f"images of {len(kinds)} sizes or pixel sizes are brought to {size} px of {pixel_size:.4g} Å, those of the "
            "largest pixels"
        )
    if framing.size != size:
        remarks.append(
            f"images of {size} px are cut to the middle {framing.box} and scaled down to {framing.size}, of "
            f"{pixel_size * framing.reduction:.4g} Å"
        )
    scales = images.pixel_size[chosen] / (pixel_size * framing.reduction)
    shifts = None if table.shifts_px is None else table.shifts_px[chosen] * scales[:, None]
    max_shift = settings.max_shift
    if max_shift is None:
        known = shifts is not None and bool(np.any(shifts))
        max_shift = (
            float(np.abs(shifts).max()) * framing.reduction if shifts is not None and known else _USUAL_SHIFT * size
        )
        why = "the largest of the table's origins" if known else f"{_USUAL_SHIFT:.0%} of the box"
        remarks.append(f"particles.max_shift is not given: shifts of up to {max_shift:.3g} px, {why}")
    for key, length in (("max_shift", max_shift), ("mask_radius", settings.mask_radius)):
        if length is not None and length > framing.box / 2:
            raise InputError(
                f"particles.{key} is {length:.4g} px and images are {framing.box} px wide; wanted at most half of that"
            )
    if config.volume.symmetry != "C1" and len(chosen) > MOST_HELD:
        raise InputError(
            f"{table.source} has {len(chosen):,} particles and volume.symmetry is {config.volume.symmetry}; wanted at "
            f"most {MOST_HELD:,} of a symmetric volume, all of whose pairs are used: set particles.limit"
        )
    return Stack(
        table, images, chosen, np.asarray(halves)[chosen], framing.size,
        pixel_size * framing.reduction, framing, scales, max_shift / framing.reduction,
        _contrast(table, chosen, settings, doubts), None if table.poses is None else table.poses[chosen],
        shifts, bool(table.phase_flipped[chosen].any()),
        _fingerprint(table, images), tuple(remarks), tuple(doubts),
    )  # fmt: skip


def _framing(settings: ParticlesConfig, size: int, pixel_size: float) -> Framing:
    """That of the settings, for images of ``size`` pixels; InputError for a box or a size beyond what there is."""
    box = settings.box or size
    for key, wanted, most, what in (("box", box, size, "images"), ("size", settings.size or box, box, "the box")):
        if wanted > most:
            raise InputError(
                f"particles.{key} is {wanted} px and {what} {'is' if what == 'the box' else 'are'} {most} px wide; "
                "wanted at most that"
            )
    return Framing(size, pixel_size, box, settings.size or box)


def map_for(stack: Stack, config: VolumeConfig) -> tuple[Volume, list[str]]:
    """The map of a configuration on the grid of a stack's pixels, turning about voxel n // 2; an empty one without.

    Remarks say what was done to it.
    """
    shape = (stack.size,) * 3
    if config.source is None:
        return Volume(np.zeros(shape, np.float32), stack.pixel_size, np.zeros(3), "no map", center="box"), []
    volume = volume_of(config)
    on_grid = on_box(volume, stack.size, stack.pixel_size)
    if volume.density.shape == shape and same_voxels(volume.voxel_size, stack.pixel_size):
        return on_grid, []
    nz, ny, nx = volume.density.shape
    return on_grid, [
        f"volume {volume.name}: brought from {nx} x {ny} x {nz} voxels of {volume.voxel_size:.4g} Å to the stack's "
        f"grid, {stack.size} voxels of {stack.pixel_size:.4g} Å along each side, its voxel n // 2 in the middle"
    ]


def _contrast(
    table: ParticleTable, chosen: NDArray[np.int64], settings: ParticlesConfig, doubts: list[str]
) -> ContrastTransfer | None:
    columns = table.ctf
    if columns is None:
        return None
    premultiplied, flipped = table.ctf_premultiplied[chosen], table.phase_flipped[chosen]
    if premultiplied.any():
        raise InputError(
            f"{table.source} says that its images are multiplied by their CTF already (rlnCtfDataAreCtfPremultiplied); "
            "wanted images as recorded, or phase-flipped ones"
        )
    if flipped.any() and settings.phase_flip:
        doubts.append("its images are phase-flipped already (rlnCtfDataArePhaseFlipped): they are not flipped again")
    magnification = columns.magnification
    return ContrastTransfer(
        columns.defocus_angstrom[chosen], columns.astigmatism_degrees[chosen], columns.voltage_kv[chosen],
        columns.spherical_aberration_mm[chosen], columns.amplitude_contrast[chosen],
        columns.phase_shift_degrees[chosen], columns.b_factor[chosen],
        None if magnification is None else magnification[chosen],
    )  # fmt: skip


def _fingerprint(table: ParticleTable, images: ImageSource) -> str:
    """Of what the table says and of each stack's header, size and time: reading all images would take minutes.

    Poses, shifts and half sets are not in it: they are in the keys of what uses them.
    """
    digest = hashlib.sha256()
    ctf = () if table.ctf is None else vars(table.ctf).values()
    for values in (
        table.stack_index, table.image_index, images.pixel_size, table.ctf_premultiplied,
        table.phase_flipped, *ctf,
    ):  # fmt: skip
        digest.update(b"none" if values is None else np.ascontiguousarray(values).tobytes())
    for path in images.paths:
        state = path.stat()
        with path.open("rb") as file:
            digest.update(file.read(1024))
        digest.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()
