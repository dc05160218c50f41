"""The whole way in a real browser: launch, watch, reload, results, sweep, compare, share the link, cancel, archive."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import mrcfile
import pytest

from engine.record import catalogue
from engine.record.annotations import read_annotations
from engine.record.runrecord import read_run

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, expect

from tests.browser.serving import CHROMIUM, serving, settle

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
RUN_ADDRESS = re.compile(r"/run\?run=(\d{8}-\d{6}-1bd2-[0-9a-f]{6})$")
TYPED = "<b>first</b> :red[try] :tada:"
PAGES = ["Runs", "New experiment", "Run", "Compare", "Coverage", "Noise", "Sampling", "Recovery", "Mismatch", "Volumes"]
QUICK = "set=distance.method%3Dexact&set=recovery.restarts%3D10&set=reconstruction.enabled%3Dfalse"
SLOW_MS = 120_000


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("terminal") / "output.txt"


@pytest.fixture(scope="module")
def address(runs_dir: Path, terminal: Path) -> Iterator[str]:
    with serving(runs_dir, working_directory=Path("/"), terminal=terminal) as url:
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile, which may speak to this machine only."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
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
    match = RUN_ADDRESS.search(page.url)
    assert match is not None
    return match.group(1)


def wait_until_finished(runs_dir: Path, count: int) -> list[str]:
    """The ids of all finished runs, newest first, once there are so many."""
    until = time.monotonic() + SLOW_MS / 1000
    while len(rows := catalogue.list_runs(runs_dir, statuses=["finished"])) < count:
        assert time.monotonic() < until, catalogue.list_runs(runs_dir)
        time.sleep(0.5)
    return [row["run_id"] for row in rows]


def test_from_the_first_page_to_the_angle_errors(page: Page, chromium: Browser, address: str, runs_dir: Path) -> None:
    open_page(page, address)
    expect(page.get_by_text("No runs yet.")).to_be_visible()
    page.get_by_test_id("stPageLink").get_by_text("New experiment").click()
    expect(page.get_by_text("python -m engine run")).to_be_visible()
    page.get_by_role("spinbutton", name="Count").fill("100")
    page.get_by_role("spinbutton", name="Count").press("Enter")
    page.get_by_role("radiogroup", name="Method").get_by_text("exact").click()
    page.get_by_placeholder("name (optional)").fill(TYPED)
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

    for tab, charts in {"Sphere": 3, "Reconstruction": 3, "Losses": 1, "Projections": 2}.items():
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_test_id("stPlotlyChart")).to_have_count(charts)
        settle(page)
        page.wait_for_url(f"**/run?run={run_id}&tab={tab}")
    assert page.get_by_test_id("stException").count() == 0
    page.reload()
    expect(page.get_by_text("Projections, clean")).to_be_visible()

    page.get_by_role("tab", name="Record").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Errors (.csv)").click()
    assert len(download.value.path().read_text().splitlines()) == 101
    page.get_by_role("button", name="Particles (.mrcs)").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save particles.mrcs").click()
    with mrcfile.open(download.value.path()) as stack:
        assert len(stack.data) == 100

    open_page(page, address)
    page.get_by_test_id("stDataFrame").click(position={"x": 90, "y": 52})
    page.wait_for_url(RUN_ADDRESS)
    expect(page.get_by_role("heading", name=TYPED)).to_be_visible()
    page.go_back()
    expect(page.get_by_text("1 run, 0 running")).to_be_visible()


def test_the_report_opens_by_itself_and_asks_nobody(
    page: Page, chromium: Browser, address: str, runs_dir: Path, tmp_path: Path
) -> None:
    (run_id,) = wait_until_finished(runs_dir, 1)
    open_page(page, f"{address}/run?run={run_id}&tab=Record")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (.html)").click()
    download.value.save_as(tmp_path / "report.html")
    context = chromium.new_context(offline=True)
    report = context.new_page()
    asked: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    problems: list[str] = []
    report.on("pageerror", lambda error: problems.append(str(error)))
    report.goto((tmp_path / "report.html").as_uri())
    expect(report.get_by_role("heading", name=TYPED)).to_be_visible()
    expect(report.locator(".plotly-graph-div .main-svg").first).to_be_visible()
    charts = "[...document.querySelectorAll('.plotly-graph-div')]"
    drawn = report.evaluate(f"{charts}.map(d => !!d.querySelector('.main-svg'))")
    assert len(drawn) == 15
    assert all(drawn)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
    context.close()


def test_a_network_that_trains_is_watched_by_two_and_cancelled(
    page: Page, chromium: Browser, address: str, runs_dir: Path
) -> None:
    open_page(page, f"{address}/experiment?set=projections.count%3D100")
    run_id = start(page)
    expect(page.get_by_text(re.compile(r"Training: .*step"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("Training of the network")).to_be_visible()
    first = page.get_by_text(re.compile(r"Training: .*step")).inner_text()
    expect(page.get_by_text(first)).not_to_be_visible(timeout=SLOW_MS)  # it goes on by itself
    page.reload()
    expect(page.get_by_text("Training of the network")).to_be_visible()
    other = chromium.new_context().new_page()
    open_page(other, address)
    expect(other.get_by_text("2 runs, 1 running")).to_be_visible()
    open_page(other, f"{address}/run?run={run_id}")
    expect(other.get_by_text("Training of the network")).to_be_visible()
    begun = time.monotonic()
    page.get_by_role("button", name="Cancel").click()
    for seen_by in (page, other):
        expect(seen_by.get_by_text("This run was cancelled.")).to_be_visible()
    assert time.monotonic() - begun < 10
    assert read_run(runs_dir / run_id).status == "cancelled"
    page.get_by_role("tab", name="Projections").click()
    expect(page.get_by_text("Projections, clean")).to_be_visible()  # what was finished is kept
    other.context.close()


def test_a_sweep_is_launched_compared_and_shared(page: Page, chromium: Browser, address: str, runs_dir: Path) -> None:
    before = len(catalogue.list_runs(runs_dir, statuses=["finished"]))
    asked = "vary=projections.noise_variance%3D[0,16]&vary=seed%3D[1,2]"
    open_page(page, f"{address}/experiment?{QUICK}&set=projections.count%3D60&{asked}")
    page.get_by_role("button", name="Run all 4").click()
    page.wait_for_url("**sweep=*")
    run_ids = wait_until_finished(runs_dir, before + 4)[:4]
    rows = {row["run_id"]: row for row in catalogue.list_runs(runs_dir)}
    assert {(rows[run_id]["noise_variance"], rows[run_id]["seed"]) for run_id in run_ids} == {
        (0, 1), (0, 2), (16, 1), (16, 2),
    }  # fmt: skip
    settle(page)
    # Until then a line may still come at the top, and move the ticked ones under the next click.
    expect(page.get_by_text(f"4 of {len(rows)} runs, 0 running")).to_be_visible(timeout=SLOW_MS)
    for line in range(4):
        page.get_by_test_id("stDataFrame").click(position={"x": 16, "y": 52 + 33 * line})
        expect(page.get_by_text(f"{line + 1} ticked")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?runs=*")
    settle(page)
    assert all(run_id in page.url for run_id in run_ids)
    other = chromium.new_context().new_page()
    open_page(other, page.url)
    for seen_by in (page, other):
        expect(seen_by.get_by_test_id("stPlotlyChart").first).to_be_visible()
        assert seen_by.get_by_test_id("stException").count() == 0
    shown_texts = [seen_by.get_by_test_id("stMain").inner_text() for seen_by in (page, other)]
    assert shown_texts[0] == shown_texts[1]
    other.context.close()


def test_a_run_is_archived_and_restored(page: Page, address: str, runs_dir: Path) -> None:
    run_id = wait_until_finished(runs_dir, 1)[0]
    listed = len(catalogue.list_runs(runs_dir))
    open_page(page, f"{address}/run?run={run_id}")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_role("button", name="Restore")).to_be_visible()
    assert read_annotations(runs_dir / run_id).archived
    open_page(page, address)
    expect(page.get_by_text(f"{listed - 1} runs, 0 running")).to_be_visible()
    open_page(page, f"{address}/run?run={run_id}")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Archive")).to_be_visible()
    assert not read_annotations(runs_dir / run_id).archived


def test_the_first_visitor_of_a_server_may_come_by_a_link(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path) as fresh:
        open_page(page, f"{fresh}/run")
        expect(page.get_by_text("No runs yet.")).to_be_visible()
        names = page.get_by_test_id("stTopNavLink").all_inner_texts()
        assert [name.split("\n")[-1] for name in names] == PAGES


def test_a_malformed_address_is_answered_kindly(page: Page, address: str) -> None:
    open_page(page, f"{address}/run?run=<img src=x onerror=alert(1)>")
    expect(page.get_by_text("is not a run id; wanted one like")).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    page.get_by_text("All runs").click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()


def test_the_terminal_says_where_the_app_is_and_nothing_else(page: Page, address: str, terminal: Path) -> None:
    open_page(page, address)
    lines = [line for line in terminal.read_text().splitlines() if line.strip()]
    assert re.search(r"server started on localhost:\d+$", lines[0])
    assert [line.strip() for line in lines[1:]] == [
        "You can now view your Streamlit app in your browser.",
        f"URL: {address}",
    ]
