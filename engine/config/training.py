"""The settings of the network's training, or the run whose trained network is taken in its place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from ..base.quantities import Range
from .section import Section

FEWEST_STEPS, MOST_STEPS = 1800, 6000
"""Range of the default number of steps, by the noise and the shifts of the projections."""


class TrainingConfig(Section):
    """How the Siamese network is trained, or whose it is. Ends after ``steps``, or by ``patience`` or ``max_seconds``.

    An epoch of the published notebooks, in which every training projection is shown once, is ``projections /
    batch_size`` steps: 125 as set here, so that 1,800 steps are 14 epochs and 1,000 epochs are 125,000 steps.
    """

    on: Literal["reference", "reconstruction", "particles"] = Field(
        "reference",
        description="with particles: reference, projections of volume.source; reconstruction, projections of the map "
        "that the other half of the particles gives with the poses it came with; particles, these particles themselves",
    )
    volumes: tuple[Annotated[str, StringConstraints(max_length=4096)], ...] = Field(
        (),
        description="train on these instead of volume.source, which the network then never sees: sources separated by "
        "commas; random:SEED:COUNT stands for COUNT random proteins",
    )
    projections: Annotated[
        int, Range(64, 1_000_000, "fewer are hardly a batch", "images of 48 pixels would take over 9 GB")
    ] = Field(8000, description="training projections, apart from the test set")
    validation_projections: Annotated[
        int,
        Range(16, 100_000, "the error would be a mean over less than 120 pairs", "they have more than 5 billion pairs"),
    ] = Field(500, description="validation projections, apart from both")
    steps: Annotated[
        int | None,
        Range(1, 2**31 - 1, "nothing would be learned", "the noise of a step is drawn by its number, of 32 bits"),
    ] = Field(
        None,
        description=f"optimiser steps, projections / batch_size to an epoch; {FEWEST_STEPS:,} when not given, up to "
        f"{MOST_STEPS:,} with noise or shifts",
    )
    batch_size: Annotated[
        int, Range(4, 4096, "a step would compare less than six pairs", "a step would compare over 8 million pairs")
    ] = Field(64, description="projections in a step; all their pairs count")
    learning_rate: Annotated[
        float,
        Range(
            1e-8,
            10.0,
            "single precision rounds such steps away",
            "weights decay by a tenth of it in a step, which would turn their signs",
        ),
    ] = Field(4e-3, description="peak; linear decay to zero")
    image_size: Annotated[
        int,
        Range(
            16,
            512,
            "a protein is a spot in fewer pixels",
            "the network's polar sampling, a matrix, would take over 17 GB",
        ),
    ] = Field(48, description="pixels; images are Fourier-cropped to this for the network")
    max_seconds: Annotated[
        float | None, Range(1e-3, 1e9, "no step is that short", "that is thirty years, leave it out for no limit")
    ] = Field(
        None,
        description="no limit when not given; a run that reaches it logs that, is not repeatable and is never reused",
    )
    patience: Annotated[
        int | None, Range(1, 100, "it would end before it begins", "no training has more validations")
    ] = Field(
        None,
        description="validations, of 50 in a training, without improvement after which it ends with the best weights; "
        "none: it never ends early. The learning rate falls over all steps, so an early end is one at a higher rate",
    )

    model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = Field(
        None,
        description="the id of a finished run whose trained network is applied as it is: nothing is trained, and what "
        "its images had that these have not is told",
    )
    noise_factor: Annotated[
        float,
        Range(1e-6, 1e6, "leave out the test projections' noise instead", "no signal would be left to learn from"),
    ] = Field(
        1.0,
        description="variance of the noise of training projections over that of the test projections; not 1: the noise "
        "is taken for another than it is",
    )
    reference_missing: Annotated[
        float, Range(0.0, 0.9, "it is a share of the mass", "hardly anything would be left of the reference")
    ] = Field(
        0.0,
        description="share of its mass, at the end with the largest x, that training projections lack: the reference "
        "is not the whole of the protein",
    )

    @field_validator("volumes", mode="before")
    @classmethod
    def _volumes_may_be_one_text(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_WITH_A_MODEL = ("model", "on", "image_size")
OF_A_TRAINING = tuple(name for name in TrainingConfig.model_fields if name not in _WITH_A_MODEL)
"""The settings that an experiment with ``training.model``, which trains nothing, does not have."""
