"""Records of runs, damaged in as many ways as there are seeds: by disks, editors, other programs and users.

A seed says which file is hit and how. Nothing here knows how a record is read.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from engine.config.settings import config_from_dict

CONFIG = config_from_dict(
    {
        "volume": {"resolution": 20, "voxel_size": 8}, "projections": {"count": 40, "size": 24},
        "recovery": {"restarts": 5}, "distance": {"method": "exact"}, "refinement": {"enabled": True},
    }
)  # fmt: skip
"""Of the run that is damaged: a second's work that leaves nearly every artefact."""
ODD: tuple[Any, ...] = (
    "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00", "2026-13-45T99:99:99Z", "abc", "", "x" * 100_000, "\0",
    "\x1b[31m\u202e", "<script>alert(1)</script>", "12", 10**400, -(10**400), 2**63, 1e308, -1e308, 5e-324, -1, 0, 0.5,
    float("nan"), float("inf"), float("-inf"), None, True, [], {}, [[[[[]]]]], {"a": {"b": {"c": [1, {}]}}}, ["a", 1],
)  # fmt: skip
JSON = ("run.json", "result.json", "annotations.json")
ARRAYS = ("poses.npz", "distances.npz", "recovery.npz", "projections.npz", "fsc.npz", "refined.npz", "training.npz")
MAPS = ("reconstruction.mrc", "half1.mrc", "refined_reconstruction.mrc")
FILES = (*JSON, "events.jsonl", "config.toml", "log.txt", *ARRAYS, *MAPS)


def prepare(path: Path) -> None:
    """Give a finished run of :data:`CONFIG` what else a run may have: notes, and the curve of a training."""
    notes = {"name": "noted", "tags": ["a", "b"], "starred": True, "note": "two\nlines", "archived": False}
    (path / "annotations.json").write_text(json.dumps(notes))
    steps = np.arange(1, 9) * 10.0
    np.savez(path / "training.npz", curve=np.stack([steps, 1 / steps, np.where(steps > 40, 0.3, np.nan)], axis=1))
    with (path / "events.jsonl").open("a") as file:
        for step in steps:
            values = {"step": step, "loss": 1 / step, "validation_mae": None}
            file.write(json.dumps({"time": 1.8e9, "kind": "training", "stage": "training", "values": values}) + "\n")


def damage(path: Path, seed: int) -> str:
    """Damage the run in this directory in one way; in words, which file and how."""
    rng = np.random.default_rng(seed)
    if seed % 25 == 24:
        return _replace_directory(path, seed // 25)
    name = FILES[seed % len(FILES)]
    inside = {".json": _odd_json, ".jsonl": _odd_lines, ".toml": _odd_toml, ".npz": _odd_arrays}.get(Path(name).suffix)
    if inside is not None and rng.random() < 0.6:
        return f"{name}: {inside(path / name, rng)}"
    how = WHOLE[int(rng.integers(len(WHOLE)))]
    how(path / name, rng)
    return f"{name}: {how.__name__.strip('_').replace('_', ' ')}"


# Whole files ----------------------------------------------------------------------------------------------------------


def _emptied(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(b"")


def _cut_short(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(len(content)))])


def _some_bytes_changed(path: Path, rng: np.random.Generator) -> None:
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = rng.integers(len(content), size=max(3, len(content) // 200))
    content[places] = rng.integers(256, size=len(places))
    path.write_bytes(content.tobytes())


def _header_changed(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.integers(min(len(content), 256), size=6):
        content[place] = int(rng.integers(256))
    path.write_bytes(bytes(content))


def _garbage(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(rng.bytes(4000))


def _zeros(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(bytes(4096))


def _deeply_nested(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes((b"x = " if path.suffix == ".toml" else b"") + b"[" * 100_000)


def _of_ten_gigabytes(path: Path, rng: np.random.Generator) -> None:
    os.truncate(path, 10**10)  # they take no room on the disk, but would in memory


def _in_another_encoding(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-16"))


def _a_directory(path: Path, rng: np.random.Generator) -> None:
    path.unlink()
    path.mkdir()


def _a_link_to_itself(path: Path, rng: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path)


def _a_link_to_nowhere(path: Path, rng: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def _a_link_to_a_device(path: Path, rng: np.random.Generator) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _a_pipe(path: Path, rng: np.random.Generator) -> None:
    path.unlink()
    os.mkfifo(path)


def _missing(path: Path, rng: np.random.Generator) -> None:
    path.unlink()


def _unreadable(path: Path, rng: np.random.Generator) -> None:
    path.chmod(0)


def _beside_names_that_are_no_text(path: Path, rng: np.random.Generator) -> None:
    folder = os.fsencode(path.parent)
    for name in (b"caf\xe9.npz", b"\xff\xfe", b"new\nline.mrc"):
        with open(folder + b"/" + name, "wb"):
            pass


WHOLE: tuple[Callable[[Path, np.random.Generator], None], ...] = (
    _emptied, _cut_short, _some_bytes_changed, _header_changed, _garbage, _zeros, _deeply_nested, _of_ten_gigabytes,
    _in_another_encoding, _a_directory, _a_link_to_itself, _a_link_to_nowhere, _a_link_to_a_device, _a_pipe, _missing,
    _unreadable, _beside_names_that_are_no_text,
)  # fmt: skip


def _replace_directory(path: Path, way: int) -> str:
    shutil.rmtree(path)
    match way % 4:
        case 0:
            path.symlink_to(path)
            return "the directory: a link to itself"
        case 1:
            path.symlink_to(path.with_name("gone"))
            return "the directory: a link to nowhere"
        case 2:
            path.mkdir()
            return "the directory: empty"
        case _:
            path.mkdir(mode=0)
            return "the directory: closed"


# Values in files ------------------------------------------------------------------------------------------------------


def _odd(rng: np.random.Generator) -> Any:
    return ODD[int(rng.integers(len(ODD)))]


def _changed(tree: Any, rng: np.random.Generator) -> str:
    """Change one value somewhere in a tree of dicts and lists; where, and to what."""
    where, inside = [], tree
    while True:
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = keys[int(rng.integers(len(keys)))]
        where.append(str(key))
        if isinstance(inside[key], dict | list) and inside[key] and rng.random() < 0.7:
            inside = inside[key]
            continue
        if rng.random() < 0.1:
            del inside[key]
            return f"{'.'.join(where)} is left out"
        inside[key] = _odd(rng)
        return f"{'.'.join(where)} is {repr(inside[key])[:40]}"


def _odd_json(path: Path, rng: np.random.Generator) -> str:
    tree = json.loads(path.read_text())
    how = _changed(tree, rng)
    path.write_text(json.dumps(tree).replace("\\u202e", "\\udc80"))
    return how


def _odd_lines(path: Path, rng: np.random.Generator) -> str:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    how = "; ".join(_changed(events[int(place)], rng) for place in rng.integers(len(events), size=len(events) // 2))
    path.write_text("".join(json.dumps(event).replace("\\u202e", "\\udc80") + "\n" for event in events))
    return how[:200]


def _odd_toml(path: Path, rng: np.random.Generator) -> str:
    table = tomllib.loads(path.read_text())
    how = _changed(table, rng)
    try:
        path.write_text(tomli_w.dumps(table))
    except (TypeError, ValueError):
        path.write_text(path.read_text() + "\nodd = 1979-05-27T07:32:00Z\n[volume]\n")
    return how


def _odd_arrays(path: Path, rng: np.random.Generator) -> str:
    with np.load(path) as stored:
        arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    whole = arrays[name]
    ways: dict[str, Callable[[], Any]] = {
        "empty": lambda: whole[:0] if whole.ndim else np.zeros(0),
        "of one more axis": lambda: whole[None],
        "flat": lambda: whole.ravel()[:7],
        "one number": lambda: np.float64(3.5),
        "not finite": lambda: np.full(whole.shape, np.nan),
        "infinite": lambda: np.full(whole.shape, -np.inf),
        "huge": lambda: np.full(whole.shape, 1e300),
        "negative": lambda: -np.abs(whole.astype(float)) - 1,
        "zero": lambda: np.zeros_like(whole),
        "random": lambda: rng.normal(size=whole.shape),
        "words": lambda: np.full(whole.shape, "abc"),
        "objects": lambda: np.array([{}], dtype=object),
        "complex": lambda: whole.astype(complex),
        "shorter": lambda: whole[: len(whole) // 2] if whole.ndim else whole,
        "larger than any memory": lambda: None,
        "left out": lambda: None,
    }
    way = list(ways)[int(rng.integers(len(ways)))]
    arrays[name] = ways[way]()
    if arrays[name] is None:
        del arrays[name]
    np.savez(path, **arrays)
    if way == "larger than any memory":
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**14,)})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(80))
    return f"{name} is {way}"
