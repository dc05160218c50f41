"""Conversions of a configuration: TOML, nested tables, ``section.key=value``, the names of the keys."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from ..base import tomltext
from ..base.errors import InputError
from ..base.paths import absolute
from ..base.quantities import Range, shown
from ..base.texts import not_unicode, read_toml
from ..io.sources import whole
from .schema import ROUNDS, Config
from .section import RangeError, Section
from .training import OF_A_TRAINING, TrainingConfig

_IF_NOT_GIVEN = {
    "volume.source": "1bd2; no map of particles", "volume.symmetry": "C1", "particles.source": "none: simulated",
    "particles.data_dir": "beside the table", "particles.pixel_size": "the table's", "particles.limit": "all",
    "particles.max_shift": "of the origins, or 5 % of the box", "particles.box": "the whole image",
    "particles.size": "not scaled down", "particles.mask_radius": "no mask", "projections.noise_variance": "none",
    "projections.snr": "none", "projections.defocus": "no CTF",
    "training.model": "a network of its own", "training.volumes": "the protein itself", "training.patience": "never",
    "training.max_seconds": "no limit",
    "recovery.max_distance": "no limit", "refinement.rounds": str(ROUNDS), "reconstruction.iterations": "the method's",
}  # fmt: skip

_WANTED = {
    "model_type": "a table of keys and values", "invalid_key": "keys that are texts", "tuple_type": "a list",
    "string_type": "text", "string_pattern_mismatch": "text", "string_unicode": "text in Unicode",
    "string_too_long": "a shorter text", "string_too_short": "a text that is not empty",
    "bool_type": "true or false", "bool_parsing": "true or false",
}  # fmt: skip
"""What is wanted instead, by pydantic's name of the problem, where its own words are a programmer's."""
_COMPARED = 100  # letters of a word for which the nearest is sought


def load_config(path: str | Path | None = None, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a configuration from a TOML file and apply ``section.key=value`` overrides.

    Values of overrides are TOML where they parse as TOML (``5``, ``true``, ``[[0, 90], [0, 90], [0, 360]]``), else
    text.

    Raises
    ------
    InputError
        naming the file or key, the value given and what is wanted.
    """
    table: dict[str, Any] = {}
    if path is not None:
        table = read_toml(path, f"configuration {path}")
    for text in overrides:
        override(table, text)
    return config_from_dict(table)


def config_from_dict(table: dict[str, Any]) -> Config:
    """Validate nested tables into a :class:`Config`; InputError with one line per wrong key."""
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise InputError("; ".join(_describe(problem) for problem in _relevant(error))) from None


def config_to_dict(config: Config) -> dict[str, Any]:
    """Nested plain tables of everything that is set; None is left out (TOML has no null).

    Of particles and ``projections`` only what the experiment has: the other has no meaning for it. Nor have settings of
    a training where there is none.
    """
    without: dict[str, Any] = {"particles" if config.particles.source is None else "projections": True}
    if config.training.model is not None:
        without |= {"pairs": True, "training": set(OF_A_TRAINING)}
    return config.model_dump(mode="json", exclude_none=True, exclude=without)


def training_that_matters(config: Config) -> dict[str, Any]:
    """The plain table of the training without errors that are not made: of configurations without these it is the table
    that there was before.
    """
    table: dict[str, Any] = config_to_dict(config)["training"]
    for key in ("noise_factor", "reference_missing"):
        if table[key] == TrainingConfig.model_fields[key].default:
            table.pop(key)
    return table


def projections_that_matter(config: Config) -> dict[str, Any]:
    """The plain table of the projections without settings that change nothing: those of a CTF that there is not, an
    error of the defocus that is not made, the spectrum of white noise or none. Of configurations without these it is
    the table that there was before.
    """
    table: dict[str, Any] = config_to_dict(config)["projections"]
    settings = config.projections
    if settings.defocus is None:
        for key in ("voltage", "spherical_aberration", "amplitude_contrast"):
            table.pop(key)
    if settings.defocus is None or settings.defocus_error == 0:
        table.pop("defocus_error")
    if settings.noise_spectrum == "white" or not (settings.noise_variance or settings.snr):
        table.pop("noise_spectrum")
    return table


def config_to_toml(config: Config) -> str:
    """The complete configuration as TOML; reads back equal."""
    return tomli_w.dumps(config_to_dict(config))


def with_whole_paths(config: Config) -> Config:
    """The configuration with all relative paths made absolute in the current folder.

    To be called where a user provides a configuration. Raises InputError if two of its volumes are then the same, and
    as :func:`base.paths.absolute` does.
    """
    table = config_to_dict(config)
    if config.training.volumes:
        table["training"]["volumes"] = [whole(volume) for volume in config.training.volumes]
    if config.volume.source is not None:
        table["volume"]["source"] = whole(config.volume.source)
    for key in ("source", "data_dir"):
        if (given := getattr(config.particles, key)) is not None:
            table["particles"][key] = str(absolute(given))
    return config if table == config_to_dict(config) else config_from_dict(table)


def known_keys() -> list[str]:
    """Every key of a configuration, dotted."""
    keys = []
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += [f"{name}.{key}" for key in field.annotation.model_fields]
        else:
            keys.append(name)
    return keys


def optional_keys() -> list[str]:
    """The known keys that have no value unless one is given, dotted."""
    defaults = Config().model_dump()
    tables = {name: table for name, table in defaults.items() if isinstance(table, dict)}
    return [f"{name}.{key}" for name, table in tables.items() for key, value in table.items() if value is None]


def if_not_given(key: str) -> str:
    """The meaning of leaving out a key, in words."""
    return _IF_NOT_GIVEN.get(key, "automatic")


def key_range(key: str) -> Range | None:
    """The range of a known key; None where its values are no numbers."""
    section, leaf = _section(key)
    return section.ranges.get(leaf)


def require_known(key: str) -> None:
    """InputError naming the nearest known key, if this is not a key of a configuration."""
    if key not in known_keys():
        raise InputError(_unknown_key(key))


def override(table: dict[str, Any], setting: str) -> str:
    """Put ``section.key=value`` into nested tables, as :func:`load_config` does; the key."""
    key, separator, text = setting.partition("=")
    key = key.strip()
    if not separator or not key:
        raise InputError(f"--set {shown(setting)}: wanted section.key=value")
    require_known(key)
    section = table
    *parents, leaf = key.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise InputError(f"{parent} is {shown(section)}; wanted a table")
    try:
        section[leaf] = tomltext.parse_value(text)
    except tomltext.TomlError:
        section[leaf] = text.strip()
    return key


def _unknown_key(key: str) -> str:
    known = known_keys()
    near = difflib.get_close_matches(key[:_COMPARED], known, n=1, cutoff=0.0)
    by_leaf = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    return f"unknown key {shown(key)}; the nearest known one is {(by_leaf or near)[0]!r}"


def _relevant(error: ValidationError) -> list[Any]:
    """One problem per key: a union reports each of its members, of which the first suffices."""
    problems: dict[tuple[str | int, ...], Any] = {}
    for problem in error.errors():
        problems.setdefault(problem["loc"][:2], problem)
    return list(problems.values())


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"][:2])
    if problem["type"] == "extra_forbidden":
        return _unknown_key(key)
    error = problem.get("ctx", {}).get("error")
    if problem["type"] == "value_error" and not isinstance(error, RangeError):
        return str(error)
    if problem["type"] == "string_unicode":
        return not_unicode(problem["input"], key)
    section, leaf = _section(key)
    limits = section.ranges.get(leaf)
    description = section.model_fields[leaf].description if leaf in section.model_fields else ""
    description = f" ({description})" if description else ""
    reason = ""
    if limits:
        wanted = str(limits)
        reason = str(error) if isinstance(error, RangeError) else limits.reason(problem["input"])
    else:
        key = key or "the configuration"
        wanted = _WANTED.get(problem["type"], problem["msg"].removeprefix("Input should be "))
    return f"{key} is {shown(problem['input'])}; wanted {wanted}{description}{reason}"


def _section(key: str) -> tuple[type[Section], str]:
    """The class in which a dotted key is a field, and the field; the whole configuration for what is no key."""
    name, _, leaf = key.rpartition(".")
    kind = Config.model_fields[name].annotation if name in Config.model_fields else None
    return (kind, leaf) if isinstance(kind, type) and issubclass(kind, Section) else (Config, key)
