from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.base.errors import InputError
from engine.experiment.stagecache import Cached, digest, load, stage_key, store

ROOT = Path(__file__).parents[2]
KEY = stage_key("projection", 1, {"count": 4})
IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)


def entry(runs_dir: Path, key: str = KEY) -> Path:
    return runs_dir / ".cache" / "projection" / key


def aged(runs_dir: Path, key: str, hours: float) -> None:
    when = time.time() - 3600 * hours
    os.utime(entry(runs_dir, key) / "manifest.json", (when, when))


def test_an_entry_that_cannot_be_removed_is_put_back_and_still_counts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("POSELAB_CACHE_GB", "0.0000035")  # room for two entries
    for number in range(2):
        store(tmp_path, "projection", f"{number}" * 32, {"images": IMAGES})
        aged(tmp_path, f"{number}" * 32, hours=10 - number)
    unlink = Path.unlink

    def refusing(path: Path, missing_ok: bool = False) -> None:
        if "0" * 32 in str(path):
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    store(tmp_path, "projection", KEY, {"images": IMAGES})
    left = sorted(path.name for path in entry(tmp_path).parent.iterdir())
    assert left == sorted(["0" * 32, KEY]), "the next one went in its place"
    assert load(tmp_path, "projection", "0" * 32) is not None


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path, "projection", KEY) is None
    model = tmp_path / "model.keras"
    model.write_bytes(b"weights")
    arrays: dict[str, np.ndarray] = {"images": IMAGES, "none": np.zeros((0, 3))}
    store(tmp_path, "projection", KEY, arrays, {"loss": np.float32(0.5), "sizes": (1, 2)}, {"network.keras": model})
    model.unlink()
    result = load(tmp_path, "projection", KEY)
    assert isinstance(result, Cached)
    assert result.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(result.arrays[name], array)
        assert result.arrays[name].dtype == array.dtype
    assert result.values == {"loss": 0.5, "sizes": [1, 2]}
    assert result.files.keys() == {"network.keras"}
    assert result.files["network.keras"].read_bytes() == b"weights"
    assert load(tmp_path, "recovery", KEY) is None


def test_a_key_is_its_content_whatever_the_order() -> None:
    part = {"b": 1, "a": {"y": 2.5, "x": None}}
    same = {"a": {"x": None, "y": 2.5}, "b": 1}
    key = stage_key("volume", 1, part, "text", 3)
    assert key == stage_key("volume", 1, same, "text", np.int64(3))
    others = [
        stage_key("volume", 2, part, "text", 3),
        stage_key("imaging", 1, part, "text", 3),
        stage_key("volume", 1, part, "text", "3"),
        stage_key("volume", 1, part, "tex", "t", 3),
        stage_key("volume", 1, {**part, "c": 0}, "text", 3),
        stage_key("volume", 1, [part, "text"], 3),
    ]
    assert len({key, *others}) == 7
    assert stage_key("volume", 1, {"b": 0.1}) == hashlib.sha256(b'["volume",1,{"b":0.1}]').hexdigest()[:32]
    with pytest.raises(TypeError):
        stage_key("volume", 1, object())


def test_a_digest_is_that_of_type_shape_and_values() -> None:
    assert digest(IMAGES) == digest(IMAGES.copy())
    assert digest(IMAGES[::2]) == digest(IMAGES[::2].copy())
    changed = IMAGES.copy()
    changed[3, 7, 7] = np.nextafter(changed[3, 7, 7], np.float32(9))
    others: list[np.ndarray] = [
        changed,
        IMAGES.astype(np.float64),
        IMAGES.reshape(8, 4, 8),
        IMAGES.view(np.int32),
        IMAGES.T,
    ]
    assert len({digest(IMAGES), *map(digest, others)}) == 6


@pytest.mark.parametrize("filename", ["arrays.npz", "model.keras", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "one byte", "missing", "empty"])
def test_a_damaged_entry_is_never_used_and_can_be_stored_again(
    tmp_path: Path, filename: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "source"
    model.write_bytes(b"weights" * 100)
    store(tmp_path, "projection", KEY, {"images": IMAGES}, {}, {"model.keras": model})
    path = entry(tmp_path) / filename
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "one byte":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) - 7] if damage == "truncated" else b"")
    assert load(tmp_path, "projection", KEY) is None
    assert "projection is damaged" in caplog.text
    assert not entry(tmp_path).exists()
    store(tmp_path, "projection", KEY, {"images": IMAGES}, {}, {"model.keras": model})
    result = load(tmp_path, "projection", KEY)
    assert result is not None
    np.testing.assert_array_equal(result.arrays["images"], IMAGES)


def test_several_processes_may_store_the_same(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np
from engine.experiment.stagecache import load, store
sys.stdin.readline()
images = np.arange(40000.0)
for number in range(20):
    store(Path(sys.argv[1]), "projection", f"{number:032}", {"images": images})
    found = load(Path(sys.argv[1]), "projection", f"{number:032}")
    assert found is not None and (found.arrays["images"] == images).all()
"""
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[1] for process in processes]
    assert outputs == ["", "", ""]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(path.name for path in entry(tmp_path).parent.iterdir()) == [f"{number:032}" for number in range(20)]


def test_the_longest_unused_goes_first_and_nothing_in_use_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSELAB_CACHE_GB", "0.001")  # 1 MB
    block = np.zeros(300_000, np.uint8)
    keys = [f"{number:032}" for number in range(5)]
    for key, hours in zip(keys[:3], (2, 4, 3), strict=True):
        store(tmp_path, "projection", key, {"block": block})
        aged(tmp_path, key, hours)
    store(tmp_path, "projection", keys[3], {"block": block})
    assert {path.name for path in entry(tmp_path).parent.iterdir()} == {keys[0], keys[2], keys[3]}
    assert load(tmp_path, "projection", keys[2]) is not None  # which makes it used just now
    store(tmp_path, "projection", keys[4], {"block": block})
    assert {path.name for path in entry(tmp_path).parent.iterdir()} == set(keys[2:])
    store(tmp_path, "projection", keys[0], {"block": block})  # over the limit, but all are in use
    assert {path.name for path in entry(tmp_path).parent.iterdir()} == {keys[0], *keys[2:]}


def test_what_a_killed_process_left_is_cleared_after_a_day(tmp_path: Path) -> None:
    folder = entry(tmp_path).parent
    for name, hours in ((".part-old", 25), (".part-new", 1)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - 3600 * hours,) * 2)
    store(tmp_path, "projection", KEY, {"images": IMAGES})
    assert {path.name for path in folder.iterdir()} == {".part-new", KEY}


def test_the_limit_is_a_number_and_zero_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSELAB_CACHE_GB", "0")
    store(tmp_path, "projection", KEY, {"images": IMAGES})
    assert load(tmp_path, "projection", KEY) is None
    for text in ("much", "-1", "nan"):
        monkeypatch.setenv("POSELAB_CACHE_GB", text)
        with pytest.raises(InputError, match=f"POSELAB_CACHE_GB is '{text}'; wanted a number of gigabytes"):
            store(tmp_path, "projection", KEY, {"images": IMAGES})


def test_a_cache_that_cannot_be_written_is_only_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".cache").write_text("a file")
    store(tmp_path, "projection", KEY, {"images": IMAGES})
    assert "the result of projection is not kept for later runs" in caplog.text
    assert load(tmp_path, "projection", KEY) is None
