"""Choosing a stack of particles: in a folder of the server that the app may read, or an upload."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.base.errors import InputError
from engine.io import data_folders
from engine.service import stacks
from pages._experiment import form
from pages._shared import state, text

SOURCE = "particles.source"
_FOLDER = "folder of particles"
_UPLOAD_PROBLEM = "what is wrong with the uploaded stack"


def choose() -> str:
    """Show the widgets for ``particles.source`` and return its value; empty while nothing is chosen."""
    folder = state.runs_dir()
    try:
        roots = data_folders.roots(folder)
    except InputError as error:
        state.show_error(error)
        roots = ()
    source = st.text_input(
        "Table or stack", key=form.hold(SOURCE, ""), placeholder="particles.star, particles.cs, stack.mrcs",
        help="A .star of RELION, a .cs of cryoSPARC or a stack of images, in one of the folders beneath or an upload.",
    )  # fmt: skip
    form.keep(SOURCE)
    with st.expander("Browse the server", icon=":material/folder_open:", expanded=not source):
        if roots:
            _browse([str(root) for root in roots], folder)
        else:
            st.caption(
                f"No folder is named in {data_folders.VARIABLE}; whoever starts the app sets it, with colons between "
                "folders."
            )
    _upload()
    return (source or "").strip()


def _browse(roots: list[str], runs_dir: Path) -> None:
    """Show the folders and files in one folder; choosing a folder opens it, choosing a file takes it."""
    where = form.value_of(_FOLDER) or _folder_of(form.value_of(SOURCE), runs_dir) or roots[0]
    try:
        listing = data_folders.list_folder(where, runs_dir)
    except InputError as error:
        state.show_error(error)
        where = roots[0]
        listing = data_folders.list_folder(where, runs_dir)
    st.caption(text.escaped(where))
    above = [] if where in roots else [str(Path(where).parent)]
    others = [root for root in roots if root != where and root not in above]
    folders = [*(str(Path(where, name)) for name in listing.folders), *above, *others]
    labels = {str(Path(where, name)): f"{name}/" for name in listing.folders} | dict.fromkeys(above, "..")
    left, right = st.columns(2)
    left.selectbox(
        "Open a folder", folders, index=None, format_func=lambda path: labels.get(path, path), key=f"open in {where}",
        on_change=_open, args=(where,), placeholder=f"{len(listing.folders):,} folders", disabled=not folders,
    )  # fmt: skip
    right.selectbox(
        "Choose a file", listing.files, index=None, key=f"choose in {where}", on_change=_take, args=(where,),
        placeholder=f"{len(listing.files):,} tables and stacks", disabled=not listing.files,
    )  # fmt: skip
    if listing.refused:
        st.caption(text.escaped(f"Links that lead out are not offered: {text.some(listing.refused)}."))
    if listing.more:
        st.caption(f"{listing.more:,} more entries are not listed.")


def _folder_of(source: str | None, runs_dir: Path) -> str | None:
    """The folder of the chosen table; None where it is not one that may be read."""
    try:
        folder = data_folders.inside(Path(source).parent, runs_dir) if source else None
    except InputError:
        return None
    return None if folder is None or not folder.is_dir() else str(folder)


def _open(where: str) -> None:
    if chosen := st.session_state.get(f"open in {where}"):
        st.session_state[_FOLDER] = chosen
        form.keep(_FOLDER)


def _take(where: str) -> None:
    if chosen := st.session_state.get(f"choose in {where}"):
        st.session_state[SOURCE] = str(Path(where, chosen))
        form.keep(SOURCE)


def _upload() -> None:
    st.file_uploader(
        "Upload a small stack", key="upload-particles", accept_multiple_files=True, type=["star", "mrcs", "mrc"],
        max_upload_size=data_folders.LARGEST_UPLOAD >> 20, on_change=_keep_upload,
        args=(form.value_of("particles.pixel_size"),),
        help=".mrcs alone, or a .star with its stacks at once. It is kept on the server, for everybody.",
    )  # fmt: skip
    if problem := st.session_state.get(_UPLOAD_PROBLEM):
        state.show_error(problem)


def _keep_upload(pixel_size: float | None) -> None:
    """Callback before the page is rerun: store the files, or keep the error for display."""
    st.session_state.pop(_UPLOAD_PROBLEM, None)
    files = st.session_state["upload-particles"]
    if not files:
        return
    try:
        contents = {file.name: file.getvalue() for file in files}
        if len(contents) < len(files):
            raise InputError("two of the files have one name; wanted different names")
        st.session_state[SOURCE] = stacks.upload(state.actor(), state.runs_dir(), contents, pixel_size)
        form.keep(SOURCE)
    except InputError as error:
        st.session_state[_UPLOAD_PROBLEM] = str(error)
