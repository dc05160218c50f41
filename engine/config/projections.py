"""The settings of simulated projections, whose poses are recovered."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ..base.errors import naming
from ..base.quantities import Range, shown
from ..geometry.rotations import EulerRegion, euler_region
from ..imaging import limits as imaging
from ..imaging.choices import NoiseSpectrum, Projector
from .section import Section


class ProjectionsConfig(Section):
    """The test projections: those whose poses are recovered. Training projections follow the same distribution."""

    count: Annotated[
        int, Range(4, 200_000, "each of the two half sets needs two", "images of 116 pixels would take over 10 GB")
    ] = Field(1000, description="number of test projections")
    size: Annotated[int | None, imaging.SIZE] = Field(
        None, description="pixels; the integer diagonal of the volume when not given"
    )
    coverage: Literal["full", "half", "quarter"] | EulerRegion = Field(
        "full", description="full, half, quarter or three intervals of (rot, tilt, psi) in degrees"
    )
    sampling: Literal["so3", "euler"] = Field("so3", description="so3: Haar-uniform; euler: uniform in the angles")
    noise_variance: Annotated[float | None, imaging.NOISE_VARIANCE] = Field(
        None, description="variance of the noise, in the projections' units"
    )
    snr: Annotated[float | None, imaging.SNR] = Field(
        None, description="signal variance over noise variance; instead of noise_variance"
    )
    max_shift: Annotated[float, imaging.MAX_SHIFT] = Field(
        0.0, description="pixels; in-plane shifts are triangular on [-max_shift, max_shift]"
    )
    projector: Projector = Field(
        "fourier",
        description="of test, validation and training projections alike: fourier, Fourier slices on the CPU; astra, "
        "ASTRA's ray sums, linear between voxels, which need a CUDA device",
    )
    defocus: Annotated[float | tuple[float, float] | None, imaging.DEFOCUS] = Field(
        None,
        description="Å; one value or [low, high], between which each projection has its own; positive is under focus. "
        "With it projections are multiplied by the contrast transfer function (CTF)",
    )
    voltage: Annotated[float, imaging.VOLTAGE] = Field(300.0, description="kV; of the CTF")
    spherical_aberration: Annotated[float, imaging.SPHERICAL_ABERRATION] = Field(2.7, description="mm; of the CTF")
    amplitude_contrast: Annotated[float, imaging.AMPLITUDE_CONTRAST] = Field(
        0.1, description="the share of amplitude contrast in the CTF"
    )
    noise_spectrum: NoiseSpectrum = Field(
        "white", description="white, or coloured: five times as strong at low frequencies as at high ones"
    )

    defocus_error: Annotated[float, imaging.DEFOCUS_ERROR] = Field(
        0.0,
        description="Å; the defocus that is known of each projection less its own: training, phase flip, "
        "reconstruction and refinement go by the known one",
    )

    @field_validator("coverage", mode="before")
    @classmethod
    def _angles_are_numbers(cls, value: Any) -> Any:
        intervals = value if isinstance(value, list | tuple) else ()
        if any(isinstance(end, bool) for one in intervals if isinstance(one, list | tuple) for end in one):
            raise ValueError(f"projections.coverage is {shown(value)}; wanted angles in degrees, and true is no number")
        return value

    @field_validator("coverage")
    @classmethod
    def _coverage_is_a_region(cls, value: str | EulerRegion) -> str | EulerRegion:
        with naming(coverage="projections.coverage"):
            euler_region(value)
        return value

    @model_validator(mode="after")
    def _one_noise_level(self) -> Self:
        if self.noise_variance is not None and self.snr is not None:
            raise ValueError(
                "projections.noise_variance and projections.snr are both given; they specify the same, give one"
            )
        return self

    @model_validator(mode="after")
    def _there_is_some_contrast(self) -> Self:
        keys = ("defocus", "spherical_aberration", "amplitude_contrast")
        with naming(**{key: f"projections.{key}" for key in keys}):
            imaging.check_contrast(self.defocus, self.spherical_aberration, self.amplitude_contrast)
            imaging.check_contrast(
                imaging.off_by(self.defocus, self.defocus_error), self.spherical_aberration, self.amplitude_contrast
            )
        return self

    @model_validator(mode="after")
    def _shifts_stay_in_the_frame(self) -> Self:
        if self.size is not None:  # else it is the volume's, which is known later
            with naming(max_shift="projections.max_shift"):
                imaging.check_shift(self.max_shift, self.size)
        return self
