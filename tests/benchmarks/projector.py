"""Throughput of our projector beside ASPIRE's: ``python -m tests.benchmarks.projector [VOLUME] [--csv FILE]``.

Both make the same projections, float32, in one process on one core, by turns. ASPIRE's ``Volume.project`` makes images
of its volume's side, so its volume is the same one padded to a cube with the side of the frame; ours takes the volume
as it is and the frame's size. Both are measured against sums of the density's Fourier series in double precision, and
against each other, so that the times are for the same work.
"""

from __future__ import annotations

from tests.benchmarks.threads import one_core, one_thread

if __name__ == "__main__":
    one_thread()
    one_core()

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.base.errors import InputError
from engine.base.files import writing
from engine.geometry.rotations import sample_orientations
from engine.imaging import filters
from engine.imaging.projection import project
from engine.imaging.volume import Volume
from engine.io.loading import load_volume
from tests.benchmarks import measuring, tables
from tests.benchmarks.aspire_peer import import_aspire

WANTED_RATIO, WANTED_ERROR = 3.0, 1e-3
_CHECKED = 3  # projections compared to direct sums
_BLOCK = 512  # frequencies summed at a time


def direct_spectrum(
    density: NDArray[np.floating], origin_xyz: NDArray[np.floating], pose: NDArray[np.floating], size: int
) -> NDArray[np.complex128]:
    """A projection's ``numpy.fft.rfft2`` (size, size // 2 + 1), about pixel (0, 0), summed voxel by voxel.

    ``sum_x density(x) exp(-2 pi i (R k) . (x - origin))`` at every frequency k of the plane, in double precision;
    ``origin_xyz`` is the voxel index that lands on the pixel.
    """
    k_v, k_u = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    frequencies = pose[:, :2] @ np.stack([k_u.ravel(), k_v.ravel()])
    spectrum = np.empty(frequencies.shape[1], dtype=complex)
    for start in range(0, len(spectrum), _BLOCK):
        # The exponential of a sum is a product, so the axes can be summed one after the other.
        x, y, z = (
            np.exp(-2j * np.pi * np.outer(np.arange(n) - middle, k[start : start + _BLOCK]))
            for n, middle, k in zip(density.shape[::-1], origin_xyz, frequencies, strict=True)
        )
        partial = np.einsum("zyk,yk->zk", density.astype(float) @ x, y)
        spectrum[start : start + _BLOCK] = np.einsum("zk,zk->k", partial, z)
    return spectrum.reshape(size, -1)


def relative_error(
    images: NDArray[np.floating],
    density: NDArray[np.floating],
    origin_xyz: NDArray[np.floating],
    poses: NDArray[np.floating],
) -> float:
    """Relative L2 error of images (n, size, size) against :func:`direct_spectrum`.

    Without the Nyquist frequency of an even size, which one projector keeps and the other drops.
    """
    size = images.shape[-1]
    wanted = np.stack([direct_spectrum(density, origin_xyz, pose, size) for pose in poses])
    spectrum = np.fft.rfft2(np.fft.ifftshift(images.astype(float), axes=(1, 2)))
    counted = np.full(wanted.shape[1:], 2.0)  # each column but the first stands for its mirror image too
    counted[:, 0] = 1.0
    if size % 2 == 0:
        counted[size // 2] = counted[:, size // 2] = 0.0
    misfit = np.sum(counted * np.abs(spectrum - wanted) ** 2)
    return float(np.sqrt(misfit / np.sum(counted * np.abs(wanted) ** 2)))


def padded_cube(volume: Volume, side: int) -> NDArray[np.float32]:
    """The density in a cube of zeros; its voxel ``n // 2`` of each axis lies at voxel ``side // 2``."""
    if max(volume.density.shape) > side:
        raise InputError(f"the volume is {max(volume.density.shape)} voxels wide; wanted at most --size, {side}")
    cube = np.zeros((side,) * 3, dtype=np.float32)
    cube[tuple(slice(side // 2 - n // 2, side // 2 - n // 2 + n) for n in volume.density.shape)] = volume.density
    return cube


def measure(volume: Volume, size: int, count: int, rounds: int) -> tuple[list[float], list[float], list[str]]:
    """Projections a second of each round, ours and ASPIRE's; and lines on how right they are."""
    aspire = import_aspire()
    poses = sample_orientations(count, np.random.default_rng(0))
    cube = padded_cube(volume, size)
    peer, turns = aspire.volume.Volume(cube, pixel_size=volume.voxel_size), poses.astype(np.float32)

    def ours(some: slice = slice(None)) -> NDArray[np.float32]:
        return project(volume, poses[some], size)

    def theirs(some: slice = slice(None)) -> NDArray[np.float32]:
        return peer.project(turns[some]).asnumpy()

    few = slice(0, _CHECKED)
    our_images, peer_images = ours(few), theirs(few) * size
    # ASPIRE's turn about voxel n // 2, ours about the centre of mass.
    shift = (volume.center_index - np.array([n // 2 for n in volume.density.shape[::-1]])) @ poses[few]
    moved = filters.shift_images(our_images, shift[:, :2])
    lines = [
        f"relative L2 error against double-precision sums, {_CHECKED} projections: "
        f"ours {relative_error(our_images, volume.density, volume.center_index, poses[few]):.1e} "
        f"(wanted: {WANTED_ERROR:g}), ASPIRE "
        f"{relative_error(peer_images, cube, np.full(3, size // 2), poses[few]):.1e}",
        "relative L2 difference of ours, moved to ASPIRE's centre, from ASPIRE's (which drops the Nyquist frequency): "
        f"{np.linalg.norm(moved - peer_images) / np.linalg.norm(peer_images):.1e}",
    ]
    our_rates, peer_rates = [], []
    for number in range(rounds):
        our_rates.append(count / _seconds(ours))
        peer_rates.append(count / _seconds(theirs))
        measuring.say(f"round {number + 1}: ours {our_rates[-1]:.0f}, ASPIRE {peer_rates[-1]:.0f} projections/s")
    return our_rates, peer_rates, lines


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = _parser().parse_args(argv)
    try:
        volume = load_volume(arguments.volume)
        our_rates, peer_rates, lines = measure(volume, arguments.size, arguments.count, arguments.rounds)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ratios = [mine / peer for mine, peer in zip(our_rates, peer_rates, strict=True)]
    rows = (
        ("ours, projections/s", our_rates),
        ("ASPIRE, projections/s", peer_rates),
        ("ours / ASPIRE", ratios),
    )
    size, facts = arguments.size, measuring.facts()
    print(f"{arguments.count} projections of {volume.name}, {size} x {size}, float32, one core, by turns\n")
    cells = [[name, *(tables.number(value) for value in (np.median(v), min(v), max(v)))] for name, v in rows]
    print(tables.markdown_table(("", f"median of {arguments.rounds}", "least", "greatest"), cells), end="\n\n")
    print(*(f"- {line}" for line in lines), sep="\n", end="\n\n")
    print(f"Wanted: {WANTED_RATIO:g} times ASPIRE's throughput.", *tables.footing([facts], []))
    if arguments.csv is not None:
        table = [
            {"figure": name, "volume": volume.name, "size": size, "count": arguments.count, "round": number, "value": v}
            | facts
            for name, values in rows
            for number, v in enumerate(values, start=1)
        ]
        with writing(arguments.csv) as aside:
            aside.write_text(tables.csv_text(table), encoding="utf-8")
    return 0


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.projector", description=__doc__)
    source = measuring.default_volume()
    parser.add_argument("volume", nargs="?", default=source, help=f"what volume.source takes (default {source})")
    parser.add_argument("--size", type=int, default=116, help="pixels along a side (default 116)")
    parser.add_argument("--count", type=int, default=1000, help="projections (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is measured (default 5)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every round's figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
