"""The published table: what is run, what was published, what we want to reach. Data only; :mod:`.published` runs it."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from engine.imaging.volume import Volume

PUBLISHED_RESULTS = Path(__file__).parents[2] / "engine" / "data" / "published-results.csv"
COUNT = 1650  # test projections, as published
WALL_LIMIT_S = 600.0  # of a run, on two cores

# The map that the published results are of (PDB 5J0N at 3.667 Å), and the variance of its clean projections: published
# noise variances are in their units, and mean nothing for another map until they are divided by it.
FINGERPRINT_5J0N = "044944fb573096898a51cee9cfebaf1cefca1c3f52fe224bf611c542d5b37b56"
SIGNAL_VARIANCE_5J0N = 1.03**2

# Cramér-Rao bound on the median angle error of 5J0N, volume known, by noise variance.
_BOUNDS = {1.0: 0.0051, 16.0: 0.0207, 25.0: 0.0257}
_UNKNOWN_SHIFT = 1.03

METRICS = {
    "angle_error_median": ("E_OR", "rad"),
    "distance_mae": ("L_DE", "rad"),
    "recovery_loss": ("L_OR", "rad²"),
    "fsc_0.5_angstrom": ("FSC 0.5", "Å"),
    "fsc_0.143_angstrom": ("FSC 0.143", "Å"),
}
"""The figures of the table by the names under which runs record them: symbol and unit."""

_PUBLISHED_COLUMNS = dict(zip(METRICS, ("E_OR", "L_DE_val", "L_OR", "fsc_0.5", "fsc_0.143"), strict=True))


@dataclass(frozen=True)
class Bar:
    """A metric should be at most this; ``stretch`` is how far one may hope to get."""

    metric: str
    at_most: float
    stretch: float | None = None


@dataclass(frozen=True)
class Row:
    """One experiment of the table. ``published_as`` is its (experiment, protein) in ``published-results.csv``."""

    name: str
    bars: tuple[Bar, ...]
    published_as: tuple[str, str] | None = None
    coverage: str = "full"
    sampling: str = "so3"
    noise_variance: float = 0.0
    max_shift_px: float = 0.0
    distance: str = "siamese"
    perturbation_variance: float | None = None

    @property
    def learned(self) -> bool:
        """Whether distances are estimated from images, so that the figures depend on the volume."""
        return self.distance == "siamese"

    @property
    def label(self) -> str:
        """What sets the row apart, in words, but for noise and shift."""
        given = {
            "exact": ", exact distances",
            "perturbed": f", distances with errors of {self.perturbation_variance} rad²",
        }
        return f"{self.coverage}, {self.sampling}{given.get(self.distance, '')}"


def _angle(at_most: float, stretch: float | None = None) -> Bar:
    return Bar("angle_error_median", at_most, stretch)


def _distance(at_most: float) -> Bar:
    return Bar("distance_mae", at_most)


_HEADLINE, _NOISE, _SHIFT = ("headline", "5j0n"), ("noise", "5j0n"), ("shift", "5j0n")

ROWS = (
    Row("full-so3", (_angle(0.020, 0.005), _distance(0.03), Bar("fsc_0.5_angstrom", 9.0, 7.5)), _HEADLINE),
    Row("full-so3-noise16", (_angle(0.075, 0.042), _distance(0.09)), _HEADLINE, noise_variance=16),
    Row("full-euler", (_angle(0.020, 0.005),), _HEADLINE, sampling="euler"),
    Row("half-euler", (_angle(0.020, 0.005),), _NOISE, "half", "euler"),
    Row("half-euler-noise16", (_angle(0.075, 0.042),), _NOISE, "half", "euler", noise_variance=16),
    Row("half-euler-noise25", (_angle(0.10, 0.052),), _NOISE, "half", "euler", noise_variance=25),
    Row("half-euler-shift10", (_angle(0.035, 0.01),), _SHIFT, "half", "euler", max_shift_px=10),
    Row("half-euler-shift20", (_angle(0.045, 0.01),), _SHIFT, "half", "euler", max_shift_px=20),
    Row("full-so3-noise16-shift10", (_angle(0.15, 0.06),), noise_variance=16, max_shift_px=10),
    # Exact distances are published for 5A1A, a quarter of the sphere. No image enters, so the protein does not matter.
    Row("exact", (_angle(0.0005),), ("exact_distances", "5a1a"), "quarter", distance="exact"),
    Row(
        "perturbed-0.8", (_angle(0.07),), ("perturbed variance=0.8", "5j0n"), distance="perturbed",
        perturbation_variance=0.8,
    ),
)  # fmt: skip


def overrides(row: Row, source: str, volume: Volume) -> list[str]:
    """The ``section.key=value`` that make the default experiment this row's.

    On a volume other than the published map, noise is given by the signal-to-noise ratio that the published variance
    has there.
    """
    settings = [
        f"volume.source={source}",
        f"projections.count={COUNT}",
        f"projections.coverage={row.coverage}",
        f"projections.sampling={row.sampling}",
        f"projections.max_shift={row.max_shift_px:g}",
        f"distance.method={row.distance}",
    ]
    if row.perturbation_variance is not None:
        settings.append(f"distance.perturbation_variance={row.perturbation_variance:g}")
    return settings + noise_overrides(row.noise_variance, volume)


def noise_overrides(variance: float, volume: Volume) -> list[str]:
    """How a published noise variance is given for a volume: as it is for the published map, else as its ratio."""
    if variance == 0 or is_published_map(volume):
        return [f"projections.noise_variance={variance:g}"]
    return [f"projections.snr={SIGNAL_VARIANCE_5J0N / variance:.6g}"]


def is_published_map(volume: Volume) -> bool:
    """Whether this is the density that the published results are of."""
    return volume.fingerprint == FINGERPRINT_5J0N


def published(row: Row) -> dict[str, float]:
    """What was published for a row, by our metrics' names; empty for a row that was not."""
    if row.published_as is None:
        return {}
    with PUBLISHED_RESULTS.open(encoding="utf-8", newline="") as file:
        for entry in csv.DictReader(line for line in file if not line.startswith("#")):
            if _is_row(entry, row):
                return {ours: float(entry[theirs]) for ours, theirs in _PUBLISHED_COLUMNS.items() if entry[theirs]}
    raise KeyError(f"{PUBLISHED_RESULTS.name} has nothing for {row.name}, {row.published_as}")


def cramer_rao_bound(row: Row) -> float | None:
    """Least median angle error, in rad, that any method could have on 5J0N; None where nothing bounds it."""
    if row.noise_variance == 0 or not row.learned:
        return None
    known = min(_BOUNDS, key=lambda variance: abs(math.log(variance / row.noise_variance)))
    bound = _BOUNDS[known] * math.sqrt(row.noise_variance / known)
    return bound * (_UNKNOWN_SHIFT if row.max_shift_px > 0 else 1.0)


def _is_row(entry: dict[str, str], row: Row) -> bool:
    return (
        (entry["experiment"], entry["protein"]) == row.published_as
        and (entry["coverage"], entry["orientation_sampling"]) == (row.coverage, row.sampling)
        and (float(entry["noise_variance"]), float(entry["max_shift_px"])) == (row.noise_variance, row.max_shift_px)
        and entry["distance"] == row.distance
    )
