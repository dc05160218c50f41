"""The whole way in a real browser: run, reload in the middle, see the results, find them again, cancel."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.runrecord import read_run

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, expect

from tests.browser.serving import CHROMIUM, browser, serving, settle

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
RUN_ADDRESS = re.compile(r"/run\?run=(\d{8}-\d{6}-1bd2-[0-9a-f]{6})$")
TYPED = "<b>first</b> :red[try] :tada:"
SLOW_MS = 60_000


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def address(runs_dir: Path) -> Iterator[str]:
    with serving(runs_dir, working_directory=Path("/")) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile, which may speak to this machine only."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if leaves(request.url) else None)
    yield page
    context.close()
    assert elsewhere == []


def leaves(url: str) -> bool:
    return not url.startswith(("http://localhost:", "ws://localhost:", "data:", "blob:"))


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    settle(page)


def start(page: Page) -> str:
    """Press Run; the id of the run, once the address has it."""
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(RUN_ADDRESS)
    found = RUN_ADDRESS.search(page.url)
    assert found is not None
    return found.group(1)


def test_from_the_first_page_to_the_angle_errors(page: Page, chromium: Browser, address: str, runs_dir: Path) -> None:
    open_page(page, address)
    expect(page.get_by_text("python -m engine run")).to_be_visible()
    page.get_by_role("spinbutton", name="Count").fill("100")
    page.get_by_role("spinbutton", name="Count").press("Enter")
    page.get_by_role("radiogroup", name="Method").get_by_text("exact").click()
    page.get_by_placeholder("a name for it, if you like").fill(TYPED)
    expect(page.get_by_text("--set distance.method=exact")).to_be_visible()
    expect(page.get_by_text("--set projections.count=100")).to_be_visible()
    run_id = start(page)
    page.reload()
    expect(page.get_by_text("E_OR, median angle error")).to_be_visible(timeout=SLOW_MS)
    settle(page)
    assert read_run(runs_dir / run_id).status == "finished"
    expect(page.get_by_role("heading", name=TYPED)).to_be_visible()
    expect(page.get_by_text("Angle errors of 100 projections")).to_be_visible()
    expect(page.get_by_text("Distances of 4,950 pairs of test projections")).to_be_visible()
    assert page.get_by_test_id("stPlotlyChart").count() == 8
    assert page.get_by_test_id("stException").count() == 0

    with page.expect_download() as download:
        page.get_by_role("button", name="Errors (.csv)").click()
    assert len(download.value.path().read_text().splitlines()) == 101

    open_page(page, f"{address}/runs")
    table = page.get_by_test_id("stDataFrame")
    table.click(position={"x": 80, "y": 52})
    page.wait_for_url(RUN_ADDRESS)
    expect(page.get_by_role("heading", name=TYPED)).to_be_visible()
    page.go_back()
    expect(page.get_by_text("1 run, 0 running")).to_be_visible()

    other = chromium.new_context().new_page()
    open_page(other, f"{address}/run?run={run_id}")
    expect(other.get_by_role("heading", name=TYPED)).to_be_visible()
    other.context.close()


def test_a_network_that_trains_is_watched_and_cancelled(page: Page, address: str, runs_dir: Path) -> None:
    open_page(page, address)
    run_id = start(page)
    expect(page.get_by_text(re.compile(r"Training: .*step"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Training of the network")).to_be_visible()
    first = page.get_by_text(re.compile(r"Training: .*step")).inner_text()
    expect(page.get_by_text(first)).not_to_be_visible(timeout=SLOW_MS)  # it goes on by itself
    begun = time.monotonic()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This run was cancelled.")).to_be_visible()
    assert time.monotonic() - begun < 10
    assert read_run(runs_dir / run_id).status == "cancelled"
    expect(page.get_by_text("Projections, clean")).to_have_count(1)  # what was finished is kept


def test_the_first_visitor_of_a_server_may_come_by_a_link(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as fresh:
        open_page(page, f"{fresh}/run")
        expect(page.get_by_text("No runs yet.")).to_be_visible()
        names = page.get_by_test_id("stTopNavLink").all_inner_texts()
        assert [name.split("\n")[-1] for name in names] == ["Runs", "New experiment", "Run"]


def test_a_malformed_address_is_answered_kindly(page: Page, address: str) -> None:
    open_page(page, f"{address}/run?run=<img src=x onerror=alert(1)>")
    expect(page.get_by_text("is not a run id; wanted one like")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    page.get_by_text("All runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
