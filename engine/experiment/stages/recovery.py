"""The recovery of poses from estimated distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...geometry.symmetry import group
from ...record.arrays import ROTATIONS, Shape
from ..metrics import RECOVERY_LOSS, RECOVERY_PAIRS
from ..stage import Artefact, Context, Cost, Source, Stage
from .distance import estimated_pairs
from .halves import has_second

if TYPE_CHECKING:
    from ...poses.pairs import PairDistances

_USUAL_RESTARTS = 50
_SEARCHED = 300  # projections from which on a start takes no longer


@dataclass(frozen=True, eq=False)
class RecoveredPoses:
    """Fields as of :class:`poses.recovery.Recovery`; ``pairs`` is how many pairs were used."""

    poses: NDArray[np.floating]
    loss: float
    loss_curve: NDArray[np.floating]
    start_residuals: NDArray[np.floating]
    calibration: NDArray[np.floating]
    pairs: int


class RecoveryStage(Stage):
    """Minimises the difference between the given distances and those that the poses induce."""

    name = "recovery"
    version = 4
    needs = ("distance",)
    result = RecoveredPoses
    finite = ("poses",)
    metrics = (RECOVERY_LOSS, RECOVERY_PAIRS)
    artefacts = (
        Artefact("recovery.npz", "poses in their own frame, loss by iteration, residuals of the starts", {
            "poses": ROTATIONS, "loss": Shape(()), "loss_curve": Shape(("i",)), "start_residuals": Shape(("r",)),
            "calibration": Shape(("c",)), "pairs": Shape((), whole=True),
        }),
    )  # fmt: skip

    def enabled(self, config: Config) -> bool:
        """Always; that of a second half set where there is one."""
        return has_second(config) or not self.second

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The settings of the recovery."""
        return (config_to_dict(config)["recovery"], config.volume.symmetry)

    def cost(self, config: Config, source: Source) -> Cost:
        """Pairs times iterations, and the start."""
        settings, count = config.recovery, source.count(config)
        pairs, order = estimated_pairs(count), len(group(config.volume.symmetry))
        if order > 1:
            return Cost(5 + 1.2e-6 * pairs * order)
        used = pairs if settings.pairs == "all" else min(pairs, count * settings.pairs_per_projection)
        descents = 3 if settings.calibrate and config.distance.method != "exact" else 1
        start = {
            "spectral": 0.0, "mds": 3.6e-10 * count**3, "isomap": 1.25e-9 * count**3,
            "random": 5e-5 * count * settings.restarts,
        }[settings.initialisation]  # fmt: skip
        if settings.initialisation != "random":
            start += 2.5e-4 * min(count, _SEARCHED) * max(0, settings.restarts - _USUAL_RESTARTS)
        return Cost(0.9 + start + 0.7e-6 * used * descents * min(1.0, settings.max_iterations / 50))

    def run(self, context: Context, progress: Progress) -> RecoveredPoses:
        """Select the pairs and recover the poses."""
        distances = context.of_half("distance").estimated
        return recovered_poses(context.config, distances, context.stream("recovery"), progress)

    def report(self, context: Context, result: RecoveredPoses) -> dict[str, Any]:
        """The loss, and how many pairs it is a mean over; of the first half set where there are two."""
        if self.second:
            return {}
        return {"recovery_loss": result.loss, "recovery_pairs": result.pairs}

    def keep(self, context: Context, result: RecoveredPoses) -> None:
        """Everything."""
        context.record.save_arrays(self.file("recovery.npz"), **self.pack(result))


def recovered_poses(
    config: Config, distances: PairDistances, rng: np.random.Generator, progress: Progress
) -> RecoveredPoses:
    """Poses by the configured recovery.

    Raises
    ------
    InputError
        where the pairs that it uses do not connect all projections.
    """
    from ...poses.pairs import select_pairs
    from ...poses.recovery import UnconnectedError, recover_poses
    from ...poses.symmetric_recovery import recover_symmetric_poses

    settings, elements = config.recovery, group(config.volume.symmetry)
    if settings.max_distance is not None:
        distances = distances[distances.values < settings.max_distance]
    if settings.pairs != "all":
        distances = select_pairs(settings.pairs, settings.pairs_per_projection, distances, rng)
    try:
        if len(elements) > 1:
            recovered = recover_symmetric_poses(distances, elements, rng, settings.max_iterations, progress)
        else:
            recovered = recover_poses(
                distances, rng, settings.restarts, settings.max_iterations, settings.calibrate, progress,
                settings.initialisation,
            )  # fmt: skip
    except UnconnectedError as error:
        raise InputError(f"{error}; raise recovery.max_distance or recovery.pairs_per_projection") from None
    return RecoveredPoses(**vars(recovered), pairs=len(distances))
