"""The form of a new experiment without a browser: what it would run, what it shows in words, its address."""

from __future__ import annotations

import json
import tomllib

from streamlit.testing.v1 import AppTest

from engine.config.schema import Config
from engine.config.settings import config_from_dict
from tests.app_testing import page, texts


def config_of(app: AppTest) -> Config:
    """The experiment that the page says it would run."""
    return config_from_dict(tomllib.loads(app.code[1].value))


def plain(elements) -> str:
    return texts(elements).replace("\\", "")


def words(app: AppTest) -> str:
    """What the page says in words, without its marks."""
    return plain([*app.caption, *app.markdown]).replace("*", "")


def titles(app: AppTest) -> list[str]:
    return [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in app.get("plotly_chart")]


def address_of(app: AppTest) -> dict[str, list[str]]:
    return {key: value if isinstance(value, list) else [value] for key, value in app.query_params.items()}


def at(**parameters: str | list[str]) -> AppTest:
    return page("experiment", **parameters)
