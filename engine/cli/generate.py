"""``python -m engine generate``: projections of a volume with their angles, as the published generator wrote them.

The flags, the config file's syntax and the names in the files are the published ones: ``.h5`` and ``.mat`` hold
``Projections`` (n, size, size), float32, and ``Angles`` (n, 3), float64: (rot, tilt, psi) in **radians**, intrinsic
ZYZ. ``.mrcs`` holds the projections, with a RELION ``.star`` beside it. Angles are as in :mod:`geometry.rotations`;
the published code built its detector from the transposed matrix, so that a triple of its angles shows another
view, while the distances between poses are the same.

Projections are made and written a chunk at a time, except for ``.mat``, which SciPy writes whole.
"""

from __future__ import annotations

import difflib
import io
import math
import os
import shutil
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import configargparse
import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.io import savemat

from ..base import environment
from ..base.errors import InputError, naming
from ..base.files import plain, saying_full_disk, writing
from ..base.inputs import require_memory
from ..base.paths import expanded
from ..base.progress import Progress, silent
from ..base.quantities import Range, shown
from ..base.randomness import SEED
from ..base.texts import read_text, require_unicode
from ..geometry import rotations
from ..imaging.limits import IMAGES, NOISE_VARIANCE, VOXEL_SIZE
from ..imaging.noise import NoiseModel
from ..imaging.projection import project
from ..imaging.volume import Volume
from ..io import hdf5, mrc, star
from ..io.loading import load_volume
from ..io.sources import whole
from .arguments import Once, Strict, require_once
from .console import Reporter

CONVENTION = (
    "x_object = R x_image, R = Rz(rot) Ry(tilt) Rz(psi), right-handed; "
    "image[v, u] = sum over w of density(R (u, v, w)); origin at pixel size // 2"
)
_ENDINGS = (".h5", ".mat", ".mrcs")
_WANTED_ENDING = "wanted a name that ends in .h5, .mat or .mrcs"
_OPTIONS = {
    "source": "-in/--input-file", "voxel_size": "--voxel-size", "stack_is_volume": "--stack-is-volume",
}  # fmt: skip
_THREE_TIMES = ("angle-shift", "angle-coverage")
_CHUNK_BYTES = 64 * 2**20
_BYTES_PER_POSE = 3 * 9 * 8  # angles, matrices and what is between
_MAT_BYTES = 2**31  # a variable of MATLAB's level-5 format is smaller

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Request:
    """A request. ``shift``, ``coverage``: start and width of (rot, tilt, psi) in units of pi, checked."""

    source: str
    output: Path
    count: int = 5000
    shift: Triple = (0.0, 0.0, 0.0)
    coverage: Triple = rotations.PUBLISHED_COVERAGES["full"]
    sampling: str = "euler"
    seed: int = 0
    noise_variance: float = 0.0
    overwrite: bool = False
    voxel_size: float | None = None
    stack_is_volume: bool = False

    @property
    def kind(self) -> str:
        """The output's ending, in lower case."""
        return self.output.suffix.lower()

    @property
    def paths(self) -> list[Path]:
        """The output files: the output, and the ``.star`` beside a stack."""
        return [self.output, self.output.with_suffix(".star")] if self.kind == ".mrcs" else [self.output]


def main(argv: Sequence[str]) -> int:
    """Run the command with its arguments; returns the exit status.

    Progress is reported on standard error, the files written on standard output.

    Raises
    ------
    InputError
        for every wrong argument, config file, input or output. No output is left half-written.
    """
    request = read_arguments(argv)
    _require_free_names(request)
    with Reporter() as reporter:
        with _stage(reporter, "volume") as progress, naming(**_OPTIONS):
            volume = load_volume(
                request.source, None, request.voxel_size, progress=progress, stack_is_volume=request.stack_is_volume,
                warn=lambda line: reporter.on_event({"kind": "warning", "message": line}),
            )  # fmt: skip
        with _stage(reporter, "projections") as progress:
            generate(request, volume, progress)
    names, size = " and ".join(map(str, request.paths)), volume.diagonal
    print(f"{names}: {request.count} projections of {size} x {size} pixels, {volume.voxel_size:g} Å per pixel")
    return 0


def read_arguments(argv: Sequence[str]) -> Request:
    """The request of the arguments and the config file that they name; arguments take precedence over the file.

    Raises
    ------
    InputError
        naming the argument or key.
    """
    parser = _parser()
    arguments, left_over = parser.parse_known_args(list(argv))
    _refuse_unknown(parser, left_over)
    require_once(arguments)
    if arguments.config_file is not None and not arguments.config_file.strip():
        raise InputError("generate: -conf/-config/--config-file is empty; wanted a file's name, or leave it out")
    if not (arguments.input_file or "").strip():
        raise InputError("generate: no input; wanted -in/--input-file, a map, coordinates or a built-in name")
    if not (arguments.output_file or "").strip():
        raise InputError(f"generate: no output; give -out/--output-file, {_WANTED_ENDING}")
    request = Request(
        source=arguments.input_file,
        output=expanded(arguments.output_file),
        count=arguments.projections_num,
        shift=_triple("-shift/--angle-shift", arguments.angle_shift, Request.shift),
        coverage=_triple("-cov/--angle-coverage", arguments.angle_coverage, Request.coverage),
        sampling=arguments.sampling,
        seed=arguments.seed,
        noise_variance=arguments.noise_variance,
        overwrite=arguments.overwrite,
        voxel_size=arguments.voxel_size,
        stack_is_volume=arguments.stack_is_volume,
    )
    if request.kind not in _ENDINGS:
        raise InputError(f"generate: -out/--output-file is {arguments.output_file!r}; {_WANTED_ENDING}")
    region_degrees(request.shift, request.coverage)
    return request


def region_degrees(shift: Triple, coverage: Triple) -> rotations.EulerRegion:
    """Intervals in degrees of (rot, tilt, psi) that start at ``shift`` and are ``coverage`` wide, in units of pi.

    Raises
    ------
    InputError
        for a width that is not above zero or above a full turn, and for a tilt outside of [0, pi].
    """
    for name, start, width in zip(("rot", "tilt", "psi"), shift, coverage, strict=True):
        if not (math.isfinite(start) and 0 < width <= 2):
            raise InputError(
                f"generate: {name} starts at {start:g} pi (-shift) and is {width:g} pi wide (-cov); "
                "wanted a width above 0, at most 2"
            )
        if (degrees := 180 * start) not in rotations.ANGLE:
            raise InputError(
                f"generate: {name} starts at {start:g} pi (-shift), {degrees:g} degrees; wanted {rotations.ANGLE}"
                f"{rotations.ANGLE.reason(degrees)}"
            )
    # 0.3 + 0.7 is not 1 in binary, and a tilt just above 180 would be refused.
    low, high = (np.round(180 * np.array(ends), 9).tolist() for ends in (shift, np.add(shift, coverage)))
    if low[1] < 0 or high[1] > 180:
        raise InputError(
            f"generate: tilt goes from {low[1] / 180:g} pi to {high[1] / 180:g} pi (second -shift, plus second -cov); "
            "wanted it within 0 and 1 pi"
        )
    return (low[0], high[0]), (low[1], high[1]), (low[2], high[2])


def generate(request: Request, volume: Volume, progress: Progress = silent) -> None:
    """Make the projections, in frames of the volume's diagonal, and write them. The noise does not alter the poses.

    Raises
    ------
    InputError
        for an output that exists, is too large for its format, the memory or the disk, or cannot be written.
    """
    _require_free_names(request)
    _require_room(request, volume.diagonal)
    pose_rng, noise_rng = np.random.default_rng(request.seed).spawn(2)
    region = region_degrees(request.shift, request.coverage)
    poses = rotations.sample_orientations(request.count, pose_rng, region, request.sampling)
    images = _Images(volume, poses, request.noise_variance, noise_rng, progress)
    try:
        with saying_full_disk(request.output.parent):
            if request.kind == ".mrcs":
                stack, table = request.paths
                mrc.write_stack(stack, (part for _, part in images.chunks()), volume.voxel_size)
                star.write_star(table, poses, volume.voxel_size, volume.diagonal, stack.name)
            else:
                write = _write_h5 if request.kind == ".h5" else _write_mat
                with writing(request.output) as aside:
                    write(aside, images, angles_rad(poses, region), _about(request, volume, region))
    except OSError as error:
        raise InputError(f"{request.output} cannot be written: {error.strerror or error}") from error


def angles_rad(poses: NDArray[np.floating], region: rotations.EulerRegion) -> NDArray[np.float64]:
    """(rot, tilt, psi) (n, 3) in radians of poses (n, 3, 3); rot and psi in the full turn that the region starts."""
    rot, tilt, psi = rotations.to_euler(poses).T
    rot, psi = (low + (angle - low) % 360 for angle, (low, _) in ((rot, region[0]), (psi, region[2])))
    return np.radians(np.stack([rot, tilt, psi], axis=-1))


@dataclass(frozen=True)
class _Images:
    """The projections, computed on demand, in the order of the poses."""

    volume: Volume
    poses: NDArray[np.floating]
    noise_variance: float
    rng: np.random.Generator
    progress: Progress

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.poses), self.volume.diagonal, self.volume.diagonal

    def chunks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        count, size, _ = self.shape
        step = max(1, _CHUNK_BYTES // (4 * size**2))
        for start in range(0, count, step):
            chunk = slice(start, min(start + step, count))
            clean = project(self.volume, self.poses[chunk], progress=self._after(start, chunk.stop - start))
            yield chunk, NoiseModel(self.noise_variance).apply(clean, self.rng)

    def _after(self, start: int, length: int) -> Progress:
        def report(fraction: float, values: Mapping[str, float]) -> None:
            done = start + fraction * length
            self.progress(done / len(self.poses), {"projections": done})

        return report

    def whole(self) -> NDArray[np.float32]:
        images = np.empty(self.shape, dtype=np.float32)
        for chunk, part in self.chunks():
            images[chunk] = part
        return images


def _write_h5(path: Path, images: _Images, angles: NDArray[np.float64], about: dict[str, Any]) -> None:
    hdf5.write_projections(path, images.shape, images.chunks(), angles, about)


def _write_mat(path: Path, images: _Images, angles: NDArray[np.float64], about: dict[str, Any]) -> None:
    savemat(path, {"Projections": images.whole(), "Angles": angles, **about})


def _about(request: Request, volume: Volume, region: rotations.EulerRegion) -> dict[str, Any]:
    """Meaning and origin of the arrays: attributes of an ``.h5``, further variables of a ``.mat``."""
    return {
        "source": plain(whole(request.source)),
        "voxel_size_angstrom": volume.voxel_size,
        "angle_units": "radian",
        "angle_order": "rot, tilt, psi; intrinsic ZYZ",
        "convention": CONVENTION,
        "coverage_degrees": np.array(region),
        "sampling": request.sampling,
        "seed": request.seed,
        "noise_variance": request.noise_variance,
    }


def _require_free_names(request: Request) -> None:
    if request.kind == ".mrcs":
        star.check_stack_name(request.output.name)
    if not request.output.parent.is_dir():
        raise InputError(f"generate: {request.output.parent} is no folder; make it, or give another -out/--output-file")
    taken = next((path for path in request.paths if os.path.exists(path)), None)  # Path.exists may raise
    if taken and not request.overwrite:
        raise InputError(f"generate: {taken} exists; give --overwrite to replace it, or another -out/--output-file")


def _require_room(request: Request, size: int) -> None:
    gib = request.count * size**2 * 4 / 2**30
    what = f"{request.output}: {request.count} projections of {size} x {size} are {gib:.1f} GiB"
    if request.kind == ".mat" and gib * 2**30 >= _MAT_BYTES:
        raise InputError(f"{what}; a variable of a .mat holds less than 2, use .h5")
    memory, disk = psutil.virtual_memory().available / 2**30, shutil.disk_usage(request.output.parent).free / 2**30
    if request.kind == ".mat" and 2 * gib > memory:
        raise InputError(f"{what}, and twice that in memory while written; {memory:.1f} GiB are free, use .h5")
    if gib > disk:
        raise InputError(f"{what}; {disk:.1f} GiB are free in {request.output.parent}, make room or use another disk")
    require_memory(_BYTES_PER_POSE * request.count, f"{request.count:,} poses", "ask for fewer")


@contextmanager
def _stage(reporter: Reporter, name: str) -> Iterator[Progress]:
    started = time.monotonic()
    reporter.on_event({"kind": "stage_started", "stage": name})
    yield lambda fraction, values: reporter.on_event(
        {"kind": "progress", "stage": name, "fraction": fraction, "values": values}
    )
    reporter.on_event({"kind": "stage_ended", "stage": name, "seconds": time.monotonic() - started})


class _Parser(Strict, configargparse.ArgumentParser):
    """Parser of arguments and of the configuration file that they name; each is given once, if it is no list."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        for name in (None, "store"):
            self.register("action", name, Once)


class _ConfigFile(configargparse.DefaultConfigFileParser):
    """The published syntax; configargparse itself keeps only the last of several lines with one key."""

    def parse(self, stream: io.StringIO) -> dict[str, Any]:
        """Keys and values, lists for keys that take several; InputError for other keys that are repeated."""
        given: dict[str, list[Any]] = {}  # the value of each line
        for number, line in enumerate(stream, 1):
            try:
                items = super().parse([line])
            except configargparse.ConfigFileParserException:
                raise InputError(f"{stream.name}: line {number} is {line.strip()!r}; wanted key = value") from None
            for key, value in items.items():
                name = key.lstrip("-")
                require_unicode(str(value), f"{stream.name}: {name}")
                given.setdefault(name, []).append(value)
        for name, values in given.items():
            if [] in values or name == "config-file":
                raise InputError(f"{stream.name}: {name} has no value here; leave it out")
            if len(values) > 1 and name not in _THREE_TIMES:
                raise InputError(f"{stream.name}: {name} is given {len(values)} times; wanted it once")
        return {name: _joined(values) if name in _THREE_TIMES else values[0] for name, values in given.items()}


def _joined(values: list[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _open_config(path: str) -> io.StringIO:
    text = io.StringIO(read_text(path, "the file"))
    text.name = path
    return text


def _parser() -> _Parser:
    parser = _Parser(
        prog=f"{environment.command_line()} generate",
        description="Write projections of a volume from random directions, with their angles.",
        config_file_open_func=_open_config,
        config_file_parser_class=_ConfigFile,
        allow_abbrev=False,  # else a key of the config file that abbreviates a known one would be taken for it
    )
    add = parser.add_argument
    add("-conf", "-config", "--config-file", is_config_file=True, metavar="FILE", help="file of any of the long names")
    add("-in", "--input-file", metavar="VOLUME", help=".mrc, .map, .ccp4, .pdb, .cif, built-in name, emdb:ID or pdb:ID")
    add("-num", "--projections-num", type=_number(IMAGES), default=5000, metavar="N", help="how many; 5000")
    for flags, text in (
        (("-shift", "--angle-shift"), "start of the rot, tilt and psi angles, in units of pi; three times; 0 0 0"),
        (("-cov", "--angle-coverage"), "width of their intervals, in units of pi; three times; 2 1 2"),
    ):
        add(*flags, type=float, action="append", metavar="PI", help=text)
    add("-out", "--output-file", metavar="FILE", help="*.h5, *.mat or *.mrcs (with a .star beside it)")
    add(
        "--sampling",
        choices=("euler", "so3"),
        default="euler",
        help="uniform in the angles (default) or over rotations",
    )
    add("--seed", type=_number(SEED), default=0, metavar="N", help="of the random directions and noise; 0")
    noise = _number(NOISE_VARIANCE)
    add("--noise-variance", type=noise, default=0.0, metavar="V", help="of white noise to be added; 0")
    add("--voxel-size", type=_number(VOXEL_SIZE), metavar="A", help="in Å per voxel, where the map's header has none")
    add("--stack-is-volume", action="store_true", help="read a map as a volume although its header says image stack")
    add("--overwrite", action="store_true", help="replace the output if it exists")
    return parser


def _number(limits: Range) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value: float
        try:
            value = int(text) if limits.whole else float(text)
        except ValueError:
            raise ArgumentTypeError(f"found {shown(text)}, wanted {limits}") from None
        if value not in limits:
            raise ArgumentTypeError(f"found {shown(text)}, wanted {limits}{limits.reason(value)}")
        return value

    return parse


def _refuse_unknown(parser: _Parser, left_over: list[str]) -> None:
    if not left_over:
        return
    for source, settings in parser.get_source_to_settings_dict().items():
        for key, (action, _) in settings.items():
            if source.startswith("config_file") and action is None:
                known = [key for action in parser._actions for key in parser.get_possible_config_keys(action)]
                raise InputError(f"{source.partition('|')[2]}: unknown key {key!r}; {_nearest(key, known)}")
    flags = [flag for action in parser._actions for flag in action.option_strings]
    raise InputError(f"generate: unknown argument {left_over[0]!r}; {_nearest(left_over[0].partition('=')[0], flags)}")


def _nearest(name: str, known: list[str]) -> str:
    return f"the nearest known one is {difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]!r}"


def _triple(name: str, given: list[float] | None, default: Triple) -> Triple:
    if given is None:
        return default
    if len(given) != 3:
        raise InputError(f"generate: {name} is given {len(given)} times; wanted three: for rot, tilt and psi")
    return given[0], given[1], given[2]
