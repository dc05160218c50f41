"""The available proteins: their surface, size, symmetry and projections."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from engine.analysis.figures import densities, projections
from engine.analysis.figures.data import Figure as FigureData
from engine.base.errors import InputError
from engine.base.inputs import without_gz
from engine.base.randomness import stream
from engine.config.schema import VolumeConfig
from engine.imaging import shape, simulation, symmetric_density
from engine.io import library
from engine.io.library import Entry
from engine.io.loading import BUILT_IN, local_path
from pages._experiment import ambiguity, origin, preview_figures, protein
from pages._shared import downloads, state, surface_figures, surface_level, text
from pages._shared.style import Figure

_VOLUME = "volume"  # the URL parameter
_SYMMETRIES = {"1bd2": "C1", "6msm": "C1, nearly C2", "1tii": "C1, nearly C5"}
_GALLERY = 8
_HELP = {
    "Outer radius": "of the sphere around the centre of mass that holds 99.9 % of what lies within the default surface",
    "Radius of gyration": "root mean square distance of the positive density from the centre of mass",
    "Frame": "side of a projection that shows the whole volume: the diagonal of the grid",
    "Symmetry": "known for the built-in proteins; for others, rotations about the box's axes are tested by correlation",
    "Mass": "of the atoms in the file, without waters and hydrogens",
}


def _choose(entries: list[Entry]) -> Entry:
    """The protein to show: the last upload, the one picked from the list, or the one in the address."""
    by_name = {entry.name: entry for entry in entries}
    source = protein.uploaded()
    new = next((entry.name for entry in entries if entry.source == source), None)
    asked = st.query_params.get(_VOLUME)
    if new is not None:
        st.session_state[_VOLUME] = new
    elif _VOLUME not in st.session_state:
        if asked is not None and asked not in by_name:
            st.warning(
                text.escaped(f"No protein {asked[:80]!r} at hand; {entries[0].name} is shown instead."),
                icon=":material/search_off:",
            )
        st.session_state[_VOLUME] = asked if asked in by_name else entries[0].name
    elif st.session_state[_VOLUME] not in by_name:
        st.session_state[_VOLUME] = entries[0].name
    captions = [BUILT_IN.get(entry.name, entry.kind) for entry in entries]
    name = st.radio("Protein", list(by_name), captions=captions, key=_VOLUME, label_visibility="collapsed")
    if asked != name:
        st.query_params[_VOLUME] = name
    return by_name[name]


@st.cache_resource(max_entries=16, show_spinner=False)
def _facts(config: VolumeConfig) -> dict[str, str]:
    """Facts about a protein, by label, as text."""
    volume = state.input_volume(config)
    nz, ny, nx = volume.density.shape
    facts = {
        "Outer radius": f"{shape.outer_radius(volume):.1f} Å",
        "Radius of gyration": f"{shape.radius_of_gyration(volume):.1f} Å",
        "Voxel": f"{volume.voxel_size:.3g} Å",
        "Grid": f"{nx} × {ny} × {nz}",
        "Frame": f"{volume.diagonal} px, {volume.diagonal * volume.voxel_size:.0f} Å",
        "Symmetry": _SYMMETRIES.get(config.given_source) or _axes_in_words(config),
    }
    return facts | _composition(config.given_source)


def _axes_in_words(config: VolumeConfig) -> str:
    axes = [f"{fold}-fold about {axis}" for fold, axis, _ in ambiguity.axes(config)]
    return ", ".join(axes) or "none detected"


def _composition(source: str) -> dict[str, str]:
    from engine.io import coordinates  # only here: maps need no reader of coordinates

    path = local_path(source)
    if without_gz(path).suffix.lower() not in coordinates.COORDINATE_ENDINGS:
        return {"Mass": "unknown for a map"}
    made_of = coordinates.composition(path)
    chains = f"{made_of.chains} {'chain' if made_of.chains == 1 else 'chains'}"
    return {"Mass": f"{made_of.mass_kda:.0f} kDa", "Atoms": f"{made_of.atoms:,} in {chains}"}


def _surface_data(config: VolumeConfig, level: float) -> FigureData:
    volume = state.input_volume(config)
    title = f"Surface at {level:g} σ above the mean"
    return densities.isosurfaces({"volume": (volume.density, volume.voxel_size)}, level, title)


def _slices_data(config: VolumeConfig) -> FigureData:
    return densities.volume_slices(state.input_volume(config))


def _gallery_data(config: VolumeConfig) -> FigureData:
    volume = state.input_volume(config)
    simulated = simulation.preview(volume, simulation.Acquisition(), _GALLERY, stream(0, "test projections"))
    clean = preview_figures.truth_of(simulated).clean
    return projections.gallery(clean, "Projections in random poses, without noise", _GALLERY)


@st.cache_resource(max_entries=32, show_spinner="Finding the surface …")
def _surface(config: VolumeConfig, level: float) -> Figure:
    return surface_figures.isosurface_figure(_surface_data(config, level))


@st.cache_resource(max_entries=16, show_spinner=False)
def _slices(config: VolumeConfig) -> Figure:
    return preview_figures.slices_figure(_slices_data(config))


@st.cache_resource(max_entries=16, show_spinner="Projecting …")
def _gallery(config: VolumeConfig) -> Figure:
    return preview_figures.gallery_figure(_gallery_data(config))


def _show_figure(drawn: Figure, key: str, name: str, data: Callable[[], FigureData]) -> None:
    """Show a figure of the protein of that name, with its data for download beneath it."""
    st.plotly_chart(drawn, key=key)
    with st.container(horizontal=True):
        downloads.figure_data(lambda: data().to_csv(), f"{name}-{key}")


def _show(entry: Entry) -> None:
    title, link = st.columns([3, 2], vertical_alignment="center")
    title.header(text.escaped(entry.name), anchor=False)
    with link:
        origin.experiment_link(entry.source)
    config = VolumeConfig(source=entry.source)
    volume = state.input_volume(config)
    if entry.name in BUILT_IN:
        st.caption(BUILT_IN[entry.name])
    for line in volume.warnings:
        state.show_warning(line)
    if entry.name not in BUILT_IN and (axes := ambiguity.axes(config)):
        state.show_warning(symmetric_density.ambiguity(axes, "volume.symmetry"))
    with st.container(horizontal=True, gap="medium"):
        for label, value in _facts(config).items():
            st.markdown(f":gray[:small[{label}]]  \n**{value}**", width="content", help=_HELP.get(label))
    left, right = st.columns(2)
    with left:
        level = surface_level.slider(volume.density, entry.name)
        _show_figure(_surface(config, level), "surface", entry.name, lambda: _surface_data(config, level))
    with right:
        _show_figure(_slices(config), "slices", entry.name, lambda: _slices_data(config))
        _show_figure(_gallery(config), "gallery", entry.name, lambda: _gallery_data(config))


state.require_navigation()
try:
    entries, unusable = library.list_volumes(state.runs_dir()), library.unusable(state.runs_dir())
except InputError as error:
    state.show_error(error)
    st.stop()
choices, shown = st.columns([3, 9], gap="medium")
with choices:
    st.title("Volumes", anchor=False)
    chosen = _choose(entries)
    protein.upload("Add a map or coordinates")
    st.caption(text.escaped(f"Files in {library.volumes_dir(state.runs_dir())} on the server are listed here."))
    for problem in unusable:
        st.warning(text.escaped(problem), icon=":material/broken_image:")
with shown:
    try:
        _show(chosen)
    except InputError as error:
        state.show_error(error)
