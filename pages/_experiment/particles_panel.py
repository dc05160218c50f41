"""Beside the form: what a stack of particles is like, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from engine.analysis.figures import directions
from engine.analysis.figures import particles as of_particles
from engine.analysis.figures import projections as pictures
from engine.analysis.figures.data import Figure as Data
from engine.config.schema import Config
from engine.experiment.artefacts import modified_ns
from engine.experiment.stack_input import Stack, read_stack
from engine.geometry.rotations import viewing_directions
from engine.io import data_folders
from pages._experiment import preview_figures
from pages._shared import downloads, particle_figures, picture_figures, sphere_figures, state, text
from pages._shared.style import Figure

_SHOWN = 8
_MEASURED = 64  # images whose power and mean are shown


class Looked(NamedTuple):
    """Figures as data and drawn, by key; ``lines`` say what was read, ``doubts`` what is doubtful."""

    figures: dict[str, tuple[Data, Figure]]
    lines: tuple[str, ...]
    doubts: tuple[str, ...]


def stack_of(config: Config) -> Stack:
    """The particles of a configuration; InputError for those that cannot be used, or may not be read."""
    settings, folder = config.particles, state.runs_dir()
    assert settings.source is not None
    data_folders.require_inside(settings.source, settings.data_dir, folder)
    stack = _read(_of_stack(config), _stamp(settings.source))
    data_folders.require_inside(settings.source, settings.data_dir, folder, stack.table)
    return stack


def show(config: Config) -> None:
    """Show images, their mean, power and CTF, the defoci and the directions of the poses that came along.

    Raises InputError as :func:`stack_of`.
    """
    stack = stack_of(config)
    looked = _look(stack.source().images, stack)
    for line in looked.lines:
        st.caption(text.escaped(line))
    for line in looked.doubts:
        state.show_warning(line)
    for key, (data, drawn) in looked.figures.items():
        st.plotly_chart(drawn, key=f"preview-{key}")
        with st.container(horizontal=True):
            downloads.figure_data(_csv_of(data), f"preview-{key}")


def _csv_of(data: Data) -> Callable[[], str]:
    return lambda: data.to_csv()


def _of_stack(config: Config) -> Config:
    """The same particles with nothing else set, so that a change elsewhere in the form reads nothing again."""
    volume = config.volume.model_copy(update={"source": None, "symmetry": config.volume.symmetry})
    return Config().model_copy(update={"seed": config.seed, "volume": volume, "particles": config.particles})


def _stamp(source: str) -> int | None:
    return modified_ns(data_folders.inside(source, state.runs_dir()))


@st.cache_resource(max_entries=4, show_spinner="Reading the table of particles …")
def _read(config: Config, modified: int | None) -> Stack:
    return read_stack(config)


@st.cache_resource(max_entries=8, show_spinner="Looking at particles …")
def _look(fingerprint: str, _stack: Stack) -> Looked:
    stack = _stack
    rows = np.unique(np.linspace(0, len(stack) - 1, min(_MEASURED, len(stack))).astype(int))
    images = _images(stack, rows)
    figures: dict[str, tuple[Data, Figure]] = {}
    gallery = pictures.gallery(images[:_SHOWN], "Particles, as recorded", name="particles")
    figures["particles"] = gallery, preview_figures.gallery_figure(gallery)
    mean = pictures.gallery(images.mean(axis=0)[None], f"Mean of {len(images):,} particles", name="mean")
    figures["mean"] = mean, preview_figures.at_the_top(picture_figures.projections_figure(mean, 1, 1))
    spectrum = of_particles.spectrum(images, stack.pixel_size, stack.ctf)
    figures["spectrum"] = spectrum, particle_figures.spectrum_figure(spectrum)
    if stack.ctf is not None:
        defoci = of_particles.defoci(stack.ctf)
        figures["defocus"] = defoci, particle_figures.bars_figure(defoci)
    if stack.reference_poses is not None:
        named = {"": viewing_directions(stack.reference_poses)}
        at = directions.by_solid_angle(named, "Viewing directions of the poses in the table")
        figures["map"] = at, sphere_figures.direction_heatmap_figure(at)
    source = os.path.basename(stack.table.source)
    lines = (f"{source}: {stack.remarks[0]}", *stack.remarks[1:])
    return Looked(figures, lines, stack.doubts)


def _images(stack: Stack, rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """Images (m, size, size) of some of the chosen ones; those with values that are not finite are left out."""
    images = np.empty((len(rows), stack.size, stack.size), dtype=np.float32)
    for some, recorded in stack.batches(rows):
        images[np.searchsorted(rows, some)] = recorded
    fine = np.isfinite(images).all(axis=(1, 2))
    return images[fine] if fine.any() else np.nan_to_num(images)
