"""Beside the form: a preview of the experiment and its expected cost. Nothing here starts a run or takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from engine.analysis.figures import densities, directions
from engine.analysis.figures import projections as pictures
from engine.analysis.figures.data import Figure as Data
from engine.base.errors import InputError, naming
from engine.base.randomness import stream
from engine.config.numeric import PROJECTIONS, acquisition_of, check_frame, is_at_hand
from engine.config.projections import ProjectionsConfig
from engine.config.schema import Config, VolumeConfig
from engine.dispatch import runqueue
from engine.experiment import estimate
from engine.experiment.stack_source import StackSource
from engine.experiment.stage import Source
from engine.geometry.rotations import sample_orientations, viewing_directions
from engine.imaging import simulation
from engine.imaging.particles import ParticleSet
from engine.imaging.volume import Volume
from pages._experiment import particles_panel, preview_figures
from pages._shared import downloads, sphere_figures, state, surface_figures, text
from pages._shared.style import Figure

_DIRECTIONS = 1000
_COST = "expected cost of the form"
_FETCHED = "archived sources asked for"


def volume_of(config: VolumeConfig) -> Volume | None:
    """The experiment's volume; None, after offering the download, if it has to be downloaded first.

    Raises InputError for an unusable source.
    """
    if not is_at_hand(config):
        asked = st.session_state.setdefault(_FETCHED, set())
        if config.given_source not in asked:
            st.info(f"{text.escaped(config.given_source)} is not on this machine yet; a run downloads it.")
            if not st.button("Download it now and preview", icon=":material/download:"):
                return None
            asked.add(config.given_source)
        with st.spinner(f"Downloading {text.escaped(config.given_source)} …"):
            return state.input_volume(config)
    return state.input_volume(config)


def cost(configs: Sequence[Config]) -> str:
    """Expected time and memory of all these experiments, as text.

    Raises InputError for a network of another run that cannot be applied.
    """
    known = st.session_state.get(_COST)
    if known is None or known[0] != configs:
        total = estimate.total(configs, state.runs().rows, _source, _stack, state.runs_dir())
        known = st.session_state[_COST] = configs, total
    expected = known[1]
    together = min(runqueue.at_a_time(state.runs_dir()), len(configs))
    costs = (
        f"about {text.duration(max(1, round(expected.seconds / together)))}"
        f" and up to {preview_figures.memory_text(expected.memory_bytes * together)} of memory"
    )
    if expected.assumed:
        costs += f", assuming 116 px for {', '.join(expected.assumed)}"
    if expected.unread:
        costs += (
            f", assuming {estimate.UNREAD.count:,} images of {estimate.UNREAD.size} px for "
            f"{', '.join(map(text.source_name, expected.unread))}, which cannot be read"
        )
    return costs


def show(config: Config) -> bool:
    """Show projections, volume and viewing directions; return whether the volume is on this machine.

    Raises InputError for an unusable source.
    """
    if config.particles.source is not None:
        return _show_particles(config)
    volume = volume_of(config.volume)
    if volume is not None:
        check_frame(config.projections, volume)
        projections = _projections(config.volume, config.projections.model_copy(update={"count": 4}), config.seed)
        clean = preview_figures.truth_of(projections).clean
        compared = pictures.before_and_after(clean, projections.images, preview_figures.SHOWN)
        _show(preview_figures.before_and_after_figure(compared), "preview-projections", lambda: compared)
        st.caption(text.escaped(preview_figures.noise_text(projections)))
        _show_volume(config.volume)
    sphere, map_figure = _directions(config.projections, config.seed)
    on_sphere, on_map = _direction_data(config.projections, config.seed)
    _show(sphere, "preview-sphere", lambda: on_sphere)
    _show(map_figure, "preview-map", lambda: on_map)
    return volume is not None


def _show_particles(config: Config) -> bool:
    particles_panel.show(config)
    volume = None if config.volume.source is None else volume_of(config.volume)
    if volume is not None:
        _show_volume(config.volume)
    return volume is not None


def _show_volume(config: VolumeConfig) -> None:
    _show(_surface(config), "preview-surface", lambda: _surface_data(config))
    _show(_slices(config), "preview-slices", lambda: _slices_data(config))


def _stack(config: Config) -> StackSource | None:
    """The same of the particles, from their table."""
    try:
        return particles_panel.stack_of(config).source()
    except InputError:
        return None


def _show(drawn: Figure, key: str, data: Callable[[], Data]) -> None:
    """Show a figure, with its data for download beneath it."""
    st.plotly_chart(drawn, key=key)
    with st.container(horizontal=True):
        downloads.figure_data(lambda: data().to_csv(), key)


def _source(config: VolumeConfig) -> Source | None:
    """The properties of a volume that the estimate needs; None if they are not known."""
    try:
        if config.source is None or not is_at_hand(config):
            return None
        volume = state.input_volume(config)
    except InputError:
        return None
    return Source(volume.fingerprint, volume.diagonal, volume.density.size, volume.voxel_size)


@st.cache_resource(max_entries=64, show_spinner="Projecting …")
def _projections(volume: VolumeConfig, settings: ProjectionsConfig, seed: int) -> ParticleSet:
    rng = stream(seed, "test projections")
    with naming(**PROJECTIONS):
        return simulation.preview(state.input_volume(volume), acquisition_of(settings), preview_figures.MEASURED, rng)


def _surface_data(config: VolumeConfig) -> Data:
    volume = state.input_volume(config)
    return densities.isosurfaces({"volume": (volume.density, volume.voxel_size)}, title="Volume")


@st.cache_resource(max_entries=16, show_spinner=False)
def _surface(config: VolumeConfig) -> Figure:
    return surface_figures.isosurface_figure(_surface_data(config))


def _slices_data(config: VolumeConfig) -> Data:
    return densities.volume_slices(state.input_volume(config))


@st.cache_resource(max_entries=16, show_spinner=False)
def _slices(config: VolumeConfig) -> Figure:
    return preview_figures.slices_figure(_slices_data(config))


@st.cache_resource(max_entries=64, show_spinner=False)
def _directions(settings: ProjectionsConfig, seed: int) -> tuple[Figure, Figure]:
    on_sphere, on_map = _direction_data(settings, seed)
    return sphere_figures.sphere_figure(on_sphere), sphere_figures.direction_heatmap_figure(on_map)


@st.cache_resource(max_entries=64, show_spinner=False)
def _direction_data(settings: ProjectionsConfig, seed: int) -> tuple[Data, Data]:
    count = min(settings.count, _DIRECTIONS)
    rng = stream(seed, "test projections")
    named = {"": viewing_directions(sample_orientations(count, rng, settings.coverage, settings.sampling))}
    return directions.on_spheres(named), directions.by_solid_angle(named)
