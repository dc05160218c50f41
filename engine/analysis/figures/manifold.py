"""A run's first projections by the distances among them: as points, as a spectrum.

``estimated`` is what a run keeps as ``among_first``: condensed distances (m * (m - 1) / 2,) in rad of its first m
projections. ``poses`` (n, 3, 3) are all its true ones; ``symmetry`` is that of its volume.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry.rotations import to_euler
from .data import Axis, Figure, Panel, Series
from .directions import error_axis

Array = NDArray[np.floating]

COLOURS = ("rot", "tilt", "psi", "error")
METHODS = {"MDS": "mds", "spectral": "spectral", "Isomap": "isomap"}
"""Their names in :func:`poses.manifold.embed`, by the label that is shown and that addresses contain."""
_ANGLES = {"rot": (-180.0, 180.0), "tilt": (0.0, 180.0), "psi": (-180.0, 180.0)}
_EIGENVALUES = 24


def true_distances(poses: Array, symmetry: str, count: int) -> Array:
    """True distances (count, count) in rad of the first poses (n, 3, 3)."""
    from scipy.spatial.distance import squareform

    from ...geometry.rotations import to_quaternion
    from ...geometry.symmetry import group
    from ...poses import distance, pairs  # imported here: only neighbours need it

    exact = distance.exact_distances(to_quaternion(poses[:count]), pairs.all_pairs(count), group(symmetry))
    return squareform(exact.values)


def embedded(estimated: Array, poses: Array, symmetry: str, of: str, method: str, dimensions: int) -> Array:
    """Points (m, dimensions) from the distances, by one of :data:`METHODS`; MDS takes seconds.

    ``of`` selects the distances: ``estimated`` or ``true``.

    Raises InputError for fewer projections than an embedding needs, see :func:`poses.manifold.embed`.
    """
    from scipy.spatial.distance import squareform

    from ...poses import manifold  # imported here: only embeddings need it

    distances = squareform(estimated, checks=False)
    if of == "true":
        distances = true_distances(poses, symmetry, len(distances))
    return manifold.embed(distances, dimensions, METHODS[method])


def embedding(points: Array, poses: Array, errors: Array, method: str, colour: str, of: str) -> Figure:
    """Points (m, 2) or (m, 3) of :func:`embedded`, each with its true angles and its angle error in degrees.

    ``errors`` (n,) are in rad; ``colour``, one of :data:`COLOURS`, names the column that the points' colours show.
    """
    count, dimensions = points.shape
    columns = dict(zip("xyz", points.T, strict=False)) | {"projection": np.arange(count)}
    columns |= dict(zip(("rot", "tilt", "psi"), to_euler(poses[:count]).T, strict=True))
    columns |= {"error": np.degrees(errors[:count]), "error_rad": errors[:count]}
    unit = "" if METHODS[method] == "spectral" else "rad"
    x, y, z = (Axis(f"{place} dimension", unit) for place in ("first", "second", "third"))
    shown = error_axis("error", errors[:count]) if colour == "error" else Axis(colour, "°", range=_ANGLES[colour])
    projections = Series("projections", "points", columns, units=dict.fromkeys(COLOURS, "°"))
    panel = Panel(x, y, (projections,), z=z if dimensions == 3 else None, colour=shown)
    label = "Spectral embedding" if METHODS[method] == "spectral" else method
    title = f"{label} of the {of} distances, {count:,} projections"
    return Figure("embedding", title, (panel,), f"Projections as points at their {of} distances, coloured by {colour}.")


def spectrum(estimated: Array, poses: Array | None, symmetry: str) -> Figure:
    """Leading eigenvalues of the Gram matrix of traces 1 + 2 cos d, of estimated and of true distances, and the theory:
    nine of them, and m / 3 each where orientations are uniform. Of symmetric volumes there is no such theory.

    ``poses`` are None until the run has written them. Among the figure's values are ``rank``, nine, and
    ``share_of_rank``, the fraction of the sum of squares in the nine leading eigenvalues.
    """
    from scipy.spatial.distance import squareform

    from ...poses.embedding import RANK  # imported here: only the spectrum needs it
    from ...poses.manifold import gram_spectrum, share_of_rank

    spectra = {"estimated distances": gram_spectrum(squareform(estimated, checks=False))}
    count = len(spectra["estimated distances"])
    if poses is not None:
        spectra["true distances"] = gram_spectrum(true_distances(poses, symmetry, count))
    number = np.arange(1, min(_EIGENVALUES, count) + 1)
    series = [Series(name, "bars", {"x": number, "y": each[: len(number)]}) for name, each in spectra.items()]
    values = {"projections": float(count)}
    if symmetry == "C1":
        line = {"x": np.array([0.5, RANK + 0.5]), "y": np.full(2, count / 3)}
        series.append(Series("uniform on SO(3)", "reference", line))
        values |= {"rank": float(RANK), "share_of_rank": share_of_rank(spectra["estimated distances"])}
    x = Axis("eigenvalue, largest first", range=(0.4, len(number) + 0.6))
    return Figure(
        "spectrum", f"Spectrum of the Gram matrix, {count:,} projections", (Panel(x, Axis("value"), tuple(series)),),
        "Largest eigenvalues of the Gram matrix of traces, 1 + 2 cos d, of estimated and of true distances.",
        values,
    )  # fmt: skip
