"""``python -m engine generate``: projections of a volume with their angles, or particles as a microscope records them.

The arguments are in :mod:`cli.generate_arguments`. What is written is in :mod:`cli.generate_projections`, as the
published generator wrote it, and in :mod:`cli.generate_particles`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .generate_arguments import Request, read_arguments

if TYPE_CHECKING:
    from ..base.progress import Progress
    from ..imaging.volume import Volume
    from .console import Reporter

_OPTIONS = {
    "source": "-in/--input-file", "voxel_size": "--voxel-size", "stack_is_volume": "--stack-is-volume",
}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run the command with its arguments; returns the exit status.

    Progress is reported on standard error, the files written on standard output.

    Raises
    ------
    InputError
        for every wrong argument, config file, input or output. No output is left half-written.
    """
    request = read_arguments(list(argv))
    from .console import Reporter  # from here on what takes time to import: --help does not come here
    from .generate_particles import generate_particles
    from .generate_projections import generate, require_free_names

    require_free_names(request)
    names = " and ".join(map(str, request.paths))
    with Reporter() as reporter:
        volume = _volume(request, reporter)
        if request.particles is None:
            with _stage(reporter, "projections") as progress:
                generate(request, volume, progress)
            size = volume.diagonal
            what = f"{request.count} projections of {size} x {size} pixels, {volume.voxel_size:g} Å per pixel"
        else:
            with _stage(reporter, "particles") as progress:
                what = generate_particles(request, volume, progress)
    print(f"{names}: {what}")
    return 0


def _volume(request: Request, reporter: Reporter) -> Volume:
    from ..base.errors import naming
    from ..io.loading import load_volume

    symmetry = "C1" if request.particles is None else request.particles.symmetry
    with _stage(reporter, "volume") as progress, naming(**_OPTIONS):
        return load_volume(
            request.source, None, request.voxel_size, symmetry, "no" if symmetry == "C1" else "oligomer", progress,
            request.stack_is_volume, warn=lambda line: reporter.on_event({"kind": "warning", "message": line}),
        )  # fmt: skip


@contextmanager
def _stage(reporter: Reporter, name: str) -> Iterator[Progress]:
    started = time.monotonic()
    reporter.on_event({"kind": "stage_started", "stage": name})
    yield lambda fraction, values: reporter.on_event(
        {"kind": "progress", "stage": name, "fraction": fraction, "values": values}
    )
    reporter.on_event({"kind": "stage_ended", "stage": name, "seconds": time.monotonic() - started})
