"""A run as one self-contained HTML file, readable without PoseLab and without a network. No Streamlit."""

from __future__ import annotations

from html import escape

from engine.analysis.verdict import of_run
from engine.base.errors import InputError
from engine.base.files import read_small
from engine.config.schema import Config
from engine.config.settings import config_to_toml
from engine.record.runrecord import RunRecord
from pages._run import report_figures, run_data, run_figures
from pages._run.run_data import Reading
from pages._shared import summary, text

# Forbids the browser to fetch anything, whatever this file contains.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1B2430; background: #fff; max-width: 1280px; margin: 0 auto;
       padding: 1.5rem clamp(0.75rem, 3vw, 2.5rem); }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
.state { font-weight: 600; color: #0B5CAD; } .small, caption { color: #55606E; font-size: 0.87rem; }
.merits { display: flex; flex-wrap: wrap; gap: 0.6rem; margin: 1rem 0; }
.merits div { border: 1px solid #D5DBE3; border-radius: 6px; padding: 0.5rem 0.9rem; flex: 1 1 8rem; }
.merits b { display: block; font-size: 1.35rem; font-weight: 500; }
.figures { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; }
@media (min-width: 900px) { .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.figures > div { min-width: 0; break-inside: avoid; }
.problem { border-left: 3px solid #D55E00; padding: 0.3rem 0.8rem; background: #FDF3EC; }
pre { background: #F3F5F8; padding: 0.8rem; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
      font-size: 0.83rem; }
table { border-collapse: collapse; } td, th { padding: 0.15rem 1rem 0.15rem 0; text-align: left; font-weight: 400; }
"""


def html_report(record: RunRecord, reading: Reading | None = None) -> bytes:
    """Figures of merit, figures, configuration, environment and log of a run, as UTF-8; typed text is escaped."""
    reading = reading or run_data.direct_reading()
    name = record.name or record.run_id
    body = [_head(record, name), _merits(record, reading)]
    drawn: set[str] = set()  # a page shows some figures in two places
    for section, rows in run_data.sections(record).items():
        figures = [key for columns in rows for keys in columns for key in keys if key not in drawn]
        drawn |= set(figures)
        if shown := "".join(_figure(record, reading, key) for key in figures):
            body.append(f'<h2>{section}</h2><div class="figures">{shown}</div>')
    body += [_configuration(record), _environment(record), _log(record)]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style>'
        f"<script>{report_figures.script()}</script></head><body>{''.join(body)}</body></html>\n"
    ).encode()


def _head(record: RunRecord, name: str) -> str:
    verdict = of_run(record)
    status = record.status if verdict is None else f"{record.status} · {verdict}"
    lines = [f'<h1>{escape(name)}</h1><div class="state">{status}</div>']
    if isinstance(record.config, Config):
        lines.append(f"<div>{escape(text.experiment(record.config))}</div>")
    lines.append(f'<div class="small">{escape(" · ".join([record.run_id, *summary.facts(record)]))}</div>')
    if record.annotations.tags:
        lines.append(f'<div class="small">tags: {escape(", ".join(record.annotations.tags))}</div>')
    if record.annotations.note:
        lines.append(f"<pre>{escape(record.annotations.note)}</pre>")
    if record.message:
        lines.append(f'<p class="problem">{escape(record.message)}</p>')
    return "".join(lines)


def _merits(record: RunRecord, reading: Reading) -> str:
    try:
        merits = summary.merits(record, run_data.fsc_curves(record, reading))
    except InputError as error:
        return _problem(error)
    cards = (
        f'<div title="{escape(merit.explained)}"><span class="small">{escape(merit.label)}</span>'
        f'<b>{escape(merit.value)}</b><span class="small">{escape(merit.small)}</span></div>'
        for merit in merits
    )
    return f'<div class="merits">{"".join(cards)}</div>' if merits else ""


def _figure(record: RunRecord, reading: Reading, key: str) -> str:
    try:
        figure = run_figures.draw(key, record, reading)
    except InputError as error:
        return _problem(error)
    return "" if figure is None else f"<div>{report_figures.as_html(figure, key)}</div>"


def _configuration(record: RunRecord) -> str:
    if not isinstance(record.config, Config):
        return ""
    return (
        f"<h2>Configuration</h2><pre>{escape(text.command_line(record.config))}</pre>"
        f"<pre>{escape(config_to_toml(record.config))}</pre>"
    )


def _environment(record: RunRecord) -> str:
    rows = "".join(
        f"<tr><th>{escape(stage)}</th><td>{seconds:.1f} s</td></tr>" for stage, seconds in record.seconds.items()
    )
    times = f"<table>{rows}</table>" if rows else ""
    if record.facts is None:
        return times
    packages = ", ".join(f"{name} {version}" for name, version in record.facts.packages.items())
    lines = "\n".join([*summary.environment(record.facts), packages])
    return f"<h2>Environment and times</h2><pre>{escape(lines)}</pre>{times}"


def _log(record: RunRecord) -> str:
    try:
        text = read_small(record.path / "log.txt").decode("utf-8", "replace")
    except OSError as error:
        return f'<p class="problem">log.txt cannot be read: {escape(error.strerror or str(error))}</p>'
    return f"<h2>Log</h2><pre>{escape(text)}</pre>"


def _problem(error: InputError) -> str:
    return f'<p class="problem">{escape(str(error))}</p>'
