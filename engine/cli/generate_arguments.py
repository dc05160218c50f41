"""Arguments of ``python -m engine generate``: flags and config files, with the published names and syntax.

Numeric libraries are imported where a value is checked, so that ``--help`` answers at once.
"""

from __future__ import annotations

import difflib
import io
import math
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import configargparse

from ..base import environment
from ..base.errors import InputError
from ..base.paths import expanded
from ..base.quantities import Range, shown
from ..base.texts import read_text, require_unicode
from .arguments import Once, Strict, require_once

if TYPE_CHECKING:
    from ..geometry.rotations import EulerRegion
    from ..imaging.choices import NoiseSpectrum, ShiftDistribution

_ENDINGS = (".h5", ".mat", ".mrcs")
_WANTED_ENDING = "wanted a name that ends in .h5, .mat or .mrcs"
_THREE_TIMES = ("angle-shift", "angle-coverage")
_LEAST_DEFOCUS = 50.0  # Å: nobody records so close to focus, and 0.5 to 5 is what um would be

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Recording:
    """How particles are recorded, in place of plain projections.

    Attributes
    ----------
    size
        pixels along a side; the volume's integer diagonal when None.
    defocus
        Å: of all particles, or the ends of a range; None without a CTF.
    defocus_groups
        so many defoci, equally spaced over the range, in place of one for each particle.
    voltage, spherical_aberration, amplitude_contrast
        kV, mm and a share.
    snr
        variance of the signal with its CTF over that of the noise; None where the variance is given, or no noise.
    noise_spectrum
        ``white`` or ``coloured``.
    max_shift, shift_distribution
        pixels along x and y; ``uniform`` or ``triangular``.
    symmetry
        the point group of an oligomer that is made of the volume.
    """

    size: int | None = None
    defocus: float | tuple[float, float] | None = None
    defocus_groups: int | None = None
    voltage: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.1
    snr: float | None = None
    noise_spectrum: NoiseSpectrum = "white"
    max_shift: float = 0.0
    shift_distribution: ShiftDistribution = "uniform"
    symmetry: str = "C1"


_RECORDING = tuple(Recording.__dataclass_fields__)
"""Arguments of which any makes particles of projections."""


@dataclass(frozen=True)
class Request:
    """A request. ``shift``, ``coverage``: start and width of (rot, tilt, psi) in units of pi, checked.

    ``particles``: how they are recorded; None for plain projections.
    """

    source: str
    output: Path
    count: int = 5000
    shift: Triple = (0.0, 0.0, 0.0)
    coverage: Triple = (2.0, 1.0, 2.0)
    sampling: str = "euler"
    seed: int = 0
    noise_variance: float = 0.0
    overwrite: bool = False
    voxel_size: float | None = None
    stack_is_volume: bool = False
    particles: Recording | None = None

    @property
    def kind(self) -> str:
        """The output's ending, in lower case."""
        return self.output.suffix.lower()

    @property
    def paths(self) -> list[Path]:
        """The output files: the output, the ``.star`` beside a stack, and the truth of particles."""
        if self.kind != ".mrcs":
            return [self.output]
        tables = [self.output.with_suffix(".star")]
        if self.particles is not None:
            tables.append(self.output.with_name(f"{self.output.stem}_truth.star"))
        return [self.output, *tables]


def read_arguments(argv: list[str]) -> Request:
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
    particles = _recording(arguments)
    request = Request(
        source=arguments.input_file,
        output=expanded(arguments.output_file),
        count=arguments.projections_num,
        shift=_triple("-shift/--angle-shift", arguments.angle_shift, Request.shift),
        coverage=_triple("-cov/--angle-coverage", arguments.angle_coverage, Request.coverage),
        sampling=arguments.sampling or ("euler" if particles is None else "so3"),
        seed=arguments.seed,
        noise_variance=arguments.noise_variance,
        overwrite=arguments.overwrite,
        voxel_size=arguments.voxel_size,
        stack_is_volume=arguments.stack_is_volume,
        particles=particles,
    )
    if request.kind not in _ENDINGS:
        raise InputError(f"generate: -out/--output-file is {arguments.output_file!r}; {_WANTED_ENDING}")
    if particles is not None and request.kind != ".mrcs":
        given = next(name for name in _RECORDING if getattr(arguments, name) is not None)
        raise InputError(
            f"generate: -out/--output-file is {arguments.output_file!r} and {_flag(given)} is given, which makes "
            "particles; wanted a name that ends in .mrcs"
        )
    region_degrees(request.shift, request.coverage)
    return request


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _recording(arguments: Namespace) -> Recording | None:
    """How particles are recorded, if one of the arguments for that is given."""
    given = {name: getattr(arguments, name) for name in _RECORDING if getattr(arguments, name) is not None}
    if not given:
        return None
    if "defocus" in given:
        given["defocus"] = _defocus(given["defocus"])
    needs = (
        ("defocus", ("defocus_groups", "voltage", "spherical_aberration", "amplitude_contrast")),
        ("max_shift", ("shift_distribution",)),
    )
    for needed, names in needs:
        lonely = next((name for name in names if name in given), None)
        if lonely is not None and needed not in given:
            raise InputError(f"generate: {_flag(lonely)} is given without {_flag(needed)}; give both, or neither")
    if "defocus_groups" in given and not isinstance(given["defocus"], tuple):
        raise InputError("generate: --defocus-groups is given and --defocus is one value; wanted the ends of a range")
    if "snr" in given and arguments.noise_variance:
        raise InputError("generate: --snr and --noise-variance are both given; they specify the same, give one")
    if "noise_spectrum" in given and "snr" not in given and not arguments.noise_variance:
        raise InputError("generate: --noise-spectrum is given without noise; give --snr or --noise-variance too")
    if "symmetry" in given:
        from ..base.errors import naming
        from ..geometry.symmetry import check_group

        with naming(symmetry="generate: --symmetry"):
            given["symmetry"] = check_group(given["symmetry"])
    return Recording(**given)


def _defocus(values: list[float]) -> float | tuple[float, float]:
    """One value or a range, from what was typed."""
    typed = " ".join(f"{value:g}" for value in values)
    if len(values) > 2 or (len(values) == 2 and values[0] > values[1]):
        raise InputError(f"generate: --defocus is {typed}; wanted one value or two, the lower first")
    if any(0 < abs(value) < _LEAST_DEFOCUS for value in values):
        raise InputError(f"generate: --defocus is {typed}, which would be um; wanted Å, multiply by 10,000")
    return values[0] if len(values) == 1 else (values[0], values[1])


def region_degrees(shift: Triple, coverage: Triple) -> EulerRegion:
    """Intervals in degrees of (rot, tilt, psi) that start at ``shift`` and are ``coverage`` wide, in units of pi.

    Raises
    ------
    InputError
        for a width that is not above zero or above a full turn, and for a tilt outside of [0, pi].
    """
    import numpy as np

    from ..geometry import rotations

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
        description="Write projections of a volume from random directions, with their angles; or particles as a "
        "microscope records them.",
        config_file_open_func=_open_config,
        config_file_parser_class=_ConfigFile,
        allow_abbrev=False,  # else a key of the config file that abbreviates a known one would be taken for it
    )
    add = parser.add_argument
    add("-conf", "-config", "--config-file", is_config_file=True, metavar="FILE", help="file of any of the long names")
    add("-in", "--input-file", metavar="VOLUME", help=".mrc, .map, .ccp4, .pdb, .cif, built-in name, emdb:ID or pdb:ID")
    add("-num", "--projections-num", type=_number("IMAGES"), default=5000, metavar="N", help="how many; 5000")
    for flags, text in (
        (("-shift", "--angle-shift"), "start of the rot, tilt and psi angles, in units of pi; three times; 0 0 0"),
        (("-cov", "--angle-coverage"), "width of their intervals, in units of pi; three times; 2 1 2"),
    ):
        add(*flags, type=float, action="append", metavar="PI", help=text)
    add("-out", "--output-file", metavar="FILE", help="*.h5, *.mat or *.mrcs (with a .star beside it)")
    add(
        "--sampling",
        choices=("euler", "so3"),
        help="uniform in the angles (euler, default of projections) or over rotations (so3, default of particles)",
    )
    add("--seed", type=_number("SEED"), default=0, metavar="N", help="of the random directions and noise; 0")
    noise = _number("NOISE_VARIANCE")
    add(
        "--noise-variance",
        type=noise,
        default=0.0,
        metavar="V",
        help="of noise to be added, in the projections' units squared; 0",
    )
    add("--voxel-size", type=_number("VOXEL_SIZE"), metavar="A", help="in Å per voxel, where the map's header has none")
    add("--stack-is-volume", action="store_true", help="read a map as a volume although its header says image stack")
    add("--overwrite", action="store_true", help="replace the output if it exists")
    _add_recording(parser.add_argument_group("particles", _PARTICLES_HELP).add_argument)
    return parser


_PARTICLES_HELP = (
    "Any of these makes particles, which turn about voxel n // 2 of the map's box: FILE.mrcs, its table FILE.star "
    "without poses (RELION 3.1, with half sets), and FILE_truth.star with poses and origins."
)


def _add_recording(add: Callable[..., Any]) -> None:
    """The arguments of :class:`Recording`; None where they are not given."""
    add("--size", type=_number("SIZE"), metavar="N", help="pixels along a side; the diagonal of the map's box")
    add(
        "--defocus", type=_number("DEFOCUS"), nargs="+", metavar="A",
        help="in Å, of all particles, or the ends of a range, from which each has its own; no CTF",
    )  # fmt: skip
    add(
        "--defocus-groups", type=_number("DEFOCUS_GROUPS"), metavar="N",
        help="so many defoci, equally spaced over the range, each particle one of them at random",
    )  # fmt: skip
    add("--voltage", type=_number("VOLTAGE"), metavar="KV", help="300")
    add("--spherical-aberration", type=_number("SPHERICAL_ABERRATION"), metavar="MM", help="2.7")
    add("--amplitude-contrast", type=_number("AMPLITUDE_CONTRAST"), metavar="SHARE", help="0.1")
    add("--snr", type=_number("SNR"), metavar="R", help="variance of the images with their CTF over that of the noise")
    add("--noise-spectrum", choices=("white", "coloured"), help="coloured: stronger at low frequencies; white")
    add("--max-shift", type=_number("MAX_SHIFT"), metavar="PX", help="the largest shift along x and y; 0")
    add("--shift-distribution", choices=("uniform", "triangular"), help="of shifts, around none; uniform")
    add("--symmetry", metavar="GROUP", help="particles of an oligomer: copies of the volume side by side; C1")


def _number(name: str) -> Callable[[str], float]:
    """A parser of numbers in a range of :mod:`imaging.limits`, or of seeds."""

    def parse(text: str) -> float:
        limits = _range(name)
        value: float
        try:
            value = int(text) if limits.whole else float(text)
        except ValueError:
            raise ArgumentTypeError(f"found {shown(text)}, wanted {limits}") from None
        if value not in limits:
            raise ArgumentTypeError(f"found {shown(text)}, wanted {limits}{limits.reason(value)}")
        return value

    return parse


def _range(name: str) -> Range:
    from ..base.randomness import SEED
    from ..imaging import limits

    limit: Range = SEED if name == "SEED" else getattr(limits, name)
    return limit


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
