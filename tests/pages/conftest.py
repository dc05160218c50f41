"""What tests of the pages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.record import catalogue
from engine.service import runs
from tests.app_testing import UNKNOWN_ID
from tests.benchmarks.bench_pages import make_varied_runs


@pytest.fixture
def many(runs_dir) -> Path:
    """A directory with 30 runs of many kinds, four seeds of each kind."""
    make_varied_runs(runs_dir, 30)
    catalogue.rebuild(runs_dir)
    return runs_dir


@pytest.fixture
def submitted(monkeypatch) -> list:
    """What was put into the queue: (configurations, folder, names, sweep)."""
    calls = []

    def submit(actor, runs_dir, configs, names=None, sweep=None):
        calls.append((configs, runs_dir, names, sweep))
        return [UNKNOWN_ID] * len(configs)

    monkeypatch.setattr(runs, "submit", submit)
    return calls
