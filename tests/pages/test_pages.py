"""Every page with no runs, a finished one, a failed one, and addresses that lead nowhere."""

from __future__ import annotations

import pytest
from streamlit.runtime.pages_manager import PagesManager

from tests.app_testing import page, texts

pytestmark = pytest.mark.usefixtures("visited_server")
_NEW_SERVER = PagesManager.__init__


# No runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "runs"])
def test_without_runs_a_page_says_what_to_do(runs_dir, name):
    app = page(name)
    assert "press **Run**" in texts(app.info)
    assert [link.label for link in app.get("page_link")] == ["New experiment"]


@pytest.mark.parametrize("name", ["experiment", "run", "runs"])
def test_a_page_is_shown_within_the_app_on_a_new_server_too(runs_dir, monkeypatch, name):
    monkeypatch.setattr(PagesManager, "__init__", _NEW_SERVER)
    page(name)
    assert PagesManager.uses_pages_directory is False
