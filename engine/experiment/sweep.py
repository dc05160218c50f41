"""Sweeps of several experiments: a base configuration, and keys that take several values each.

A sweep is a TOML file::

    name = "noise"
    description = "..."
    [base]                            # tables of a configuration, as in an experiment's own file
    projections.count = 1650
    [vary]                            # each combination of these is a run; the last key varies fastest
    "projections.noise_variance" = [0, 16]
    seed = [0, 1, 2]

``"none"`` among the values of an optional key means that it is left out. The studies in ``data/studies``
repeat the published experiments.
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w

from ..base import tomltext
from ..base.errors import InputError
from ..base.quantities import digits, shown
from ..base.texts import read_toml, require_unicode
from ..config.schema import Config
from ..config.settings import config_from_dict, optional_keys, override, require_known, with_whole_paths

MOST_RUNS = 1000
NONE = "none"
_STUDIES = Path(__file__).parents[1] / "data" / "studies"
_PARTS = {"name", "description", "base", "vary"}


@dataclass(frozen=True)
class Sweep:
    """``base`` are nested tables of a configuration; ``vary`` dotted keys and their values, None for left out."""

    name: str = ""
    description: str = ""
    base: dict[str, Any] = field(default_factory=dict)
    vary: dict[str, list[Any]] = field(default_factory=dict)


def expand(sweep: Sweep) -> list[tuple[str, Config]]:
    """Every combination of the values, as a name for people and a configuration; the last key varies fastest.

    Relative paths are made absolute in the current folder.

    Raises InputError for an unknown key, a key without values or with the same one twice, an invalid value or
    combination, and for more than 1,000 runs.
    """
    number = count(sweep.vary)
    if number > MOST_RUNS:
        sizes = " x ".join(str(len(values)) for values in sweep.vary.values())
        raise InputError(f"this sweep has {sizes} = {number:,} runs; wanted at most {MOST_RUNS:,}")
    runs: list[tuple[str, Config]] = []
    alike: dict[Config, str] = {}
    for values in itertools.product(*sweep.vary.values()):
        chosen = dict(zip(sweep.vary, values, strict=True))
        assignments = ", ".join(f"{_short(key, sweep.vary)}={_text(value)}" for key, value in chosen.items())
        table = _copied(sweep.base)
        for key, value in chosen.items():
            _put(table, key, value)
        try:
            config = with_whole_paths(config_from_dict(table))
        except InputError as error:
            raise InputError(f"run {assignments}: {error}" if assignments else str(error)) from None
        if config in alike:
            raise InputError(f"runs {alike[config]} and {assignments} are the same experiment; wanted each value once")
        alike[config] = assignments
        runs.append((": ".join(part for part in (sweep.name, assignments) if part), config))
    return runs


def count(vary: Mapping[str, Sequence[Any]]) -> int:
    """The number of runs of these keys; InputError for an unknown key or one without a list of values."""
    for key, values in vary.items():
        require_known(key)
        if not isinstance(values, list | tuple):
            raise InputError(f"sweep over {key}: {shown(values)}; wanted a list of values such as [0, 16]")
        if not values:
            raise InputError(f"sweep over {key}: no values; wanted at least one, or take it out of the sweep")
    return math.prod(len(values) for values in vary.values())


def load_sweep(path: str | Path) -> Sweep:
    """Read a sweep from a TOML file; InputError naming the file, if it is not a sweep."""
    path = Path(path)
    table = read_toml(path, f"sweep {path}")
    if unknown := sorted(table.keys() - _PARTS):
        raise InputError(f"sweep {path}: unknown part {shown(unknown[0])}; wanted name, description, [base] and [vary]")
    for part, kind in (("name", str), ("description", str), ("base", dict), ("vary", dict)):
        if not isinstance(table.get(part, kind()), kind):
            wanted = "a text" if kind is str else "a table"
            raise InputError(f"sweep {path}: {part} is {shown(table[part])}; wanted {wanted}")
    for part in ("name", "description"):
        require_unicode(table.get(part, ""), f"sweep {path}: {part}")
    try:
        vary = {key: _read_values(key, values) for key, values in _flat(table.get("vary", {})).items()}
        count(vary)
    except InputError as error:
        raise InputError(f"sweep {path}: {error}") from None
    return Sweep(table.get("name", path.stem), table.get("description", ""), table.get("base", {}), vary)


def sweep_to_toml(sweep: Sweep) -> str:
    """The sweep as TOML; :func:`load_sweep` reads it back equal."""
    vary = {key: [NONE if value is None else value for value in values] for key, values in sweep.vary.items()}
    return tomli_w.dumps({"name": sweep.name, "description": sweep.description, "base": sweep.base, "vary": vary})


@cache
def studies() -> dict[str, Sweep]:
    """The studies that come with PoseLab, by their name, which is that of their file."""
    return {path.stem: load_sweep(path) for path in sorted(_STUDIES.glob("*.toml"))}


def study(name: str) -> Sweep:
    """One of :func:`studies`; InputError for an unknown name."""
    if name not in studies():
        raise InputError(f"no study {shown(name)}; wanted one of {', '.join(studies())}")
    return studies()[name]


def changed(sweep: Sweep, overrides: Sequence[str] = (), vary: Sequence[str] = ()) -> Sweep:
    """The sweep with ``section.key=value`` set in all runs and ``section.key=[values]`` varied.

    A key that is set is no longer varied; new values of a varied key replace the old ones.
    """
    base, varied = _copied(sweep.base), dict(sweep.vary)
    for text in overrides:
        varied.pop(override(base, text), None)
    for text in vary:
        key, separator, typed = text.partition("=")
        key = key.strip()
        if not separator:
            raise InputError(f"--vary {shown(text)}: wanted section.key=[value, value]")
        require_known(key)
        try:
            values = tomltext.parse_value(typed)
        except tomltext.TomlError as error:
            wanted = 'a list such as [0, 16] or ["full", "half"]'
            raise InputError(f"--vary {shown(text)}: {error}; wanted {wanted}") from None
        varied[key] = _read_values(key, values)
    count(varied)
    return replace(sweep, base=base, vary=varied)


def new_id(sweep: Sweep) -> str:
    """A new id that the runs of this sweep share: ``noise-20261122-173015-3f9c``."""
    word = re.sub(r"[^a-z0-9]+", "-", sweep.name.lower()).strip("-")[:40]
    return f"{word or 'sweep'}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _read_values(key: str, values: Any) -> Any:
    if key not in optional_keys() or not isinstance(values, list):
        return values
    return [None if value == NONE else value for value in values]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within [vary] mean the same as dotted keys: TOML reads an unquoted dotted key as tables."""
    dotted: dict[str, Any] = {}
    for key, value in table.items():
        dotted |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return dotted


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in table.items()}


def _put(table: dict[str, Any], key: str, value: Any) -> None:
    section, _, leaf = key.rpartition(".")
    inside = table.setdefault(section, {}) if section else table
    if not isinstance(inside, dict):
        raise InputError(f"{section} is {shown(inside)}; wanted a table")
    if value is None:
        inside.pop(leaf, None)
    else:
        inside[leaf] = value


def _short(key: str, keys: Mapping[str, Any]) -> str:
    """The key's last part, where that distinguishes it from the others."""
    leaf = key.rpartition(".")[2]
    return leaf if sum(other.rpartition(".")[2] == leaf for other in keys) == 1 else key


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    return digits(value) if isinstance(value, float) else shown(value)
