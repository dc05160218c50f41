"""Time and memory of reading a large table and scanning its images.

``python -m tests.benchmarks.bench_particles [COUNT [SIZE [STACKS]]]`` writes a table of 100,000 particles of 128 pixels
in 20 stacks (6.6 GB, as 32-bit numbers) to a temporary folder; TMPDIR says where. Peaks are those of the process's
resident memory, above what the imports need.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from engine.geometry import rotations
from engine.io.mrc import write_stack
from engine.io.particles import read_particles, write_poses
from engine.io.stacks import open_images, scan

_COLUMNS = (
    "rlnCoordinateX", "rlnCoordinateY", "rlnMicrographName", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle",
    "rlnPhaseShift", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnClassNumber", "rlnNormCorrection",
    "rlnRandomSubset", "rlnImageName", "rlnOpticsGroup", "rlnOriginXAngst", "rlnOriginYAngst", "rlnGroupNumber",
)  # fmt: skip
_BATCH = 500


def write_table(folder: Path, count: int, size: int, stacks: int) -> Path:
    """A RELION 3.1 table and its stacks of noise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_BATCH, size, size)).astype(np.float32)
    per_stack = -(-count // stacks)
    for stack in range(stacks):
        held = min(per_stack, count - stack * per_stack)
        write_stack(folder / f"{stack:03d}.mrcs", (noise[: held - i] for i in range(0, held, _BATCH)), 1.5)
    head = "\n".join(f"_{name} #{number} " for number, name in enumerate(_COLUMNS, start=1))
    with (folder / "particles.star").open("w") as file:
        file.write(
            "# version 30001\n\ndata_optics\n\nloop_ \n_rlnOpticsGroup #1 \n_rlnVoltage #2 \n_rlnSphericalAberration "
            f"#3 \n_rlnAmplitudeContrast #4 \n_rlnImagePixelSize #5 \n_rlnImageSize #6 \n 1 300 2.7 0.1 1.5 {size}\n\n"
            f"# version 30001\n\ndata_particles\n\nloop_ \n{head}\n"
        )
        for row in range(count):
            u, rot, tilt, psi, x, y = rng.uniform(0, 1, 6)
            file.write(
                f" 1234.000000  987.000000 Micrographs/Grid1_{row // 100:06d}.mrc {8000 + 20000 * u:12.6f} 9000.000000 "
                f"  12.000000     0.000000 {360 * rot:12.6f} {180 * tilt:12.6f} {360 * psi:12.6f}            1 "
                f"    1.000000            {row % 2 + 1} {row % per_stack + 1:06d}@{row // per_stack:03d}.mrcs "
                f"           1 {x:12.6f} {y:12.6f}            1 \n"
            )
    return folder / "particles.star"


def measured(what: str, call: Callable[[], object]) -> object:
    """The result of a call; its time, processor time and peak of memory are printed."""
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = call()
    wall, now = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    done.set()
    watcher.join()
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print(f"{what:30} {wall:7.1f} s  {cpu:7.1f} s of CPU  peak {(max(peak[0], before) - before) / 2**20:+8.0f} MiB")
    return result


def main() -> None:
    """Measure and print."""
    count, size, stacks = (int(given) for given in (*sys.argv[1:], *("100000", "128", "20")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        path = write_table(Path(folder), count, size, stacks)
        print(f"{count:,} particles of {size} pixels in {stacks} stacks")
        table = measured("read the table", lambda: read_particles(path))
        source = measured("open its stacks", lambda: open_images(table))
        measured("scan the images", lambda: scan(source))
        rng = np.random.default_rng(1)
        chosen = np.sort(rng.permutation(count)[:256])
        measured("read 256 images at random", lambda: source.read(chosen))
        poses = rotations.sample_orientations(count, rng)
        out = Path(folder) / "out.star"
        measured("write the poses", lambda: write_poses(out, table, np.arange(count), poses, np.zeros((count, 2))))
        print(f"peak of the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
