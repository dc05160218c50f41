"""Conversion of configurations and sweeps to the form's values and to addresses, and back. No Streamlit.

The form's widgets are named by the configuration's keys, except those without a single key: the protein (built in, a
file, typed), the coverage (named or three intervals), the noise (none, by variance, by SNR), and the sweep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.base import quantities, tomltext
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict, optional_keys, with_whole_paths
from engine.config.training import OF_A_TRAINING
from engine.experiment.sweep import NONE, Sweep, changed
from engine.geometry.rotations import PUBLISHED_COVERAGES, euler_region
from engine.io.loading import BUILT_IN
from engine.io.sources import whole
from pages._experiment.settings import Setting, listed, sections
from pages._shared import text

FILE, OTHER = "file", "other"
OWN = "own"
ANGLES = ("rot", "tilt", "psi")
SWEEP, VARIED = "sweep", "varied"
IMAGES, SIMULATED, RECORDED = "images", "simulate", "particles"
NOISES = ("projections.noise_variance", "projections.snr")
SETTINGS = {key: setting for section in sections().values() for key, setting in section.settings.items()}
NUMERIC = ("integer", "number")

Vary = dict[str, list[Any]]

_FIRST_NOISE = {"projections.noise_variance": 16.0, "projections.snr": 0.1}
_RANGE = re.compile(r"([^:]+):([^:]+)(?::([^:]+))?")
_MOST_VALUES = 1000
_VOLUMES = "training.volumes"  # a list in the configuration, one text in the form
_LISTED = ("volume.source", "projections.coverage", *NOISES)

_OF_SIMULATIONS = (
    "distance.method", "distance.perturbation_variance", "distance.calibration", "training.volumes",
    "training.noise_factor", "training.reference_missing",
)  # fmt: skip
MODEL = "training.model"
OF_TRAINING = frozenset(
    key for key in SETTINGS if key.startswith("pairs.") or key in {f"training.{name}" for name in OF_A_TRAINING}
)
"""The keys that an experiment with the network of another run does not have."""


def without_meaning(images: str, trains: bool = True) -> frozenset[str]:
    """The keys that an experiment on these images, :data:`SIMULATED` or :data:`RECORDED`, does not have.

    ``trains``: whether its network is its own.
    """
    hidden = frozenset() if trains else OF_TRAINING
    if images == RECORDED:
        return hidden | {key for key in SETTINGS if key.startswith("projections.")} | set(_OF_SIMULATIONS)
    return hidden | {key for key in SETTINGS if key.startswith("particles.")} | {"training.on", "refinement.rounds"}


def widget_values(config: Config, vary: Mapping[str, Sequence[Any]], files: Iterable[str]) -> dict[str, Any]:
    """The value of each widget of the form for this configuration and these varied keys.

    ``files`` are the sources of the available files, which are chosen from a list rather than typed.
    """
    flat = text.flat(config.model_dump())
    values = {key: held(SETTINGS[key], value) for key, value in flat.items() if key not in _LISTED}
    values[_VOLUMES] = listed(config.training.volumes)
    source = config.volume.given_source
    chosen = source.lower() if source.lower() in BUILT_IN else FILE if source in files else OTHER
    values |= {"protein": chosen, "file": source if chosen == FILE else None}
    values["source"] = source if chosen == OTHER else ""
    coverage = config.projections.coverage
    values["coverage"] = coverage if isinstance(coverage, str) else OWN
    for name, interval in zip(ANGLES, euler_region(coverage), strict=True):
        values |= {f"{name} from": float(interval[0]), f"{name} to": float(interval[1])}
    variance, snr = config.projections.noise_variance, config.projections.snr
    values["noise"] = "SNR" if snr is not None else "none" if variance is None else "variance"
    values |= {key: _FIRST_NOISE[key] if flat[key] is None else flat[key] for key in NOISES}
    values |= {SWEEP: bool(vary), VARIED: list(vary)}
    values[IMAGES] = SIMULATED if config.particles.source is None else RECORDED
    for key, several in vary.items():
        values[several_key(key)] = shown_values(SETTINGS[key], several)
    return values


def held(setting: Setting, value: Any) -> Any:
    """A value as its widget holds it: text where a browser would round it, and of an interval."""
    if value is None or not setting.typed:
        return value
    return _interval_text(value) if setting.kind == "interval" else str(value)


def read_typed(typed: str | None, setting: Setting) -> Any:
    """The inverse of :func:`held`; what is not a number or an interval is left for the configuration to refuse."""
    if not typed or not typed.strip():
        return None
    try:
        return tomltext.parse_value(typed) if setting.kind == "interval" else int(typed)
    except ValueError:
        return typed


def _interval_text(value: Any) -> str:
    """``15000`` or ``[8000, 30000]``."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_interval_text(end) for end in value)}]"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value)} is no number")
    return quantities.digits(value)


def several_key(key: str) -> str:
    """The name of the widget for several values of a key."""
    return f"{key} values"


def shown_values(setting: Setting, values: Sequence[Any]) -> Any:
    """Several values in the form of their widget: text for numbers, a list for choices; None is ``none``."""
    if setting.kind in NUMERIC:
        return ", ".join(NONE if value is None else _number_text(setting, value) for value in values)
    if setting.key == "projections.coverage":
        return [value if isinstance(value, str) else text.toml_value(value) for value in values]
    if setting.key == _VOLUMES:
        return [listed(value) for value in values]
    if setting.kind == "interval":
        return [NONE if value is None else _interval_text(value) for value in values]
    wanted = bool if setting.kind == "flag" else str
    if not all(value is None or isinstance(value, wanted) for value in values):
        raise TypeError(f"not all are {wanted}")
    return [NONE if value is None else value for value in values]


def read_values(setting: Setting, shown: Any) -> list[Any]:
    """The inverse of :func:`shown_values`, without duplicates; InputError if the text is not a list of values.

    Numbers are separated by commas or spaces; ``0:9`` means 0, 1, ... 9 and ``0:20:5`` means 0, 5, ... 20.
    """
    if setting.kind in NUMERIC:
        values = [value for word in re.split(r"[,;\s]+", shown or "") if word for value in _numbers(setting, word)]
    elif setting.key == "projections.coverage":
        values = [value if value in PUBLISHED_COVERAGES else tomltext.parse_value(value) for value in shown]
    elif setting.kind == "interval":
        values = [None if value == NONE else read_typed(value, setting) for value in shown]
    else:
        values = list(shown or [])
    if len(values) > _MOST_VALUES:
        raise InputError(f"sweep over {setting.key}: {len(values):,} values; wanted at most {_MOST_VALUES:,}")
    return [value for number, value in enumerate(values) if value not in values[:number]]


def to_address(config: Config, vary: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The parameters of an address that opens the form with these settings: ``set`` and ``vary``, as on the command
    line; empty for the default experiment.
    """
    lists = {key: [NONE if value is None else value for value in values] for key, values in vary.items()}
    parameters = {"set": text.overrides(config), "vary": [f"{k}={text.toml_value(v)}" for k, v in lists.items()]}
    return {name: texts for name, texts in parameters.items() if texts}


def from_address(overrides: Sequence[str], vary: Sequence[str]) -> tuple[Config, Vary]:
    """The inverse of :func:`to_address`; InputError of one line for parameters that are not valid."""
    try:
        for parameters in (overrides, vary):
            _require_each_once([parameter.partition("=")[0].strip() for parameter in parameters])
        asked = changed(Sweep(), overrides, vary)
        return with_whole_paths(config_from_dict(asked.base)), with_whole_sources(normal(asked.vary))
    except InputError as error:
        raise InputError(f"this address does not describe an experiment: {error}") from None


def with_whole_sources(vary: Mapping[str, Sequence[Any]]) -> Vary:
    """The values with relative paths of sources made absolute: an address means the same in every folder."""
    lists = {key: list(values) for key, values in vary.items()}
    if "volume.source" in lists:
        lists["volume.source"] = [whole(str(value)) for value in lists["volume.source"]]
    if _VOLUMES in lists:
        parts = [str(value).split(",") for value in lists[_VOLUMES]]
        lists[_VOLUMES] = [listed([whole(part.strip()) for part in several]) for several in parts]
    return lists


def _require_each_once(keys: Sequence[str]) -> None:
    if repeated := next((key for key in keys if keys.count(key) > 1), None):
        raise InputError(f"{quantities.shown(repeated)} is given {keys.count(repeated)} times; wanted once")


def normal(vary: Mapping[str, Sequence[Any]]) -> Vary:
    """The values as the form represents them; InputError if a key has values of the wrong type."""
    lists: Vary = {}
    for key, values in vary.items():
        try:
            lists[key] = read_values(SETTINGS[key], shown_values(SETTINGS[key], values))
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(
                f"sweep over {key}: {quantities.shown(values)}; wanted values that this key can have"
            ) from error
    return lists


def _number_text(setting: Setting, value: Any) -> str:
    """A number with all of its digits. Raises TypeError and ValueError for what is none, or has lost some."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value)} is no number")
    if setting.kind == "integer" and isinstance(value, float) and abs(value) > quantities.EXACT:
        raise ValueError("a whole number written with a point or exponent")
    return quantities.digits(value)


def _numbers(setting: Setting, word: str) -> list[Any]:
    if word == NONE and setting.key in optional_keys():
        return [None]
    try:
        if match := _RANGE.fullmatch(word):
            return _series(setting, match[1], match[2], match[3] or "1")
        return [int(word)] if setting.kind == "integer" else [float(word)]
    except (ValueError, ArithmeticError):
        wanted = "whole numbers" if setting.kind == "integer" else "numbers"
        raise InputError(
            f"sweep over {setting.key}: {word[:40]!r}; wanted {wanted} such as 0, 5, 10 or 0:20:5"
        ) from None


def _series(setting: Setting, *words: str) -> list[Any]:
    """From the first number to the last one by a step, in decimals: 0:0.3:0.1 has 0.3, and 0:3e-15:1e-15 no zeros."""
    read: Callable[[str], Any] = int if setting.kind == "integer" else Decimal
    number = int if setting.kind == "integer" else float
    first, last, step = map(read, words)
    if not (step > 0 and 0 <= last - first < step * _MOST_VALUES):
        raise ValueError
    return [number(first + step * place) for place in range(int((last - first) // step) + 1)]
