"""The contrast transfer function against ASPIRE's, against RELION's formula, and by its geometry."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from engine.base.errors import ArgumentError
from engine.imaging import ctf
from engine.imaging.ctf import ContrastTransfer, electron_wavelength, transfer
from engine.imaging.fourier import half_plane_frequencies

PIXEL = 1.3  # Å


def wavelength_of_relion(voltage_kv):
    """``CTF::initialise`` in RELION's src/ctf.cpp."""
    volts = 1e3 * voltage_kv
    return 12.2643247 / np.sqrt(volts * (1.0 + volts * 0.978466e-6))


def wavelength_of_aspire(voltage_kv):
    """``CTFFilter._evaluate`` of ASPIRE 0.14.3, in Å."""
    return 12.2639 / np.sqrt(voltage_kv * 1000 + 0.97845 * voltage_kv**2)


@pytest.fixture
def several(rng):
    """CTFs with astigmatism, phase shift and B factor, each image's its own."""
    count = 6
    return ContrastTransfer(
        rng.uniform(5_000, 30_000, (count, 2)), rng.uniform(-90, 180, count), rng.choice([120.0, 200.0, 300.0], count),
        rng.choice([0.01, 2.0, 2.7], count), rng.uniform(0, 0.3, count), rng.uniform(0, 120, count),
        rng.uniform(0, 120, count),
    )  # fmt: skip


def frequencies(rng, count=500):
    return rng.uniform(-0.5 / PIXEL, 0.5 / PIXEL, (count, 2))


@pytest.mark.slow
def test_values_are_those_of_aspire(several, rng, aspire):
    plane = frequencies(rng)
    # ASPIRE knows no phase shift, and takes half of the width and four times the decay: exp(-B s^2), s in 1/nm.
    several = replace(several, phase_shift_degrees=np.zeros(len(several)))
    ours = transfer(several, plane, wavelength_of_aspire)
    for one, values in zip(rows(several), ours, strict=True):
        (u, v), angle, voltage, cs, amplitude, _, b_factor = one
        theirs = aspire.operators.CTFFilter(voltage, u, v, np.radians(angle), cs, amplitude, b_factor / 4 / 100)
        np.testing.assert_allclose(values, theirs.evaluate(2 * np.pi * PIXEL * plane.T, pixel_size=PIXEL), atol=1e-10)


def rows(several):
    return zip(*(getattr(several, field.name) for field in fields(several)[:-1]), strict=True)


def relion(x, y, one, magnification=((1, 0), (0, 1))):
    """``CTF::initialise`` and ``CTF::getCTF`` of RELION, in their own steps; of one frequency, in scalars."""
    (defocus_u, defocus_v), azimuth, voltage, cs, q0, phase_shift, b_factor = (np.asarray(v).tolist() for v in one)
    (xx, xy), (yx, yy) = magnification
    x, y = xx * x + xy * y, yx * x + yy * y
    wavelength = 12.2643247 / math.sqrt(voltage * 1e3 * (1.0 + voltage * 1e3 * 0.978466e-6))
    k1 = math.pi * wavelength
    k2 = math.pi / 2 * cs * 1e7 * wavelength**3
    k3 = math.atan(q0 / math.sqrt(1 - q0 * q0))
    k4, k5 = -b_factor / 4, math.radians(phase_shift)
    average, deviation = -(defocus_u + defocus_v) / 2, -(defocus_u - defocus_v) / 2
    u2 = x * x + y * y
    defocus = average + deviation * math.cos(2 * (math.atan2(y, x) - math.radians(azimuth)))
    return -math.sin(k1 * defocus * u2 + k2 * u2 * u2 - k5 - k3) * math.exp(k4 * u2)


def test_values_are_those_of_relion_with_the_opposite_sign(several, rng):
    """RELION's images have been inverted; ours, as ASPIRE's, have not."""
    plane = frequencies(rng, 100)
    ours = transfer(several, plane, wavelength_of_relion)
    theirs = [[relion(x, y, one) for x, y in plane.tolist()] for one in rows(several)]
    np.testing.assert_allclose(-ours, theirs, atol=1e-9)


def test_a_distorted_magnification_acts_on_frequencies_as_in_relion(several, rng):
    plane = frequencies(rng, 100)
    matrices = np.eye(2) + rng.uniform(-0.03, 0.03, (len(several), 2, 2))
    ours = transfer(replace(several, magnification=matrices), plane, wavelength_of_relion)
    theirs = [
        [relion(x, y, one, matrix) for x, y in plane.tolist()]
        for one, matrix in zip(rows(several), matrices, strict=True)
    ]
    np.testing.assert_allclose(-ours, theirs, atol=1e-9)
    assert np.abs(ours - transfer(several, plane, wavelength_of_relion)).max() > 0.5


@pytest.mark.parametrize(("voltage", "published"), [(100, 0.0370144), (200, 0.0250793), (300, 0.0196875)])
def test_the_wavelength_is_that_of_tables(voltage, published):
    """Of ``h / sqrt(2 m e V (1 + e V / 2 m c^2))`` in Reimer & Kohl, Transmission Electron Microscopy, table 2.2."""
    assert electron_wavelength(voltage) == pytest.approx(published, abs=2e-7)


def test_the_effect_of_other_constants_is_what_the_docstring_says():
    ours = electron_wavelength(300.0)
    assert wavelength_of_relion(300.0) / ours - 1 == pytest.approx(6.4e-6, rel=0.01)
    assert wavelength_of_aspire(300.0) / ours - 1 == pytest.approx(-2.64e-5, rel=0.01)
    one, plane = ContrastTransfer.of(30_000.0), np.linspace([0, 0], [1 / 3, 0], 5_000)
    for other, phase in ((wavelength_of_relion, 1.32e-3), (wavelength_of_aspire, 5.4e-3)):
        difference = np.abs(transfer(one, plane) - transfer(one, plane, other)).max()
        assert 0.8 * phase < difference < 1.01 * phase


def test_values_by_hand():
    """Zeros of a weak phase object at integer multiples of pi; amplitude contrast and a phase plate at the origin."""
    wavelength = float(electron_wavelength(300.0))
    pure = ContrastTransfer.of(20_000.0, spherical_aberration_mm=0.0, amplitude_contrast=0.0)
    rings = np.sqrt(np.array([0.5, 1.0, 1.5, 2.0]) / (wavelength * 20_000))
    along_x = np.stack([rings, 0 * rings], axis=1)
    np.testing.assert_allclose(transfer(pure, along_x)[0], [-1, 0, 1, 0], atol=1e-12)
    origin = np.zeros((1, 2))
    assert transfer(ContrastTransfer.of(20_000.0), origin)[0, 0] == pytest.approx(-0.1)
    plate = ContrastTransfer.of(20_000.0, phase_shift_degrees=90.0)
    assert transfer(plate, origin)[0, 0] == pytest.approx(-math.sqrt(0.99))
    # At Scherzer's focus, (3/2 Cs lambda)^(1/2), the phase has its maximum, 3 pi / 4, at this frequency.
    spherical = 2.7e7
    at = np.array([[(1.5 / (spherical * wavelength**3)) ** 0.25, 0.0]])
    scherzer = ContrastTransfer.of(math.sqrt(1.5 * spherical * wavelength), amplitude_contrast=0.0)
    assert transfer(scherzer, at)[0, 0] == pytest.approx(-math.sin(0.75 * math.pi))
    decayed = replace(pure, b_factor=np.array([80.0]))
    np.testing.assert_allclose(transfer(decayed, along_x)[0, 0], -math.exp(-20 * rings[0] ** 2))


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_the_first_ring_is_an_ellipse_whose_axes_are_the_defoci(angle):
    """Along u the first zero lies at (lambda U)^(-1/2): the angle turns from x towards y."""
    astigmatic = ContrastTransfer.of([[12_000.0, 18_000.0]], angle, 300.0, 0.0, 0.0)
    wavelength = float(electron_wavelength(300.0))
    for defocus, direction in ((12_000.0, angle), (18_000.0, angle + 90)):
        radius = 1 / math.sqrt(wavelength * defocus)
        turned = np.radians(direction)
        ring = radius * np.array([[math.cos(turned), math.sin(turned)]])
        assert transfer(astigmatic, ring)[0, 0] == pytest.approx(0, abs=1e-12)
        assert transfer(astigmatic, 0.98 * ring)[0, 0] < -0.05
        assert transfer(astigmatic, 1.02 * ring)[0, 0] > 0.05


def test_turning_an_image_turns_its_astigmatism(rng):
    """By a quarter turn from x towards y, which is exact on the pixels of an odd frame."""
    image = rng.normal(size=(1, 33, 33)).astype(np.float32)
    one = ContrastTransfer.of([[12_000.0, 24_000.0]], 20.0)
    # From x (second axis) towards y (first): NumPy turns from the first of its axes towards the second.
    turn = lambda images: np.rot90(images, axes=(2, 1))  # noqa: E731
    then = ctf.applied(np.ascontiguousarray(turn(image)), replace(one, astigmatism_degrees=np.array([110.0])), 2.0)
    np.testing.assert_allclose(then, turn(ctf.applied(image, one, 2.0)), atol=1e-4)
    unturned = ctf.applied(np.ascontiguousarray(turn(image)), one, 2.0)
    assert np.abs(then - unturned).max() > 0.1


@pytest.mark.parametrize("size", [24, 25])
def test_an_image_is_convolved_with_the_point_spread(rng, size):
    """A direct sum over the whole plane, frequency by frequency, of one image."""
    image = rng.normal(size=(1, size, size)).astype(np.float32)
    one = ContrastTransfer.of([[9_000.0, 9_000.0]], b_factor=30.0)
    found = ctf.applied(image, one, PIXEL)
    y, x = np.indices((size, size))
    expected = np.zeros((size, size), dtype=complex)
    for v in np.fft.fftfreq(size):
        for u in np.fft.fftfreq(size):
            wave = np.exp(2j * np.pi * (u * x + v * y))
            value = transfer(one, np.array([[u, v]]) / PIXEL)[0, 0]
            expected += value * (image[0] * wave.conj()).sum() * wave / size**2
    np.testing.assert_allclose(found[0], expected.real, atol=2e-6)


def test_a_flip_turns_signs_keeps_power_and_undoes_itself(several, rng):
    images = rng.normal(size=(6, 33, 33)).astype(np.float32)
    flipped = ctf.phase_flipped(images, several, PIXEL)
    np.testing.assert_allclose(ctf.phase_flipped(flipped, several, PIXEL), images, atol=1e-5)
    np.testing.assert_allclose((flipped**2).sum(), (images**2).sum(), rtol=1e-5)
    corrected = ctf.phase_flipped(ctf.applied(images, several, PIXEL), several, PIXEL)
    ratio = np.fft.rfft2(corrected) / np.fft.rfft2(images)
    values = transfer(several, half_plane_frequencies(33, PIXEL))
    np.testing.assert_allclose(ratio.real, np.abs(values), atol=1e-3)
    assert (values < 0).mean() > 0.2


def test_the_sign_of_zero_is_plus():
    np.testing.assert_array_equal(ctf.sign(np.array([-2.0, 0.0, 3.0])), [-1, 1, 1])


def test_single_precision_is_double_precision_rounded(several):
    plane = half_plane_frequencies(64, PIXEL)
    single = transfer(several, plane.astype(np.float32))
    assert (single.dtype, single.shape) == (np.float32, (6, 64, 33))
    np.testing.assert_allclose(single, transfer(several, plane.astype(np.float32).astype(np.float64)), atol=1e-7)


def test_numbers_stand_for_all_images_and_rows_can_be_taken():
    spread = ContrastTransfer.of([10_000, 20_000, 30_000], 15.0, voltage_kv=200, magnification=[[1, 0.01], [0, 1]])
    assert len(spread) == 3
    np.testing.assert_array_equal(spread.defocus_angstrom, [[10_000] * 2, [20_000] * 2, [30_000] * 2])
    np.testing.assert_array_equal(spread.voltage_kv, [200.0] * 3)
    assert spread.magnification.shape == (3, 2, 2)
    for index in (slice(1, None), [1, 2], np.array([False, True, True])):
        some = spread[index]
        np.testing.assert_array_equal(some.defocus_angstrom[:, 0], [20_000, 30_000])
        assert some.magnification.shape == (2, 2, 2)
    assert len(spread[1]) == 1
    assert repr(spread) == (
        "ContrastTransfer(3 images, defocus 10,000 to 30,000 Å, 200 kV, Cs 2.7 mm, amplitude contrast 0.1, "
        "distorted magnification)"
    )


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"astigmatism_degrees": np.zeros(3)}, r"astigmatism_degrees has the shape \(3,\); wanted \(2,\)"),
        ({"defocus_angstrom": np.zeros((2, 1))}, r"defocus_angstrom has the shape \(2, 1\); wanted \(2, 2\)"),
        (
            {"defocus_angstrom": np.array([[1.0, 1.0], [np.nan, 1.0]])},
            "defocus_angstrom of image 1 is .* a finite number",
        ),
        ({"voltage_kv": np.array([300.0, 300_000.0])}, "voltage_kv of image 1 is 300000; wanted a number from 10 to"),
        (
            {"amplitude_contrast": np.array([-0.1, 0.1])},
            "amplitude_contrast of image 0 is -0.1; wanted a number from 0",
        ),
        ({"magnification": np.ones((2, 2, 2))}, "magnification of image 0 is .*; wanted an invertible matrix"),
    ],
)
def test_parameters_that_cannot_be_are_refused(change, wanted):
    good = ContrastTransfer.of([10_000.0, 20_000.0])
    with pytest.raises(ArgumentError, match=f"^{wanted}"):
        replace(good, **change)


def test_other_counts_of_images_are_refused():
    with pytest.raises(ArgumentError, match="ctf is given for 2 images"):
        ctf.applied(np.zeros((3, 16, 16), np.float32), ContrastTransfer.of([1e4, 2e4]), PIXEL)
