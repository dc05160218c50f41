"""The contrast transfer function (CTF) of the microscope: its parameters for each image, its values, its application.

The Fourier coefficient of an image at the in-plane frequency ``k = (k_u, k_v)`` (1/Å; u along x, v along y) is that of
the projection times ::

    ctf(k) = -sin(gamma(k)) exp(-B/4 |k|^2)
    gamma(k) = pi lambda defocus(k) |k|^2 - pi/2 Cs lambda^3 |k|^4 + phase shift + asin(A)
    defocus(k) = (U + V)/2 + (U - V)/2 cos 2(angle of k - astigmatism)

with wavelength ``lambda``, spherical aberration ``Cs``, amplitude contrast ``A``, B factor ``B``, defocus ``U`` and
``V`` (positive: underfocus), all as of RELION (``rlnDefocusU``, ``rlnDefocusAngle``, ``rlnPhaseShift``,
``rlnCtfBfactor``, ...). ``-sin(g + asin(A))`` is ``-(sqrt(1 - A^2) sin g + A cos g)``.

**Sign.** With the minus a dense object is dark at low frequencies, as the detector recorded it: the sign of ASPIRE,
cryoDRGN and of Mindell & Grigorieff, J. Struct. Biol. 142 (2003) 334. RELION's own source (``src/ctf.h``) has a plus,
since its images have been inverted beforehand. The two give the same phase flip but for the sign of the whole image.

**Magnification.** RELION's matrix ``rlnMagMat`` takes the frequencies of an image to those of the undistorted one: its
CTF, B factor included, has the value at ``M k``. (So does its slice of the map, which is not the CTF's affair.)

The CTF is applied to images as they are, that is periodically: what it spreads beyond one side of the frame, by about
``lambda defocus k`` (45 Å at 3 um, 300 kV and a resolution of 13 Å), enters on the other. In a micrograph it would be
lost there, and the neighbours' would enter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants, fft

from ..base.errors import ArgumentError
from ..base.quantities import Range, digits
from . import fourier
from .limits import AMPLITUDE_CONTRAST, VOLTAGE

Images = NDArray[np.float32]
Real = NDArray[np.floating]

_BATCH = 256
_ANGSTROM_PER_MM = 1e7


@dataclass(frozen=True, eq=False, repr=False)
class ContrastTransfer:
    """The parameters of the CTF of each of n images.

    Attributes
    ----------
    defocus_angstrom
        (n, 2), along u and v; positive is underfocus.
    astigmatism_degrees
        (n,), the angle from the image's x axis towards its y axis at which the defocus is u.
    voltage_kv, spherical_aberration_mm, amplitude_contrast
        (n,); the last is the share of amplitude contrast, from 0 to 1.
    phase_shift_degrees
        (n,), of a phase plate.
    b_factor
        (n,), Å^2: the CTF is multiplied by ``exp(-B/4 k^2)``.
    magnification
        (n, 2, 2), multiplied to the left of frequencies (k_u, k_v); None where it is not distorted.

    Raises
    ------
    ArgumentError
        naming array and image, for wrong shapes, numbers that are not finite, voltages and amplitude contrasts out of
        their ranges, a singular magnification.
    """

    defocus_angstrom: Real
    astigmatism_degrees: Real
    voltage_kv: Real
    spherical_aberration_mm: Real
    amplitude_contrast: Real
    phase_shift_degrees: Real
    b_factor: Real
    magnification: Real | None = None

    def __post_init__(self) -> None:
        count = len(self.defocus_angstrom)
        for field in fields(self):
            values = getattr(self, field.name)
            if values is None:
                continue
            shape = {"defocus_angstrom": (count, 2), "magnification": (count, 2, 2)}.get(field.name, (count,))
            if np.shape(values) != shape:
                raise ArgumentError(
                    f"{{{field.name}}} has the shape {{given}}; wanted {{shape}}", field.name, given=np.shape(values),
                    shape=shape,
                )  # fmt: skip
            self._refuse(field.name, ~np.isfinite(values), "a finite number")
        for name, limits in (("voltage_kv", VOLTAGE), ("amplitude_contrast", AMPLITUDE_CONTRAST)):
            values = getattr(self, name)
            self._refuse(name, (values < limits.least) | (values > limits.most), limits)
        if self.magnification is not None:
            self._refuse("magnification", np.linalg.det(self.magnification) == 0, "an invertible matrix")

    def _refuse(self, name: str, wrong: NDArray[np.bool_], wanted: str | Range) -> None:
        if not wrong.any():
            return
        image = int(np.argwhere(wrong)[0, 0])
        values = np.ravel(getattr(self, name)[image])
        given = values[0] if len(values) == 1 else values.tolist()
        reason = wanted.reason(float(given)) if isinstance(wanted, Range) else ""
        raise ArgumentError(
            f"{{{name}}} of image {{image}} is {{given}}; wanted {{wanted}}{{reason}}", name, image=image,
            given=digits(given) if len(values) == 1 else given, wanted=wanted, reason=reason,
        )  # fmt: skip

    @classmethod
    def of(
        cls,
        defocus_angstrom: ArrayLike,
        astigmatism_degrees: ArrayLike = 0.0,
        voltage_kv: ArrayLike = 300.0,
        spherical_aberration_mm: ArrayLike = 2.7,
        amplitude_contrast: ArrayLike = 0.1,
        phase_shift_degrees: ArrayLike = 0.0,
        b_factor: ArrayLike = 0.0,
        magnification: ArrayLike | None = None,
    ) -> Self:
        """Parameters from numbers and arrays: a number stands for all images, (n,) defoci for images without
        astigmatism, one magnification (2, 2) for all.

        >>> ContrastTransfer.of([10_000, 20_000])
        ContrastTransfer(2 images, defocus 10,000 to 20,000 Å, 300 kV, Cs 2.7 mm, amplitude contrast 0.1)
        """
        defocus = np.atleast_1d(np.asarray(defocus_angstrom, dtype=np.float64))
        if defocus.ndim == 1:
            defocus = np.stack([defocus, defocus], axis=1)
        others = (
            astigmatism_degrees, voltage_kv, spherical_aberration_mm, amplitude_contrast, phase_shift_degrees, b_factor,
        )  # fmt: skip
        count = max([len(defocus), *(np.size(values) for values in others)])
        if len(defocus) == 1:
            defocus = np.repeat(defocus, count, axis=0)
        spread = [np.array(np.broadcast_to(v, count) if np.size(v) == 1 else v, dtype=np.float64) for v in others]
        matrices = None if magnification is None else np.asarray(magnification, dtype=np.float64)
        if matrices is not None and matrices.ndim == 2:
            matrices = np.repeat(matrices[None], count, axis=0)
        angle, voltage, aberration, amplitude, phase, b_factors = spread
        return cls(defocus, angle, voltage, aberration, amplitude, phase, b_factors, matrices)

    def __len__(self) -> int:
        return len(self.defocus_angstrom)

    def __getitem__(self, index: slice | ArrayLike) -> Self:
        """The parameters of some of the images, by a slice, numbers or a mask (n,)."""
        rows = index if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
        return type(self)(
            self.defocus_angstrom[rows], self.astigmatism_degrees[rows], self.voltage_kv[rows],
            self.spherical_aberration_mm[rows], self.amplitude_contrast[rows], self.phase_shift_degrees[rows],
            self.b_factor[rows], None if self.magnification is None else self.magnification[rows],
        )  # fmt: skip

    def __repr__(self) -> str:
        parts = [
            f"{len(self):,} image{'s' * (len(self) != 1)}",
            f"defocus {_extent(self.defocus_angstrom, ',.0f')} Å",
            f"{_extent(self.voltage_kv)} kV",
            f"Cs {_extent(self.spherical_aberration_mm)} mm",
            f"amplitude contrast {_extent(self.amplitude_contrast)}",
        ]
        if np.any(self.phase_shift_degrees):
            parts.append(f"phase shift {_extent(self.phase_shift_degrees)} degrees")
        if np.any(self.b_factor):
            parts.append(f"B factor {_extent(self.b_factor)} Å^2")
        if self.magnification is not None:
            parts.append("distorted magnification")
        return f"ContrastTransfer({', '.join(parts)})"


def _extent(values: Real, form: str = ".4g") -> str:
    if np.size(values) == 0:
        return "none"
    least, most = format(np.min(values), form), format(np.max(values), form)
    return least if least == most else f"{least} to {most}"


def electron_wavelength(voltage_kv: ArrayLike) -> NDArray[np.float64]:
    """The relativistic wavelength in Å of electrons accelerated by a voltage in kV, with CODATA's constants.

    ``h / sqrt(2 m e V (1 + e V / (2 m c^2)))``: 0.019687 Å at 300 kV. RELION's rounded constants (``12.2643247 /
    sqrt(V + 0.978466e-6 V^2)``) give a wavelength greater by 6.4e-6 of itself; those of ASPIRE's ``CTFFilter``, 1.22639
    nm and 0.97845e-6, one smaller by 2.6e-5. At 3 um of defocus and 3 Å that is a phase of 1.3e-3 and 5.4e-3 rad, and
    the CTF's values differ by as much at most. ``wavelength`` of :func:`transfer` takes another program's function.
    """
    volts = np.asarray(voltage_kv, dtype=np.float64) * 1e3
    rest = 2 * constants.m_e * constants.c**2
    momentum = np.sqrt(2 * constants.m_e * constants.e * volts * (1 + constants.e * volts / rest))
    return np.asarray(constants.h / momentum / constants.angstrom)


class Coefficients(NamedTuple):
    """The CTF as a polynomial of (k_u, k_v), float64: what :func:`transfer` and its form in TensorFlow evaluate.

    With ``q = defocus . (k_u^2, k_u k_v, k_v^2)`` and ``s = square . (k_u^2, k_u k_v, k_v^2)``, which is the squared
    length of the frequency, the CTF is ``-sin(q - aberration s^2 + phase) exp(-decay s)``.
    """

    defocus: NDArray[np.float64]
    """(n, 3) rad Å^2"""
    square: NDArray[np.float64]
    """(n, 3)"""
    aberration: NDArray[np.float64]
    """(n,) rad Å^4"""
    phase: NDArray[np.float64]
    """(n,) rad"""
    decay: NDArray[np.float64]
    """(n,) Å^2"""


def coefficients(ctf: ContrastTransfer, wavelength: Callable[[Real], Real] = electron_wavelength) -> Coefficients:
    """The CTF of each image as a polynomial. ``wavelength`` is a function from kV to Å."""
    length = np.asarray(wavelength(ctf.voltage_kv), dtype=np.float64)
    along_u, along_v = ctf.defocus_angstrom.astype(np.float64).T
    angle = np.radians(ctf.astigmatism_degrees)
    # In matrices: Q diag(U, V) Q^T, where the columns of Q are the directions of u and v.
    columns = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, 2, 2)
    axes = np.swapaxes(columns, 1, 2)
    defocus = axes @ (np.stack([along_u, along_v], axis=-1)[:, :, None] * np.swapaxes(axes, 1, 2))
    square = np.broadcast_to(np.eye(2), defocus.shape)
    if ctf.magnification is not None:
        transposed = np.swapaxes(ctf.magnification, 1, 2)
        defocus, square = transposed @ defocus @ ctf.magnification, transposed @ ctf.magnification
    return Coefficients(
        np.pi * length[:, None] * _quadratic(defocus),
        _quadratic(square),
        np.pi / 2 * ctf.spherical_aberration_mm * _ANGSTROM_PER_MM * length**3,
        np.radians(ctf.phase_shift_degrees) + np.arcsin(ctf.amplitude_contrast),
        np.asarray(ctf.b_factor, dtype=np.float64) / 4,
    )


def _quadratic(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coefficients (n, 3) of x^2, x y and y^2 in the quadratic forms of symmetric matrices (n, 2, 2)."""
    return np.stack([matrices[:, 0, 0], matrices[:, 0, 1] + matrices[:, 1, 0], matrices[:, 1, 1]], axis=-1)


def transfer(ctf: ContrastTransfer, plane: Real, wavelength: Callable[[Real], Real] = electron_wavelength) -> Real:
    """The values (n, ...) of the CTF of each image at frequencies ``plane`` (..., 2), (k_u, k_v), in 1/Å.

    Of the type of ``plane``, float32 or float64; computed in float64. ``wavelength`` is a function from kV to Å.
    """
    terms = coefficients(ctf, wavelength)
    k_u, k_v = np.moveaxis(plane.astype(np.float64), -1, 0)
    monomials = np.stack([k_u**2, k_u * k_v, k_v**2])
    every = (slice(None),) + (None,) * k_u.ndim
    squared = np.tensordot(terms.square, monomials, axes=1)
    gamma = np.tensordot(terms.defocus, monomials, axes=1)
    gamma += terms.phase[every] - terms.aberration[every] * squared**2
    values = -np.sin(gamma)
    if terms.decay.any():
        values *= np.exp(-terms.decay[every] * squared)
    return values.astype(plane.dtype, copy=False)


def applied(images: Images, ctf: ContrastTransfer, pixel_size: float) -> Images:
    """Images (n, size, size) with pixels of ``pixel_size`` Å, each multiplied by its CTF in Fourier space."""
    return _filtered(images, ctf, pixel_size, lambda values: values)


def phase_flipped(images: Images, ctf: ContrastTransfer, pixel_size: float) -> Images:
    """Images (n, size, size), each multiplied by the sign of its CTF in Fourier space: what the CTF inverted is
    restored, what it damped stays damped, and the noise keeps its power. Twice is once too often: it undoes itself.
    """
    return _filtered(images, ctf, pixel_size, sign)


def sign(values: Real) -> Real:
    """1 or -1 by the sign of a CTF's values; 1 for zero, as of RELION."""
    return np.where(values < 0, values.dtype.type(-1), values.dtype.type(1))


def _filtered(images: Images, ctf: ContrastTransfer, pixel_size: float, factor: Callable[[Real], Real]) -> Images:
    if len(ctf) != len(images):
        raise ArgumentError(
            "{ctf} is given for {length} images; wanted it for each of the {count}", "ctf", length=len(ctf),
            count=len(images),
        )  # fmt: skip
    size = images.shape[-1]
    plane = fourier.half_plane_frequencies(size, pixel_size)
    filtered = np.empty(images.shape, dtype=np.float32)
    for start in range(0, len(images), _BATCH):
        some = slice(start, start + _BATCH)
        factors = factor(transfer(ctf[some], plane)).astype(np.float32)
        filtered[some] = fft.irfft2(fft.rfft2(images[some]) * factors, s=(size, size))
    return filtered
