"""The settings of recorded particles: a stack of images from a microscope, or from another program's simulation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from ..base.quantities import Range
from ..imaging import limits as imaging
from .section import Section

Half = Literal["both", "1", "2"]
Path = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4096)]


class ParticlesConfig(Section):
    """Images whose poses are recovered in place of simulated projections; with a source all ``projections.*`` are off.

    Images are cut to ``box`` and scaled down to ``size``; all steps use these. For the network they are prepared in
    this order: normalisation, sign of the contrast, Fourier cropping to ``training.image_size``, phase flip, whitening,
    mask.
    """

    source: Path | None = Field(
        None,
        description="a .star of RELION, a .cs of cryoSPARC, or a stack of images, .mrcs; simulations when not given",
    )
    data_dir: Path | None = Field(
        None, description="the folder in which the stacks that the table names are looked for"
    )
    pixel_size: Annotated[float | None, imaging.VOXEL_SIZE] = Field(
        None, description="Å per pixel; overrides that of the table or, of a bare stack, of its header"
    )
    limit: Annotated[int | None, Range(4, 10_000_000, "each of the two half sets needs two", "no stack has more")] = (
        Field(None, description="use a random subset of so many particles; all when not given")
    )
    half: Half = Field(
        "both", description="the half set whose poses are estimated: 1, 2 or both; rlnRandomSubset, drawn if absent"
    )
    max_shift: Annotated[float | None, imaging.MAX_SHIFT] = Field(
        None,
        description="pixels of the original image, the largest shift along x and y; when not given, the largest of the "
        "table's origins, or 5 % of the box",
    )
    box: Annotated[int | None, imaging.SIZE] = Field(
        None, description="pixels; cut so much out of the middle of each image, about pixel n // 2"
    )
    size: Annotated[int | None, imaging.SIZE] = Field(
        None, description="pixels; scale images down to this width, by Fourier cropping, after they are cut to the box"
    )
    normalise: Literal["background", "none"] = Field(
        "background", description="background: each image's corners get mean 0 and standard deviation 1"
    )
    contrast: Literal["auto", "keep", "invert"] = Field(
        "auto", description="whether images are multiplied by -1; auto: so that they agree with CTF times projection"
    )
    phase_flip: bool = Field(True, description="multiply by the sign of the CTF, where the table has one")
    whiten: bool = Field(True, description="divide by the square root of the noise's power, measured in the corners")
    mask_radius: Annotated[float | None, imaging.MASK_RADIUS] = Field(
        None,
        description="pixels; of the original image, outside of a disc of this radius the network's images become 0",
    )
    recentre: bool = Field(
        True,
        description="move images back by the shifts that were found, and estimate the poses once more: the network is "
        "surer of images in the middle",
    )

    @field_validator("half", mode="before")
    @classmethod
    def _half_may_be_a_number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
