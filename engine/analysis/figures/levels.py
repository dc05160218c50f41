"""The levels of a factor side by side: measures, distances, angle errors and recoveries, on one scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...experiment.metrics import ANGLE_ERROR_MEDIAN, DISTANCE_MAE, RECOVERY_LOSS
from ..level_table import Line, measure
from .data import Axis, Figure, Panel, Series, cells
from .projections import gallery_panel
from .scales import value_axis

Array = NDArray[np.floating]
Counts = NDArray[np.integer]

MEAN, SINGLE = "these runs, mean ± sd", "single runs"
"""Names of the series of the runs' own measures."""
PUBLISHED = "published"
"""Role of series of published results."""
PAIRS, DIAGONAL, PROJECTIONS, MEDIAN = "pairs", "estimated = true", "projections", "median"
"""Names of the series of distances and of angle errors."""
_CELLS = 50  # a side of a small panel; finer cells would be less than 5 px
_BARS = 40
_WHOLE = (0.0, 180.0)


def measures(lines: Sequence[Line], axis: str, title: str = "Errors by level") -> Figure:
    """Each metric of the lines against their level, a panel a metric: mean ± sd, single runs, published results.

    ``axis`` is what the levels are. They are numbers where all are, else words in their order. Angles are in degrees,
    and in rad beside them; ``level`` is the level in words. Axes are logarithmic where values span decades.
    """
    order = tuple(dict.fromkeys(line.place for line in lines))
    numeric = all(isinstance(place, float) for place in order)
    x = Axis(axis, categories=() if numeric else tuple(map(str, order)))
    panels = []
    for metric in lines[0].spreads:
        shown = measure(metric)
        known = [line for line in lines if line.spreads[metric] is not None]
        kind: Any = "line" if numeric else "points"
        units = {"sd": shown.unit}
        series = [
            Series(whose, kind, _means([line for line in known if line.whose == whose], metric), PUBLISHED, units)
            for whose in dict.fromkeys(line.whose for line in lines if line.published)
        ]
        series.append(Series(MEAN, kind, _means([line for line in known if not line.published], metric), units=units))
        series.append(Series(SINGLE, "points", _singles([line for line in lines if not line.published], metric)))
        values = [float(value) for one in series for value in one.columns["y"]]
        panels.append(Panel(x, value_axis(shown.metric.short, shown.unit, values), tuple(series), shown.label))
    caption = "Means over runs that differ only in their seed, with standard deviations, the single runs, and what was "
    return Figure("levels", title, tuple(panels), f"{caption}published.")


def _means(lines: Sequence[Line], metric: str) -> dict[str, NDArray[Any]]:
    spreads = [spread for line in lines if (spread := line.spreads[metric]) is not None]
    sd = [np.nan if spread.sd is None else spread.sd for spread in spreads]
    return {
        "level": np.array([line.level for line in lines], dtype=str), "x": np.array([line.place for line in lines]),
        **_shown(metric, "y", [spread.mean for spread in spreads]), **_shown(metric, "sd", sd),
        "runs": np.array([spread.n for spread in spreads], dtype=int),
    }  # fmt: skip


def _singles(lines: Sequence[Line], metric: str) -> dict[str, NDArray[Any]]:
    known = [(line, one) for line in lines for one in line.singles[metric] if one.value is not None]
    return {
        "level": np.array([line.level for line, _ in known], dtype=str),
        "run": np.array([one.name for _, one in known], dtype=str), "x": np.array([line.place for line, _ in known]),
        **_shown(metric, "y", [one.value for _, one in known]),
    }  # fmt: skip


def _shown(metric: str, name: str, recorded: Sequence[float | None]) -> dict[str, Array]:
    """A column in the unit that people are shown; of angles one in rad too."""
    values, shown = np.array(recorded, dtype=float), measure(metric)
    in_rad = {f"{name}_rad": values} if shown.metric.is_angle else {}
    return {name: values * shown.factor} | in_rad


def pooled_counts(kept: Mapping[str, Iterable[tuple[Counts, Array]]]) -> tuple[dict[str, Counts], Array | None]:
    """Pairs (bins, bins) by level, summed over the level's runs, and the edges (bins + 1,) of their bins in rad.

    ``kept`` are counts and edges of each run. Runs with other bins than the first are left out; without any run the
    edges are None.
    """
    pooled: dict[str, Counts] = {}
    edges: Array | None = None
    for level, each in kept.items():
        for counts, own_edges in each:
            edges = own_edges if edges is None else edges
            if np.array_equal(own_edges, edges):
                pooled[level] = pooled.get(level, 0) + counts
    return pooled, edges


def distances(
    counts: Mapping[str, Counts],
    edges: Array,
    errors: Mapping[str, float | None],
    title: str = "Distances, % of the level's pairs in a cell",
) -> Figure:
    """Estimated against true distance in degrees, a panel a level: per cent of the level's pairs in each cell.

    ``counts`` (bins, bins) by level are pairs by [exact, estimated] over ``edges`` (bins + 1,) in rad; ``errors`` are
    L_DE by level in rad, which each panel has among its values where it is known.
    """
    shares = {name: 100 * _coarser(pairs) / max(1, pairs.sum()) for name, pairs in counts.items()}
    size = next(iter(shares.values())).shape[0]
    centres = np.degrees(np.linspace(edges[0], edges[-1], 2 * size + 1)[1::2])
    seen = np.concatenate([share[share > 0] for share in shares.values()])
    colour = Axis(
        "% of the pairs", log=True, range=(float(seen.min()), float(seen.max())) if seen.size else (0.1, 100.0)
    )
    true, estimated = Axis("true", "°", range=_WHOLE), Axis("estimated", "°", range=_WHOLE)
    diagonal = Series(DIAGONAL, "reference", {"x": np.array(_WHOLE), "y": np.array(_WHOLE)})
    panels = []
    for name, share in shares.items():
        error = errors.get(name)
        panels.append(
            Panel(
                true, estimated, (Series(PAIRS, "heatmap", cells(centres, centres, percent=share.T)), diagonal), name,
                colour=colour, values={} if error is None else {DISTANCE_MAE.name: error},
            )
        )  # fmt: skip
    return Figure("distances", title, tuple(panels), "Estimated against true distances of pairs of test projections.")


def _coarser(counts: Counts) -> Counts:
    """Neighbouring cells taken together, where that is possible, until there are few enough for a small panel."""
    together = max(1, counts.shape[0] // _CELLS)
    if counts.shape[0] % together:
        return counts
    size = counts.shape[0] // together
    return counts.reshape(size, together, size, together).sum(axis=(1, 3))


def angle_errors(errors: Mapping[str, Array]) -> Figure:
    """Histograms in degrees of angle errors (n,) in rad by level, in per cent of the projections, and their medians.

    A panel's values are the median in rad, the number of ``projections`` and how many lie ``beyond`` the bars.
    """
    # A few outliers of one level must not compress the others into one bar.
    end = max(min(float(e.max()), 1.5 * float(np.quantile(e, 0.98))) for e in errors.values())
    edges = np.linspace(0.0, np.degrees(end) or 1.0, _BARS + 1)
    degrees = {name: np.degrees(values) for name, values in errors.items()}
    shares = {name: 100 * np.histogram(values, edges)[0] / len(values) for name, values in degrees.items()}
    highest = max(float(share.max()) for share in shares.values())
    x = Axis("angle between recovered and true pose", "°", range=(0.0, float(edges[-1])))
    y = Axis("%", range=(0.0, 1.05 * (highest or 1.0)))
    panels = []
    for name, values in degrees.items():
        bars = {"x": (edges[:-1] + edges[1:]) / 2, "x_low": edges[:-1], "x_high": edges[1:], "y": shares[name]}
        median = float(np.median(errors[name]))
        line = {"x": np.full(2, np.degrees(median)), "y": np.array([0.0, 1.05 * highest])}
        stated = {
            ANGLE_ERROR_MEDIAN.name: median, "projections": float(len(values)),
            "beyond": float(np.count_nonzero(values > edges[-1])),
        }  # fmt: skip
        series = (Series(PROJECTIONS, "bars", bars), Series(MEDIAN, "reference", line))
        panels.append(Panel(x, y, series, name, values=stated))
    caption = "Angles between recovered and true poses, after alignment; lines: medians."
    return Figure("angle-errors", "Angle errors, % of the projections", tuple(panels), caption)


def recovery_losses(curves: Mapping[str, Sequence[Array]]) -> Figure:
    """L_OR (iterations + 1,) in rad² of each run against the iteration, a series a run with its level as role."""
    series = tuple(
        Series(f"{level}, run {run}", "line", {"x": np.arange(len(curve)), "y": curve}, level)
        for level, each in curves.items()
        for run, curve in enumerate(each, start=1)
    )
    y = Axis(RECOVERY_LOSS.short, RECOVERY_LOSS.unit, log=all(np.all(one.columns["y"] > 0) for one in series))
    panel = Panel(Axis("iteration of the final minimisation"), y, series)
    caption = "Recovery loss of the best start of each run."
    return Figure("recovery", "Loss of each run, over the pairs that it used", (panel,), caption)


def projections(images: Mapping[str, Array], count: int = 4, title: str = "Projections at each level") -> Figure:
    """The first ``count`` projections (n, size, size) of each level, a panel a level."""
    panels = (replace(gallery_panel(each, count), title=level) for level, each in images.items())
    return Figure("projections", title, tuple(panels), "Projections, each on greys of its own.")
