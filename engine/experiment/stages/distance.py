"""The distances between the poses of pairs of test projections: estimated, and exact where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...base.errors import InputError
from ...base.progress import Progress
from ...config.schema import Config
from ...config.settings import config_to_dict
from ...poses.choices import MOST_PAIRS
from ...record.arrays import Shape
from ...record.network import MODEL
from ..devices import CPU, NETWORK
from ..metrics import DISTANCE_MAE, DISTANCE_RMSE, NEIGHBOUR_RECALL
from ..stage import Arrays, Artefact, Context, Cost, Source, Stage, second_half
from .halves import anchoring, estimated, has_second, teaching_map
from .particles import model_of

if TYPE_CHECKING:
    from ...poses.pairs import PairDistances, Pairs

ANCHORS = 500
"""Projections of the map whose distances are estimated with those of particles: their poses are known, so that they
give frame and hand of the others.
"""
EMBEDDED_PROJECTIONS = 500
"""Projections whose distances among each other are kept."""
_SAMPLED_PAIRS = 5000
_CALIBRATION_PROJECTIONS = 1000


@dataclass(frozen=True, eq=False)
class EstimatedDistances:
    """Estimated distances of pairs, and the exact ones of the same pairs where the true poses are known."""

    estimated: PairDistances
    exact: PairDistances | None


class DistanceStage(Stage):
    """Estimates the distances of all pairs or, beyond 5,000 projections, of a random part of them."""

    name = "distance"
    needs = ("projections", "particles", "half_maps", "training")
    result = EstimatedDistances
    finite = ("estimated",)
    metrics = (DISTANCE_MAE, DISTANCE_RMSE, NEIGHBOUR_RECALL)
    memory_keys = ("projections.count",)
    artefacts = (
        Artefact("distances.npz", "histogram of estimated against exact distances, and a sample of pairs", {
            "first": Shape(("m",), whole=True), "second": Shape(("m",), whole=True), "estimated": Shape(("m",)),
            "exact": Shape(("m",)), "counts": Shape(("b", "b"), whole=True), "edges": Shape(("b+1",)),
            "among_first": Shape(("k",)), "error_by_distance": Shape(("t", 4), gaps=True),
        }),
    )  # fmt: skip

    def enabled(self, config: Config) -> bool:
        """Always; that of a second half set where there is one."""
        return has_second(config) or not self.second

    def depends_on(self, config: Config, source: Source) -> tuple[object, ...]:
        """The settings of the distances; learned ones depend on the training, which depends on the rest."""
        if config.distance.method == "siamese":
            return (config.distance.head,)
        return (config_to_dict(config)["distance"], config.volume.symmetry)

    def runs_on(self, config: Config) -> tuple[str, ...]:
        """The network's device."""
        return (NETWORK,) if config.distance.method == "siamese" else ()

    def cost(self, config: Config, source: Source) -> Cost:
        """Pairs; pixels where images are compared or embedded."""
        count = source.count(config) + (ANCHORS if source.stack is not None else 0)
        pairs = estimated_pairs(count)
        frame = source.frame(config)
        if config.distance.method == "siamese":
            seconds = 0.4 + 1.5e-7 * count * min(config.training.image_size, frame) ** 2 + 1e-6 * pairs
        elif config.distance.method == "euclidean":
            seconds = 1e-7 * _CALIBRATION_PROJECTIONS * frame**2 + 2e-11 * pairs * frame**2
        else:
            seconds = 1e-8 * pairs
        products = 4 * count**2 if config.distance.method == "euclidean" else 0
        return Cost(seconds, 100 * pairs + products)  # indices, distances and the work space of a gradient

    def run(self, context: Context, progress: Progress) -> EstimatedDistances:
        """Estimate them by the configured method."""
        from ...poses.distance import perturb_distances

        settings, pairs, exact = context.config.distance, _pairs(context), _exact(context)
        if settings.method == "siamese":
            return EstimatedDistances(_learned(context, pairs), exact)
        if settings.method == "euclidean":
            return EstimatedDistances(_euclidean(context, pairs, progress), exact)
        if exact is None:
            raise InputError(
                f"distance.method is {settings.method!r}, which needs the true poses, and they are not known; "
                "wanted distance.method = siamese or euclidean"
            )
        if settings.method == "exact":
            return EstimatedDistances(exact, exact)
        rng = context.stream("perturbation")
        return EstimatedDistances(perturb_distances(exact, settings.perturbation_variance, rng), exact)

    def report(self, context: Context, result: EstimatedDistances) -> dict[str, Any]:
        """Errors of the distances, where the truth is known."""
        from ...poses import metrics, neighbourhood

        estimated, exact = result.estimated, result.exact
        if exact is None:
            return {}
        figures = metrics.distance_metrics(estimated.values, exact.values)
        if estimated.complete:
            recall = neighbourhood.neighbour_recall(exact.values, estimated.values, estimated.count)
            figures["neighbour_recall_at_10"] = recall
        return figures

    def keep(self, context: Context, result: EstimatedDistances) -> None:
        """Histogram, errors by distance, a sample of pairs; of all pairs those among the first projections."""
        from ...poses import metrics

        estimated, exact, rng = result.estimated, result.exact, context.stream("sampled pairs")
        sample = np.sort(rng.choice(len(estimated), min(_SAMPLED_PAIRS, len(estimated)), replace=False))
        some = estimated[sample]
        kept = {"first": some.first, "second": some.second, "estimated": some.values}
        if estimated.complete:
            among = estimated.values[estimated.second < EMBEDDED_PROJECTIONS]  # first < second
            kept["among_first"] = among.astype(np.float32)
        if exact is not None:
            counts, edges = metrics.distance_histogram(estimated.values, exact.values)
            errors = metrics.error_by_distance(estimated.values, exact.values)
            kept |= {"counts": counts, "edges": edges, "exact": exact.values[sample], "error_by_distance": errors}
        context.record.save_arrays(self.file("distances.npz"), **kept)

    def pack(self, result: EstimatedDistances) -> dict[str, np.ndarray]:
        """The estimates alone: pairs and exact distances are quickly recomputed."""
        return {"estimated": result.estimated.values}

    def unpack(self, arrays: Arrays, context: Context) -> EstimatedDistances:
        """The estimates with their pairs and exact distances."""
        from ...poses.pairs import PairDistances

        pairs = _pairs(context)
        return EstimatedDistances(
            PairDistances(pairs.count, pairs.first, pairs.second, arrays["estimated"]), _exact(context)
        )


def estimated_pairs(count: int) -> int:
    """The number of pairs of ``count`` projections whose distances are estimated."""
    return min(count * (count - 1) // 2, MOST_PAIRS)


def _pairs(context: Context) -> Pairs:
    from ...poses.pairs import candidate_pairs

    of_stack = context.stack is not None
    count = len(estimated(context)) + len(anchors(context)[1]) if of_stack else len(context["projections"])
    return candidate_pairs(count, context.stream("pairs"))


def _exact(context: Context) -> PairDistances | None:
    from ...geometry.rotations import to_quaternion
    from ...geometry.symmetry import group
    from ...poses.distance import exact_distances

    if not context.true_poses_are_known:
        return None
    truth = context["projections"].truth
    return exact_distances(to_quaternion(truth.poses), _pairs(context), group(context.config.volume.symmetry))


def _learned(context: Context, pairs: Pairs) -> PairDistances:
    from ...geometry.harmonics import degrees_of
    from ...geometry.symmetry import group
    from ...imaging.ctf import phase_flipped
    from ...imaging.filters import fourier_crop, standardise
    from ...learning.network import embed, load_model
    from ...poses.distance import learned_distances

    config = context.config
    if context.stack is not None:
        small = np.concatenate([context["particles"].images[estimated(context)], anchors(context)[0]])
    else:
        particles = context["projections"]
        small = fourier_crop(particles.images, context.network_size)
        if particles.ctf is not None:
            small = phase_flipped(small, particles.ctf, particles.pixel_size * particles.size / context.network_size)
        small = standardise(small)
    on_gpu = context.devices[NETWORK] != CPU
    model = second_half(MODEL) if context.second else MODEL
    features = embed(load_model(context.record.path / model, on_gpu), small, on_gpu=on_gpu)
    degrees = degrees_of(group(config.volume.symmetry), config.distance.feature_dim)
    return learned_distances(features, pairs, config.distance.head, degrees, context.of_half("training").calibration)


def anchors(context: Context) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """Images (n, m, m) of poses (n, 3, 3) that are known, prepared as the particles are; none was trained on.

    Projections of the map that teaches; where the particles themselves teach, some of these.
    """
    from ...imaging.stack_model import simulate_like_stack

    if context.config.training.on == "particles":
        stack, prepared, some = context.stack, context["particles"], anchoring(context)
        assert stack is not None
        assert stack.reference_poses is not None
        return prepared.images[some], stack.reference_poses[prepared.members[some]]
    rng = context.stream("anchors")
    data, _ = simulate_like_stack(teaching_map(context), model_of(context), ANCHORS, ANCHORS, rng)
    return data.validation_images, data.validation_poses


def _euclidean(context: Context, pairs: Pairs, progress: Progress) -> PairDistances:
    """Pixel distances, calibrated on projections outside the test set."""
    from ...config.numeric import acquisition_of
    from ...geometry.rotations import to_quaternion
    from ...geometry.symmetry import group
    from ...imaging.filters import standardise
    from ...imaging.simulation import simulate
    from ...poses.distance import exact_distances, fit_calibration, pixel_distances
    from ...poses.pairs import PairDistances, all_pairs

    config, rng = context.config, context.stream("calibration")
    known = acquisition_of(config.projections).as_known()
    training = simulate(context.volume, known, _CALIBRATION_PROJECTIONS, rng, progress)
    assert training.truth is not None
    others = all_pairs(_CALIBRATION_PROJECTIONS)
    calibration = fit_calibration(
        pixel_distances(standardise(training.corrected()), others),
        exact_distances(to_quaternion(training.truth.poses), others, group(config.volume.symmetry)).values,
        config.distance.calibration,
    )
    values = calibration(pixel_distances(standardise(context["projections"].corrected()), pairs))
    return PairDistances(pairs.count, pairs.first, pairs.second, values)
