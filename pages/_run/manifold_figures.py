"""Distances as points, their spectrum, graphs of neighbours and recall: charts of a run's first projections.

No streamlit. ``estimated`` is what a run keeps as ``among_first``: condensed distances (m * (m - 1) / 2,) in rad of its
first m projections. ``poses`` (n, 3, 3) are all its true ones, None while it has not told them; ``symmetry`` is that of
its volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy.spatial.distance import squareform

from engine.geometry.rotations import to_euler, to_quaternion
from pages._shared import style

Array = NDArray[np.floating]

COLOURS = ("rot", "tilt", "psi", "error")
METHODS = {"MDS": "mds", "spectral": "spectral", "Isomap": "isomap"}
"""What :func:`engine.poses.manifold.embed` calls them, by the name that is shown and that the address has."""
_ANGLES = {"rot": (-180, 180), "tilt": (0, 180), "psi": (-180, 180)}
_AROUND = "Phase"  # for angles that come back to where they began, which viridis would tear apart
_GRID = "#9CA3AF"  # is seen on light and on dark; WebGL draws no transparent grids
_EIGENVALUES = 24
_IN_A_MATRIX = 200  # projections: a cell of more would be less than a pixel
_MOST_NEIGHBOURS = 50
_SQUARE = 520  # px
_EDGE_COLOURS = [[0, "rgba(0,0,0,0)"], [0.5, style.BLUE], [1, style.VERMILION]]


def true_distances(poses: Array, symmetry: str, count: int) -> Array:
    """True distances (count, count) in rad of the first poses."""
    from engine.geometry.symmetry import group
    from engine.poses import distance, pairs  # only here: who shows no neighbours need not load them

    exact = distance.exact_distances(to_quaternion(poses[:count]), pairs.all_pairs(count), group(symmetry))
    return squareform(exact.values)


def embedding_figure(points: Array, poses: Array, errors: Array, method: str, colour: str, of: str) -> go.Figure:
    """Points (m, 2) or (m, 3) of :func:`engine.poses.manifold.embed` in the colour of a true angle or the angle error.

    ``method`` is one of :data:`METHODS`; ``errors`` (n,) are in rad; ``of`` says of which distances.
    """
    count, dimensions = points.shape
    angles, degrees = to_euler(poses[:count]), np.degrees(errors[:count])
    values = degrees if colour == "error" else angles[:, COLOURS.index(colour)]
    common: dict[str, Any] = {
        "mode": "markers",
        "marker": {"size": 6 if dimensions == 2 else 3.5, "color": values, "coloraxis": "coloraxis"},
        "customdata": np.column_stack([np.arange(count), angles, degrees, errors[:count]]),
        "hovertemplate": "projection %{customdata[0]:.0f}<br>rot %{customdata[1]:.1f}°, tilt %{customdata[2]:.1f}°, "
        "psi %{customdata[3]:.1f}°<br>error %{customdata[4]:.3g}° (%{customdata[5]:.3g} rad)<extra></extra>",
        "showlegend": False,
    }
    unit = "" if METHODS[method] == "spectral" else " (rad)"
    titles = [f"{place} dimension{unit}" for place in ("first", "second", "third")]
    figure = go.Figure()
    if dimensions == 2:
        figure.add_scatter(x=points[:, 0], y=points[:, 1], **common)
        figure.update_xaxes(title=titles[0])
        figure.update_yaxes(title=titles[1], scaleanchor="x")
    else:
        figure.add_scatter3d(x=points[:, 0], y=points[:, 1], z=points[:, 2], **common)
        axis = {"showbackground": False, "gridcolor": _GRID, "zerolinecolor": _GRID, "color": style.GREY}
        axes = {f"{letter}axis": {"title": title, **axis} for letter, title in zip("xyz", titles, strict=True)}
        eye = {"camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.1}}}  # far enough for the axes' titles
        figure.update_layout(scene={"aspectmode": "data"} | eye | axes)
    figure.update_layout(coloraxis=_colour_axis(colour, degrees))
    return style.styled(figure, f"{_embedding(method)} of the {of} distances, {count:,} projections", style.TALL)


def spectrum_figure(estimated: Array, poses: Array | None, symmetry: str) -> go.Figure:
    """Leading eigenvalues of the Gram matrix of traces 1 + 2 cos d, of estimated and of true distances, and the theory:
    nine of them, and m / 3 each where orientations are uniform. Of symmetric volumes there is no such theory.
    """
    from engine.poses.embedding import RANK  # only here: who shows no spectrum need not load it
    from engine.poses.manifold import gram_spectrum, share_of_rank

    spectra = {"estimated distances": gram_spectrum(squareform(estimated, checks=False))}
    count = len(spectra["estimated distances"])
    if poses is not None:
        spectra["true distances"] = gram_spectrum(true_distances(poses, symmetry, count))
    figure = make_subplots(rows=1, cols=1)
    shown = min(_EIGENVALUES, count)
    for (name, values), colour in zip(spectra.items(), (style.BLUE, style.GREY), strict=False):
        figure.add_bar(
            x=np.arange(1, shown + 1), y=values[:shown], name=name, marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{name}: eigenvalue %{{x}} is %{{y:.4g}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
    said = f"Spectrum of the Gram matrix, {count:,} projections"
    if symmetry == "C1":
        figure.add_vline(RANK + 0.5, line={"color": style.VERMILION, "dash": "dash", "width": 2})
        style.line(
            figure, [0.5, RANK + 0.5], [count / 3] * 2, f"uniform on SO(3): {count / 3:.4g}, nine times",
            style.VERMILION, "dot", row=1,
        )  # fmt: skip
        share = share_of_rank(spectra["estimated distances"])
        style.note(figure, f"rank 9 of exact distances<br>here {100 * share:.3g} % of the squares", 0.98, 0.97, "right")
    figure.update_xaxes(title="eigenvalue, largest first", range=[0.4, shown + 0.6], dtick=3, tick0=0)
    figure.update_yaxes(title="value")
    return style.styled(figure, said, style.WIDE).update_layout(barmode="group", bargap=0.2)


def adjacency_figure(estimated: Array, poses: Array | None, symmetry: str, by_pose: bool) -> go.Figure | None:
    """The graph of the ten nearest ``by_pose``, or by estimate, in the same order of true pose.

    Edges that the other of the two has as well are in one colour, those that it has not in another.
    """
    if poses is None:
        return None
    from engine.poses import neighbourhood

    found = squareform(estimated, checks=False)
    count = min(len(found), _IN_A_MATRIX)
    k = min(neighbourhood.NEIGHBOURS, count - 1)
    true = true_distances(poses, symmetry, count)
    order = neighbourhood.seriation(true)
    graph, other = (neighbourhood.adjacency(each, k)[np.ix_(order, order)] for each in (true, found[:count, :count]))
    if not by_pose:
        graph, other = other, graph
    row, column = np.broadcast_arrays(order[:, None], order[None])
    figure = go.Figure()
    figure.add_heatmap(
        z=np.where(graph, np.where(other, 1, 2), 0).astype(np.uint8), zmin=0, zmax=2, colorscale=_EDGE_COLOURS,
        showscale=False, customdata=np.stack([row, column], axis=-1).astype(np.int16),
        hovertemplate="projections %{customdata[0]} and %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    alone = "not by estimate" if by_pose else "not by true pose"
    for name, colour in (("by both", style.BLUE), (alone, style.VERMILION)):
        marker = {"color": colour, "size": 9, "symbol": "square"}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)
    ends = [-0.5, count - 0.5]
    frame = {"showgrid": False, "zeroline": False, "mirror": True, "linecolor": style.GREY, "showline": True}
    figure.update_xaxes(title="neighbour, in the same order", range=ends, constrain="domain", **frame)
    figure.update_yaxes(
        title="projection, in order of true pose", range=ends[::-1], scaleanchor="x", constrain="domain",
        constraintoward="top", **frame,
    )  # fmt: skip
    which = "true pose" if by_pose else "estimated distance"
    of = "" if count == len(found) else f" of the first {count}"
    return style.styled(figure, f"The {k} nearest{of}, by {which}", _SQUARE)


def recall_figure(estimated: Array, poses: Array | None, symmetry: str, of_all: float | None) -> go.Figure | None:
    """Recall at k = 1 ... 50 of the truly nearest among the nearest by estimate, and that of chance.

    ``of_all`` is the run's metric, recall at ten among all its projections.
    """
    if poses is None:
        return None
    from engine.poses import neighbourhood

    found = squareform(estimated, checks=False)
    count = len(found)
    ks = np.arange(1, min(_MOST_NEIGHBOURS, count - 1) + 1)
    shares = 100 * neighbourhood.recall(true_distances(poses, symmetry, count), found, ks.tolist())
    figure = make_subplots(rows=1, cols=1)
    hover = "k = %{x}: %{y:.1f} % of the truly nearest are found"
    style.line(figure, ks, shares, f"{count:,} projections", style.BLUE, "solid", row=1, hover=hover)
    style.line(figure, ks, 100 * ks / (count - 1), "by chance", style.GREY, "dash", row=1, hover="by chance %{y:.1f} %")
    if of_all is not None:
        said = f"among all of the run's projections, at {neighbourhood.NEIGHBOURS}"
        figure.add_scatter(
            x=[neighbourhood.NEIGHBOURS], y=[100 * of_all], mode="markers", name=said,
            marker={"color": style.VERMILION, "size": 9, "symbol": "diamond"},
            hovertemplate=f"{said}: %{{y:.1f}} %<extra></extra>", row=1, col=1,
        )  # fmt: skip
    figure.update_xaxes(title="k, neighbours", range=[0, ks[-1] + 1])
    figure.update_yaxes(title="recall (%)", range=[0, 103])
    return style.styled(figure, "Neighbours by true pose that the estimate finds", style.WIDE)


def _embedding(method: str) -> str:
    return method if METHODS[method] != "spectral" else "Spectral embedding"


def _colour_axis(colour: str, degrees: Array) -> dict[str, Any]:
    bar = {"title": {"text": f"{colour} (°)", "side": "top"}, "thickness": 10}
    if colour == "error":
        highest = float(np.quantile(degrees, 0.98))  # few outliers must not make all others look alike
        return {"colorscale": "Cividis", "cmin": 0, "cmax": highest or 1.0, "colorbar": bar}
    low, high = _ANGLES[colour]
    bar["tickvals"] = np.arange(low, high + 1, 60)
    return {"colorscale": "Viridis" if colour == "tilt" else _AROUND, "cmin": low, "cmax": high, "colorbar": bar}
