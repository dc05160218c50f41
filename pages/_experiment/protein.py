"""Choosing a protein: built in, an available file, an upload, or an archive's id."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.base.errors import InputError
from engine.io import library
from engine.io.library import Entry
from engine.io.loading import BUILT_IN
from engine.service import volumes
from pages._experiment import form
from pages._experiment.form_values import FILE, OTHER
from pages._shared import state, text

_UPLOAD_PROBLEM = "what is wrong with the upload"


def choose(files: Sequence[Entry], disabled: bool = False) -> str:
    """Show the widgets for ``volume.source`` and return its value; empty while nothing is chosen."""
    names = [*BUILT_IN, FILE, OTHER]
    labels = {FILE: "a file", OTHER: "EMDB, PDB, random or a path"}
    captions = [
        *BUILT_IN.values(),
        "uploaded, or in the server's folder",
        "an archive's id is downloaded once and kept; random:7 is a random, invented protein",
    ]
    chosen = st.radio(
        "Protein", names, format_func=lambda name: labels.get(name, name), captions=captions,
        key=form.hold("protein", next(iter(BUILT_IN))), label_visibility="collapsed", disabled=disabled,
    )  # fmt: skip
    form.keep("protein")
    if chosen == FILE:
        return _choose_file(files, disabled)
    if chosen == OTHER:
        source = st.text_input(
            "Source", key=form.hold("source", ""), placeholder="emdb:3400, pdb:5j0n, maps/5j0n.mrc", disabled=disabled,
            help="emdb:ID, pdb:ID, random:SEED, or a path on the server to .mrc, .map, .ccp4, .pdb or .cif.",
        )  # fmt: skip
        form.keep("source")
        return source.strip()
    return chosen


def upload(label: str, voxel_size: float | None = None, stack_is_volume: bool = False) -> None:
    """Show an uploader; a valid upload is kept in the folder and chosen in the form."""
    st.file_uploader(
        label, key="upload", max_upload_size=library.LARGEST_UPLOAD >> 20, on_change=_keep_upload,
        args=(voxel_size, stack_is_volume),
        help=f"{', '.join(library.endings())}, gzipped or not. It is kept on the server, for everybody.",
    )  # fmt: skip
    if problem := st.session_state.get(_UPLOAD_PROBLEM):
        state.show_error(problem)


def uploaded() -> str | None:
    """The source of the last upload; it is returned only once."""
    source: str | None = st.session_state.pop("uploaded", None)
    return source


def _choose_file(files: Sequence[Entry], disabled: bool) -> str:
    sources = [entry.source for entry in files]
    if (source := uploaded()) in sources:
        st.session_state["file"] = source
    if sources:
        if form.value_of("file") not in sources:
            st.session_state["file"] = sources[0]
        st.selectbox(
            "File", sources, format_func=text.source_name, key=form.hold("file", sources[0]), disabled=disabled
        )
        form.keep("file")
    is_volume = bool(form.value_of("volume.stack_is_volume"))
    upload("Upload a map or coordinates", form.value_of("volume.voxel_size"), is_volume)
    folder = library.volumes_dir(state.runs_dir())
    st.caption(text.escaped(f"Large files: put them into {folder} on the server."))
    return form.value_of("file") if sources else ""


def _keep_upload(voxel_size: float | None, stack_is_volume: bool) -> None:
    """Callback before the page is rerun: store the upload in the folder, or keep its error for display."""
    st.session_state.pop(_UPLOAD_PROBLEM, None)
    file = st.session_state["upload"]
    if file is None:
        return
    try:
        st.session_state["uploaded"] = volumes.upload(
            state.actor(), state.runs_dir(), file.name, file.getvalue(), voxel_size, stack_is_volume
        )
    except InputError as error:
        st.session_state[_UPLOAD_PROBLEM] = str(error)
