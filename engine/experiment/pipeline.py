"""The one orchestrator: runs the stages of an experiment in order, hands their results to the record, reuses earlier
ones.

A stage's result is stored under a key made of everything that it depends on: the settings of its own and of all earlier
stages, the density, the seed, the versions of the libraries that compute it. A later run that differs only further down
finds it, says ``reused``, and goes on from the same numbers.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from ..base import environment
from ..base.errors import InputError
from ..base.files import saying_full_disk
from ..base.progress import Progress
from ..config.schema import Config
from ..config.settings import config_to_dict
from ..geometry import harmonics, symmetry
from ..geometry.rotations import to_quaternion
from ..imaging import astra_gpu, filters, fsc, reconstruction, simulation, symmetric_density
from ..imaging.volume import Volume
from ..io.loading import load_volume
from ..poses import alignment, distance, metrics, neighbourhood, pairs, recovery, refinement, symmetric_recovery
from ..record.runlog import Event, RunWriter
from ..record.runrecord import RunRecord, read_run
from . import artefacts, checkpoints, estimate, stagecache, training_volumes

Arrays = dict[str, NDArray[Any]]

_CALIBRATION_PROJECTIONS = 1000
_SHOWN_PROJECTIONS = 16
_MODEL = "model.keras"
_KEY_PACKAGES = ("astra-toolbox", "finufft", "keras", "numpy", "scikit-learn", "scipy", "tensorflow")


def run_experiment(
    config: Config,
    runs_dir: Path,
    command: Sequence[str],
    run_id: str | None = None,
    name: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    sweep: str | None = None,
) -> RunRecord:
    """Run an experiment from density to metrics and leave its record in ``runs_dir``.

    What is wrong with the input is found before a run directory is made.

    Raises
    ------
    InputError
        before the run, for a volume that cannot be used or an experiment that does not fit into memory; during the run,
        for a full disk and the like, after the record has been closed as failed.
    """
    started = time.monotonic()
    volume = load_volume(config.volume)
    require_memory(config, volume)
    said: list[str] = []
    others = None
    if config.distance.method == "siamese":
        others = training_volumes.load_training_volumes(config, volume, said.append)
    loading = time.monotonic() - started
    with RunWriter.create(runs_dir, config, command, run_id, name, on_event, started, sweep) as run:
        run.seconds["volume"] = round(loading, 3)
        nz, ny, nx = volume.density.shape
        run.log(f"volume {volume.name}: {nx} x {ny} x {nz} voxels of {volume.voxel_size:.4g} Å")
        for line in said:
            run.log(line)
        if remark := symmetric_density.remark(volume.density, volume.center_index, config.volume.symmetry):
            (run.warn if remark.doubtful else run.log)(remark.text)
        with saying_full_disk(run.path):
            figures = _Experiment(config, volume, run, others).execute()
        run.finish(figures)
    return read_run(run.path)


def require_memory(config: Config, volume: Volume) -> None:
    """InputError when the experiment would need more memory than there is."""
    needed = estimate.memory_bytes(config, volume.diagonal, volume.density.size)
    available = psutil.virtual_memory().available
    if needed > available:
        raise InputError(
            f"this experiment needs about {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free; "
            f"lower projections.count ({config.projections.count}) or projections.size "
            f"({config.projections.size or volume.diagonal})"
        )


def _all_are_held(count: int, distances: distance.Distances) -> bool:
    """Whether these are the distances (m,) of all pairs of so many projections, in condensed order."""
    return 2 * len(distances) == count * (count - 1)


@dataclass
class _Experiment:
    config: Config
    volume: Volume
    run: RunWriter
    others: training_volumes.TrainingVolumes | None = None

    def __post_init__(self) -> None:
        self.elements = symmetry.group(self.config.volume.symmetry)

    def execute(self) -> dict[str, Any]:
        """All stages; the metrics."""
        projections_key, test = self._projections()
        first, second = pairs.candidate_pairs(len(test["poses"]), self._stream("pairs"))
        quaternions = to_quaternion(test["poses"])
        exact = distance.exact_distances(quaternions, first, second, self.elements)
        distance_key, estimated = self._distances(projections_key, test, exact, first, second)
        figures: dict[str, Any] = {
            "noise_variance": float(test["noise_variance"]),
            "snr": float(test["snr"]),
            **metrics.distance_metrics(estimated, exact),
        }
        all_held = _all_are_held(len(quaternions), estimated)
        if all_held:
            figures["neighbour_recall_at_10"] = neighbourhood.neighbour_recall(exact, estimated, len(quaternions))
        artefacts.keep_distances(self.run, estimated, exact, first, second, self._stream("sampled pairs"), all_held)
        recovery_key, recovered = self._recovery(distance_key, estimated, first, second)
        figures |= {"recovery_loss": float(recovered["loss"]), "recovery_pairs": int(recovered["pairs"])}
        with self.run.stage("alignment"):
            aligned = self._aligned(recovered["poses"], test["poses"], "alignment")
            figures |= metrics.angle_metrics(aligned) | {"mirrored": aligned.mirrored}
            artefacts.keep_poses(self.run, self.volume, test, recovered["poses"], aligned)
        found: Arrays = {}
        if self.config.reconstruction.enabled:
            found, resolutions = self._reconstruction(projections_key, recovery_key, test, aligned)
            figures |= resolutions
        if self.config.refinement.enabled:
            figures |= self._refinement(projections_key, recovery_key, test, aligned, found)
        return figures

    # Stages ---------------------------------------------------------------------------------------------------------

    def _projections(self) -> tuple[str, Arrays]:
        settings = self.config.projections
        key = self._key("projections", 1, self.volume.fingerprint, config_to_dict(self.config)["projections"])

        def compute(progress: Progress) -> Arrays:
            test = simulation.simulate(
                self.volume, settings, settings.count, self._stream("test projections"), progress, _SHOWN_PROJECTIONS
            )
            return {
                "images": test.images,
                "poses": test.poses,
                "shifts": test.shifts,
                "clean": test.clean,
                "noise_variance": np.array(test.noise_variance),
                "snr": np.array(test.snr),
            }

        test = self._cached("projections", key, compute)
        shown = slice(0, _SHOWN_PROJECTIONS)
        self.run.save_arrays("projections.npz", clean=test["clean"], images=test["images"][shown])
        return key, test

    def _distances(
        self, projections_key: str, test: Arrays, exact: distance.Distances, first: pairs.Indices, second: pairs.Indices
    ) -> tuple[str, distance.Distances]:
        settings = self.config.distance
        table = config_to_dict(self.config)["distance"]
        if settings.method == "siamese":
            training_key, model, calibration = self._training(float(test["noise_variance"]), float(test["snr"]))
            key = self._key("distance", 1, projections_key, training_key, settings.head)
        else:
            model, calibration = None, None
            key = self._key("distance", 1, projections_key, table, self.config.volume.symmetry)

        def compute(progress: Progress) -> Arrays:
            if settings.method == "exact":
                estimated = exact
            elif settings.method == "perturbed":
                rng = self._stream("perturbation")
                estimated = distance.perturb_distances(exact, settings.perturbation_variance, rng)
            elif settings.method == "euclidean":
                estimated = self._euclidean_distances(test, first, second, progress)
            else:
                estimated = self._learned_distances(model, calibration, test, first, second)
            return {"estimated": estimated}

        arrays = self._cached("distance", key, compute)
        return key, arrays["estimated"]

    def _training(self, noise_variance: float, snr: float) -> tuple[str, Path, NDArray[np.floating]]:
        config, size, others = self.config, self._network_size(), self.others
        signal_variance = noise_variance * snr if noise_variance > 0 else 0.0
        table = config_to_dict(config)
        table["projections"].pop("count")
        table["training"].pop("volumes")
        shown: Any = self.volume.fingerprint
        if others is not None:
            # Nothing of the test volume but its frame and its noise: several of them share a training.
            frame = config.projections.size or self.volume.diagonal
            shown = [others.identities, frame, self.volume.voxel_size, signal_variance]
        settings = [table[section] for section in ("projections", "pairs", "training")]
        key = self._key(
            "training", 9, shown, noise_variance, *settings, config.distance.head, config.distance.feature_dim,
            config.volume.symmetry,
        )  # fmt: skip
        checkpoint = checkpoints.Checkpoint(self.run.path.parent, key)

        def compute(progress: Progress) -> Arrays:
            from ..learning import network
            from . import training  # here, so that runs without a network do without TensorFlow

            trained = training.train_network(
                config, self.volume, others, noise_variance, signal_variance, size, self._stream, checkpoint, progress,
                lambda fraction, values: self._learned(values), self.run.log,
            )  # fmt: skip
            with self.run.writing(_MODEL) as path:
                network.save_model(trained.model, path)
            figures = {name: np.array(value) for name, value in vars(trained).items() if name != "model"}
            return {**figures, "curve": np.array(self._curve)}

        self._curve: list[tuple[float, float, float]] = []
        arrays = self._cached("training", key, compute, _MODEL)
        checkpoint.remove()
        self.run.save_arrays("training.npz", **arrays)
        rate = float(arrays["steps"]) * config.training.batch_size / float(arrays["seconds"])
        self.run.log(
            f"training: {int(arrays['steps'])} steps, {rate:.0f} projections/s, "
            f"{rate * (config.training.batch_size - 1) / 2:.0f} pairs/s, "
            f"validation L_DE {arrays['validation_mae']:.4f} rad"
        )
        if arrays["stopped_early"]:
            self.run.log(f"training stopped early; the weights are those of step {int(arrays['best_step']):,}")
        if arrays["paced_by_clock"]:
            self.run.warn("training met training.max_seconds and was shortened: another run may end with other numbers")
        return key, self.run.path / _MODEL, arrays["calibration"]

    def _learned(self, values: Mapping[str, float]) -> None:
        self.run.record("training", **values)
        self._curve.append((values["step"], values["loss"], values.get("validation_mae", np.nan)))

    def _recovery(
        self, distance_key: str, estimated: distance.Distances, first: pairs.Indices, second: pairs.Indices
    ) -> tuple[str, Arrays]:
        settings = self.config.recovery
        symmetric = self.config.volume.symmetry
        key = self._key("recovery", 4, distance_key, config_to_dict(self.config)["recovery"], symmetric)

        def compute(progress: Progress) -> Arrays:
            rng = self._stream("recovery")
            count = self.config.projections.count
            a, b, given = first, second, estimated
            if settings.max_distance is not None:
                near = estimated < settings.max_distance
                a, b, given = a[near], b[near], given[near]
            if settings.pairs != "all":
                used = pairs.select_pairs(settings.pairs, settings.pairs_per_projection, count, a, b, given, rng)
                a, b, given = a[used], b[used], given[used]
            if len(self.elements) > 1:
                result = symmetric_recovery.recover_symmetric_poses(
                    count, a, b, given, self.elements, rng, settings.max_iterations, progress
                )
            else:
                result = recovery.recover_poses(
                    count, a, b, given, rng, settings.restarts,
                    settings.max_iterations, settings.calibrate, progress, settings.initialisation,
                )  # fmt: skip
            return {
                "poses": result.poses,
                "loss": np.array(result.loss),
                "loss_curve": result.loss_curve,
                "start_residuals": result.start_residuals,
                "calibration": result.calibration,
                "pairs": np.array(len(given)),
            }

        arrays = self._cached("recovery", key, compute)
        self.run.save_arrays("recovery.npz", **arrays)
        return key, arrays

    def _reconstruction(
        self, projections_key: str, recovery_key: str, test: Arrays, aligned: alignment.Alignment
    ) -> tuple[Arrays, dict[str, float]]:
        key = self._key(
            "reconstruction", 1, projections_key, recovery_key, config_to_dict(self.config)["reconstruction"]
        )

        def compute(progress: Progress) -> Arrays:
            return self._reconstructed(test["images"], aligned.poses, test["shifts"], progress)

        arrays = self._cached("reconstruction", key, compute)
        return arrays, artefacts.keep_maps(self.run, self.volume, arrays)

    def _refinement(
        self, projections_key: str, recovery_key: str, test: Arrays, aligned: alignment.Alignment, maps_found: Arrays
    ) -> dict[str, float]:
        config, settings, volume = self.config, self.config.refinement, self.volume
        table = config_to_dict(config)
        key = self._key("refinement", 1, projections_key, recovery_key, table["reconstruction"], table["refinement"])

        def compute(progress: Progress) -> Arrays:
            density, highest = volume.density, 0.5
            if settings.reference == "reconstruction":
                density = maps_found["density"]
                halves = fsc.fourier_shell_correlation(maps_found["half1"], maps_found["half2"], volume.voxel_size)
                highest = min(0.5, volume.voxel_size / fsc.resolution_at(*halves, 0.143))
            refined = refinement.refine_poses(
                test["images"], aligned.poses, density, volume.center_index, config.projections.max_shift,
                settings.iterations, highest, lambda fraction, values: progress(0.8 * fraction, values),
            )  # fmt: skip
            arrays = {"poses": refined.poses, "shifts": refined.shifts}
            if config.reconstruction.enabled:
                arrays |= self._reconstructed(
                    test["images"], refined.poses, refined.shifts,
                    lambda fraction, values: progress(0.8 + 0.2 * fraction, values),
                )  # fmt: skip
            return arrays

        arrays = self._cached("refinement", key, compute)
        again = self._aligned(arrays["poses"], test["poses"], "alignment of the refined")
        artefacts.keep_refined(self.run, volume, test, arrays["poses"], arrays["shifts"], again)
        figures = {
            "refined_angle_error_median": float(np.median(again.errors)),
            "refined_angle_error_mean": float(np.mean(again.errors)),
        }
        return figures | (
            artefacts.keep_maps(self.run, volume, arrays, "refined_") if config.reconstruction.enabled else {}
        )

    # Parts of stages ------------------------------------------------------------------------------------------------

    def _reconstructed(
        self, images: NDArray[np.float32], poses: NDArray[np.floating], shifts: NDArray[np.floating], progress: Progress
    ) -> Arrays:
        if self.config.projections.max_shift > 0:
            images = filters.shift_images(images, -shifts)
        # The same halves each time, so that densities before and after refinement can be compared.
        rng = self._stream("half sets")
        iterations = self.config.reconstruction.iterations
        result = reconstruction.reconstruct(images, poses, self.volume, rng, iterations, progress)
        densities = {"density": result.density, "half1": result.halves[0], "half2": result.halves[1]}
        if len(self.elements) > 1:
            middle = self.volume.center_index
            return {
                name: symmetric_density.symmetrised(made, middle, self.elements) for name, made in densities.items()
            }
        return densities

    def _learned_distances(
        self,
        model: Path | None,
        calibration: NDArray[np.floating] | None,
        test: Arrays,
        first: pairs.Indices,
        second: pairs.Indices,
    ) -> distance.Distances:
        from ..learning import network

        assert model is not None
        assert calibration is not None
        small = filters.standardise(filters.fourier_crop(test["images"], self._network_size()))
        features = network.embed(network.load_model(model), small)
        settings = self.config.distance
        degrees = harmonics.degrees_of(self.elements, settings.feature_dim)
        return distance.learned_distances(features, first, second, settings.head, degrees, calibration)

    def _euclidean_distances(
        self, test: Arrays, first: pairs.Indices, second: pairs.Indices, progress: Progress
    ) -> distance.Distances:
        training = simulation.simulate(
            self.volume, self.config.projections, _CALIBRATION_PROJECTIONS, self._stream("calibration"), progress
        )
        a, b = pairs.all_pairs(_CALIBRATION_PROJECTIONS)
        calibration = distance.fit_calibration(
            distance.pixel_distances(filters.standardise(training.images), a, b),
            distance.exact_distances(to_quaternion(training.poses), a, b, self.elements),
            self.config.distance.calibration,
        )
        return calibration(distance.pixel_distances(filters.standardise(test["images"]), first, second))

    def _aligned(
        self, recovered: NDArray[np.floating], true: NDArray[np.floating], purpose: str
    ) -> alignment.Alignment:
        return alignment.align_poses(recovered, true, self._stream(purpose), elements=self.elements)

    def _network_size(self) -> int:
        return min(self.config.training.image_size, self.config.projections.size or self.volume.diagonal)

    # Keys, streams, reuse -------------------------------------------------------------------------------------------

    def _stream(self, purpose: str) -> np.random.Generator:
        return simulation.stream(self.config.seed, purpose)

    def _key(self, stage: str, version: int, *parts: Any) -> str:
        """``version`` is raised when a change of code changes the stage's results."""
        packages = environment.packages()
        versions = {name: packages.get(name) for name in _KEY_PACKAGES}
        return stagecache.stage_key(stage, version, self.config.seed, versions, astra_gpu.available(), *parts)

    def _cached(self, stage: str, key: str, compute: Callable[[Progress], Arrays], *filenames: str) -> Arrays:
        """The stage's arrays, from the cache or computed and stored there; its files are in the run's directory."""
        folder = self.run.path.parent
        with self.run.stage(stage) as reporting:
            found = stagecache.load(folder, stage, key)
            if found is not None:
                self.run.reused(stage)
                for filename in filenames:
                    with self.run.writing(filename) as path:
                        shutil.copyfile(found.files[filename], path)
                return found.arrays
            arrays = compute(reporting.progress)
            stagecache.store(folder, stage, key, arrays, files={name: self.run.path / name for name in filenames})
            return arrays
