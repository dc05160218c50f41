"""Every page with no runs, a finished one, a failed one, and addresses that lead nowhere."""

from __future__ import annotations

import pytest
from streamlit.runtime.pages_manager import PagesManager

from tests.app_testing import page, texts
from tests.test_architecture import PAGES

pytestmark = pytest.mark.usefixtures("visited_server")
_NEW_SERVER = PagesManager.__init__


# No runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "runs"])
def test_without_runs_a_page_says_what_to_do(runs_dir, name):
    app = page(name)
    assert "press **Run**" in texts(app.info)
    assert [link.label for link in app.get("page_link")] == ["New experiment"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["experiment", "run", "runs"])
def test_a_page_is_shown_within_the_app_on_a_new_server_too(runs_dir, monkeypatch, name):
    monkeypatch.setattr(PagesManager, "__init__", _NEW_SERVER)
    page(name)
    assert PagesManager.uses_pages_directory is False


# The folder of the runs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_a_folder_out_of_reach_is_said_and_not_shown_as_empty(tmp_path, monkeypatch, name):
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    monkeypatch.setenv("POSELAB_RUNS_DIR", str(tmp_path / "link"))
    app = page(name)
    (message,) = (error.value.replace("\\", "") for error in app.error)
    assert message == (
        f"The runs directory {tmp_path}/link is not reachable: {tmp_path}/link is a link to {tmp_path}/unmounted, "
        "which does not exist."
    )
    assert not app.info
    assert not app.button
    assert not (tmp_path / "unmounted").exists()


def test_a_folder_that_cannot_be_told_is_said(monkeypatch):
    monkeypatch.setenv("POSELAB_RUNS_DIR", "$NO_SUCH_DISK/runs")
    (message,) = (error.value.replace("\\", "") for error in page("runs").error)
    assert message.startswith("POSELAB_RUNS_DIR is '$NO_SUCH_DISK/runs' and NO_SUCH_DISK is not set")
