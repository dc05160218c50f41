"""The trained network of an earlier run, which an experiment with ``training.model`` applies as it is.

A network is found by the id of its run, among the runs of one directory alone. What it takes and gives has to agree
with the experiment; how else its training images differ from the experiment's is told (:mod:`experiment.image_facts`).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.errors import InputError, one_line
from ..base.files import opened
from ..config.schema import Config, VolumeConfig
from ..record.arrays import read_arrays
from ..record.network import FILENAME, MODEL, ImagesFile, NetworkFile
from ..record.reading import UnreadableError, read_model
from ..record.runrecord import RunRecord, default_runs_dir, read_run, run_path

_LARGEST = 2**31  # bytes that a network unpacks to
_PARTS = ("config.json", "model.weights.h5")  # of Keras' format; the rest is the time of its writing


@dataclass(frozen=True)
class KeptNetwork:
    """The network of run ``run_id``: its file, what is known of it, and the digest of its weights and calibration."""

    run_id: str
    path: Path
    facts: NetworkFile
    digest: str


def find_network(config: Config, runs_dir: Path | None = None) -> KeptNetwork | None:
    """The network of ``training.model`` among the runs in ``runs_dir``; None where the experiment trains its own.

    Raises InputError for an id that is none, a run that is not there or has no network, and for a network that takes or
    gives something else than the experiment needs.
    """
    run_id = config.training.model
    if run_id is None:
        return None
    try:
        record = read_run(run_path(runs_dir or default_runs_dir(), run_id))
    except InputError as error:
        raise InputError(f"training.model: {error}") from None
    network = _network_of(record)
    _require_agreement(network, config)
    return network


def require_size(network: KeptNetwork, config: Config, frame: int) -> None:
    """InputError where images of ``frame`` pixels do not come to the network in its size."""
    size, wanted = min(config.training.image_size, frame), network.facts.image_size
    if size == wanted:
        return
    remedy = f"training.image_size = {wanted}" if frame >= wanted else f"images of at least {wanted} px"
    raise InputError(
        f"training.model: the network of run {network.run_id} takes images of {wanted} px, and here they would be "
        f"{size} px wide (training.image_size {config.training.image_size}, whole images {frame} px); wanted {remedy}"
    )


def digest_of(path: Path, calibration: object) -> str:
    """SHA-256 of a stored network's layers and weights, and of its calibration; InputError for a damaged file."""
    sha256 = hashlib.sha256(json.dumps(calibration).encode())
    for name, content in _parts(path).items():
        sha256.update(f"{name} {len(content)} ".encode())
        sha256.update(content)
    return sha256.hexdigest()


def reference_in_words(config: Config) -> str:
    """What is projected for a training."""
    if config.training.volumes:
        return ", ".join(config.training.volumes)
    lacking = config.training.reference_missing
    return _density_in_words(config.volume) + (f" without {lacking:.0%} of its mass" if lacking else "")


def _density_in_words(volume: VolumeConfig) -> str:
    parts = [volume.given_source]
    if volume.resolution is not None:
        parts.append(f"at {volume.resolution:g} Å")
    if volume.symmetrize != "no":
        parts.append(f"({volume.symmetrize})")
    return " ".join(parts)


def _network_of(record: RunRecord) -> KeptNetwork:
    name, config = f"training.model: run {record.run_id}", record.config
    if record.status != "finished":
        raise InputError(f"{name} is {record.status}; wanted a finished run")
    if not isinstance(config, Config):
        raise InputError(f"{name} has a configuration that this version cannot read; wanted a run of this one")
    if config.distance.method != "siamese":
        raise InputError(
            f"{name} has no network, its distance.method is {config.distance.method!r}; wanted a run with siamese"
        )
    path = record.path / MODEL
    if not path.is_file():
        raise InputError(f"{name} has left no network ({MODEL}); wanted a run whose directory has it")
    try:
        facts = read_model(NetworkFile, record.path / FILENAME) or _facts_of_earlier(record, config)
    except UnreadableError as error:
        raise InputError(f"{name}: {error.message}") from None
    if facts.on != "reference":
        raise InputError(
            f"{name} has a network that a half set of particles taught (training.on = {facts.on}), and whether those "
            "are among the particles here is not known; wanted a run with training.on = reference"
        )
    if _input_size(path) != facts.image_size:
        raise InputError(
            f"{name}: {MODEL} is not the network that {FILENAME} describes; wanted the directory as it was"
        )
    return KeptNetwork(record.run_id, path, facts, digest_of(path, facts.calibration))


def _require_agreement(network: KeptNetwork, config: Config) -> None:
    facts, name = network.facts, f"the network of run {network.run_id}"
    for key, theirs, ours in (
        ("volume.symmetry", facts.symmetry, config.volume.symmetry),
        ("distance.head", facts.head, config.distance.head),
        ("distance.feature_dim", facts.feature_dim, config.distance.feature_dim),
    ):
        if theirs != ours:
            remedy = f"{key} left out" if theirs is None else f"{key} = {theirs}"
            given = "not given" if ours is None else f"{ours!r}"
            raise InputError(f"training.model: {key} is {given}, and {name} was trained for another; wanted {remedy}")


def _parts(path: Path) -> dict[str, bytes]:
    """What makes up a network in Keras' format, by name. Nothing in it is executed or unpickled."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            if (size := sum(archive.getinfo(name).file_size for name in _PARTS)) > _LARGEST:
                raise ValueError(f"it unpacks to {size / 1e9:.0f} GB")
            return {name: archive.read(name) for name in _PARTS}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or one_line(error)}") from error
    except Exception as error:  # zip and deflate raise whatever a damaged file makes them stumble on
        raise InputError(f"{path} is damaged ({one_line(error, 120)}); wanted a network as a run leaves it") from error


def _input_size(path: Path) -> Any:
    """Pixels along a side of the images that a stored network takes; None where its file does not say."""
    content = _parts(path)["config.json"]
    try:
        layers = json.loads(content)["config"]["layers"]
        shape = next(layer["config"]["batch_shape"] for layer in layers if layer["class_name"] == "InputLayer")
        return shape[1] if len(shape) == 3 and shape[1] == shape[2] else None
    except (ValueError, KeyError, TypeError, IndexError, StopIteration, RecursionError):
        return None


def _facts_of_earlier(record: RunRecord, config: Config) -> NetworkFile:
    """What the rest of a record says of the network, where the run is of a version that wrote no ``model.json``."""
    try:
        arrays = read_arrays(record.path / "training.npz")
        values = {name: arrays[name].tolist() for name in ("steps", "best_step", "stopped_early", "calibration")}
        mae = float(arrays["validation_mae"])
    except (FileNotFoundError, KeyError, TypeError) as error:
        raise InputError(
            f"training.model: run {record.run_id} has left no training.npz; wanted a run with it"
        ) from error
    settings, snr = config.projections, record.metrics.get("snr")
    simulated = config.particles.source is None
    spectrum = (settings.noise_spectrum if snr is not None else "none") if simulated else "measured"
    images = ImagesFile(
        volume=reference_in_words(config),
        has_ctf=settings.defocus is not None if simulated else None,
        defocus=_ends(settings.defocus) if simulated else None,
        snr=snr,
        spectrum=spectrum,
    )
    return NetworkFile(
        trained_by=record.run_id, on=config.training.on, image_size=_input_size(record.path / MODEL) or 0,
        head=config.distance.head, feature_dim=config.distance.feature_dim, symmetry=config.volume.symmetry,
        validation_mae=mae if mae == mae else None, images=images, **values,
    )  # fmt: skip


def _ends(value: float | tuple[float, float] | None) -> tuple[float, float] | None:
    return (value, value) if isinstance(value, float | int) else value
