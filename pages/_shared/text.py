"""Text for values: angles, durations, states, descriptions of experiments. No Streamlit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import tomli_w

from engine.analysis.verdict import Verdict
from engine.analysis.words import SAMPLINGS as SAMPLINGS
from engine.analysis.words import coverage as coverage
from engine.analysis.words import defocus as defocus
from engine.analysis.words import degrees as degrees
from engine.analysis.words import number as number
from engine.base.quantities import digits as digits
from engine.config.schema import Config, VolumeConfig
from engine.config.settings import config_to_dict
from engine.record.runrecord import clock_ahead

STATUS_ICONS = {
    "running": ":material/play_circle:",
    "finished": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/stop_circle:",
    "interrupted": ":material/power_off:",
    "damaged": ":material/broken_image:",
    "newer": ":material/update:",
}
STATUS_COLOURS: dict[str, Literal["blue", "red", "gray"]] = {
    "running": "blue",
    "finished": "gray",  # whether its result is any good is for the verdict to say
    "failed": "red",
    "cancelled": "gray",
}
STATUS_SIGNS = {"running": "▶", "finished": "✓", "failed": "✗", "cancelled": "■"}  # for tables, which have no icons
VERDICT_ICONS = {
    Verdict.RECOVERED: ":material/verified:",
    Verdict.ROUGH: ":material/change_history:",
    Verdict.CHANCE: ":material/casino:",
}
VERDICT_COLOURS: dict[Verdict, Literal["green", "orange", "red"]] = {
    Verdict.RECOVERED: "green",
    Verdict.ROUGH: "orange",
    Verdict.CHANCE: "red",
}
VERDICT_SIGNS = {Verdict.RECOVERED: "✓", Verdict.ROUGH: "△", Verdict.CHANCE: "⚠"}

WHAT_TO_DO = {
    "failed": "Correct what the message names and run again (finished stages are reused); see also the log below.",
    "cancelled": "What was finished is kept below. Running it again reuses the finished stages.",
    "interrupted": "Nobody stopped it on purpose. Running it again reuses the finished stages.",
    "damaged": "The run's directory was altered by hand or by a failing disk. Restore it, or delete the directory.",
    "newer": "Update PoseLab to see all of it.",
}

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_METHODS = {
    "siamese": "learned distances",
    "exact": "exact distances",
    "perturbed": "perturbed distances",
    "euclidean": "pixel distances",
}
_TRAINED_ON = {"particles": "the other half's particles", "reconstruction": "the other half's reconstruction"}
_LONGEST = 60  # characters of a list
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_+:/.-]*")
_TOML_WORDS = {"true", "false", "inf", "nan"}


def escaped(text: str) -> str:
    """Typed text on one line, escaped so that Streamlit's Markdown (HTML, formulas, icons) shows it verbatim."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``32 s``, ``1 min 32 s``, ``2 h 05 min``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(when: datetime | None) -> str:
    """A time, in the time zone of the machine that the app runs on."""
    return "–" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def clock(when: datetime | None) -> str:
    """What there is to say about the clock that gave a time of a run: nothing, or that it is ahead of this one."""
    ahead = clock_ahead(when)
    if ahead is None:
        return ""
    difference = f"{ahead.days:,} days" if ahead.days > 1 else duration(ahead.total_seconds())
    return f" by its machine's clock, which is {difference} ahead of this one's"


def source_name(source: str) -> str:
    """A short name for a volume's source: the file's name if it is a path."""
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1] or source


def noise(noise_variance: float | None, snr: float | None) -> str:
    """``none``, ``variance 16`` or ``SNR 0.1``."""
    if snr is not None:
        return f"SNR {digits(snr)}"
    return f"variance {digits(noise_variance)}" if noise_variance else "none"


def experiment(config: Config) -> str:
    """A description of an experiment in one line of plain text."""
    if config.particles.source is not None:
        return _on_particles(config, config.particles.source)
    settings = config.projections
    sampling = SAMPLINGS[settings.sampling]
    level = noise(settings.noise_variance, settings.snr)
    parts = [
        _protein(config.volume),
        f"{settings.count:,} projections",
        f"{coverage(settings.coverage)} coverage, {sampling} sampling",
        "no noise" if level == "none" else f"noise {level}",
    ]
    if level != "none" and settings.noise_spectrum != "white":
        parts[-1] = f"{settings.noise_spectrum} {parts[-1]}"
    if settings.defocus is not None:
        parts.append(f"CTF at {defocus(settings.defocus)}")
    if settings.max_shift:
        parts.append(f"shifts up to {digits(settings.max_shift)} px")
    parts.append(_METHODS[config.distance.method])
    if config.training.volumes and config.distance.method == "siamese":
        parts[-1] += f", trained on {_shortened(', '.join(config.training.volumes))}"
    parts[-1] += _mismatch(config)
    if config.training.model is not None:
        parts.append(f"network of run {config.training.model}")
    if config.refinement.enabled:
        parts.append("refined")
    parts.append(f"seed {config.seed}")
    return " · ".join(parts)


def _on_particles(config: Config, source: str) -> str:
    settings = config.particles
    parts = [source_name(source)]
    if settings.limit is not None:
        parts.append(f"at most {settings.limit:,} particles")
    if settings.half != "both":
        parts.append(f"half {settings.half}")
    parts.append(f"map {_protein(config.volume)}" if config.volume.source is not None else "no map")
    if settings.max_shift is not None:
        parts.append(f"shifts up to {digits(settings.max_shift)} px")
    if config.training.on != "reference":
        parts.append(f"trained on {_TRAINED_ON[config.training.on]}")
    if config.training.model is not None:
        parts.append(f"network of run {config.training.model}")
    if config.refinement.enabled:
        parts.append("refined")
    parts.append(f"seed {config.seed}")
    return " · ".join(parts)


def _mismatch(config: Config) -> str:
    """What a network is trained for that is not so."""
    training, error, words = config.training, config.projections.defocus_error, ""
    if error and config.projections.defocus is not None:
        words += f", defocus {error:+,.0f} Å off"
    if config.distance.method == "siamese" and training.noise_factor != 1:
        words += f", trained for {digits(training.noise_factor)} times the noise"
    if config.distance.method == "siamese" and training.reference_missing:
        words += f", trained without {digits(training.reference_missing)} of the mass"
    return words


def _protein(volume: VolumeConfig) -> str:
    name, group = source_name(volume.given_source), volume.symmetry
    made = {"no": group, "average": f"averaged to {group}", "oligomer": f"{group} oligomer"}[volume.symmetrize]
    return name if group == "C1" else f"{name}, {made}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def command_line(config: Config) -> str:
    """The shell command that runs the same experiment: what differs from the default, as ``--set`` options."""
    return "python -m engine run" + "".join(f" \\\n  --set {shlex.quote(text)}" for text in overrides(config))


def overrides(config: Config) -> list[str]:
    """What differs from the default, each as ``section.key=value``."""
    default = flat(Config().model_dump(mode="json", exclude_none=True))
    if config.particles.source is not None:
        del default["volume.source"]  # particles have no map by default
    return [f"{k}={toml_value(v)}" for k, v in flat(config_to_dict(config)).items() if v != default.get(k)]


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the tables of a configuration to dotted keys."""
    settings: dict[str, Any] = {}
    for name, value in table.items():
        settings |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, Mapping) else {name: value}
    return settings


def toml_value(value: Any) -> str:
    """A value as TOML on one line; a plain word without its quotes."""
    if isinstance(value, str) and _BARE.fullmatch(value) and value not in _TOML_WORDS:
        return value
    return _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()


def indexed(label: str) -> str:
    """``L_DE (°)`` as a figure's HTML, its index as a subscript."""
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", label)


def some(words: Sequence[str], most: int = 3) -> str:
    """The first of several words, and how many more there are."""
    first = ", ".join(words[:most])
    return first if len(words) <= most else f"{first} and {len(words) - most:,} more"


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``3rd``, ``4th``, ... ``11th``, ..."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
