"""Driving the app's pages without a browser (Streamlit's AppTest): open one, press, read what it says."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from engine.base.errors import InputError
from engine.config.schema import Config
from engine.config.settings import config_from_dict, config_to_dict
from engine.record.runlog import RunWriter

# A server reads the metadata of every installed package once, for components; AppTest does it for every page that it
# opens, which takes it longer than the page (0.4 s, and 2 s where little of the disk is in memory).
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)

ROOT = Path(__file__).parents[1]
QUICK = config_from_dict({"distance": {"method": "exact"}, "projections": {"count": 60}, "recovery": {"restarts": 10}})
"""An experiment of a second: no network."""
TRAINED = config_from_dict({
    "volume": {"resolution": 12, "voxel_size": 5}, "projections": {"count": 60, "size": 40, "snr": 2},
    "training": {
        "projections": 200, "validation_projections": 32, "steps": 12, "batch_size": 16, "image_size": 20,
    },
    "recovery": {"restarts": 10}, "reconstruction": {"enabled": False},
})  # fmt: skip
"""An experiment of seconds with a network, which learns next to nothing."""
UNKNOWN_ID = "20260101-000000-1bd2-ffffff"
TYPED = "<b>Noise</b> :red[16] $x$ :tada:"
"""What somebody may type; it must be shown letter by letter."""


def page(name: str, run_id: str | None = None, **parameters: str) -> AppTest:
    """A page of the app after its first run, at an address with these parameters; the test fails where it raised."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    app.switch_page(f"pages/{name}.py")
    for key, value in (parameters | ({} if run_id is None else {"run": run_id})).items():
        app.query_params[key] = value
    return shown(app)


def shown(app: AppTest) -> AppTest:
    """The page run once more; the test fails where it raised."""
    app.run()
    assert not app.exception, app.exception[0].value
    return app


def press(app: AppTest, label: str) -> AppTest:
    """The page after the one button with that label."""
    (button,) = (button for button in app.button if button.label == label)
    button.click()
    return shown(app)


def texts(elements: Iterable) -> str:
    """What these elements say, a line each."""
    return "\n".join(element.value for element in elements)


def charts(app: AppTest) -> list[str]:
    """The figures of the page, as Plotly's JSON."""
    return [chart.proto.spec for chart in app.get("plotly_chart")]


def applying(run_id: str, **changes: dict) -> Config:
    """The experiment :data:`TRAINED` with the network of this run in place of a training, and other changes."""
    table = config_to_dict(TRAINED)
    table["training"] = {"image_size": 20, "model": run_id}
    del table["pairs"]
    for section, values in changes.items():
        table[section] = table.get(section, {}) | values
    return config_from_dict(table)


def failed_run(runs_dir: Path, message: str) -> Path:
    """The directory of a run that failed with this message."""
    with pytest.raises(InputError), RunWriter.create(runs_dir, Config(), ["engine"]) as run, run.stage("projections"):
        raise InputError(message)
    return run.path
