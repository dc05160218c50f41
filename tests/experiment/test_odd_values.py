"""Odd values of every key: each is refused in one line that names the key, or makes an experiment that can be run.

Which of the two is right is not written down for any value; that nothing else happens is what is tested.
"""

from __future__ import annotations

import datetime
import math
import random
import tomllib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import tomli_w

from engine.base.errors import InputError
from engine.config.schema import Config, VolumeConfig
from engine.config.settings import config_from_dict, config_to_toml, key_range, known_keys, load_config
from engine.experiment import estimate
from engine.experiment.pipeline import run_experiment
from engine.experiment.stage import Source
from pages._experiment.form_values import from_address, to_address
from tests.learning_testing import train_small_networks

NUMBER, RUN = 200, 20
_LONGEST_LINE = 1000
_TOY_S, _TENSORFLOW_S, _TOY_BYTES = 8.0, 12.0, 1.5e9  # of what is run, as estimated

Draw = Callable[[random.Random, str], Any]


def _size(rng: random.Random, key: str) -> Any:
    """A number of any size within the key's range, its ends more often; true where its values are no numbers."""
    limits = key_range(key)
    if limits is None:
        return True
    low, high = max(limits.least, 1e-30), max(limits.most, 1e-30)
    within = math.exp(rng.uniform(math.log(low), math.log(high)))
    return rng.choice([limits.least, limits.most, round(within) if limits.whole else within])


KINDS: dict[str, Draw] = {
    "zero": lambda rng, key: rng.choice([0, 0.0, -0.0]),
    "negative": lambda rng, key: rng.choice([-1, -0.5, -(10 ** rng.randint(1, 30)), -(10.0 ** rng.randint(1, 300))]),
    "huge": lambda rng, key: rng.choice([10 ** rng.randint(3, 30), 10**400, 2**63, 10.0 ** rng.randint(3, 308)]),
    "longer than Python prints": lambda rng, key: 16 ** rng.randint(4000, 5000),
    "tiny": lambda rng, key: rng.choice([5e-324, 10.0 ** -rng.randint(3, 307)]),
    "not finite": lambda rng, key: rng.choice([math.nan, math.inf, -math.inf]),
    "truth": lambda rng, key: rng.choice([True, False]),
    "list": lambda rng, key: rng.choice([[], [1], ["full"], [[0, 90]] * 3, [[True, 90]] * 3, [[0, 1e300]] * 3]),
    "nothing": lambda rng, key: rng.choice(["", " ", "\t", None]),
    "long text": lambda rng, key: rng.choice("x9 ü") * rng.randint(300, 100_000),
    "unicode": lambda rng, key: rng.choice(["Å³", "٣", "½", "\u202e1", "☃.mrc", "a\nb", "\0", "\ud800", "\x1b[31m"]),
    "whole as float": lambda rng, key: rng.choice([float(rng.randint(1, 5000)), 2.0**53 + 2, 1e18]),
    "text of a number": lambda rng, key: rng.choice(["5", " 16 ", "1e300", "0x10", "1_000", "nan", "9" * 5000, "-0"]),
    "table": lambda rng, key: rng.choice([{}, {"a": 1}, {"": {}}]),
    "date": lambda rng, key: datetime.date(2026, 11, rng.randint(1, 28)),
    "of any size": _size,
}
_OFTEN = ("of any size",)
_OF_THE_NETWORK = ("training.image_size", "distance.head", "distance.feature_dim")


def odd_values(number: int, seed: int = 15) -> list[tuple[str, str, Any]]:
    """Kinds, keys and values: every key in turn."""
    rng = random.Random(seed)
    keys, kinds = known_keys(), [*KINDS, *5 * _OFTEN]
    drawn = []
    for place in range(number):
        kind, key = rng.choice(kinds), keys[place % len(keys)]
        drawn.append((kind, key, KINDS[kind](rng, key)))
    return drawn


ODD = odd_values(NUMBER)


def tables(key: str, value: Any, base: dict[str, Any] | None = None) -> dict[str, Any]:
    nested = {name: dict(part) if isinstance(part, dict) else part for name, part in (base or {}).items()}
    section, _, leaf = key.rpartition(".")
    (nested.setdefault(section, {}) if section else nested)[leaf] = value
    return nested


def assert_one_line(error: InputError, *names: str) -> None:
    line = str(error)
    assert line.isprintable(), ascii(line[:_LONGEST_LINE])
    assert len(line) < _LONGEST_LINE, ascii(line[:_LONGEST_LINE])
    assert any(name in line for name in names), line


def configuration(key: str, value: Any, base: dict[str, Any] | None = None) -> Config | None:
    """None where it is refused, as it should be."""
    try:
        return config_from_dict(tables(key, value, base))
    except InputError as error:
        assert_one_line(error, key)
        return None


@cache
def identify(volume: VolumeConfig) -> Source | None:
    return estimate.at_hand(volume)


def check(key: str, value: Any) -> bool:
    """Whether a value makes an experiment, which is then estimated and said in a file and an address."""
    config = configuration(key, value)
    assert same_when_set(key, value, config)
    if config is None:
        return False
    expected = estimate.total([config], identify=identify)
    assert math.isfinite(expected.seconds)
    assert expected.seconds > 0
    assert math.isfinite(expected.memory_bytes)
    assert config_from_dict(tomllib.loads(config_to_toml(config))) == config
    address = to_address(config, {})
    assert from_address(address.get("set", []), [])[0] == config
    return True


def same_when_set(key: str, value: Any, config: Config | None) -> bool:
    """Whether ``--set`` gives the same, for what can be written as TOML."""
    try:
        text = tomli_w.dumps({"v": value}).removeprefix("v = ").strip()
        text.encode()
    except (TypeError, ValueError):
        return True
    if "\n" in text or text.startswith("[v"):
        return True
    try:
        return load_config(None, [f"{key}={text}"]) == config
    except InputError as error:
        assert_one_line(error, key)
        return config is None


def test_every_key_and_kind_occurs_and_some_are_valid():
    kinds, keys, _ = zip(*ODD, strict=True)
    assert set(keys) == set(known_keys())
    assert set(kinds) == set(KINDS)
    assert RUN <= len(runnable()) < NUMBER / 2


def test_an_odd_value_is_refused_in_a_line_or_estimated():
    wrong = []
    for kind, key, value in ODD:
        try:
            check(key, value)
        except Exception as error:  # each is looked at, whatever happens to the others
            wrong.append(f"{key}, {kind}: {type(error).__name__}: {ascii(str(error))[:300]}")
    assert not wrong, "\n".join(wrong)


# Those that are valid, run ------------------------------------------------------------------------------------------

TOY = {
    "volume": {"resolution": 20.0, "voxel_size": 10.0},
    "projections": {"count": 16, "size": 16},
    "distance": {"method": "exact"},
    "training": {
        "projections": 64, "validation_projections": 16, "steps": 4, "batch_size": 8, "image_size": 16,
        "max_seconds": 60.0,
    },
    "pairs": {"neighbours": 2},
    "recovery": {"restarts": 2, "max_iterations": 20},
    "reconstruction": {"iterations": 2},
}  # fmt: skip


def toy(key: str) -> dict[str, Any]:
    """A small experiment in which the key matters."""
    base: dict[str, Any] = {name: dict(part) for name, part in TOY.items()}
    section = key.partition(".")[0]
    if section in ("training", "pairs") or key in ("distance.head", "distance.feature_dim"):
        base["distance"]["method"] = "siamese"
    if key == "distance.perturbation_variance":
        base["distance"]["method"] = "perturbed"
    if key == "distance.calibration":
        base["distance"]["method"] = "euclidean"
    if key == "recovery.pairs_per_projection":
        base["recovery"]["pairs"] = "random"
    if section == "refinement":
        base["refinement"] = {"enabled": True, "iterations": 1}
    if key == "volume.resolution":
        del base["volume"]["voxel_size"]
    return base


def small(key: str, value: Any) -> Config | None:
    """The toy experiment with this value; None for what is refused, or does not stay small."""
    config = configuration(key, value, toy(key))
    if config is None:
        return None
    expected, most = estimate.total([config], identify=identify), _TOY_S
    if config.distance.method == "siamese":
        most += _TENSORFLOW_S
    return config if expected.seconds < most and expected.memory_bytes < _TOY_BYTES else None


@cache
def runnable() -> list[tuple[str, Any]]:
    """The odd values that make an experiment, in their order, of which some are run."""
    return [(key, value) for _, key, value in ODD if small(key, value) is not None]


@pytest.mark.slow
@pytest.mark.parametrize("place", range(RUN))
def test_a_valid_odd_value_runs(tmp_path, place, monkeypatch):
    key, value = runnable()[place * len(runnable()) // RUN]
    if key not in _OF_THE_NETWORK:
        train_small_networks(monkeypatch)
    config = small(key, value)
    assert config is not None
    try:
        record = run_experiment(config, tmp_path, ["test"])
    except InputError as error:
        assert_one_line(error, key, str(value))
        return
    assert record.status == "finished"
    assert all(math.isfinite(number) for number in record.metrics.values() if isinstance(number, float)), record.metrics
