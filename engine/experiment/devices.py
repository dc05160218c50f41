"""Devices: determined before a run has a directory, recorded with it, part of the keys of the stages they affect."""

from __future__ import annotations

from collections.abc import Mapping

from ..base import environment
from ..base.errors import InputError, naming
from ..config.schema import Config
from ..imaging import astra_gpu

NETWORK, ASTRA = "network", "ASTRA"
"""What can run on a GPU."""
CPU = "cpu"

Devices = Mapping[str, str]
"""By what runs there the device's name: :data:`CPU`, or that of a GPU."""


def devices_of(config: Config) -> dict[str, str]:
    """The devices that this experiment uses on this machine; empty where nothing of it could run on a GPU.

    Raises InputError where it asks for one that is not there.
    """
    used = {}
    for key in config.astra_keys:
        argument = key.rpartition(".")[2]
        value, otherwise = {"projector": ("astra", "fourier"), "method": ("cgls", "normal_equations")}[argument]
        with naming(**{argument: key}):
            astra_gpu.require(argument, value, otherwise)
        used[ASTRA] = astra_gpu.device_name()
    if config.device == "gpu" and not environment.may_have_gpu():
        raise InputError("device is 'gpu' and this machine has none; wanted device = auto or cpu")
    if config.distance.method == "siamese":
        used[NETWORK] = _device_of_network(config)
    return used


def in_words(devices: Devices | None) -> str:
    """What was recorded of the devices of a run, in a few words."""
    if devices is None:
        return "not recorded"
    named = [CPU if device == CPU else f"GPU {device}" for device in devices.values()]
    if len(set(named)) <= 1:
        return named[0] if named else CPU
    return ", ".join(f"{what} on {name}" for what, name in zip(devices, named, strict=True))


def _device_of_network(config: Config) -> str:
    if config.device == "cpu" or not environment.may_have_gpu():
        return CPU
    from ..learning.libraries import gpus  # only here: it takes seconds

    if names := gpus():
        return names[0]
    if config.device == "gpu":
        raise InputError(
            "device is 'gpu' and TensorFlow sees none; wanted device = auto or cpu, or a TensorFlow for this GPU "
            "(pip install 'tensorflow[and-cuda]')"
        )
    return CPU
