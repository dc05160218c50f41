"""A running experiment on its page: live stages, losses and log, drawn once for all viewers."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.analysis.figures import losses
from engine.base.errors import InputError
from engine.config.schema import Config
from engine.experiment.estimate import estimate
from engine.experiment.stack_input import read_stack
from engine.experiment.stage import Source
from engine.record.reading import Status
from engine.record.runrecord import RunRecord, read_run
from pages._run import figures
from pages._shared import downloads, state, text
from pages._shared.live import Curve, RunFeed, Stage, curve_arrays
from pages._shared.style import Figure

_LONG_LOG = 9  # lines
REFRESH_S = 1.0


@st.fragment(run_every=REFRESH_S)
def watch(record: RunRecord, config: Config, finished_stages: int) -> None:
    """Show stages, losses and log of a running experiment; rerun the whole page when a stage finishes."""
    feed = state.feed(record, config)
    if feed.finished_stages != finished_stages or _status(record.path) != "running":
        st.rerun()
    left, right = st.columns(2)
    with left:
        for name, stage in feed.stages.items():
            _show_stage(name, stage, feed.now())
        whole = feed.seconds_left(_expected(config), feed.now())
        if whole is not None:
            st.caption(f"About {text.duration(round(whole))} until the whole run is done.")
    with right:
        if feed.curve:
            st.plotly_chart(_training_figure(record.path, feed.curve), key="training-live")
            with st.container(horizontal=True):
                downloads.figure_data(
                    lambda: losses.training_curve(*curve_arrays(feed.curve)).to_csv(), f"{record.run_id}-training-live"
                )
        elif "training" in feed.stages and config.training.model is None:
            st.caption("The loss appears here once the network trains.")
    show_log(feed)


@st.cache_resource(max_entries=64, show_spinner=False)
def _expected(config: Config) -> dict[str, float]:
    """Expected seconds of each stage, from the amount of work and the runs finished on this machine."""
    try:
        rows = state.runs().rows
        stack = None if config.particles.source is None else read_stack(config).source()
        if config.volume.source is None:  # of particles: what their number and size say is all there is
            source = Source("no map", 0, 0, 1.0, stack=stack)
        else:
            volume = state.input_volume(config.volume)
            source = Source(volume.fingerprint, volume.diagonal, volume.density.size, volume.voxel_size, stack=stack)
    except InputError:
        return {}
    return estimate(config, source, rows).by_stage


@st.cache_resource(ttl=REFRESH_S, max_entries=64, show_spinner=False)
def _status(path: Path) -> Status:
    """The run's status, looked up once for all viewers."""
    return read_run(path).status


@st.cache_resource(ttl=2 * REFRESH_S, max_entries=64, show_spinner=False)
def _training_figure(path: Path, _curve: Curve) -> Figure:
    """The training figure, drawn once for all viewers because it takes longer than the rest of the page."""
    return figures.training_figure(losses.training_curve(*curve_arrays(_curve)))


def _show_stage(name: str, stage: Stage, now: float) -> None:
    words = {
        "waiting": "",
        "done": text.duration(stage.seconds),
        "reused": "reused from an earlier run",
        "failed": "stopped",
    }
    progress = words.get(stage.state, "")
    if stage.state == "done" and stage.seconds is None:
        progress = "done"
    if stage.state == "running":
        left = stage.seconds_left(now)
        progress = f"{stage.fraction:.0%}" + ("" if left is None else f", about {text.duration(round(left))} left")
        if (step := stage.values.get("step")) is not None:
            progress += f", step {step:,.0f}"
    fraction = 1.0 if stage.state in ("done", "reused") else stage.fraction
    st.progress(fraction, text=f"{name.capitalize()}" + (f": {progress}" if progress else ""))


def show_log(feed: RunFeed, expanded: bool = True) -> None:
    """Show the lines of the run's log."""
    with (
        st.expander("Log", expanded=expanded, icon=":material/notes:"),
        st.container(height="content" if len(feed.lines) < _LONG_LOG else 240, border=False, autoscroll=True),
    ):
        st.code("\n".join(feed.lines) or "Nothing yet.", language=None, wrap_lines=True)
