"""The report of a run: the same numbers in one file that asks nobody for anything."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from engine.config.settings import config_to_toml
from engine.record.runrecord import read_run
from engine.service import notes
from engine.service.actor import Actor
from pages._run import report, run_data
from pages._shared import summary
from tests.app_testing import TYPED, failed_run

pytestmark = pytest.mark.slow

ME = Actor("somebody")


@pytest.fixture
def text(finished):
    notes.annotate(
        ME, finished.path.parent, finished.run_id, note="<script>alert(1)</script>\nsecond line", tags=["<i>t</i>"]
    )
    return without_plotly(report.html_report(read_run(finished.path)))


def without_plotly(report: bytes) -> str:
    text = report.decode()
    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def test_it_has_the_numbers_of_the_page(finished, text):
    reading = run_data.direct_reading()
    merits = summary.merits(finished, run_data.fsc_curves(finished, reading))
    assert len(merits) == 6
    words = unescape(re.sub(r"<[^>]+>", "\n", text))
    for merit in merits:
        assert f"{merit.label}\n\n{merit.value}\n" in words
    assert "Distances of 1,770 pairs of test projections" in text
    assert config_to_toml(finished.config) in unescape(text)
    assert (finished.path / "log.txt").read_text() in words
    assert f"PoseLab {finished.facts.engine_version}" in text
    assert f"numpy {np.__version__}" in text


def test_it_has_every_figure_that_the_run_can_show(finished, text):
    sections = run_data.sections(finished).values()
    keys = {key for rows in sections for columns in rows for column in columns for key in column}
    drawn = set(re.findall(r'<div id="([a-z-]+)" class="plotly-graph-div"', text))
    assert drawn == keys - {"training"}  # there was no network
    assert text.count("Plotly.newPlot(") == len(drawn)


def test_it_asks_nobody_for_anything(text):
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?(?!#)[^"'\s>]+""", text)
    assert not re.findall(r"(?:@import|url\()", text)
    assert set(re.findall(r"https?://[^\"']+", text)) <= {"https://plot.ly"}  # named in Plotly's settings, not asked
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy.group(1)


def test_what_somebody_typed_is_text(text):
    assert TYPED not in text
    assert TYPED in unescape(text)
    assert "<script>alert" not in text
    assert "<i>t</i>" not in text
    assert "<script>alert(1)</script>\nsecond line" in unescape(text)


def test_a_failed_run_has_a_report_that_says_why(runs_dir):
    text = without_plotly(report.html_report(read_run(failed_run(runs_dir, "no <b>space</b> left"))))
    assert "no &lt;b&gt;space&lt;/b&gt; left" in text
    assert "Plotly.newPlot(" not in text


def test_a_damaged_file_costs_its_own_figure_only(finished):
    (finished.path / "distances.npz").write_bytes(b"torn")
    (finished.path / "log.txt").unlink()
    text = without_plotly(report.html_report(finished))
    assert "distances.npz of this run is damaged" in text
    assert "log.txt cannot be read: No such file" in text
    assert 'id="angle-errors"' in text


def test_a_run_without_a_readable_configuration_has_a_report(finished):
    (finished.path / "config.toml").write_text("damaged")
    text = without_plotly(report.html_report(read_run(finished.path)))
    assert "config.toml is damaged" in text
    assert 'id="angle-errors"' in text
