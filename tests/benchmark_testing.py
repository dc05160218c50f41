"""What the tests of the benchmarks share: facts of a result, and reading a table."""

from __future__ import annotations

import csv
import io

FACTS = {"date": "2026-11-22", "machine": "a CPU", "cores": 2, "versions": "poselab 0.1.0", "commit": "abc"}


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
