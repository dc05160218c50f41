"""The experiment, or the runs of a sweep, that the form describes. No Streamlit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict, config_to_toml, with_whole_paths
from engine.experiment.sweep import Sweep, expand, new_id, sweep_to_toml
from pages._experiment.form_values import MODEL, OF_TRAINING, Vary, to_address, with_whole_sources
from pages._shared import text


@dataclass(frozen=True)
class Plan:
    """``config`` is the experiment, in a sweep without the varied keys; ``runs`` are named configurations."""

    config: Config
    vary: Vary
    name: str
    runs: Sequence[tuple[str | None, Config]]

    @property
    def configs(self) -> list[Config]:
        """The configurations of the runs."""
        return [config for _, config in self.runs]

    @property
    def command_line(self) -> str:
        """The equivalent shell command."""
        if not self.vary:
            return text.command_line(self.config)
        address = to_address(self.config, self.vary)
        options = [f"--{option} {shlex.quote(text)}" for option, texts in address.items() for text in texts]
        return " \\\n  ".join(["python -m engine sweep", *options])

    @property
    def toml(self) -> str:
        """The whole configuration, or the sweep, as a file for the command line."""
        return sweep_to_toml(_sweep(self.config, self.vary, self.name)) if self.vary else config_to_toml(self.config)

    def new_sweep_id(self) -> str | None:
        """A new id that the sweep's runs will share; None for a single run."""
        return new_id(_sweep(self.config, self.vary, self.name)) if self.vary else None


def plan(values: Mapping[str, Any], vary: Vary, name: str) -> Plan:
    """Make a plan from nested values of the configuration, the lists of varied values, and a name (or none).

    Relative paths are made absolute in the server's folder.

    Raises InputError, naming the key, if they are not a valid experiment.
    """
    config, vary = with_whole_paths(config_from_dict(dict(values))), with_whole_sources(vary)
    runs = expand(_sweep(config, vary, name)) if vary else [(name or None, config)]
    return Plan(config, vary, name, runs)


def _sweep(config: Config, vary: Vary, name: str) -> Sweep:
    base = config_to_dict(config)
    if MODEL in vary:  # no run trains, and each names its network itself
        base["training"] = {
            key: value for key, value in base["training"].items() if f"training.{key}" not in OF_TRAINING
        }
        base.pop("pairs", None)
    for key in vary:
        section, _, leaf = key.rpartition(".")
        (base[section] if section else base).pop(leaf, None)
    return Sweep(name or "sweep", "", base, vary)
