"""One experiment is one :class:`Config`: frozen, validated, complete.

A configuration is written as TOML with one table per stage. Every key has a default, so the empty configuration is the
default experiment. An unknown key is refused, naming the nearest known one.

Every number has a :class:`~base.quantities.Range`, which gives the reasons for both of its ends.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from ..base.errors import InputError, naming
from ..base.quantities import Range
from ..base.randomness import SEED
from ..base.texts import require_unicode
from ..geometry.symmetry import check_group
from ..imaging import limits as imaging
from ..imaging.choices import ITERATIONS, ReconstructionMethod
from ..io.sources import expand, normal
from ..poses import limits as poses
from ..poses.choices import MOST_HELD, Head, Initialisation, PairStrategy
from .particles import ParticlesConfig
from .projections import ProjectionsConfig
from .section import Section
from .training import OF_A_TRAINING, TrainingConfig

Device = Literal["auto", "cpu", "gpu"]
DistanceMethod = Literal["siamese", "exact", "perturbed", "euclidean"]
DEFAULT_PROTEIN = "1bd2"
ROUNDS = 3
"""Of a refinement of particles against their own reconstruction."""
Source = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)]
"""Linux opens no longer path."""


def _given(table: dict[str, Any], section: str, key: str) -> Any:
    inside = table.get(section)
    return inside.get(key) if isinstance(inside, dict) else getattr(inside, key, None)


class VolumeConfig(Section):
    """Where the density comes from."""

    source: Source | None = Field(
        None,
        description=f"built-in name, path, emdb:ID, pdb:ID or random:SEED; {DEFAULT_PROTEIN} when not given, with "
        "particles no map",
    )
    resolution: Annotated[float | None, imaging.RESOLUTION] = Field(
        None, description="Å; for coordinates only, 8 when not given"
    )
    voxel_size: Annotated[float | None, imaging.VOXEL_SIZE] = Field(
        None, description="Å per voxel; resolution / 3 for coordinates, overrides the header of a map"
    )
    symmetry: str = Field("C1", description="C1, Cn, Dn, T, O or I, axes as RELION has them")
    symmetrize: Literal["no", "average", "oligomer"] = Field(
        "no",
        description="average: the mean of the density's turned copies; oligomer: copies of it side by side",
    )
    stack_is_volume: bool = Field(
        False, description="take a map that its name or header calls an image stack for one volume"
    )

    @property
    def given_source(self) -> str:
        """The source; empty where there is none: particles without a map."""
        return self.source or ""

    @field_validator("symmetry")
    @classmethod
    def _symmetry_is_a_group(cls, value: str) -> str:
        with naming(symmetry="volume.symmetry"):
            return check_group(value)


class DistanceConfig(Section):
    """How the distance between the poses of two projections is estimated."""

    method: DistanceMethod = Field("siamese", description="siamese, exact, perturbed or euclidean")
    perturbation_variance: Annotated[float, poses.PERTURBATION_VARIANCE] = Field(
        0.1, description="rad^2; for method perturbed"
    )
    calibration: Literal["slope", "polynomial"] = Field(
        "slope", description="pixel distance to angle; method euclidean"
    )
    head: Head = Field("cosine", description="how a distance is computed from features; method siamese")
    feature_dim: Annotated[
        int | None,
        Range(
            4,
            4096,
            "poses have three degrees of freedom, and features of norm one have one fewer than numbers",
            "features of 200,000 projections would take over 3 GB",
        ),
    ] = Field(
        None,
        description="features per projection that the trace is learned from; three kinds are learned when not given",
    )


class PairsConfig(Section):
    """Which pairs of training projections the network is shown."""

    strategy: PairStrategy = Field("random", description="random, knn, knn+random or uniform (balanced over distance)")
    neighbours: Annotated[
        int,
        Range(1, 1000, "a pair needs one", "those of a million training projections would take over 4 GB"),
    ] = Field(10, description="k of the knn strategies, nearest in the images")


class RecoveryConfig(Section):
    """How poses are recovered from distances."""

    pairs: PairStrategy | Literal["all"] = Field(
        "all", description="which pairs are used; beyond 5,000 projections, of 12.5 million random ones"
    )
    pairs_per_projection: Annotated[
        int, Range(2, 199_999, "one each leaves projections unconnected", "a projection has no more others")
    ] = Field(100, description="for every strategy but all")
    max_distance: Annotated[float | None, poses.MAX_DISTANCE] = Field(
        None, description="rad; only pairs estimated closer than this are used"
    )
    initialisation: Initialisation = Field(
        "spectral",
        description="where the search starts: spectral, mds or isomap embedding of the distances, or random poses",
    )
    calibrate: bool = Field(
        True, description="estimate systematic errors of the distances during the recovery, and correct for them"
    )
    restarts: Annotated[int, poses.RESTARTS] = Field(50, description="independent starts; the best is kept")
    max_iterations: Annotated[int, poses.MAX_ITERATIONS] = Field(200, description="of the final minimisation")


class ReconstructionConfig(Section):
    """Whether a density is reconstructed from the projections and the recovered poses."""

    enabled: bool = Field(True, description="off saves a few seconds; FSC is then unknown")
    method: ReconstructionMethod = Field(
        "normal_equations",
        description="normal_equations, of the Fourier slices on the CPU; cgls, ASTRA's, which needs a CUDA device",
    )
    iterations: Annotated[int | None, imaging.ITERATIONS] = Field(
        None,
        description=f"of conjugate gradients; when not given {ITERATIONS['normal_equations']}, with cgls "
        f"{ITERATIONS['cgls']}",
    )

    @property
    def iterations_or_default(self) -> int:
        """Those given or, when there are none, the method's."""
        return self.iterations or ITERATIONS[self.method]


class RefinementConfig(Section):
    """Whether poses are refined against a reference after the recovery; its gain is reported apart."""

    enabled: bool = Field(False, description="takes about 25 ms a projection of 116 pixels")
    reference: Literal["reconstruction", "volume"] = Field(
        "reconstruction",
        description="reconstruction: the run's own; volume: the true one, which shows what is possible",
    )
    iterations: Annotated[
        int, Range(1, 100, "nothing would be refined", "steps are shortened until rounding errors are all that is left")
    ] = Field(3, description="at each of three levels of detail; of particles, all details at once in each round")
    rounds: Annotated[
        int | None, Range(1, 100, "nothing would be refined", "the poses have long settled, or never will")
    ] = Field(
        None,
        description="of particles: how often they are matched with the reconstruction, which is then made anew; "
        f"{ROUNDS} when not given",
    )

    @property
    def rounds_or_default(self) -> int:
        """Those given or, when there are none, the usual ones; one against a volume, which stays as it is."""
        return 1 if self.reference == "volume" else self.rounds or ROUNDS


class Config(Section):
    """A whole experiment."""

    seed: Annotated[int, SEED] = Field(0, description="the same seed gives the same run")
    device: Device = Field(
        "auto",
        description="where the network runs: auto, on a GPU if TensorFlow sees one; another device gives other last "
        "digits",
    )
    volume: VolumeConfig = VolumeConfig()
    particles: ParticlesConfig = ParticlesConfig()
    projections: ProjectionsConfig = ProjectionsConfig()
    distance: DistanceConfig = DistanceConfig()
    pairs: PairsConfig = PairsConfig()
    training: TrainingConfig = TrainingConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    refinement: RefinementConfig = RefinementConfig()

    @model_validator(mode="before")
    @classmethod
    def _a_protein_to_simulate(cls, table: Any) -> Any:
        """Simulations are of the default protein where none is given; particles then have no map."""
        if not isinstance(table, dict) or _given(table, "particles", "source") is not None:
            return table
        volume = table.get("volume", {})
        if not isinstance(volume, dict) or volume.get("source") is not None:
            return table
        return table | {"volume": volume | {"source": DEFAULT_PROTEIN}}

    @model_validator(mode="after")
    def _particles_are_no_simulation(self) -> Self:
        if self.particles.source is None:
            only_theirs = (
                ("particles", self.particles.model_fields_set), ("training", {"on"}), ("refinement", {"rounds"}),
            )  # fmt: skip
            for section, fields in only_theirs:
                table = getattr(self, section)
                changed = [
                    key for key in sorted(fields) if getattr(table, key) != type(table).model_fields[key].default
                ]
                if changed:
                    raise ValueError(f"{section}.{changed[0]} is given without particles.source; wanted a stack there")
            return self
        if self.projections.model_fields_set:
            keys = ", ".join(f"projections.{key}" for key in sorted(self.projections.model_fields_set))
            raise ValueError(
                f"{keys} given beside particles.source; wanted none of projections.*: size, number, noise and CTF are "
                "those of the stack"
            )
        if self.distance.method != "siamese":
            raise ValueError(
                f"distance.method is {self.distance.method!r} and particles.source is given; wanted siamese: the "
                "others need simulated projections"
            )
        if self.training.volumes:
            raise ValueError("training.volumes are given beside particles.source; wanted volume.source alone")
        for key in ("noise_factor", "reference_missing"):
            if getattr(self.training, key) != type(self.training).model_fields[key].default:
                raise ValueError(
                    f"training.{key} is given beside particles.source; wanted it with simulated projections alone"
                )
        if self.volume.source is None and self.refinement.enabled and self.refinement.reference == "volume":
            raise ValueError(
                "refinement.reference is 'volume' and volume.source is not given; wanted a map there, or "
                "refinement.reference = reconstruction"
            )
        if self.refinement.rounds is not None and self.refinement.reference == "volume":
            raise ValueError(
                f"refinement.rounds is {self.refinement.rounds} and refinement.reference is 'volume', which stays as "
                "it is; wanted refinement.reference = reconstruction, or no refinement.rounds"
            )
        if self.volume.source is None and self.training.on == "reference":
            raise ValueError(
                "particles.source is given without volume.source; wanted a map there, or particles with poses and "
                "training.on = reconstruction or particles"
            )
        return self

    @model_validator(mode="after")
    def _a_kept_network_is_not_trained(self) -> Self:
        """Before the settings of a training are looked at, which then have no meaning."""
        if self.training.model is None:
            return self
        given = [f"pairs.{key}" for key in sorted(self.pairs.model_fields_set)]
        given += [f"training.{key}" for key in sorted(self.training.model_fields_set.intersection(OF_A_TRAINING))]
        if given:
            raise ValueError(
                f"{', '.join(given)} given beside training.model; wanted none of them: the network of that run is "
                "applied as it is"
            )
        if self.distance.method != "siamese":
            raise ValueError(
                f"training.model is given and distance.method is {self.distance.method!r}; wanted siamese, which "
                "estimates distances by a network"
            )
        if self.training.on != "reference":
            raise ValueError(
                f"training.model is given and training.on is {self.training.on!r}; wanted training.on = reference and "
                "a map: half sets are independent only where each is estimated by what the other one taught"
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        for key, value in (
            ("pairs.neighbours", self.pairs.neighbours),
            ("training.batch_size", self.training.batch_size),
        ):
            if value >= self.training.projections:
                raise ValueError(
                    f"{key} is {value}; wanted fewer than training.projections ({self.training.projections})"
                )
        self._device_can_do_it()
        self._training_volumes_are_others()
        self._reference_is_a_part()
        start, count = self.recovery.initialisation, self.projections.count
        if start in ("mds", "isomap") and count > MOST_HELD:
            raise ValueError(
                f"recovery.initialisation is {start!r} and projections.count is {count}; wanted at most {MOST_HELD} "
                "projections, or recovery.initialisation = spectral"
            )
        if self.volume.symmetry != "C1":
            self._symmetric_recovery_is_possible()
        refinement = self.refinement
        if refinement.enabled and refinement.reference == "reconstruction" and not self.reconstruction.enabled:
            raise ValueError(
                "refinement.reference is 'reconstruction' and reconstruction.enabled is false; "
                "wanted a reconstruction, or refinement.reference = volume"
            )
        return self

    @property
    def astra_keys(self) -> tuple[str, ...]:
        """Which keys ask for ASTRA."""
        projector = ("projections.projector",) if self.projections.projector == "astra" else ()
        cgls = self.reconstruction.enabled and self.reconstruction.method == "cgls"
        return projector + (("reconstruction.method",) if cgls else ())

    def _device_can_do_it(self) -> None:
        against_cgls = {
            "particles.source": self.particles.source is not None,
            "projections.defocus": self.projections.defocus is not None,
            "projections.noise_spectrum": self.projections.noise_spectrum != "white",
        }
        if self.reconstruction.enabled and self.reconstruction.method == "cgls" and any(against_cgls.values()):
            key = next(key for key, given in against_cgls.items() if given)
            raise ValueError(
                f"reconstruction.method is 'cgls' and {key} is given; wanted normal_equations, which take account of a "
                "CTF and of coloured noise"
            )
        if self.device == "cpu" and self.astra_keys:
            section, _, leaf = (key := self.astra_keys[0]).partition(".")
            given = getattr(getattr(self, section), leaf)
            raise ValueError(
                f"{key} is {given!r}, which needs a CUDA device, and device is 'cpu'; "
                "wanted device = auto or gpu, or another choice there"
            )

    def _symmetric_recovery_is_possible(self) -> None:
        recovery, symmetry = self.recovery, f"and volume.symmetry is {self.volume.symmetry}"
        if recovery.initialisation != "spectral":
            raise ValueError(
                f"recovery.initialisation is {recovery.initialisation!r} {symmetry}; wanted spectral with a symmetric "
                "volume, whose recovery has its own start"
            )
        if recovery.pairs != "all" or recovery.max_distance is not None:
            key = "max_distance" if recovery.pairs == "all" else "pairs"
            raise ValueError(
                f"recovery.{key} is {getattr(recovery, key)!r} {symmetry}; wanted all pairs with a symmetric volume: "
                "recovery.pairs = all and no recovery.max_distance"
            )
        if self.distance.feature_dim is not None:
            raise ValueError(
                f"distance.feature_dim is {self.distance.feature_dim} {symmetry}; leave it out with a symmetric "
                "volume, whose group determines the number of features"
            )
        if self.projections.count > MOST_HELD:
            raise ValueError(
                f"projections.count is {self.projections.count} {symmetry}; wanted at most {MOST_HELD} projections of "
                "a symmetric volume, all of whose pairs are used"
            )

    def _reference_is_a_part(self) -> None:
        others = {"training.volumes": bool(self.training.volumes), "volume.symmetry": self.volume.symmetry != "C1"}
        for key, given in others.items():
            if self.training.reference_missing and given:
                raise ValueError(
                    f"training.reference_missing is {self.training.reference_missing:g} and {key} is given; wanted the "
                    "part of one protein without symmetry"
                )

    def _training_volumes_are_others(self) -> None:
        try:
            with naming(sources="training.volumes"):
                sources = expand(require_unicode(source, "training.volumes") for source in self.training.volumes)
        except InputError as error:
            raise ValueError(str(error)) from None
        if self.volume.source is not None and normal(self.volume.source) in sources:
            raise ValueError(
                f"volume.source is {self.volume.source!r}, which is among training.volumes; wanted a protein that the "
                "network is not trained on"
            )
        if sources and self.volume.symmetry != "C1" and self.volume.symmetrize == "no":
            raise ValueError(
                f"volume.symmetry is {self.volume.symmetry} and training.volumes are not known to have it; wanted "
                "volume.symmetrize = average or oligomer, which gives it to them too"
            )
        projections = self.training.projections // max(1, len(sources))
        for key, value in (
            ("training.batch_size", self.training.batch_size),
            ("pairs.neighbours", self.pairs.neighbours),
        ):
            if sources and value >= projections:
                raise ValueError(
                    f"{key} is {value}, and training.projections ({self.training.projections:,}) are {projections} of "
                    f"each of {len(sources):,} training.volumes; wanted more of them, or fewer volumes"
                )
