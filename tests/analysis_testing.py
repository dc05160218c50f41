"""Rows of the catalogue to analyse, without any run."""

from __future__ import annotations

from typing import Any

from engine.config.settings import config_from_dict, config_to_dict

SIGNAL = 2.5  # variance of the clean projections of these runs


def row(number: int, error: float | None = 0.1, **settings: Any) -> dict[str, Any]:
    """A finished run of the catalogue; ``found`` is its L_DE in rad."""
    config = config_from_dict(settings)
    given = config.projections
    variance = given.noise_variance or (SIGNAL / given.snr if given.snr else 0.0)
    metrics = {"distance_mae": error, "noise_variance": variance, "snr": SIGNAL / variance if variance else None}
    return {
        "run_id": f"20260101-000000-1bd2-{number:06x}", "name": None, "status": "finished", "seed": config.seed,
        "config": config_to_dict(config), "noise_variance": given.noise_variance, "snr": given.snr,
        "source": config.volume.source, "count": given.count, "coverage": str(given.coverage),
        "sampling": given.sampling, "max_shift": given.max_shift, "distance_method": config.distance.method,
        "metrics": metrics, "science": 1, "number": number, "total_seconds": None, "peak_memory_mb": None,
        "message": "", "seconds": {}, "reused": [],
    }  # fmt: skip


def noisy(number: int, seed: int = 0, error: float | None = 0.1, **projections: Any) -> dict[str, Any]:
    """A run of the coverage and sampling of which noise was published."""
    published = {"coverage": "half", "sampling": "euler"}
    return row(number, error, seed=seed, projections=published | projections)


def close(
    number: int, seed: int, limit: float | None, seconds: float, used: int, reused: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A run whose recovery used pairs up to a distance; its E_OR is a hundredth of the number of pairs, in rad."""
    one = row(number, seed=seed, recovery={} if limit is None else {"max_distance": limit})
    metrics = {"angle_error_median": used / 100, "recovery_loss": 0.5, "recovery_pairs": used}
    return one | {"metrics": metrics, "seconds": {"recovery": seconds}, "reused": list(reused)}
